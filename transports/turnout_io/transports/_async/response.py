"""One response of the HTTP/1.1 client, from its head to its end."""

from __future__ import annotations

import os
from typing import Protocol, TypeAlias

from turnout.errors import TimedOut, Timer, TransportError, TurnoutError
from turnout.http import Headers
from turnout.http.http1 import Http1Exchange
from turnout.http.origin import Origin
from turnout_io.transports._async.runtime import AsyncReader, AsyncSocketRuntime
from turnout_io.transports.byte_streams import ByteStream
from turnout_io.transports.proxies import Proxy
from turnout_io.transports.socket_runtime import Interrupted

__all__ = ["AsyncHttp1Response", "Key", "StreamOwner", "name_host"]

# The event loop, the origin and the proxy of a connection: requests with equal keys may use it one after another.
Key: TypeAlias = tuple[object, Origin, Proxy | None]


class StreamOwner(Protocol):
    """The members of the client that a request and its response use."""

    @property
    def runtime(self) -> AsyncSocketRuntime: ...
    def release(self, key: Key, stream: ByteStream, process: int) -> None: ...
    def discard_idle(self, key: Key) -> None: ...


class AsyncHttp1Response:
    """One response. See `turnout_io.base.AsyncHttpResponse`.

    Attributes:
        status: The status code.
        headers: The header fields, as they were received.
    """

    def __init__(
        self,
        client: StreamOwner,
        key: Key,
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
                name_host(exchange.failure, self._origin)
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


def name_host(failure: TurnoutError, origin: Origin) -> TurnoutError:
    """Add the host to the message of a failure. An exchange does not know it."""
    failure.args = (f"{origin.authority}: {failure.message}",)
    return failure
