"""The transport for asyncio: HTTP/1.1 over sockets of its own, with exact timers and cancellation at any `await`.

It waits for sockets with `add_reader` and `add_writer`, which asyncio's Proactor loop, the default on Windows, does not
have: there, use `asyncio.SelectorEventLoop`, or trio.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence

from turnout.errors import LocalProtocolError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.transports.http1 import Http1Client, Http1Response
from turnout_io.transports.socket_runtime import Address, DeadlinePassed, Interrupted, numeric_addresses

__all__ = ["AsyncioResponse", "AsyncioTransport"]


class _AsyncioRuntime:
    """`SocketRuntime` over asyncio."""

    def __init__(self) -> None:
        self._waiting: dict[socket.socket, asyncio.Future[bool]] = {}

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def token(self) -> object:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return None  # outside a run, where a transport may still be closed

    async def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        numeric = numeric_addresses(host, port)
        if numeric is not None:
            return numeric
        loop = asyncio.get_running_loop()
        late = asyncio.timeout_at(deadline)
        try:
            async with late:
                return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            if late.expired():
                raise DeadlinePassed from None
            raise

    async def wait(
        self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None
    ) -> bool:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[bool] = loop.create_future()
        timer = None if deadline is None else loop.call_at(deadline, _answer, ready, False)
        watched = (*reads, *writes)
        try:
            for waited_for in reads:
                loop.add_reader(waited_for, _answer, ready, True)
            for waited_for in writes:
                loop.add_writer(waited_for, _answer, ready, True)
            for waited_for in watched:
                self._waiting[waited_for] = ready
            return await ready
        except NotImplementedError:
            raise LocalProtocolError(
                f"{type(loop).__name__} cannot watch sockets: run this under asyncio.SelectorEventLoop, or use trio"
            ) from None
        finally:
            if timer is not None:
                timer.cancel()
            for waited_for in watched:
                self._waiting.pop(waited_for, None)
            if not loop.is_closed():
                for waited_for in reads:
                    loop.remove_reader(waited_for)
                for waited_for in writes:
                    loop.remove_writer(waited_for)

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    def interrupt(self, waited_for: socket.socket) -> None:
        ready = self._waiting.get(waited_for)
        if ready is not None and not ready.done():
            ready.set_exception(Interrupted())


def _answer(ready: asyncio.Future[bool], answer: bool) -> None:
    if not ready.done():
        ready.set_result(answer)


class AsyncioResponse:
    """One response; see `turnout_io.base.AsyncHttpResponse`."""

    def __init__(self, response: Http1Response) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers
        self.read = response.read

    async def aclose(self) -> None:
        """Free the connection. Waits for nothing, and so also does its work in a task that is cancelled."""
        self._response.close()

    def abort(self) -> None:
        """Close the connection at once. Acquires no lock, so that finalisers may call it."""
        self._response.abort()


class AsyncioTransport:
    """Async HTTP/1.1 on asyncio. For one loop at a time; a second loop opens connections of its own.

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
            _AsyncioRuntime(),
            ca_file=ca_file,
            client_cert=client_cert,
            ssl_context=ssl_context,
            proxy=proxy,
            trust_env=trust_env,
            max_keepalive_connections=max_keepalive_connections,
            keepalive_expiry=keepalive_expiry,
        )

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncioResponse:
        """See `turnout_io.base.AsyncTransport.open`."""
        return AsyncioResponse(await self._client.open(request, timeouts))

    async def aclose(self) -> None:
        """Close the idle connections. Waits for nothing."""
        self._client.close()
