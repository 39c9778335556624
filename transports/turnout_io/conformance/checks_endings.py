"""Checks: an early end or invalid HTTP is an error of Turnout, after the bytes before it."""

from __future__ import annotations

from turnout.errors import Disconnected, Phase, RemoteProtocolError, TransportError, TurnoutError
from turnout_io.conformance.harness import (
    Checks,
    Harness,
    Shortfall,
    Strictness,
    chunk,
    collect,
    described,
    expect,
    expect_bytes,
    expect_kind,
    reply,
)
from turnout_io.conformance.server import EndConnection, Hold, Request, Reset, ScriptedServer, Send, Step

__all__ = ["CHECKS"]

CHECKS = Checks()

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
BROKEN = (TransportError, RemoteProtocolError)


async def _opening(harness: Harness, *steps: Step) -> TurnoutError:
    """The error of `open` where the server does this."""
    with ScriptedServer([Request(), *steps]) as server:
        adapter = harness.make()
        fault = await expect(TurnoutError, harness.fetch(adapter, server.url, b"{}"))
        assert isinstance(fault, BROKEN), (
            f"expected a TransportError or RemoteProtocolError, but got {described(fault)}"
        )
        assert len(server.connections) == 1, "the transport tried again by itself"
        return fault


async def _reading(harness: Harness, *steps: Step) -> tuple[bytes, TurnoutError]:
    """Return the bytes of the body and the error after them, if the server does this.

    The phase of an error in a body is the caller's to know: it has seen the bytes.
    """
    with ScriptedServer([Request(), *steps]) as server:
        response = await harness.fetch(harness.make(), server.url, b"{}")
        got = b""
        try:
            for _ in range(1000):
                data = await response.read(5.0)
                assert data, f"the body ended after {got!r} as if all were well"
                got += data
        except BROKEN as fault:
            await response.close()
            return got, fault
        raise AssertionError("the body does not end")


@CHECKS.add("early-end.without-answer", "closed or reset instead of an answer is Disconnected")
async def _(harness: Harness) -> None:
    for step in (EndConnection(), Reset()):
        fault = expect_kind(await _opening(harness, step), Disconnected)
        assert fault.phase is Phase.SENT
        assert not fault.reused, "expected reused=False on a new connection, but got reused=True"


@CHECKS.add("early-end.in-the-status", "closed or reset inside the status line is an error")
async def _(harness: Harness) -> None:
    for step in (EndConnection(), Reset()):
        await _opening(harness, Send(b"HTTP/1.1 20"), step)


@CHECKS.add("early-end.in-the-head", "closed or reset inside the header fields is an error")
async def _(harness: Harness) -> Shortfall | None:
    cut = Send(b"HTTP/1.1 200 OK\r\nContent-Le")
    await _opening(harness, cut, Reset())
    with ScriptedServer([Request(), cut, EndConnection()]) as server:
        try:
            response = await harness.fetch(harness.make(), server.url)
            # Taken for a whole head: then at least nothing is made up to follow it.
            body = await collect(response)
        except BROKEN:
            return None
        assert body == b"", f"expected an error, but got the body {body!r}"
        await response.close()
        seen = f"expected an error for a head that is cut off, but got status {response.status} and no body"
        return Shortfall(Strictness.NONE, seen)


@CHECKS.add("early-end.length", "a body shorter than its Content-Length is Disconnected")
async def _(harness: Harness) -> None:
    got, fault = await _reading(harness, Send(LENGTH + b"hello"))
    assert got == b"hello", f"expected b'hello' before the error, but got {got!r}"
    expect_kind(fault, Disconnected)
    got, fault = await _reading(harness, Send(LENGTH))
    assert got == b""
    expect_kind(fault, Disconnected)


@CHECKS.add("early-end.stays-an-error", "a read after one that failed fails again, and is no end")
async def _(harness: Harness) -> Shortfall | None:
    with ScriptedServer([Request(), Send(LENGTH + b"hello")]) as server:
        response = await harness.fetch(harness.make(), server.url)
        await expect_bytes(response.read(5.0), b"hello")
        await expect(TransportError, response.read(5.0))
        try:
            data = await response.read(1.0)
        except BROKEN:
            return None
        finally:
            await response.close()
        seen = f"expected a second error of the read after the one that failed, but got {data!r}"
        return Shortfall(Strictness.NONE, seen)


@CHECKS.add("early-end.chunked", "a chunked body without its last chunk is Disconnected, wherever it stops")
async def _(harness: Harness) -> None:
    for wire, body in (
        (chunk(b"hello"), b"hello"),
        (b"5\r\nhel", b"hel"),
        (b"5\r\nhello", b"hello"),
        (chunk(b"hello") + b"5", b"hello"),
    ):
        got, fault = await _reading(harness, Send(CHUNKED + wire))
        assert got == body, f"expected {body!r} of the chunks {wire!r} before the error, but got {got!r}"
        assert isinstance(fault, Disconnected), f"expected Disconnected after {wire!r}, but got {described(fault)}"


@CHECKS.add("early-end.in-the-last-chunk", "a chunked body that stops inside its last chunk is Disconnected")
async def _(harness: Harness) -> Shortfall | None:
    with ScriptedServer([Request(), Send(CHUNKED + chunk(b"hello") + b"0\r\n"), EndConnection()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        try:
            body = await collect(response)
        except Disconnected:
            return None
        finally:
            await response.close()
        assert body == b"hello", f"expected b'hello', which arrived before the end, but got {body!r}"
        # Nothing of the answer is missing.
        return Shortfall(Strictness.NONE, f"expected Disconnected after {body!r}, but the body ended without an error")


@CHECKS.add("early-end.reset-in-the-body", "a reset inside a body is Disconnected")
async def _(harness: Harness) -> None:
    for head in (LENGTH, CHUNKED + b"64\r\n", b"HTTP/1.1 200 OK\r\n\r\n"):
        _, fault = await _reading(harness, Send(head + b"hello"), Reset())
        expect_kind(fault, Disconnected)


@CHECKS.add("protocol.not-http", "a peer that speaks something else is an error")
async def _(harness: Harness) -> None:
    for wire in (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x46", b"hello\r\n\r\n"):
        await _opening(harness, Send(wire), EndConnection())


@CHECKS.add("protocol.bad-chunks", "bad chunk sizes and ends are an error, after what came before")
async def _(harness: Harness) -> None:
    for wire in (b"zz\r\nhello\r\n", b"\r\n", b"-1\r\n", b"5 5\r\n"):
        got, _ = await _reading(harness, Send(CHUNKED + chunk(b"hello") + wire), Hold())
        assert got == b"hello", f"read must return b'hello', which arrived before {wire!r}; it returned {got!r}"


@CHECKS.add("protocol.strict-chunks", "chunk sizes that only a lenient parser takes are an error")
async def _(harness: Harness) -> Shortfall | None:
    for size in (b"0x5", b"+5", b" 5", b"0_5"):
        with ScriptedServer([Request(), Send(CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n"), Hold()]) as server:
            try:
                response = await harness.fetch(harness.make(), server.url)
            except BROKEN:
                continue
            try:
                if data := await response.read(5.0):
                    return Shortfall(
                        Strictness.NONE, f"expected an error for the chunk size {size!r}, but got the bytes {data!r}"
                    )
            except BROKEN:
                pass
            finally:
                await response.close()
    return None


@CHECKS.add("protocol.conflicting-lengths", "two different lengths are an error")
async def _(harness: Harness) -> Shortfall | None:
    with ScriptedServer(
        [Request(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), Hold()]
    ) as server:
        try:
            response = await harness.fetch(harness.make(), server.url)
        except BROKEN:
            return None
        await response.close()
        return Shortfall(
            Strictness.NONE, f"expected an error for two lengths, but got a response with status {response.status}"
        )


@CHECKS.add("protocol.unasked-switch", "101 that nobody asked for is an error")
async def _(harness: Harness) -> Shortfall | None:
    switch = Send(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n")
    with ScriptedServer([Request(), switch, EndConnection()]) as server:
        try:
            response = await harness.fetch(harness.make(), server.url)
        except BROKEN:
            return None
        assert response.status == 101  # which no caller takes for success
        await response.close()
        return Shortfall(Strictness.NONE, "expected an error for 101, but got a response with status 101")


@CHECKS.add("limits.head", "a head of a megabyte is refused, whether it ends or not")
async def _(harness: Harness) -> None:
    field = b"X-A: " + b"a" * 1_000_000
    await _opening(harness, Send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n"), EndConnection())
    await _opening(harness, Send(b"HTTP/1.1 200 OK\r\n" + field), Hold())


@CHECKS.add("limits.head-of-many-fields", "a head of 40,000 small fields is refused")
async def _(harness: Harness) -> None:
    await _opening(harness, Send(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 40_000 + b"\r\n"), EndConnection())


@CHECKS.add("limits.head-of-usual-size", "a head of 30 KB in 60 fields is taken")
async def _(harness: Harness) -> None:
    fields = [f"X-{number}: {'a' * 490}" for number in range(60)]
    with ScriptedServer([Request(), Send(reply(b"ok", *fields)), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        assert response.status == 200
        count = len(list(response.headers))
        assert count == 61
        await response.close()
