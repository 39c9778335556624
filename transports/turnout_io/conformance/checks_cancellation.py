"""Checks: an async transport may be cancelled at any `await`, and leaves no half-used connection."""

from __future__ import annotations

from turnout.http import HttpRequest
from turnout_io.conformance.adapters import Response, TransportAdapter
from turnout_io.conformance.harness import (
    PATIENT,
    Checks,
    Harness,
    Shortfall,
    Strictness,
    chunk,
    collect,
    expect_bytes,
    reply,
)
from turnout_io.conformance.server import Hold, Pause, Request, ScriptedServer, Send, Step

__all__ = ["CHECKS"]

CHECKS = Checks()

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SOON = 0.1
DROPPED = "expected the connection to be closed after the cancellation, but it was open 1 s later"


async def _opening(harness: Harness, *steps: Step, scheme: str = "http", body: bytes = b"") -> bool:
    """Cancel `open` while the server does this; then the same transport must serve another request.

    Whether the connection was dropped.
    """
    with ScriptedServer([*steps, Hold()], [Request(), Send(reply(b"ok")), Hold()]) as server:
        adapter = harness.make()
        request = HttpRequest("POST", f"{scheme}://{server.authority}", (), body)

        async def open_it() -> None:
            await adapter.open(request, PATIENT)

        assert await adapter.cancel_after(SOON, open_it), "open was over before it was cancelled"
        dropped = await adapter.run_with(lambda: server.wait_for_connection().closed_by_client.wait(1.0))
        await _serves(harness, adapter, server.url)
        return dropped


async def _serves(harness: Harness, adapter: TransportAdapter, url: str) -> None:
    response = await harness.fetch(adapter, url)
    await expect_bytes(collect(response), b"ok")
    await response.close()


@CHECKS.add("cancel.in-tls", "cancelled in the TLS handshake", needs="cancellation")
async def _(harness: Harness) -> Shortfall | None:
    dropped = await _opening(harness, scheme="https")
    # A library that leaves the socket to the garbage collector sends nothing more over it.
    return None if dropped else Shortfall(Strictness.NONE, DROPPED)


@CHECKS.add("cancel.while-sending", "cancelled while the request is sent", needs="cancellation")
async def _(harness: Harness) -> None:
    assert await _opening(harness, Request(body=False), Pause(SOON * 3), body=b"x" * 30_000_000), DROPPED


@CHECKS.add("cancel.before-the-head", "cancelled while waiting for the answer", needs="cancellation")
async def _(harness: Harness) -> None:
    assert await _opening(harness, Request()), DROPPED


@CHECKS.add("cancel.in-the-head", "cancelled inside the head", needs="cancellation")
async def _(harness: Harness) -> None:
    assert await _opening(harness, Request(), Send(b"HTTP/1.1 200 OK\r\nConte")), DROPPED


@CHECKS.add("cancel.in-a-read", "cancelled in a read: aclose frees the connection", needs="cancellation")
async def _(harness: Harness) -> None:
    script: list[Step] = [Request(), Send(CHUNKED + chunk(b"a")), Hold()]
    with ScriptedServer(script, [Request(), Send(reply(b"ok")), Hold()]) as server:
        adapter = harness.make()
        response = await harness.fetch(adapter, server.url)
        await expect_bytes(response.read(5.0), b"a")

        async def read() -> None:
            await response.read(5.0)

        assert await adapter.cancel_after(SOON, read), f"read ended within {SOON} s, before it was cancelled"
        await response.close()
        await harness.client_closed(adapter, server.wait_for_connection)
        await _serves(harness, adapter, server.url)


@CHECKS.add("cancel.then-close", "aclose does its work where the scope is cancelled already", needs="cancellation")
async def _(harness: Harness) -> None:
    script: list[Step] = [Request(), Send(CHUNKED + chunk(b"a")), Hold()]
    with ScriptedServer(script, [Request(), Send(reply(b"ok")), Hold()]) as server:
        adapter = harness.make()
        opened: list[Response] = []

        async def use() -> None:
            response = await harness.fetch(adapter, server.url)
            opened.append(response)
            try:
                while await response.read(5.0):
                    pass
            finally:
                await response.close()

        assert await adapter.cancel_after(SOON * 2, use), f"read ended within {SOON * 2} s, before it was cancelled"
        assert opened, f"expected the response headers within {SOON * 2} s, but open did not return"
        await harness.client_closed(adapter, server.wait_for_connection)
        await _serves(harness, adapter, server.url)
