"""Checks: each timer holds, against silence and against a drip.

A transport that cannot keep a timer exactly keeps it for each wait on the socket: then a peer that sends slowly
stretches it, and the result shows that.
"""

from __future__ import annotations

import socket
import time

from turnout.errors import ConnectFailed, Phase, TimedOut, Timer, TransportError, TurnoutError
from turnout.http import HttpRequest, TransportTimeouts
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
from turnout_io.conformance.server import Hold, Pause, Request, ScriptedServer, Send, Step

__all__ = ["CHECKS"]

CHECKS = Checks()

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = 0.2
SLACK = 0.6  # seconds that a busy machine may add


def _late(started: float, seconds: float = SHORT) -> str:
    """Return how late a timer ended; "" if it ended in time.

    Raises:
        AssertionError: It ended before `seconds` had passed.
    """
    taken = time.monotonic() - started
    assert taken >= seconds * 0.9, f"expected the timer to end after {seconds} s, but it ended after {taken:.3f} s"
    return "" if taken <= seconds + SLACK else f"expected the timer to end after {seconds} s, but it took {taken:.1f} s"


def _in_time(started: float, seconds: float = SHORT) -> None:
    """Raise AssertionError unless the timer ended in time."""
    late = _late(started, seconds)
    assert not late, late


def _of_a_sent_request(fault: TimedOut) -> None:
    """Raise AssertionError if the error blames the connection, although the request was sent."""
    assert fault.timer is not Timer.CONNECT, (
        f"expected a timer other than Timer.CONNECT, but got Timer.{fault.timer.name}"
    )
    assert fault.phase is Phase.SENT, f"expected phase=Phase.SENT, but got Phase.{fault.phase.name}"


def _of_a_connection(fault: TransportError) -> str:
    """Return what is wrong with the error for the connect timer; "" if nothing is."""
    if isinstance(fault, TimedOut) and (fault.timer, fault.phase) == (Timer.CONNECT, Phase.NOT_SENT):
        return ""
    told = f" with Timer.{fault.timer.name} and Phase.{fault.phase.name}" if isinstance(fault, TimedOut) else ""
    return f"expected TimedOut with Timer.CONNECT and Phase.NOT_SENT, but got {type(fault).__name__}{told}: {fault}"


async def _opening(
    harness: Harness, timeouts: TransportTimeouts, *steps: Step, body: bytes = b""
) -> tuple[TimedOut, str]:
    """Return the error of `open`, and how late it came."""
    with ScriptedServer([*steps]) as server:
        adapter = harness.make()
        started = time.monotonic()
        fault = await expect(TimedOut, adapter.open(HttpRequest("POST", server.url, (), body), timeouts))
        late = _late(started)
        try:
            await harness.client_closed(adapter, server.wait_for_connection)
        except AssertionError as error:
            raise AssertionError(f"the timer ended {'late' if late else 'in time'}, but {error}") from None
        return fault, late


@CHECKS.add("timers.connect", "the connect timer bounds a connection that nobody accepts")
async def _(harness: Harness) -> Shortfall | None:
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
            _in_time(started)
            wrong = _of_a_connection(fault)
            # Nothing was sent, so the router tries again after ConnectFailed too.
            assert not wrong or isinstance(fault, ConnectFailed), wrong
            return Shortfall(Strictness.NONE, wrong) if wrong else None
        finally:
            for filler in filling:
                filler.close()


@CHECKS.add("timers.connect-covers-tls", "the connect timer bounds a TLS handshake that is not answered")
async def _(harness: Harness) -> Shortfall | None:
    with ScriptedServer([Hold()]) as server:
        request = HttpRequest("GET", f"https://127.0.0.1:{server.port}")
        started = time.monotonic()
        adapter = harness.make()
        fault = await expect(
            TransportError, adapter.open(request, TransportTimeouts(connect=SHORT, response_headers=10))
        )
        _in_time(started)
        await harness.client_closed(adapter, server.wait_for_connection)
    # Nothing was sent. With a less exact error the router repeats the request less often.
    wrong = _of_a_connection(fault)
    return Shortfall(Strictness.NONE, wrong) if wrong else None


@CHECKS.add("timers.head", "the head timer bounds the wait for an answer")
async def _(harness: Harness) -> None:
    fault, late = await _opening(harness, TransportTimeouts(connect=5, response_headers=SHORT), Request(), Hold())
    assert not late, late
    _of_a_sent_request(fault)


@CHECKS.add("timers.head-against-a-drip", "a head that drips does not stretch the head timer")
async def _(harness: Harness) -> Shortfall | None:
    drip = Send(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10, each=3, every=0.05)
    try:
        _, late = await _opening(harness, TransportTimeouts(connect=5, response_headers=SHORT), Request(), drip, Hold())
    except AssertionError as fault:
        if fault.__cause__ is not None:  # there was another error, not the absence of one
            raise
        return Shortfall(Strictness.NONE, str(fault))
    return Shortfall(Strictness.PER_READ, late) if late else None


@CHECKS.add("timers.head-against-interim-answers", "interim answers do not stretch the head timer")
async def _(harness: Harness) -> Shortfall | None:
    drip = Send(b"HTTP/1.1 100 Continue\r\n\r\n" * 20, each=25, every=0.05)
    _, late = await _opening(harness, TransportTimeouts(connect=5, response_headers=SHORT), Request(), drip, Hold())
    return Shortfall(Strictness.PER_READ, late) if late else None


@CHECKS.add("timers.write", "a peer that does not read is given up when the head timer runs out")
async def _(harness: Harness) -> None:
    fault, late = await _opening(
        harness, TransportTimeouts(connect=SHORT, response_headers=SHORT), Pause(0.9), Hold(), body=b"x" * 30_000_000
    )
    assert not late, late
    _of_a_sent_request(fault)


@CHECKS.add("timers.read", "read waits as long as it is told")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(CHUNKED), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        started = time.monotonic()
        fault = await expect(TimedOut, response.read(SHORT))
        _in_time(started)
        assert fault.timer is not Timer.CONNECT, (
            f"expected a timer other than Timer.CONNECT, but got Timer.{fault.timer.name}"
        )
        assert fault.phase is not Phase.NOT_SENT, (
            f"expected a phase after Phase.NOT_SENT, but got Phase.{fault.phase.name}"
        )
        await response.close()


@CHECKS.add("timers.read-until-close", "read waits as long as it is told, also where the connection will be closed")
async def _(harness: Harness) -> Shortfall | None:
    script: list[Step] = [Request(), Send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"), Hold()]
    with ScriptedServer(script) as server:
        response = await harness.make().open(
            HttpRequest("GET", server.url), TransportTimeouts(connect=5, response_headers=1.5)
        )
        started = time.monotonic()
        await expect(TimedOut, response.read(SHORT))
        late = _late(started)
        if late:
            _in_time(started, 1.5)  # that of the head
        await response.close()
        return Shortfall(Strictness.NONE, f"{late}, as the timer of the head allows") if late else None


@CHECKS.add("timers.read-is-shorter", "a shorter time for one read holds, although the one before was long")
async def _(harness: Harness) -> Shortfall | None:
    with ScriptedServer([Request(), Send(CHUNKED + chunk(b"a")), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        await expect_bytes(response.read(1.5), b"a")
        started = time.monotonic()
        await expect(TimedOut, response.read(SHORT))
        late = _late(started)
        if late:
            _in_time(started, 1.5)  # that of the read before
        await response.close()
        return Shortfall(Strictness.PER_BODY, f"{late}, as the read before it was allowed to") if late else None


@CHECKS.add("timers.read-is-longer", "a longer time for one read holds, although the one before was short")
async def _(harness: Harness) -> Shortfall | None:
    script: list[Step] = [
        Request(),
        Send(CHUNKED + chunk(b"a")),
        Pause(SHORT * 5),
        Send(chunk(b"b") + chunk(b"")),
        Hold(),
    ]
    with ScriptedServer(script) as server:
        response = await harness.fetch(harness.make(), server.url)
        await expect_bytes(response.read(SHORT), b"a")
        try:
            body = await collect(response)
        except TimedOut as fault:
            seen = f"expected b'b', which came after {SHORT * 5} s of the 5 s allowed, but got {described(fault)}"
            return Shortfall(Strictness.PER_BODY, seen)
        finally:
            await response.close()
        assert body == b"b"
        return None


@CHECKS.add("timers.read-can-be-repeated", "after a read that timed out, the next one gives what came since")
async def _(harness: Harness) -> Shortfall | None:
    script: list[Step] = [
        Request(),
        Send(CHUNKED + chunk(b"a")),
        Pause(SHORT * 2),
        Send(chunk(b"b") + chunk(b"")),
        Hold(),
    ]
    with ScriptedServer(script) as server:
        response = await harness.fetch(harness.make(), server.url)
        await expect_bytes(response.read(SHORT / 2), b"a")
        await expect(TimedOut, response.read(SHORT / 2))
        try:
            rest = await collect(response)
        except TransportError as fault:
            return Shortfall(Strictness.NONE, f"expected b'b' of the read after TimedOut, but got {described(fault)}")
        finally:
            await response.close()
        if rest == b"b":
            return None
        return Shortfall(Strictness.NONE, f"expected b'b' of the read after TimedOut, but got {rest!r}")


@CHECKS.add("timers.read-against-a-drip", "framing bytes that drip do not stretch the timer of read")
async def _(harness: Harness) -> Shortfall | None:
    drip = Send(b"5;" + b"x" * 30, each=1, every=0.05)
    with ScriptedServer([Request(), Send(CHUNKED + chunk(b"a")), drip, Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        await expect_bytes(response.read(SHORT), b"a")
        started = time.monotonic()
        await expect(TimedOut, response.read(SHORT))
        late = _late(started)
        await response.close()
    return Shortfall(Strictness.PER_READ, late) if late else None


@CHECKS.add("timers.none", "None is no bound")
async def _(harness: Harness) -> None:
    script: list[Step] = [Request(), Pause(SHORT), Send(CHUNKED), Pause(SHORT), Send(chunk(b"a") + chunk(b"")), Hold()]
    with ScriptedServer(script) as server:
        response = await harness.make().open(HttpRequest("GET", server.url), TransportTimeouts())
        await expect_bytes(response.read(None), b"a")
        await expect_bytes(response.read(None), b"")
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
    if not isinstance(fault, TimedOut):
        expect_kind(fault, ConnectFailed)
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
        await expect_bytes(collect(response), b"ok")
        await response.close()
