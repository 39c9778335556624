"""The HTTP/1.1 client that the transports over blocking sockets, trio and asyncio share.

It combines modules that only move bytes (`dialing`, `channels`) with pure ones (`turnout.http.http1`,
`turnout.http.pool`).
Every timer is exact: one deadline for the connection, one for sending and the head, one for each read.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Hashable

from turnout.errors import TimedOut, Timer, TransportError, TurnoutError
from turnout.http import Headers, HttpRequest, TransportTimeouts
from turnout.http.http1 import Http1Exchange
from turnout.http.origin import Origin, split_url
from turnout.http.pool import Pool
from turnout_io.process_lock import process_lock
from turnout_io.transports.byte_streams import ByteStream
from turnout_io.transports.connect import connect
from turnout_io.transports.proxies import Proxy, proxy_for
from turnout_io.transports.socket_runtime import DeadlinePassed, Interrupted, SocketRuntime
from turnout_io.transports.tls import TlsSettings

__all__ = ["Http1Client", "Http1Response"]


class Http1Client:
    """Opens exchanges and keeps connections for reuse. The settings are those of the transports."""

    def __init__(
        self,
        runtime: SocketRuntime,
        *,
        ca_file: str | os.PathLike[str] | None,
        client_cert: str | tuple[str, ...] | None,
        ssl_context: ssl.SSLContext | None,
        proxy: str | None,
        trust_env: bool,
        max_keepalive_connections: int,
        keepalive_expiry: float,
    ) -> None:
        self.runtime = runtime
        self._environ = os.environ if trust_env else None
        self._tls = TlsSettings(ca_file, client_cert, ssl_context, self._environ)
        self._proxy = Proxy.parse(proxy) if proxy else None
        self._any_proxy = proxy != ""
        self._pool: Pool[ByteStream] = Pool(max_keepalive_connections, max_keepalive_connections, keepalive_expiry)
        self._lock = process_lock()  # blocking callers may come from several threads
        self._token: object = None
        self._closed = False

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Http1Response:
        """See `turnout_io.base.Transport.open`."""
        deadline = None if timeouts.response_headers is None else self.runtime.now() + timeouts.response_headers
        origin, target = split_url(request.url)
        proxy = self._proxy_for(origin)
        proxy_fields: tuple[tuple[str, str], ...] = ()
        if proxy is not None and origin.scheme == "http":
            # RFC 9112 section 3.2.2: a proxy is asked for the whole URL.
            target = f"{origin}{target}"
            if proxy.authorization is not None:
                proxy_fields = (("Proxy-Authorization", proxy.authorization),)
        exchange = Http1Exchange(request, origin, target, proxy_fields=proxy_fields)
        key = (origin, proxy)
        channel = self._reuse(key)
        exchange.reused = channel is not None
        if channel is None:
            through = proxy.origin if proxy is not None and origin.scheme == "http" else None
            channel = await connect(
                self.runtime, through or origin, None if through else proxy, self._tls, timeouts.connect
            )
        try:
            ready = await self._exchange_heads(channel, exchange, origin, deadline)
        except BaseException:
            channel.close()
            raise
        return Http1Response(self, key, channel, exchange, origin, ready)

    def close(self) -> None:
        """Close the idle connections; those in use are closed when their exchange is over."""
        with self._lock:
            self._closed = True
            idle = self._pool.clear()
            ours = self.runtime.token() is self._token
        for channel in idle:
            channel.end() if ours else channel.close()

    def give_back(self, key: Hashable, channel: ByteStream, token: object) -> None:
        """Take a connection whose exchange is over. `token` is the runtime's at the time when it was opened."""
        if token is not self.runtime.token():
            channel.close()  # without a word to the peer: in a forked process, it is the parent's to speak
            return
        with self._lock:
            if self._closed or self._token is not token:
                closing: tuple[ByteStream, ...] = (channel,)
            else:
                closing = self._pool.release(key, channel, self.runtime.now())
        for old in closing:
            old.end()

    def _reuse(self, key: Hashable) -> ByteStream | None:
        """An idle connection that is alive. What came over one while it was idle can only be its end, or garbage."""
        while True:
            with self._lock:
                token = self.runtime.token()
                foreign = token is not self._token
                if foreign:
                    # Another run of the event loop, or a forked process: these connections are not ours any more.
                    closing = self._pool.clear()
                    self._token = token
                else:
                    closing = self._pool.evict_expired(self.runtime.now())
                channel = self._pool.acquire(key)
            for old in closing:
                old.close() if foreign else old.end()
            if channel is None or _is_alive(channel):
                return channel
            channel.close()

    async def _exchange_heads(
        self, channel: ByteStream, exchange: Http1Exchange, origin: Origin, deadline: float | None
    ) -> bytes:
        """Send the request and read the head of the answer, which may come before the request is through.

        Returns what came of the body in the same read.
        """
        runtime = self.runtime
        broken: OSError | None = None
        body = b""
        try:
            while not exchange.head_received:
                sending = broken is None and not exchange.request_sent
                if sending:
                    try:
                        # Two rounds: the usual request is one piece, and the second round sees that it has left.
                        for _ in range(2):
                            if not channel.flush():
                                break
                            piece = exchange.next_piece()
                            if piece is None:
                                sending = False
                                break
                            channel.put(piece)
                    except OSError as fault:
                        # The peer may have answered before it closed: its answer is still there to read.
                        broken, sending = fault, False
                data = channel.take()
                if data:
                    body = exchange.receive_data(data)
                elif data is not None:
                    exchange.receive_eof()
                elif not await runtime.wait((channel.socket,), (channel.socket,) if sending else (), deadline):
                    raise DeadlinePassed
                if exchange.failure is not None:
                    _named(exchange.failure, origin)
                    # A fault behind the head is told by `read`, after the bytes before it.
                    if not exchange.head_received:
                        raise exchange.failure
        except DeadlinePassed:
            timer = Timer.RESPONSE_HEADERS if exchange.request_sent else Timer.WRITE
            told = "did not answer" if exchange.request_sent else "did not take the whole request"
            raise TimedOut(f"{origin.authority} {told} in time", timer=timer, phase=exchange.phase) from None
        except OSError as fault:
            raise exchange.disconnected(
                f"{origin.authority} closed the connection without an answer: {fault}"
            ) from fault
        return body

    def _proxy_for(self, origin: Origin) -> Proxy | None:
        if self._proxy is not None:
            return self._proxy
        return proxy_for(origin, self._environ) if self._any_proxy and self._environ is not None else None


def _is_alive(channel: ByteStream) -> bool:
    try:
        return channel.take() is None
    except OSError:
        return False


def _named(failure: TurnoutError, origin: Origin) -> TurnoutError:
    """The failure of an exchange, which knows no host, with the host in its message."""
    failure.args = (f"{origin.authority}: {failure.message}",)
    return failure


class Http1Response:
    """One response. See `turnout_io.base.AsyncHttpResponse`; `close` needs no waiting."""

    def __init__(
        self,
        client: Http1Client,
        key: Hashable,
        channel: ByteStream,
        exchange: Http1Exchange,
        origin: Origin,
        ready: bytes,
    ) -> None:
        self._client = client
        self._key = key
        self._channel: ByteStream | None = channel
        self._exchange = exchange
        self._origin = origin
        self._ready = ready
        self._reading = False
        self._closed = False
        self._waited = True
        self._token = client.runtime.token()
        self.status: int = exchange.status or 0
        self.headers: Headers = exchange.headers
        self._settle()

    async def read(self, timeout: float | None) -> bytes:
        """Some bytes of the body, b"" at its end. Waits at most `timeout` seconds.

        Raises TimedOut, after which another read may follow; Disconnected, RemoteProtocolError, TransportError.
        """
        if self._ready:
            data, self._ready = self._ready, b""
            return data
        if self._exchange.ended:
            return b""
        if self._exchange.failure is not None:
            raise self._exchange.failure
        channel = self._channel
        if self._closed or channel is None:
            raise self._closed_error()
        if self._reading:
            raise TransportError("two reads of one response at the same time", phase=self._exchange.phase)
        self._reading = True
        try:
            return await self._read(channel, timeout)
        except Interrupted:
            raise self._closed_error() from None
        finally:
            self._reading = False
            self._drop_if_closed()

    async def _read(self, channel: ByteStream, timeout: float | None) -> bytes:
        runtime = self._client.runtime
        exchange = self._exchange
        deadline = None if timeout is None else runtime.now() + timeout
        if not self._waited:
            await runtime.checkpoint()
        self._waited = False
        while True:
            if self._closed:
                raise self._closed_error()
            try:
                data = channel.take()
            except OSError as fault:
                exchange.failure = exchange.disconnected(
                    f"the connection to {self._origin.authority} broke inside the answer: {fault}"
                )
                self._drop()
                raise exchange.failure from fault
            if data is None:
                self._waited = True
                if not await runtime.wait((channel.socket,), (), deadline):
                    raise TimedOut(
                        f"{self._origin.authority} sent nothing for {timeout:g} s",
                        timer=Timer.READ,
                        phase=exchange.phase,
                    )
                continue
            if data:
                body = exchange.receive_data(data)
            else:
                exchange.receive_eof()
                body = b""
            if exchange.failure is not None:
                _named(exchange.failure, self._origin)
            self._settle()
            if body:
                return body
            if exchange.failure is not None:
                raise exchange.failure
            if exchange.ended:
                return b""

    def close(self) -> None:
        """Free the connection: at once, or where a read is under way in another thread or task, by way of it."""
        if self._closed:
            return
        self._closed = True
        if self._reading and self._channel is not None and self._token is self._client.runtime.token():
            self._client.runtime.interrupt(self._channel.socket)
        else:
            self._drop()

    def abort(self) -> None:
        """Close the connection at once. Acquires no lock, so that finalisers may call it."""
        self._closed = True
        self._drop()

    def _settle(self) -> None:
        """Part with the connection as soon as the exchange is over: for reuse where it can be, else for good."""
        if self._channel is None or not (self._exchange.ended or self._exchange.failure is not None):
            return
        if self._exchange.reusable:
            channel, self._channel = self._channel, None
            self._client.give_back(self._key, channel, self._token)
        else:
            self._drop()

    def _drop_if_closed(self) -> None:
        """What `close` left to the read that was under way."""
        if self._closed:
            self._drop()

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _closed_error(self) -> TransportError:
        return TransportError("the response was closed before its end", phase=self._exchange.phase)
