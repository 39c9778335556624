"""One client connection on trio: it reads requests, and writes responses.

A second task reads for the whole life of the connection, so it sees at once that a client has left, and cancels
the request that is running. A request runs in the connection's task, in a cancel scope of its own; no task is started
for it.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import math
import os
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from turnout.http.http1_server import (
    CONTINUE,
    LAST_CHUNK,
    MalformedRequest,
    RequestHead,
    RequestReader,
    ServedRequest,
    chunk,
    response_head,
)
from turnout_io.serve.body_memory import BodyMemory

__all__ = ["Connection", "ConnectionLimits", "Responder", "StopReason"]

_READ_SIZE: Final = 64 * 1024
# Bytes of later requests that a client can send ahead while one is running.
_MAX_AHEAD: Final = 64 * 1024
_SMALL: Final = 4096
# A client must take so much within the timeout of a write.
_PIECE: Final = 64 * 1024
# Seconds to wait for the end of the client's side after ours.
_LINGER: Final = 1.0


class StopReason(enum.Enum):
    """Why a request that was running was cancelled."""

    CLIENT_LEFT = "the client left"
    CLIENT_TOO_SLOW = "the client reads too slowly"
    SHUTDOWN = "the gateway stops"


@attrs.frozen(kw_only=True)
class ConnectionLimits:
    """Bounds of one connection.

    Args:
        max_body: Bytes of a request's body.
        head_timeout: Seconds from the first byte of a request to the end of its head.
        body_timeout: Seconds between two reads of a body.
        request_timeout: Seconds from the end of a head to the end of its body.
        idle_timeout: Seconds between two requests.
        write_timeout: Seconds that a client can need for 64 KiB of a response.
    """

    max_body: int = 32 * 1024 * 1024
    head_timeout: float = 30.0
    body_timeout: float = 60.0
    request_timeout: float = 600.0
    idle_timeout: float = 75.0
    write_timeout: float = 60.0


@attrs.define(eq=False)
class Responder:
    """Writes the response to one request.

    The head of a streamed response is kept until its first bytes, so that both are one write.

    Args:
        head: The head of the request. None if its bytes were no HTTP.
        headers: Fields that every response to this request has.
        started: True if bytes of the response were sent.
        stop_reason: Why the request was cancelled. None while it runs.
        last_write: The time of the last write, of `trio.current_time()`.
    """

    _connection: Connection
    head: RequestHead | None
    headers: list[tuple[str, str]] = attrs.field(factory=list)
    started: bool = attrs.field(default=False, init=False)
    status: int = attrs.field(default=0, init=False)
    stop_reason: StopReason | None = attrs.field(default=None, init=False)
    last_write: float = attrs.field(factory=trio.current_time, init=False)
    writing_since: float = attrs.field(default=math.inf, init=False)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _pending_head: bytes = attrs.field(default=b"", init=False)
    _chunked: bool = attrs.field(default=False, init=False)
    _ended: bool = attrs.field(default=False, init=False)  # the last bytes were given to the connection
    _free: trio.Event | None = attrs.field(default=None, init=False)

    def stop(self, reason: StopReason) -> None:
        """Cancel the request."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.scope.cancel()

    @property
    def is_writing(self) -> bool:
        """True while a write waits for the client."""
        return self._free is not None

    @property
    def bodiless(self) -> bool:
        """True if the response has no body, because the request's method is HEAD."""
        return self.head is not None and self.head.method == "HEAD"

    async def send_whole(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Send a response with a complete body."""
        fields = [*headers, ("content-length", str(len(body)))]
        await self._write(self._head_bytes(status, fields) + (b"" if self.bodiless else body), last=True)

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Prepare a streamed response. Its head leaves with the first bytes."""
        self._chunked = self.head is not None and self.head.http_version == "1.1"
        framing = [("transfer-encoding", "chunked")] if self._chunked else []
        if not self._chunked:
            self._connection.keep_alive = False
        self._pending_head = self._head_bytes(status, [*headers, *framing])

    async def send(self, data: bytes) -> None:
        """Send a piece of a streamed response, with the head if it has not left yet. After the end it does nothing."""
        if not data:
            return
        framed = chunk(data) if self._chunked else data
        head, self._pending_head = self._pending_head, b""
        await self._write(head + framed if head else framed, last=False)

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece of a streamed response, and its end."""
        framed = (chunk(data) + LAST_CHUNK) if self._chunked else data
        head, self._pending_head = self._pending_head, b""
        await self._write(head + framed, last=True)

    def _head_bytes(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        self.status = status
        ending: list[tuple[str, str]] = []
        if not self._connection.keep_alive:
            ending = [("connection", "close")]
        elif self.head is not None and self.head.http_version == "1.0":
            # Such a client waits for the end of the connection if it is not told that this one stays open.
            ending = [("connection", "keep-alive")]
        date = [("date", self._connection.date())]
        return response_head(status, [*headers, *self.headers, *date, *ending])

    async def _write(self, data: bytes, *, last: bool) -> None:
        while self._free is not None:
            await self._free.wait()  # a ping is being sent, or a ping waits for a piece of the answer
        if self._ended:
            return  # a ping that waited: its bytes would be read as the next response
        self._ended = last
        self.started = True
        rest = self._connection.send_now(data)
        if not rest:
            self.last_write = trio.current_time()
            return
        self._free = trio.Event()
        left = memoryview(rest)
        try:
            while left:
                self.writing_since = trio.current_time()  # of this piece: a client that reads slowly is not cut
                await self._connection.stream.send_all(left[:_PIECE])
                left = left[_PIECE:]
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.stop(StopReason.CLIENT_LEFT)
            await trio.lowlevel.checkpoint_if_cancelled()
        finally:
            self.last_write = trio.current_time()
            self.writing_since = math.inf
            self._free.set()
            self._free = None


Handler = Callable[[ServedRequest, Responder], Awaitable[None]]
MalformedHandler = Callable[[MalformedRequest, Responder], Awaitable[None]]
EarlyHandler = Callable[[RequestHead, Responder], Awaitable[bool]]


@attrs.define(eq=False)
class Connection:
    """Serves the requests of one client, one after the other.

    Args:
        stream: The connection.
        limits: Its bounds.
        handler: Answers one request. It must not raise.
        malformed: Answers bytes that are no valid request.
        early: Checks the head of a request before its body has arrived. It returns True if it has answered.
        date: Returns the value of the header Date.
        memory: Bounds the bodies of all connections together.
        keep_alive: False if the connection ends after the response that is next.
    """

    stream: trio.abc.Stream
    limits: ConnectionLimits
    handler: Handler
    malformed: MalformedHandler
    early: EarlyHandler
    date: Callable[[], str]
    memory: BodyMemory
    keep_alive: bool = attrs.field(default=True, init=False)
    responder: Responder | None = attrs.field(default=None, init=False)
    _reader: RequestReader = attrs.field(init=False)
    _ended: bool = attrs.field(default=False, init=False)  # the client has sent its last byte
    _arrived: trio.Event = attrs.field(factory=trio.Event, init=False)
    _room: trio.Event = attrs.field(factory=trio.Event, init=False)
    _descriptor: int = attrs.field(default=-1, init=False)  # of a socket that can be written without trio
    _discard: bool = attrs.field(default=False, init=False)
    _waiting_scope: trio.CancelScope | None = attrs.field(default=None, init=False)
    _held: int = attrs.field(default=0, init=False)  # bytes of the present body that `memory` counts

    def __attrs_post_init__(self) -> None:
        self._reader = RequestReader(max_body=self.limits.max_body)
        if isinstance(self.stream, trio.SocketStream) and os.name == "posix":
            self._descriptor = self.stream.socket.fileno()

    async def serve(self) -> None:
        """Serve requests until either side ends the connection."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                await self._serve_requests()
                if not self._ended:
                    await self._linger()
                nursery.cancel_scope.cancel()
        finally:
            self._hold(0)
            self._descriptor = -1  # a ping may still want to write, and the number will belong to another connection
            await trio.aclose_forcefully(self.stream)

    async def _linger(self) -> None:
        """End our side, and wait a moment until the client ends its side.

        If a connection is closed while bytes of the client are unread, the kernel resets it, and the client can lose
        the response.
        """
        self._discard = True
        self._room.set()
        self._arrived = trio.Event()
        # Busy: a ping waits for a client that does not read.
        failures = (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
        with trio.move_on_after(_LINGER), contextlib.suppress(*failures):
            if isinstance(self.stream, trio.abc.HalfCloseableStream):
                await self.stream.send_eof()
            elif isinstance(self.stream, trio.SSLStream):
                await self.stream.aclose()
                return
            while not self._ended:
                await self._arrived.wait()

    def send_now(self, data: bytes) -> bytes | memoryview:
        """Send a small piece if the kernel takes it at once, and return the rest.

        `send_all` of trio ends with a pass through the scheduler, so that a task that only sends lets others run. A
        task here reads before each write, and that is a pass already: without the second one, a paced chunk costs a
        tenth less. A large piece is better sent with it, because more of the answer arrives meanwhile.
        """
        if self._descriptor < 0 or self._ended or len(data) > _SMALL:
            return data
        try:
            sent = os.write(self._descriptor, data)
        except OSError:
            return data  # the kernel's buffer is full, or `send_all` reports the fault
        return b"" if sent == len(data) else memoryview(data)[sent:]

    def end_when_idle(self) -> None:
        """Serve no further request. An idle connection ends at once."""
        self.keep_alive = False
        if self._waiting_scope is not None and self._reader.idle:
            self._waiting_scope.cancel()

    # -- reading ------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Read for the whole life of the connection."""
        stream, reader = self.stream, self._reader
        while True:
            try:
                data = await stream.receive_some(_READ_SIZE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                self._ended = True
                if self.responder is not None:
                    self.responder.stop(StopReason.CLIENT_LEFT)
                self._arrived.set()
                return
            if self._discard:
                continue
            reader.receive_data(bytes(data))
            self._arrived.set()
            # `_next_request` takes all bytes of a body. Whatever it waits for, a client cannot fill the memory then.
            if reader.buffered > _MAX_AHEAD:
                self._room = trio.Event()
                await self._room.wait()

    async def _serve_requests(self) -> None:
        while self.keep_alive:
            try:
                request = await self._next_request()
            except MalformedRequest as fault:
                self.keep_alive = False
                await self._answer(self._reader.head, functools.partial(self.malformed, fault))
                return
            if request is None:
                return
            self.keep_alive = self.keep_alive and request.head.keep_alive
            await self._answer(request.head, functools.partial(self.handler, request))
            self._hold(0)
            if self._ended:
                return

    async def _answer(self, head: RequestHead | None, handle: Callable[[Responder], Awaitable[None]]) -> None:
        responder = self.responder = Responder(self, head)
        if self._ended and head is not None:
            responder.stop(StopReason.CLIENT_LEFT)
        try:
            await handle(responder)
        finally:
            self.responder = None
        if responder.stop_reason is not None:
            self.keep_alive = False

    async def _next_request(self) -> ServedRequest | None:
        """Return the next request, None if there will be none."""
        limits, reader = self.limits, self._reader
        checked = False
        head_deadline = body_deadline = math.inf
        while True:
            self._arrived = trio.Event()
            request = reader.next_request()
            self._room.set()
            self._hold(len(request.body) if request is not None else reader.body_size)
            if request is not None:
                return request
            if self._ended:
                return None
            now = trio.current_time()
            if reader.head is not None:
                if not checked:
                    checked = True
                    if await self._check(reader.head):
                        return None
                    if reader.head.expects_continue and not await self._send_continue():
                        return None
                    body_deadline = now + limits.request_timeout
                deadline = min(now + limits.body_timeout, body_deadline)
                late = "the body of the request did not arrive in time"
            elif reader.idle:
                deadline, late = now + limits.idle_timeout, ""
            else:
                head_deadline = min(head_deadline, now + limits.head_timeout)
                deadline, late = head_deadline, "the head of the request did not arrive in time"
            with trio.CancelScope(deadline=deadline) as scope:
                self._waiting_scope = scope
                if self.keep_alive or not reader.idle:
                    await self._arrived.wait()
            self._waiting_scope = None
            if not self.keep_alive and reader.idle:
                return None
            if scope.cancelled_caught:
                if not late:
                    return None
                raise MalformedRequest(late, status=408)

    async def _send_continue(self) -> bool:
        """Let the body come, and return False if the client has left or does not read."""
        with trio.move_on_after(self.limits.write_timeout):
            try:
                await self.stream.send_all(CONTINUE)
                return True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        return False

    def _hold(self, size: int) -> None:
        """Count the bytes of the present body.

        Raises:
            MalformedRequest: All clients together hold too many bytes.
        """
        memory, grown = self.memory, size - self._held
        if grown > 0 and not memory.has_room(grown):
            raise MalformedRequest("the gateway has no room for this request", status=503)
        memory.held += grown
        self._held = size

    async def _check(self, head: RequestHead) -> bool:
        """Answer early, and return True if the request must not be read on."""
        responder = Responder(self, head)
        keep_alive, self.keep_alive = self.keep_alive, False
        if await self.early(head, responder):
            return True
        self.keep_alive = keep_alive
        return False
