"""Checks: each timer holds, against silence and against a drip.

A transport that cannot keep a timer exactly keeps it for each wait on the socket: then a peer that sends slowly
stretches it, and the result shows that.
"""

from __future__ import annotations

import socket
import time

from turnout.errors import ConnectFailed, Phase, TimedOut, Timer, TransportError, TurnoutError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance.harness import Checks, Harness, Strictness, chunk, collect, expect, reply
from turnout_io.conformance.server import Hold, Pause, Request, ScriptedServer, Send, Step

__all__ = ["CHECKS"]

CHECKS = Checks()

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = 0.2
SLACK = 0.6  # seconds that a busy machine may add


def _in_time(started: float, seconds: float = SHORT) -> bool:
    """Whether no more than `seconds` and the slack have passed; fails where less than `seconds` have."""
    taken = time.monotonic() - started
    assert taken >= seconds * 0.9, f"after {taken:.3f} s instead of {seconds} s"
    return taken <= seconds + SLACK


async def _opening(
    harness: Harness, timeouts: TransportTimeouts, *steps: Step, body: bytes = b""
) -> tuple[TimedOut, bool]:
    with ScriptedServer([*steps]) as server:
        adapter = harness.make()
        started = time.monotonic()
        fault = await expect(TimedOut, adapter.open(HttpRequest("POST", server.url, (), body), timeouts))
        in_time = _in_time(started)
        try:
            await harness.client_closed(adapter, server.wait_for_connection)
        except AssertionError as error:
            raise AssertionError(f"the timer ended {'in time' if in_time else 'late'}, but {error}") from None
        return fault, in_time


@CHECKS.add("timers.connect", "the connect timer bounds a connection that nobody accepts")
async def _(harness: Harness) -> Strictness:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        # With its queue full, Linux leaves further connections unanswered.
        filling = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
                filling.append(filler)
            request = HttpRequest("GET", f"http://127.0.0.1:{listener.getsockname()[1]}")
            started = time.monotonic()
            fault = await expect(
                TransportError, harness.make().open(request, TransportTimeouts(connect=SHORT, response_headers=10))
            )
            assert _in_time(started), "the connect timer ran out late"
            assert fault.phase is Phase.NOT_SENT
            if isinstance(fault, TimedOut):
                assert fault.timer is Timer.CONNECT
                return Strictness.EXACT
            assert isinstance(fault, ConnectFailed), repr(fault)
            return Strictness.NONE
        finally:
            for filler in filling:
                filler.close()


@CHECKS.add("timers.connect-covers-tls", "the connect timer bounds a TLS handshake that is not answered")
async def _(harness: Harness) -> Strictness:
    with ScriptedServer([Hold()]) as server:
        request = HttpRequest("GET", f"https://127.0.0.1:{server.port}")
        started = time.monotonic()
        adapter = harness.make()
        fault = await expect(
            TransportError, adapter.open(request, TransportTimeouts(connect=SHORT, response_headers=10))
        )
        assert _in_time(started), "the connect timer ran out late"
        await harness.client_closed(adapter, server.wait_for_connection)
    # Nothing was sent. With a less exact error the router repeats the request less often.
    told = isinstance(fault, TimedOut) and (fault.timer, fault.phase) == (Timer.CONNECT, Phase.NOT_SENT)
    return Strictness.EXACT if told else Strictness.NONE


@CHECKS.add("timers.head", "the head timer bounds the wait for an answer")
async def _(harness: Harness) -> None:
    fault, in_time = await _opening(harness, TransportTimeouts(connect=5, response_headers=SHORT), Request(), Hold())
    assert in_time
    assert fault.timer is not Timer.CONNECT
    assert fault.phase is Phase.SENT


@CHECKS.add("timers.head-against-a-drip", "a head that drips does not stretch the head timer")
async def _(harness: Harness) -> Strictness:
    drip = Send(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10, each=3, every=0.05)
    try:
        _, in_time = await _opening(
            harness, TransportTimeouts(connect=5, response_headers=SHORT), Request(), drip, Hold()
        )
    except AssertionError as fault:
        if fault.__cause__ is not None:  # there was another error, not the absence of one
            raise
        return Strictness.NONE
    return Strictness.EXACT if in_time else Strictness.PER_READ


@CHECKS.add("timers.head-against-interim-answers", "interim answers do not stretch the head timer")
async def _(harness: Harness) -> Strictness:
    drip = Send(b"HTTP/1.1 100 Continue\r\n\r\n" * 20, each=25, every=0.05)
    _, in_time = await _opening(harness, TransportTimeouts(connect=5, response_headers=SHORT), Request(), drip, Hold())
    return Strictness.EXACT if in_time else Strictness.PER_READ


@CHECKS.add("timers.write", "a peer that does not read is given up when the head timer runs out")
async def _(harness: Harness) -> None:
    fault, in_time = await _opening(
        harness, TransportTimeouts(connect=SHORT, response_headers=SHORT), Pause(0.9), Hold(), body=b"x" * 30_000_000
    )
    assert in_time
    assert fault.timer is not Timer.CONNECT
    assert fault.phase is Phase.SENT


@CHECKS.add("timers.read", "read waits as long as it is told")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(CHUNKED), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        started = time.monotonic()
        fault = await expect(TimedOut, response.read(SHORT))
        assert _in_time(started)
        assert fault.timer is not Timer.CONNECT
        assert fault.phase is not Phase.NOT_SENT
        await response.close()


@CHECKS.add("timers.read-until-close", "read waits as long as it is told, also where the connection will be closed")
async def _(harness: Harness) -> Strictness:
    script: list[Step] = [Request(), Send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"), Hold()]
    with ScriptedServer(script) as server:
        response = await harness.make().open(
            HttpRequest("GET", server.url), TransportTimeouts(connect=5, response_headers=1.5)
        )
        started = time.monotonic()
        await expect(TimedOut, response.read(SHORT))
        in_time = _in_time(started)
        await response.close()
        if not in_time:
            assert _in_time(started, 1.5), "read did not end when it was told, nor with the timer of the head"
        return Strictness.EXACT if in_time else Strictness.NONE


@CHECKS.add("timers.read-is-shorter", "a shorter time for one read holds, although the one before was long")
async def _(harness: Harness) -> Strictness:
    with ScriptedServer([Request(), Send(CHUNKED + chunk(b"a")), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        assert await response.read(1.5) == b"a"
        started = time.monotonic()
        await expect(TimedOut, response.read(SHORT))
        in_time = _in_time(started)
        await response.close()
        if not in_time:
            assert _in_time(started, 1.5), "read did not end when it was told, nor when the read before it was"
        return Strictness.EXACT if in_time else Strictness.PER_BODY


@CHECKS.add("timers.read-is-longer", "a longer time for one read holds, although the one before was short")
async def _(harness: Harness) -> Strictness:
    script: list[Step] = [
        Request(),
        Send(CHUNKED + chunk(b"a")),
        Pause(SHORT * 5),
        Send(chunk(b"b") + chunk(b"")),
        Hold(),
    ]
    with ScriptedServer(script) as server:
        response = await harness.fetch(harness.make(), server.url)
        assert await response.read(SHORT) == b"a"
        try:
            assert await collect(response) == b"b"
        except TimedOut:
            return Strictness.PER_BODY
        finally:
            await response.close()
        return Strictness.EXACT


@CHECKS.add("timers.read-can-be-repeated", "after a read that timed out, the next one gives what came since")
async def _(harness: Harness) -> Strictness:
    script: list[Step] = [
        Request(),
        Send(CHUNKED + chunk(b"a")),
        Pause(SHORT * 2),
        Send(chunk(b"b") + chunk(b"")),
        Hold(),
    ]
    with ScriptedServer(script) as server:
        response = await harness.fetch(harness.make(), server.url)
        assert await response.read(SHORT / 2) == b"a"
        await expect(TimedOut, response.read(SHORT / 2))
        try:
            rest = await collect(response)
        except TransportError:
            return Strictness.NONE
        finally:
            await response.close()
        return Strictness.EXACT if rest == b"b" else Strictness.NONE


@CHECKS.add("timers.read-against-a-drip", "framing bytes that drip do not stretch the timer of read")
async def _(harness: Harness) -> Strictness:
    drip = Send(b"5;" + b"x" * 30, each=1, every=0.05)
    with ScriptedServer([Request(), Send(CHUNKED + chunk(b"a")), drip, Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        assert await response.read(SHORT) == b"a"
        started = time.monotonic()
        await expect(TimedOut, response.read(SHORT))
        in_time = _in_time(started)
        await response.close()
    return Strictness.EXACT if in_time else Strictness.PER_READ


@CHECKS.add("timers.none", "None is no bound")
async def _(harness: Harness) -> None:
    script: list[Step] = [Request(), Pause(SHORT), Send(CHUNKED), Pause(SHORT), Send(chunk(b"a") + chunk(b"")), Hold()]
    with ScriptedServer(script) as server:
        response = await harness.make().open(HttpRequest("GET", server.url), TransportTimeouts())
        assert await response.read(None) == b"a"
        assert await response.read(None) == b""
        await response.close()


@CHECKS.add("connect.refused", "a refused connection is ConnectFailed, and the message says where")
async def _(harness: Harness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    fault = await expect(ConnectFailed, harness.fetch(harness.make(), f"http://127.0.0.1:{port}"))
    assert fault.phase is Phase.NOT_SENT
    assert str(port) in str(fault), f"the message must name the port {port}, but it is: {fault}"


@CHECKS.add("connect.no-such-host", "a name without an address is ConnectFailed, and the message names it")
async def _(harness: Harness) -> None:
    # RFC 6761 section 6.4: ".invalid" has no addresses, and no query for it needs to leave the machine.
    fault = await expect(
        TransportError,
        harness.make().open(
            HttpRequest("GET", "http://no-such-host.invalid"), TransportTimeouts(connect=5, response_headers=5)
        ),
    )
    assert isinstance(fault, ConnectFailed | TimedOut)
    assert fault.phase is Phase.NOT_SENT
    assert "no-such-host.invalid" in str(fault), f"the message must name the host, but it is: {fault}"


@CHECKS.add("connect.bad-url", "a URL that cannot be requested is an error of Turnout's")
async def _(harness: Harness) -> None:
    for url in ("ftp://127.0.0.1/", "http://", f"http://{'a' * 64}.test/", "http://a..b/"):
        try:
            await expect(TurnoutError, harness.fetch(harness.make(), url))
        except AssertionError as error:
            raise AssertionError(f"{url!r}: {error}") from None


@CHECKS.add("connect.both-families", "localhost is reached, whichever family the server listens on")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(reply(b"ok")), Hold()]) as server:
        response = await harness.fetch(harness.make(), f"http://localhost:{server.port}")
        assert await collect(response) == b"ok"
        await response.close()
