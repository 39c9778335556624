"""The transport for trio: HTTP/1.1 over its own sockets, with exact timers. Every `await` may be cancelled."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import trio

from turnout_io.transports._async.http1 import AsyncHttp1Response
from turnout_io.transports._async.transport import AsyncSocketTransport
from turnout_io.transports.byte_streams import PlainStream
from turnout_io.transports.socket_runtime import Address, DeadlinePassed, Interrupted, numeric_addresses
from turnout_io.transports.trio_timers import ReadTimers, timers_of_run

__all__ = ["TrioResponse", "TrioSocketRuntime", "TrioTransport"]

TrioResponse = AsyncHttp1Response


class TrioSocketRuntime:
    """See `turnout_io.transports._async.runtime.AsyncSocketRuntime`."""

    def now(self) -> float:
        """Return monotonic seconds."""
        try:
            return trio.current_time()
        except RuntimeError:
            return time.monotonic()  # a transport may be closed outside of a run

    def token(self) -> object:
        """Return the token of the caller's run. None if there is none."""
        try:
            return trio.lowlevel.current_trio_token()
        except RuntimeError:
            return None

    def has_ended(self, token: object) -> bool:
        """Return True if the run with this token has ended."""
        if isinstance(token, trio.lowlevel.TrioToken) and token is not self.token():
            try:
                # It wakes the run up, which costs a system call in each of the two.
                token.run_sync_soon(_nothing, idempotent=True)
            except trio.RunFinishedError:
                return True
        return False

    async def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        """Return the addresses of a host."""
        numeric = numeric_addresses(host, port)
        if numeric is not None:
            return numeric
        with trio.move_on_at(math.inf if deadline is None else deadline):
            return await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        raise DeadlinePassed

    async def wait(
        self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None
    ) -> bool:
        """Wait until one of the sockets may be ready. Returns False if the deadline passed first."""
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
        """Let other tasks run."""
        await trio.lowlevel.checkpoint()

    def reader(self, stream: PlainStream) -> _Reader:
        """Return an object that waits for the bytes of one connection."""
        return _Reader(stream.socket)


def _nothing() -> None:
    """Find out whether a run accepts functions."""


class _Reader:
    """See `turnout_io.transports._async.runtime.AsyncReader`."""

    __slots__ = ("_is_late", "_socket", "_timers", "deadline", "timer_at")

    def __init__(self, waiting: socket.socket) -> None:
        self._socket = waiting
        self._timers: ReadTimers | None = None
        self._is_late = False
        self.deadline: float | None = None
        self.timer_at = math.inf

    async def wait(self, deadline: float | None) -> bool:
        if deadline is not None and deadline < self.timer_at:
            if self._timers is None:
                self._timers = timers_of_run()
            self._timers.set(self, deadline)
        self.deadline, self._is_late = deadline, False
        try:
            await trio.lowlevel.wait_readable(self._socket)
        except trio.ClosedResourceError:
            if not self._is_late:
                raise Interrupted from None
            return False
        finally:
            self.deadline = None
        return True

    def end_wait(self) -> None:
        self._is_late = True
        trio.lowlevel.notify_closing(self._socket)  # it is not closed, but this is what ends a wait from another task

    def interrupt(self) -> None:
        trio.lowlevel.notify_closing(self._socket)

    def close(self) -> None:
        if self._timers is not None:
            self._timers.cancel(self)

    def abort(self) -> None:
        self._socket.close()


async def _wait_for_any(reads: Sequence[socket.socket], writes: Sequence[socket.socket]) -> None:
    was_closed = False
    async with trio.open_nursery() as nursery:

        async def wait_for(wait: Callable[[socket.socket], Coroutine[Any, Any, None]], waiting: socket.socket) -> None:
            nonlocal was_closed
            try:
                await wait(waiting)
            except trio.ClosedResourceError:
                was_closed = True
            nursery.cancel_scope.cancel()

        for waiting in reads:
            nursery.start_soon(wait_for, trio.lowlevel.wait_readable, waiting)
        for waiting in writes:
            nursery.start_soon(wait_for, trio.lowlevel.wait_writable, waiting)
    if was_closed:
        raise Interrupted


class TrioTransport(AsyncSocketTransport):
    """Async HTTP/1.1 on trio. A second run opens new connections."""

    _runtime_class = TrioSocketRuntime
