"""The transport for trio: HTTP/1.1 over sockets of its own, with exact timers and cancellation at any `await`."""

from __future__ import annotations

import math
import os
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import trio

from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.transports.http1 import Http1Client, Http1Response
from turnout_io.transports.socket_runtime import Address, DeadlinePassed, Interrupted, numeric_addresses

__all__ = ["TrioResponse", "TrioTransport"]


class _TrioRuntime:
    """`SocketRuntime` over trio."""

    def now(self) -> float:
        return trio.current_time()

    def token(self) -> object:
        try:
            return trio.lowlevel.current_trio_token()
        except RuntimeError:
            return None  # outside a run, where a transport may still be closed

    async def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        numeric = numeric_addresses(host, port)
        if numeric is not None:
            return numeric
        with trio.move_on_at(math.inf if deadline is None else deadline):
            return await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        raise DeadlinePassed

    async def wait(
        self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None
    ) -> bool:
        with trio.move_on_at(math.inf if deadline is None else deadline) as scope:
            try:
                if len(reads) == 1 and not writes:
                    await trio.lowlevel.wait_readable(reads[0])
                elif len(writes) == 1 and not reads:
                    await trio.lowlevel.wait_writable(writes[0])
                else:
                    await _wait_for_any(reads, writes)
            except trio.ClosedResourceError:
                raise Interrupted from None
        return not scope.cancelled_caught

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    def interrupt(self, waited_for: socket.socket) -> None:
        trio.lowlevel.notify_closing(waited_for)


async def _wait_for_any(reads: Sequence[socket.socket], writes: Sequence[socket.socket]) -> None:
    closed = False
    async with trio.open_nursery() as nursery:

        async def one(wait: Callable[[socket.socket], Coroutine[Any, Any, None]], waited_for: socket.socket) -> None:
            nonlocal closed
            try:
                await wait(waited_for)
            except trio.ClosedResourceError:
                closed = True
            nursery.cancel_scope.cancel()

        for waited_for in reads:
            nursery.start_soon(one, trio.lowlevel.wait_readable, waited_for)
        for waited_for in writes:
            nursery.start_soon(one, trio.lowlevel.wait_writable, waited_for)
    if closed:
        raise Interrupted


class TrioResponse:
    """One response; see `turnout_io.base.AsyncHttpResponse`."""

    def __init__(self, response: Http1Response) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers
        self.read = response.read

    async def aclose(self) -> None:
        """Free the connection. Waits for nothing, and so also does its work where the scope is cancelled."""
        self._response.close()

    def abort(self) -> None:
        """Close the connection at once. Acquires no lock, so that finalisers may call it."""
        self._response.abort()


class TrioTransport:
    """Async HTTP/1.1 on trio. For one run at a time; a second run opens connections of its own.

    ca_file, client_cert, ssl_context   see `turnout_io.transports.tls.TlsSettings`
    proxy        the URL of an HTTP proxy for every request; "" for none
    trust_env    whether the environment may name a proxy and trusted certificates
    max_keepalive_connections     connections kept for reuse
    keepalive_expiry  seconds after which an idle connection is not used again
    """

    def __init__(
        self,
        *,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: str | tuple[str, ...] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        max_keepalive_connections: int = 16,
        keepalive_expiry: float = 60.0,
    ) -> None:
        self._client = Http1Client(
            _TrioRuntime(),
            ca_file=ca_file,
            client_cert=client_cert,
            ssl_context=ssl_context,
            proxy=proxy,
            trust_env=trust_env,
            max_keepalive_connections=max_keepalive_connections,
            keepalive_expiry=keepalive_expiry,
        )

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> TrioResponse:
        """See `turnout_io.base.AsyncTransport.open`."""
        return TrioResponse(await self._client.open(request, timeouts))

    async def aclose(self) -> None:
        """Close the idle connections. Waits for nothing."""
        self._client.close()
