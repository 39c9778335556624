"""The transport for asyncio: HTTP/1.1 over its own sockets, with exact timers. Every `await` may be cancelled.

It watches sockets with `add_reader` and `add_writer`. asyncio's Proactor loop, the default on Windows, does not have
them: there, use `asyncio.SelectorEventLoop`, or trio.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence

from turnout.errors import LocalProtocolError
from turnout_io.transports._async.http1 import AsyncHttp1Response
from turnout_io.transports._async.transport import AsyncSocketTransport
from turnout_io.transports.byte_streams import PlainStream
from turnout_io.transports.socket_runtime import Address, DeadlinePassed, Interrupted, numeric_addresses

__all__ = ["AsyncioResponse", "AsyncioSocketRuntime", "AsyncioTransport"]

AsyncioResponse = AsyncHttp1Response


class AsyncioSocketRuntime:
    """See `turnout_io.transports._async.runtime.AsyncSocketRuntime`."""

    def now(self) -> float:
        """Return monotonic seconds."""
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return time.monotonic()  # a transport may be closed outside of a loop

    def token(self) -> object:
        """Return the caller's event loop. None if there is none."""
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return None

    def has_ended(self, token: object) -> bool:
        """Return True if this event loop is closed."""
        return isinstance(token, asyncio.AbstractEventLoop) and token.is_closed()

    async def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        """Return the addresses of a host."""
        numeric = numeric_addresses(host, port)
        if numeric is not None:
            return numeric
        loop = asyncio.get_running_loop()
        scope = asyncio.timeout_at(deadline)
        try:
            async with scope:
                return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            if scope.expired():
                raise DeadlinePassed from None
            raise

    async def wait(
        self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None
    ) -> bool:
        """Wait until one of the sockets may be ready. Returns False if the deadline passed first."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[bool] = loop.create_future()
        timer = None if deadline is None else loop.call_at(deadline, _set_result, ready, False)
        try:
            for waiting in reads:
                loop.add_reader(waiting.fileno(), _set_result, ready, True)
            for waiting in writes:
                loop.add_writer(waiting.fileno(), _set_result, ready, True)
            return await ready
        except NotImplementedError:
            raise _cannot_watch(loop) from None
        finally:
            if timer is not None:
                timer.cancel()
            if not loop.is_closed():
                for waiting in reads:
                    loop.remove_reader(waiting.fileno())
                for waiting in writes:
                    loop.remove_writer(waiting.fileno())

    async def checkpoint(self) -> None:
        """Let other tasks run."""
        await asyncio.sleep(0)

    def reader(self, stream: PlainStream) -> _Reader:
        """Return an object that waits for the bytes of one connection."""
        return _Reader(stream)


def _set_result(ready: asyncio.Future[bool], result: bool) -> None:
    if not ready.done():
        ready.set_result(result)


def _cannot_watch(loop: asyncio.AbstractEventLoop) -> LocalProtocolError:
    return LocalProtocolError(
        f"{type(loop).__name__} cannot watch sockets: run this under asyncio.SelectorEventLoop, or use trio"
    )


class _Reader:
    """See `turnout_io.transports._async.runtime.AsyncReader`.

    The loop watches the socket from the first wait to `close`, and has at most one timer for it. To register and
    unregister both for each wait costs more than to read. If bytes arrive while no task waits for them, the loop stops
    watching until the next wait, because a task that does not read must not be read ahead of.
    """

    __slots__ = ("_deadline", "_is_interrupted", "_is_watching", "_loop", "_number", "_ready", "_stream", "_timer")

    def __init__(self, stream: PlainStream) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._number = stream.socket.fileno()
        self._is_watching = False
        self._is_interrupted = False
        self._ready: asyncio.Future[bool] | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, deadline: float | None) -> bool:
        if self._is_interrupted:
            raise Interrupted
        loop = self._loop
        if not self._is_watching:
            try:
                loop.add_reader(self._number, self._on_readable)
            except NotImplementedError:
                raise _cannot_watch(loop) from None
            self._is_watching = True
        self._deadline = deadline
        if deadline is not None:
            timer = self._timer
            if timer is None:
                self._timer = loop.call_at(deadline, self._on_timer)
            elif timer.when() > deadline:
                timer.cancel()
                self._timer = loop.call_at(deadline, self._on_timer)
        ready: asyncio.Future[bool] = loop.create_future()
        self._ready = ready
        try:
            return await ready
        finally:
            self._ready = None

    def _on_readable(self) -> None:
        ready = self._ready
        if ready is None or ready.done():
            self._loop.remove_reader(self._number)
            self._is_watching = False
        else:
            # Now, and not when the task runs: until then the loop would find the socket readable again.
            self._stream.fill()
            ready.set_result(True)

    def _on_timer(self) -> None:
        self._timer = None
        ready, deadline = self._ready, self._deadline
        if ready is None or ready.done() or deadline is None:
            return
        if self._loop.time() >= deadline:
            ready.set_result(False)
        else:  # a later wait has a later deadline
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def interrupt(self) -> None:
        self._is_interrupted = True
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._interrupt_now)

    def _interrupt_now(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(Interrupted())

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_watching:
            self._is_watching = False
            if not self._loop.is_closed():
                self._loop.remove_reader(self._number)

    def abort(self) -> None:
        # The number of a closed socket belongs to the next one that is opened: the loop must not watch it any more.
        if self._is_watching:
            with contextlib.suppress(OSError):
                self._stream.socket.shutdown(socket.SHUT_RDWR)
            try:
                self._loop.call_soon_threadsafe(self._abort_now)
                return
            except RuntimeError:
                pass  # the loop is closed
        self._abort_now()

    def _abort_now(self) -> None:
        self.close()
        self._stream.close()


class AsyncioTransport(AsyncSocketTransport):
    """Async HTTP/1.1 on asyncio. Each event loop has its own connections."""

    _runtime_class = AsyncioSocketRuntime
