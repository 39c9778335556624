"""Checks: which connection is used again, which is not, and what `close` does."""

from __future__ import annotations

import contextlib
import functools
import time

from turnout.errors import Disconnected, TimedOut, TransportError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance.harness import (
    Checks,
    DoesNotApply,
    Harness,
    Shortfall,
    Strictness,
    chunk,
    collect,
    described,
    expect,
    expect_bytes,
    reply,
)
from turnout_io.conformance.server import EndConnection, Gate, Hold, Pause, Request, Reset, ScriptedServer, Send, Step

__all__ = ["CHECKS"]

CHECKS = Checks()

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NOT_REPORTED = "expected {0}(reused=True) on a reused connection, but got {0}(reused=False)"
AGAIN = (Request(), Send(reply(b"again")), Hold())


async def _second(harness: Harness, *scripts: list[Step]) -> tuple[bytes, int]:
    """The body of the second of two answers, and how many connections were made."""
    with ScriptedServer(*scripts) as server:
        adapter = harness.make()
        first = await harness.fetch(adapter, server.url)
        await collect(first)
        await first.close()
        second = await harness.fetch(adapter, server.url)
        body = await collect(second)
        await second.close()
        return body, len(server.connections)


@CHECKS.add("reuse.after-the-end", "a connection whose answer has ended is used again")
async def _(harness: Harness) -> Shortfall | None:
    endings = {
        "a body with a length": reply(b"first"),
        "a body of length 0": reply(b""),
        "a chunked body": CHUNKED + chunk(b"first") + chunk(b""),
        "status 204": b"HTTP/1.1 204 No\r\n\r\n",
    }
    not_reused = []
    for ending, wire in endings.items():
        body, connections = await _second(harness, [Request(), Send(wire), *AGAIN], [*AGAIN])
        assert body == b"again", f"after {ending}: expected b'again' as the second response, but got {body!r}"
        if connections > 1:
            not_reused.append(ending)
    if len(not_reused) == len(endings):
        raise DoesNotApply("no connection is used again")
    if not_reused:
        seen = f"expected one connection for two requests, but the second one had its own after {', '.join(not_reused)}"
        return Shortfall(Strictness.NONE, seen)
    return None


@CHECKS.add("reuse.without-reading-the-end", "close after the last byte, with the end not read, may give it back")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(reply(b"hello")), *AGAIN], [*AGAIN]) as server:
        adapter = harness.make()
        first = await harness.fetch(adapter, server.url)
        await expect_bytes(first.read(5.0), b"hello")
        await first.close()
        second = await harness.fetch(adapter, server.url)
        await expect_bytes(collect(second), b"again")
        await second.close()


@CHECKS.add("reuse.not-before-the-end", "close before the end drops the connection")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(CHUNKED + chunk(b"first")), Hold()], [*AGAIN]) as server:
        adapter = harness.make()
        first = await harness.fetch(adapter, server.url)
        await expect_bytes(first.read(5.0), b"first")
        await first.close()
        await harness.client_closed(adapter, server.wait_for_connection)
        second = await harness.fetch(adapter, server.url)
        await expect_bytes(collect(second), b"again")
        await second.close()


@CHECKS.add("reuse.not-where-forbidden", "Connection: close, HTTP/1.0 and a body until the close forbid reuse")
async def _(harness: Harness) -> None:
    for wire in (
        reply(b"first", "Connection: close"),
        reply(b"first", "connection: Keep-Alive, Close"),
        reply(b"first").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ):
        body, connections = await _second(harness, [Request(), Send(wire), Hold()], [*AGAIN])
        assert body == b"again", f"after {wire!r}: expected b'again' as the second response, but got {body!r}"
        assert connections == 2, f"expected a new connection after {wire!r}, but the old one was used again"


@CHECKS.add("reuse.surplus-is-no-answer", "bytes after the end never become the next answer")
async def _(harness: Harness) -> Shortfall | None:
    # Only the first connection sends the surplus, together with the answer before it.
    smuggled = reply(b"first") + reply(b"smuggled")
    body, connections = await _second(harness, [Request(), Send(smuggled), *AGAIN], [*AGAIN])
    assert body == b"again", f"expected b'again' as the second response, but got the surplus bytes: {body!r}"
    if connections == 2:
        return None
    return Shortfall(
        Strictness.NONE, "expected a new connection after surplus bytes, but the old one was used, without these bytes"
    )


@CHECKS.add("reuse.not-after-bytes-while-idle", "a connection over which bytes came while it was idle is dropped")
async def _(harness: Harness) -> None:
    with ScriptedServer(
        [Request(), Send(reply(b"first")), Gate("idle"), Send(reply(b"408")), Hold()], [*AGAIN]
    ) as server:
        adapter = harness.make()
        first = await harness.fetch(adapter, server.url)
        await collect(first)
        await first.close()
        server.open_gate("idle")
        # Long enough for the bytes to be there.
        await adapter.run_with(lambda: server.connections[0].closed_by_client.wait(0.2))
        second = await harness.fetch(adapter, server.url)
        await expect_bytes(collect(second), b"again")
        await second.close()


@CHECKS.add("reuse.not-after-an-idle-close", "a connection that the peer closed while it was idle is not used")
async def _(harness: Harness) -> None:
    for ending in (EndConnection(), Reset()):
        with ScriptedServer([Request(), Send(reply(b"first")), Gate("idle"), ending], [*AGAIN]) as server:
            adapter = harness.make()
            first = await harness.fetch(adapter, server.url)
            await collect(first)
            await first.close()
            server.open_gate("idle")
            await adapter.run_with(functools.partial(server.connections[0].over.wait, 0.2))
            second = await harness.fetch(adapter, server.url)
            await expect_bytes(collect(second), b"again")
            await second.close()


@CHECKS.add("reuse.death-is-told", "a reused connection that dies without an answer is Disconnected(reused=True)")
async def _(harness: Harness) -> Shortfall | None:
    told = []
    for ending in (EndConnection(), Reset()):
        with ScriptedServer([Request(), Send(reply(b"first")), Request(), ending], [*AGAIN]) as server:
            adapter = harness.make()
            first = await harness.fetch(adapter, server.url)
            await collect(first)
            await first.close()
            try:
                second = await harness.fetch(adapter, server.url, b"{}")
            except Disconnected as fault:
                told.append(fault.reused)
            else:
                await second.close()
                sent = sum(request.connection == 0 for request in server.requests)
                assert sent == 1, "the transport tried again by itself"
                raise DoesNotApply("no connection is used again")
            assert len(server.requests) == 2, "the transport tried again by itself"
            assert len(server.connections) == 1, "the transport tried again by itself, over a new connection"
    # If the error does not show that the connection was reused, the router repeats the request less often.
    return None if all(told) else Shortfall(Strictness.NONE, NOT_REPORTED.format("Disconnected"))


@CHECKS.add(
    "reuse.silence-is-told", "a reused connection that is silent is TimedOut(reused=True), and a new one can be had"
)
async def _(harness: Harness) -> Shortfall | None:
    silent: list[Step] = [Request(), Hold()]
    short = TransportTimeouts(connect=5.0, response_headers=0.2)
    with ScriptedServer([*silent], [Request(), Send(reply(b"first")), *silent], [*AGAIN]) as server:
        adapter = harness.make()
        on_new = await expect(TimedOut, adapter.open(HttpRequest("POST", server.url, (), b"{}"), short))
        assert not on_new.reused, "a new connection was reported as a reused one"
        first = await harness.fetch(adapter, server.url)
        await collect(first)
        await first.close()
        try:
            fault = await expect(TimedOut, adapter.open(HttpRequest("POST", server.url, (), b"{}"), short))
        except AssertionError:
            raise DoesNotApply("no connection is used again") from None
        if not fault.reused:
            # The router then does not send the request again over a new connection.
            return Shortfall(Strictness.NONE, NOT_REPORTED.format("TimedOut"))
    keeps: list[Step] = [Request(), Send(reply(b"first")), Request(), Send(reply(b"reused")), Hold()]
    with ScriptedServer(keeps, [*AGAIN]) as server:
        first = await harness.fetch(adapter, server.url)
        await collect(first)
        await first.close()
        wanted = HttpRequest("POST", server.url, (), b"{}", new_connection=True)
        second = await adapter.open(wanted, TransportTimeouts(connect=5.0, response_headers=10.0))
        body = await collect(second)
        assert body == b"again", "a request with new_connection=True was sent over a reused connection"
        await second.close()
    return None


@CHECKS.add("reuse.no-cookies", "a cookie that a server sets is not sent back")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(reply(b"", "Set-Cookie: a=b; Path=/")), *AGAIN], [*AGAIN]) as server:
        adapter = harness.make()
        for _ in range(2):
            response = await harness.fetch(adapter, server.url)
            await collect(response)
            await response.close()
        cookie = server.requests[1].get("cookie")
        assert cookie is None, f"expected no Cookie field in the second request, but it is {cookie!r}"


@CHECKS.add("close.any-time", "close before the first read, twice, and after the end")
async def _(harness: Harness) -> None:
    for wire in (reply(b"hello"), CHUNKED + chunk(b"hello"), reply(b"")):
        with ScriptedServer([Request(), Send(wire), Hold()]) as server:
            response = await harness.fetch(harness.make(), server.url)
            await response.close()
            await response.close()


@CHECKS.add("close.frees-the-connection", "close before the end reaches the server")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(CHUNKED), Hold()]) as server:
        adapter = harness.make()
        response = await harness.fetch(adapter, server.url)
        await response.close()
        await harness.client_closed(adapter, server.wait_for_connection)


@CHECKS.add("close.is-no-end", "a read after a close before the end is an error, and no end")
async def _(harness: Harness) -> Shortfall | None:
    with ScriptedServer([Request(), Send(CHUNKED), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        await response.close()
        try:
            data = await response.read(1.0)
        except TransportError as fault:
            assert not isinstance(fault, TimedOut), "a response that is closed still waits for bytes"
            return None
        except Exception as fault:
            kind = type(fault).__name__
            raise AssertionError(f"expected a TransportError of a read after close, but got {kind}: {fault}") from fault
        assert data == b"", f"expected an error of a read after close, but got the bytes {data!r}"
        return Shortfall(Strictness.NONE, "expected a TransportError of a read after close, but got b''")


@CHECKS.add("close.ends-a-read", "close from another thread or task ends a read that waits")
async def _(harness: Harness) -> Shortfall | None:
    with ScriptedServer([Request(), Send(CHUNKED + chunk(b"a")), Hold()]) as server:
        adapter = harness.make()
        response = await harness.fetch(adapter, server.url)
        await expect_bytes(response.read(2.0), b"a")

        async def wait() -> float:
            data = b""
            with contextlib.suppress(Exception):  # whatever the library makes of it: the router has left by then
                data = await response.read(2.0)
            assert data == b"", f"expected an error or b'' of the read that close ended, but got {data!r}"
            return time.monotonic()

        async def close() -> float:
            # Gives the other request time to wait, as a second server would.
            with ScriptedServer([Request(), Pause(0.15), Send(reply(b"")), Hold()]) as second:
                await (await harness.fetch(adapter, second.url)).close()
            await response.close()
            return time.monotonic()

        ended, closed = await adapter.run_all(wait, close)
        await harness.client_closed(adapter, server.wait_for_connection)
        if ended < closed + 1.0:
            return None
        seen = f"expected read to end at the close, but it waited {ended - closed:.1f} s more, until its own timeout"
        return Shortfall(Strictness.NONE, seen)


@CHECKS.add("close.transport", "closing the transport closes the connections kept for reuse")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(reply(b"hello")), Hold()]) as server:
        adapter = harness.make()
        response = await harness.fetch(adapter, server.url)
        await collect(response)
        await response.close()
        await adapter.close()
        await harness.client_closed(adapter, server.wait_for_connection)
        await adapter.close()


@CHECKS.add("concurrency", "eight exchanges at once, each with its own answer")
async def _(harness: Harness) -> None:
    begin: list[Step] = [Request(), Send(CHUNKED), Gate("all")]
    scripts: list[list[Step]] = [[*begin, Send(chunk(b"x%d" % number) + chunk(b"")), Hold()] for number in range(8)]
    with ScriptedServer(*scripts) as server:
        adapter = harness.make()

        async def one() -> bytes:
            response = await harness.fetch(adapter, server.url)
            if len(server.requests) == 8:
                server.open_gate("all")
            body = await collect(response, 10.0)
            await response.close()
            return body

        bodies = await adapter.run_all(*[one] * 8)
        expected = [b"x%d" % number for number in range(8)]
        assert sorted(bodies) == expected, f"expected the bodies {expected}, but got {sorted(bodies)}"


@CHECKS.add("upload.large", "a body of 5 MB arrives whole")
async def _(harness: Harness) -> None:
    data = bytes(range(256)) * 20_000
    with ScriptedServer([Request(), Send(reply(b"got it")), *AGAIN]) as server:
        adapter = harness.make()
        response = await harness.fetch(adapter, server.url, data)
        await expect_bytes(collect(response), b"got it")
        await response.close()
        received = server.requests[0].body
        assert received == data, f"expected {len(data)} bytes at the server, but got {len(received)}, or others"


@CHECKS.add("upload.early-answer", "an answer that comes before the body is through is read")
async def _(harness: Harness) -> Shortfall | None:
    large = reply(b"too large", "Connection: close", status="413 Content Too Large")
    # The server does not read on: a transport that only looks for an answer after sending waits for ever.
    with ScriptedServer([Request(body=False), Send(large), Pause(1.5), Reset()]) as server:
        request = HttpRequest("POST", server.url, (), b"x" * 30_000_000)
        try:
            response = await harness.make().open(request, TransportTimeouts(connect=1.0, response_headers=1.0))
        except TransportError as fault:
            return Shortfall(Strictness.NONE, f"expected the response 413, but got {described(fault)}")
        assert response.status == 413
        await expect_bytes(collect(response), b"too large")
        await response.close()
        return None


@CHECKS.add("upload.answer-then-close", "an answer before the body is through is read although the peer closes then")
async def _(harness: Harness) -> Shortfall | None:
    large = reply(b"too large", "Connection: close", status="413 Content Too Large")
    with ScriptedServer([Request(body=False), Send(large), EndConnection()]) as server:
        try:
            response = await harness.fetch(harness.make(), server.url, b"x" * 5_000_000)
        except TransportError as fault:
            return Shortfall(Strictness.NONE, f"expected the response 413, but got {described(fault)}")
        assert response.status == 413
        await expect_bytes(collect(response), b"too large")
        await response.close()
        return None
