"""One request of the HTTP/1.1 client, from its connection to the head of its response."""

from __future__ import annotations

from turnout.errors import TimedOut, Timer, TransportError
from turnout.http.http1 import Http1Exchange
from turnout_io.transports._async.response import AsyncHttp1Response, Key, StreamOwner, name_host
from turnout_io.transports.byte_streams import ByteStream, write_chunk
from turnout_io.transports.connect_errors import connect_failed, is_certificate_alert
from turnout_io.transports.socket_runtime import DeadlinePassed, Interrupted

__all__ = ["AsyncOpening"]


class AsyncOpening:
    """A request over one connection, until the head of its response has arrived.

    It can be waited for in parts, so that a driver needs no task for it before another attempt starts beside it. If
    `receive_head` raises an error, the connection is closed.
    """

    def __init__(
        self,
        client: StreamOwner,
        key: Key,
        stream: ByteStream,
        exchange: Http1Exchange,
        timeout: float | None,
        started: float,
    ) -> None:
        self._client = client
        self._key = key
        self._stream = stream
        self._exchange = exchange
        self._timeout = timeout
        self._deadline = None if timeout is None else started + timeout
        self._reader = client.runtime.reader(stream.plain)
        self._is_closed = False
        self._is_waiting = False

    async def receive_head(self, seconds: float | None = None) -> AsyncHttp1Response | None:
        """Send the request, and receive the head of the response.

        Args:
            seconds: How long to wait; None to wait for the response or an error.

        Returns:
            The response. None if the seconds passed first: then this may be called again.
        """
        if self._is_closed:
            raise self._closed_error()
        self._is_waiting = True
        try:
            early_body = await self._exchange_heads(None if seconds is None else self._client.runtime.now() + seconds)
        except BaseException as error:
            self._close()
            if isinstance(error, TimedOut):
                error.seconds = self._timeout
                if error.reused:
                    self._client.discard_idle(self._key)
            raise
        finally:
            self._is_waiting = False
        if early_body is None:
            return None
        self._is_closed = True  # the connection is the response's from now on
        return AsyncHttp1Response(
            self._client, self._key, self._stream, self._reader, self._exchange, self._key[1], early_body
        )

    def close_nowait(self) -> None:
        """Close the connection, unless it belongs to a response. May be called again.

        A `receive_head` that waits in another task ends with an error, and closes it.
        """
        if self._is_closed:
            return
        if self._is_waiting:
            self._reader.interrupt()
        else:
            self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._reader.close()
        self._stream.close()

    def abort(self) -> None:
        """Do the same without a lock, so that finalisers may call it."""
        if not self._is_closed:
            self._is_closed = True
            self._reader.abort()

    async def _exchange_heads(self, until: float | None) -> bytes | None:
        """Send the request and receive the head of the response, which may arrive before the whole request was sent.

        Returns:
            The bytes of the body that arrived in the same read. None if `until` passed first.
        """
        stream, reader, exchange = self._stream, self._reader, self._exchange
        origin, deadline = self._key[1], self._deadline
        if until is not None and (deadline is None or until < deadline):
            deadline = until
        else:
            until = None
        runtime = self._client.runtime
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
                    name_host(exchange.failure, origin)
                    # If the head is complete, `read` raises the error, after the bytes before it.
                    if not exchange.head_received:
                        raise exchange.failure
        except DeadlinePassed:
            if until is not None:
                return None
            timer = Timer.RESPONSE_HEADERS if exchange.request_sent else Timer.WRITE
            problem = "did not respond" if exchange.request_sent else "did not accept the whole request"
            raise TimedOut(
                f"{origin.authority} {problem} in time",
                timer=timer,
                reused=exchange.is_unanswered,
                phase=exchange.phase,
            ) from None
        except Interrupted:
            raise self._closed_error() from None
        except OSError as error:
            if is_certificate_alert(error) and not exchange.reused:
                # In TLS 1.3 a server checks the client's certificate only after the handshake (RFC 8446 appendix D.4).
                raise connect_failed(origin, error) from error
            raise exchange.disconnected(
                f"{origin.authority} closed the connection without a response: {error}"
            ) from error
        return body

    def _closed_error(self) -> TransportError:
        return TransportError("the request was closed before its response", phase=self._exchange.phase)
