"""One TCP connection of the sandbox: reads requests, plays the steps of each answer, one after the other.

Callbacks and timers, no task a connection: a thousand paced streams then cost one timer and one `send` a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Protocol, assert_never, cast

from turnout.http.http1_server import MalformedRequest, RequestReader, ServedRequest
from turnout_sandbox.received import ResponseOutcome
from turnout_sandbox.server.steps import ConnectionEnd, Step

if sys.platform == "linux":
    import fcntl
    import termios

__all__ = ["ClientConnection", "ServedExchange"]

MAX_BODY = 256 * 1024 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: closing sends RST and drops unsent bytes
_RESET_POLL = 0.002  # seconds between looks at the send buffers, which a reset would throw away


def _unsent(connected: socket.socket) -> int:
    """Return the bytes that the kernel still holds for a peer that reads slowly; 0 on systems other than Linux."""
    if sys.platform != "linux":
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
    except OSError:
        return 0


class ServedExchange(Protocol):
    """One request that is being answered: the steps to play, and a callback for the outcome."""

    steps: Iterator[Step]

    def closed(self, outcome: ResponseOutcome) -> None: ...


class ClientConnection(asyncio.Protocol):
    """One connection. `begin` makes an exchange of each request; `register` is called when it opens and closes."""

    def __init__(
        self, begin: Callable[[ServedRequest, int], ServedExchange], register: Callable[[ClientConnection, bool], int]
    ) -> None:
        self._handle = begin
        self._register = register
        self._number = 0
        self._reader = RequestReader(max_body=MAX_BODY)
        self._exchange: ServedExchange | None = None
        self._timer: asyncio.Handle | None = None
        self._full = False  # the peer does not read: nothing more is sent until it does
        self._waiting = False
        self._sent_continue = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._number = self._register(self, True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(ResponseOutcome.LEFT)
        self._register(self, False)

    def data_received(self, data: bytes) -> None:
        self._reader.receive_data(data)
        if self._exchange is None:
            self._next_exchange()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._exchange is not None and not self._waiting:
            self._play()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._finish(ResponseOutcome.CUT)
        self._transport.abort()

    def _next_exchange(self) -> None:
        try:
            request = self._reader.next_request()
        except MalformedRequest as error:
            text = f"{error}\n".encode()
            head = f"HTTP/1.1 {error.status} Error\r\ncontent-length: {len(text)}\r\n"
            self._transport.write(f"{head}content-type: text/plain\r\nconnection: close\r\n\r\n".encode() + text)
            self._transport.close()
            return
        if request is None:
            pending = self._reader.head
            if pending is not None and pending.expects_continue and not self._sent_continue:
                self._sent_continue = True
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._sent_continue = False
        self._exchange = self._handle(request, self._number)
        self._play()

    def _wake(self) -> None:
        self._waiting = False
        self._play()

    def _play(self) -> None:
        """Play steps until one has to wait, the peer is slow, or the answer ends."""
        exchange = self._exchange
        while exchange is not None and not self._full and not self._transport.is_closing():
            step = next(exchange.steps)
            match step:
                case bytes():
                    self._transport.write(step)
                case float() | int():
                    self._waiting = True
                    self._timer = self._loop.call_later(step, self._wake) if step else self._loop.call_soon(self._wake)
                    return
                case ConnectionEnd():
                    self._end(step)
                    return
                case _:
                    assert_never(step)

    def _end(self, ending: ConnectionEnd) -> None:
        match ending:
            case ConnectionEnd.DONE:
                self._finish(ResponseOutcome.COMPLETE)
                self._next_exchange_soon()
            case ConnectionEnd.CLOSE:
                self._finish(ResponseOutcome.COMPLETE)
                self._transport.close()
            case ConnectionEnd.CUT_CLOSE:
                self._finish(ResponseOutcome.CUT)
                self._transport.close()
            case ConnectionEnd.CUT_RESET:
                self._reset()
            case ConnectionEnd.HANG:
                self._waiting = True  # only the client, or the end of the sandbox, ends it
            case _:
                assert_never(ending)

    def _next_exchange_soon(self) -> None:
        # Not by a direct call: a client that sends a thousand requests at once would nest a thousand frames deep.
        self._loop.call_soon(self._next_if_idle)

    def _next_if_idle(self) -> None:
        if self._exchange is None and not self._transport.is_closing():
            self._next_exchange()

    def _reset(self) -> None:
        if self._transport.is_closing():
            return
        self._waiting = True
        if self._transport.get_write_buffer_size() or _unsent(self._socket()):
            self._timer = self._loop.call_later(_RESET_POLL, self._reset)
            return
        with contextlib.suppress(OSError):  # the peer may have reset it first
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._finish(ResponseOutcome.CUT)
        self._transport.abort()

    def _socket(self) -> socket.socket:
        return cast("socket.socket", self._transport.get_extra_info("socket"))

    def _finish(self, outcome: ResponseOutcome) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = False
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.closed(outcome)
