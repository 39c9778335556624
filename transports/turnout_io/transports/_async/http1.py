"""The HTTP/1.1 client that the transports over blocking sockets, trio and asyncio share.

It combines modules that only move bytes (`connect`, `byte_streams`) with pure ones (`turnout.http.http1`,
`turnout.http.pool`). Every timer is exact: one deadline for the connection, one for the request and the response's
head, one for each read.
"""

from __future__ import annotations

import os
from typing import TypeAlias

from turnout.errors import TimedOut, Timer, TransportError, TurnoutError
from turnout.http import Headers, HttpRequest, TransportTimeouts
from turnout.http.http1 import Http1Exchange
from turnout.http.origin import Origin, split_url
from turnout.http.pool import Pool
from turnout_io.process_lock import process_lock
from turnout_io.transports._async.connect import connect
from turnout_io.transports._async.runtime import AsyncReader, AsyncSocketRuntime
from turnout_io.transports.byte_streams import ByteStream, write_chunk
from turnout_io.transports.connect_errors import connect_failed, is_certificate_alert
from turnout_io.transports.proxies import Proxy, proxy_for
from turnout_io.transports.socket_runtime import DeadlinePassed, Interrupted
from turnout_io.transports.tls import TlsSettings

__all__ = ["AsyncHttp1Client", "AsyncHttp1Response"]

# The event loop, the origin and the proxy of a connection: requests with equal keys may use it one after another.
_Key: TypeAlias = tuple[object, Origin, Proxy | None]


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
        deadline = None if timeouts.response_headers is None else self.runtime.now() + timeouts.response_headers
        origin, target = split_url(request.url)
        proxy = self._proxy_for(origin)
        proxy_fields: tuple[tuple[str, str], ...] = ()
        tunnel, first = proxy, origin
        if proxy is not None and origin.scheme == "http" and not proxy.is_socks:
            # RFC 9112 section 3.2.2: a request to a proxy has the whole URL.
            target = f"{origin}{target}"
            tunnel, first = None, proxy.origin
            if proxy.authorization is not None:
                proxy_fields = (("Proxy-Authorization", proxy.authorization),)
        exchange = Http1Exchange(request, origin, target, proxy_fields=proxy_fields)
        token = self.runtime.token()
        key = (token, origin, proxy)
        stream = self._acquire_idle(key, token) if not request.new_connection else None
        exchange.reused = stream is not None
        if stream is None:
            stream = await connect(self.runtime, first, tunnel, self._tls, timeouts.connect)
        reader = self.runtime.reader(stream.plain)
        try:
            early_body = await self._exchange_heads(stream, reader, exchange, origin, deadline)
        except BaseException as error:
            reader.close()
            stream.close()
            if isinstance(error, TimedOut):
                error.seconds = timeouts.response_headers
                if error.reused:
                    self._discard_idle(key)
            raise
        return AsyncHttp1Response(self, key, stream, reader, exchange, origin, early_body)

    def close_idle(self) -> None:
        """Close the idle connections, and keep none from now on."""
        with self._lock:
            self._closed = True
            idle = self._pool.clear()
            is_ours = self._process == os.getpid()
        for stream in idle:
            stream.close_gracefully() if is_ours else stream.close()

    def release(self, key: _Key, stream: ByteStream, process: int) -> None:
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

    def _discard_idle(self, key: _Key) -> None:
        """Close the idle connections of this key: one of them was silent, so the others may be dead too."""
        with self._lock:
            closing = self._pool.discard(lambda other: other == key)
        for stream in closing:
            stream.close()

    def _acquire_idle(self, key: _Key, token: object) -> ByteStream | None:
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
                    closing = self._pool.evict_expired(self.runtime.now())
                self._token = token
                stream = self._pool.acquire(key)
            for old in closing:
                old.close() if is_forked else old.close_gracefully()
            if stream is None or _is_alive(stream):
                return stream
            stream.close()

    async def _exchange_heads(
        self,
        stream: ByteStream,
        reader: AsyncReader,
        exchange: Http1Exchange,
        origin: Origin,
        deadline: float | None,
    ) -> bytes:
        """Send the request and receive the head of the response, which may arrive before the whole request was sent.

        Returns:
            The bytes of the body that arrived in the same read.
        """
        runtime = self.runtime
        send_error: OSError | None = None
        body = b""
        has_data, is_late = not stream.is_drained, False
        try:
            while not exchange.head_received:
                sending = send_error is None and not exchange.request_sent
                if sending:
                    try:
                        # Two rounds: a usual request is one chunk, and the second round sees that it was sent.
                        for _ in range(2):
                            if not stream.flush():
                                break
                            sending = write_chunk(exchange, stream)
                            if not sending:
                                break
                    except OSError as error:
                        # The peer may have responded before it closed the connection: the response can still be read.
                        send_error, sending = error, False
                data = stream.read() if has_data or sending else None
                if data:
                    body = exchange.receive_data(data)
                elif data is not None:
                    exchange.receive_eof()
                elif is_late:
                    raise DeadlinePassed
                else:
                    if sending:
                        is_late = not await runtime.wait((stream.socket,), (stream.socket,), deadline)
                    else:
                        is_late = not await reader.wait(deadline)
                    has_data = True  # also after the deadline: it may have arrived while this process was stopped
                if exchange.failure is not None:
                    _name_host(exchange.failure, origin)
                    # If the head is complete, `read` raises the error, after the bytes before it.
                    if not exchange.head_received:
                        raise exchange.failure
        except DeadlinePassed:
            timer = Timer.RESPONSE_HEADERS if exchange.request_sent else Timer.WRITE
            problem = "did not respond" if exchange.request_sent else "did not accept the whole request"
            raise TimedOut(
                f"{origin.authority} {problem} in time",
                timer=timer,
                reused=exchange.is_unanswered,
                phase=exchange.phase,
            ) from None
        except OSError as error:
            if is_certificate_alert(error) and not exchange.reused:
                # In TLS 1.3 a server checks the client's certificate only after the handshake (RFC 8446 appendix D.4).
                raise connect_failed(origin, error) from error
            raise exchange.disconnected(
                f"{origin.authority} closed the connection without a response: {error}"
            ) from error
        return body

    def _proxy_for(self, origin: Origin) -> Proxy | None:
        if self._proxy is not None or not self._use_environment_proxy:
            return self._proxy
        return proxy_for(origin, os.environ)


def _is_alive(stream: ByteStream) -> bool:
    try:
        return stream.read() is None
    except OSError:
        return False


def _name_host(failure: TurnoutError, origin: Origin) -> TurnoutError:
    """Add the host to the message of a failure. An exchange does not know it."""
    failure.args = (f"{origin.authority}: {failure.message}",)
    return failure


class AsyncHttp1Response:
    """One response. See `turnout_io.base.AsyncHttpResponse`.

    Attributes:
        status: The status code.
        headers: The header fields, as they were received.
    """

    def __init__(
        self,
        client: AsyncHttp1Client,
        key: _Key,
        stream: ByteStream,
        reader: AsyncReader,
        exchange: Http1Exchange,
        origin: Origin,
        early_body: bytes,
    ) -> None:
        self.status: int = exchange.status or 0
        self.headers: Headers = exchange.headers
        self._client = client
        self._runtime = client.runtime
        self._key = key
        self._stream: ByteStream | None = stream
        self._reader = reader
        self._exchange = exchange
        self._origin = origin
        self._early_body = early_body
        self._process = os.getpid()
        self._reading = False
        self._closed = False
        self._waited = True  # in the last read, so that other tasks had their turn
        if exchange.ended or exchange.failure is not None:
            self._part()

    async def read(self, timeout: float | None) -> bytes:
        """Return some bytes of the body, b"" at its end.

        Args:
            timeout: Seconds to wait at most. None means no bound.

        Raises:
            TimedOut: If nothing arrived in time. Another read may follow.
            Disconnected: If the connection broke, or the body ended early.
            RemoteProtocolError: If the peer breaks HTTP.
            TransportError: If the response is closed.
        """
        if self._early_body:
            data, self._early_body = self._early_body, b""
            return data
        exchange, stream = self._exchange, self._stream
        end = self._end()
        if end is not None:
            return end
        if self._closed or stream is None:
            raise self._closed_error()
        if self._reading:
            raise TransportError("two reads of one response at the same time", phase=exchange.phase)
        self._reading = True
        try:
            runtime = self._runtime
            deadline = None if timeout is None else runtime.now() + timeout
            may_wait = True
            if stream.is_drained:
                self._waited = True
                may_wait = await self._reader.wait(deadline)
            elif self._waited:
                self._waited = False
            else:
                await runtime.checkpoint()
            while True:
                # Also after the deadline, because data may have arrived while this process was stopped.
                received = self._receive(stream)
                if received:
                    return received
                end = self._end()
                if end is not None:
                    return end
                if received is None:
                    if not may_wait:
                        raise self._timed_out(timeout)
                    self._waited = True
                    may_wait = await self._reader.wait(deadline)
        except Interrupted:
            raise self._closed_error() from None
        except OSError as error:
            if self._was_closed():
                raise self._closed_error() from None
            exchange.failure = exchange.disconnected(
                f"the connection to {self._origin.authority} broke inside the response: {error}"
            )
            self._discard()
            raise exchange.failure from error
        finally:
            self._reading = False
            if self._was_closed():
                self._discard()

    def _end(self) -> bytes | None:
        """Return b"" if the response has ended, None if more of it can be read. Raises its failure."""
        if self._exchange.failure is not None:
            raise self._exchange.failure
        return b"" if self._exchange.ended else None

    def _receive(self, stream: ByteStream) -> bytes | None:
        """Return the bytes of the body that have arrived, b"" if only framing has, None if nothing has."""
        if self._was_closed():
            raise Interrupted
        data = stream.read()
        if data is None:
            return None
        exchange, body = self._exchange, b""
        if data:
            body = exchange.receive_data(data)
        else:
            exchange.receive_eof()
        if exchange.ended or exchange.failure is not None:
            if exchange.failure is not None:
                _name_host(exchange.failure, self._origin)
            self._part()
        return body

    def _was_closed(self) -> bool:
        """Return `_closed`, which another thread or task may have changed since the last check."""
        return self._closed

    def close_nowait(self) -> None:
        """Free the connection: at once, or by the read that another thread or task performs."""
        if self._closed:
            return
        self._closed = True
        if self._reading and self._process == os.getpid():
            self._reader.interrupt()
        else:
            self._discard()

    async def aclose(self) -> None:
        """Free the connection. Waits for nothing, so it also works if the task is cancelled."""
        self.close_nowait()

    def abort(self) -> None:
        """Close the connection at once. Acquires no lock, so that finalisers may call it."""
        self._closed = True
        if self._stream is not None:
            self._stream = None
            self._reader.abort()

    def _part(self) -> None:
        """Give the connection back for reuse if it can be reused, else close it. The exchange has ended."""
        if self._exchange.reusable:
            stream, self._stream = self._stream, None
            if stream is not None:
                self._reader.close()
                self._client.release(self._key, stream, self._process)
        else:
            self._discard()

    def _discard(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._reader.close()
            stream.close()

    def _timed_out(self, timeout: float | None) -> TimedOut:
        return TimedOut(
            f"{self._origin.authority} sent nothing for {timeout:g} s", timer=Timer.READ, phase=self._exchange.phase
        )

    def _closed_error(self) -> TransportError:
        return TransportError("the response was closed before its end", phase=self._exchange.phase)
