"""Checks: an async transport may be cancelled at any `await`, and leaves no half-used connection."""

from __future__ import annotations

from turnout.http import HttpRequest
from turnout_io.conformance.plan import PATIENT, Bench, Checks, Guarantee, chunk, collect, reply
from turnout_io.conformance.server import Hold, Pause, Request, ScriptedServer, Send, Step
from turnout_io.conformance.subject import Response, Subject

__all__ = ["CHECKS"]

CHECKS = Checks()

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SOON = 0.1
DROPPED = "the connection was not dropped"


async def _opening(bench: Bench, *steps: Step, scheme: str = "http", body: bytes = b"") -> bool:
    """Cancel `open` while the server does this; then the same transport must serve another request.

    Whether the connection was dropped.
    """
    with ScriptedServer([*steps, Hold()], [Request(), Send(reply(b"ok")), Hold()]) as server:
        subject = bench.make()
        request = HttpRequest("POST", f"{scheme}://{server.authority}", (), body)

        async def open_it() -> None:
            await subject.open(request, PATIENT)

        assert await subject.cancelled(SOON, open_it), "open was over before it was cancelled"
        dropped = await subject.beside(lambda: server.wait_for_connection().closed_by_client.wait(1.0))
        await _serves(bench, subject, server.url)
        return dropped


async def _serves(bench: Bench, subject: Subject, url: str) -> None:
    response = await bench.fetch(subject, url)
    assert await collect(response) == b"ok"
    await response.close()


@CHECKS.add("cancel.in-tls", "cancelled in the TLS handshake", needs="cancellation")
async def _(bench: Bench) -> Guarantee:
    dropped = await _opening(bench, scheme="https")
    # A library that leaves the socket to the garbage collector sends nothing more over it.
    return Guarantee.EXACT if dropped else Guarantee.NONE


@CHECKS.add("cancel.while-sending", "cancelled while the request is sent", needs="cancellation")
async def _(bench: Bench) -> None:
    assert await _opening(bench, Request(body=False), Pause(SOON * 3), body=b"x" * 30_000_000), DROPPED


@CHECKS.add("cancel.before-the-head", "cancelled while waiting for the answer", needs="cancellation")
async def _(bench: Bench) -> None:
    assert await _opening(bench, Request()), DROPPED


@CHECKS.add("cancel.in-the-head", "cancelled inside the head", needs="cancellation")
async def _(bench: Bench) -> None:
    assert await _opening(bench, Request(), Send(b"HTTP/1.1 200 OK\r\nConte")), DROPPED


@CHECKS.add("cancel.in-a-read", "cancelled in a read: aclose frees the connection", needs="cancellation")
async def _(bench: Bench) -> None:
    script: list[Step] = [Request(), Send(CHUNKED + chunk(b"a")), Hold()]
    with ScriptedServer(script, [Request(), Send(reply(b"ok")), Hold()]) as server:
        subject = bench.make()
        response = await bench.fetch(subject, server.url)
        assert await response.read(5.0) == b"a"

        async def read() -> None:
            await response.read(5.0)

        assert await subject.cancelled(SOON, read)
        await response.close()
        await bench.client_closed(subject, server.wait_for_connection)
        await _serves(bench, subject, server.url)


@CHECKS.add("cancel.then-close", "aclose does its work where the scope is cancelled already", needs="cancellation")
async def _(bench: Bench) -> None:
    script: list[Step] = [Request(), Send(CHUNKED + chunk(b"a")), Hold()]
    with ScriptedServer(script, [Request(), Send(reply(b"ok")), Hold()]) as server:
        subject = bench.make()
        opened: list[Response] = []

        async def use() -> None:
            response = await bench.fetch(subject, server.url)
            opened.append(response)
            try:
                while await response.read(5.0):
                    pass
            finally:
                await response.close()

        assert await subject.cancelled(SOON * 2, use)
        assert opened
        await bench.client_closed(subject, server.wait_for_connection)
        await _serves(bench, subject, server.url)
