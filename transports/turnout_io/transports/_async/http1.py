"""The HTTP/1.1 client that the transports over blocking sockets, trio and asyncio share.

It combines modules that only move bytes (`connect`, `byte_streams`) with pure ones (`turnout.http.http1`,
`turnout.http.pool`). Every timer is exact: one deadline for the connection, one for the request and the response's
head, one for each read.
"""

from __future__ import annotations

import os

from turnout.http import HttpRequest, TransportTimeouts
from turnout.http.http1 import Http1Exchange
from turnout.http.origin import Origin, split_url
from turnout.http.pool import Pool
from turnout_io.process_lock import process_lock
from turnout_io.transports._async.connect import connect
from turnout_io.transports._async.opening import AsyncOpening
from turnout_io.transports._async.response import AsyncHttp1Response, Key
from turnout_io.transports._async.runtime import AsyncSocketRuntime
from turnout_io.transports.byte_streams import ByteStream
from turnout_io.transports.proxies import Proxy, proxy_for
from turnout_io.transports.tls import TlsSettings

__all__ = ["AsyncHttp1Client", "AsyncHttp1Response"]


class AsyncHttp1Client:
    """Opens exchanges and keeps connections for reuse. It may be shared by threads and event loops.

    Each event loop has its own connections, and so has a forked process.
    """

    def __init__(
        self,
        runtime: AsyncSocketRuntime,
        *,
        tls: TlsSettings,
        proxy: Proxy | None,
        use_environment_proxy: bool,
        max_keepalive_connections: int,
        keepalive_expiry: float,
    ) -> None:
        self.runtime = runtime
        self._tls = tls
        self._proxy = proxy
        self._use_environment_proxy = use_environment_proxy
        self._pool: Pool[ByteStream] = Pool(max_keepalive_connections, max_keepalive_connections, keepalive_expiry)
        self._lock = process_lock()
        self._process = os.getpid()
        self._token: object = None  # of the last exchange
        self._closed = False

    def keep_connections(self, count: int) -> None:
        """Keep at least so many idle connections for reuse, if so many requests run at once."""
        pool = self._pool
        pool.max_keepalive_connections = max(pool.max_keepalive_connections, count)
        pool.max_keepalive_per_key = max(pool.max_keepalive_per_key, count)

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncHttp1Response:
        """See `turnout_io.base.Transport.open`."""
        now = self.runtime.now()
        exchange, key = self._exchange(request)
        stream = self._acquire_idle(key, key[0], now) if not request.new_connection else None
        if stream is None:
            stream = await connect(self.runtime, key[1], key[2], self._tls, timeouts.connect)
        else:
            exchange.reused = True
        response = await AsyncOpening(self, key, stream, exchange, timeouts.response_headers, now).receive_head()
        assert response is not None  # without a bound, it is a response or an error
        return response

    def open_reused(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncOpening | None:
        """Return the request over an idle connection, nothing of it sent; None if there is no such connection.

        Unlike `open` it can be waited for in parts.
        """
        if request.new_connection:
            return None
        now = self.runtime.now()
        exchange, key = self._exchange(request)
        stream = self._acquire_idle(key, key[0], now)
        if stream is None:
            return None
        exchange.reused = True
        return AsyncOpening(self, key, stream, exchange, timeouts.response_headers, now)

    def _exchange(self, request: HttpRequest) -> tuple[Http1Exchange, Key]:
        """Return the exchange, and the key of its connections."""
        origin, target = split_url(request.url)
        proxy = self._proxy_for(origin)
        proxy_fields: tuple[tuple[str, str], ...] = ()
        if proxy is not None and not proxy.tunnels_to(origin):
            # RFC 9112 section 3.2.2: a request to a proxy has the whole URL.
            target = f"{origin}{target}"
            if proxy.authorization is not None:
                proxy_fields = (("Proxy-Authorization", proxy.authorization),)
        exchange = Http1Exchange(request, origin, target, proxy_fields=proxy_fields)
        return exchange, (self.runtime.token(), origin, proxy)

    def close_idle(self) -> None:
        """Close the idle connections, and keep none from now on."""
        with self._lock:
            self._closed = True
            idle = self._pool.clear()
            is_ours = self._process == os.getpid()
        for stream in idle:
            stream.close_gracefully() if is_ours else stream.close()

    def release(self, key: Key, stream: ByteStream, process: int) -> None:
        """Take back a connection without a running exchange.

        Args:
            key: The one that `open` made.
            stream: The connection.
            process: The process that opened the exchange.
        """
        if process != os.getpid():
            stream.close()  # without a close_notify: only the parent process may speak over this connection
            return
        with self._lock:
            if self._closed or self.runtime.has_ended(key[0]):
                closing: tuple[ByteStream, ...] = (stream,)
            else:
                closing = self._pool.release(key, stream, self.runtime.now())
        for old in closing:
            old.close_gracefully()

    def discard_idle(self, key: Key) -> None:
        """Close the idle connections of this key: one of them was silent, so the others may be dead too."""
        with self._lock:
            closing = self._pool.discard(lambda other: other == key)
        for stream in closing:
            stream.close()

    def _acquire_idle(self, key: Key, token: object, now: float) -> ByteStream | None:
        """Return an idle connection that is alive: bytes that arrived while it was idle are its end, or garbage."""
        while True:
            with self._lock:
                is_forked = self._process != os.getpid()
                if is_forked:
                    closing = self._pool.clear()
                    self._process = os.getpid()
                elif token is not self._token:
                    closing = self._pool.discard(lambda key: self.runtime.has_ended(key[0]))
                else:
                    closing = self._pool.evict_expired(now)
                self._token = token
                stream = self._pool.acquire(key)
            for old in closing:
                old.close() if is_forked else old.close_gracefully()
            if stream is None or _is_alive(stream):
                return stream
            stream.close()

    def _proxy_for(self, origin: Origin) -> Proxy | None:
        if self._proxy is not None or not self._use_environment_proxy:
            return self._proxy
        return proxy_for(origin, os.environ)


def _is_alive(stream: ByteStream) -> bool:
    try:
        return stream.read() is None
    except OSError:
        return False
