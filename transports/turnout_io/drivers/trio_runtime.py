"""The driver's runtime on trio."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from turnout_io.drivers.sole_error import sole_error

if TYPE_CHECKING:
    from turnout_io.shared.link import SharedPort
    from turnout_io.shared.running import TrioLink
    from turnout_io.shared.valkey import Valkey

__all__ = ["TrioRuntime"]

# Each run of trio has a clock with its own origin, and a router outlives runs. Its times have the origin of the
# process's monotonic clock and the rate of the run's clock.
_offset: trio.lowlevel.RunVar[float] = trio.lowlevel.RunVar("turnout_clock_offset")


class TrioRuntime:
    """See `turnout_io.drivers.hedging.TaskRuntime`."""

    def now(self) -> float:
        """Return monotonic seconds."""
        try:
            now = trio.current_time()
        except RuntimeError:
            return time.monotonic()  # no run in this thread
        try:
            return now + _offset.get()
        except LookupError:
            offset = time.monotonic() - now
            _offset.set(offset)
            return now + offset

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

    def make_event(self) -> _Event:
        """Return a new event for the current call."""
        return _Event()

    def make_link(self, valkey: Valkey, port: SharedPort, notify: Callable[[], None]) -> TrioLink:
        """Return a link that runs in a new nursery."""
        from turnout_io.shared.running import TrioLink

        return TrioLink(valkey, port, self.now, notify)

    @asynccontextmanager
    async def task_group(self) -> AsyncIterator[_TaskGroup]:
        """Return a block that waits for its tasks before it ends, and raises the error of one of them as it is."""
        try:
            async with trio.open_nursery() as nursery:
                yield _TaskGroup(nursery)
        except BaseExceptionGroup as group:
            error = sole_error(group)
        else:
            return
        raise error

    async def shield(self, close: Callable[[], Awaitable[None]]) -> None:
        """Run `close` to its end, even if the caller is cancelled."""
        with trio.CancelScope(shield=True):
            await close()

    async def run_tool(self, function: Callable[[], object], seconds: float | None) -> object:
        """Call a function of the user, and return its result. An async one runs in this task, another in a thread.

        Raises:
            TimeoutError: After `seconds`. A function in a thread continues, because a thread cannot be stopped.
        """
        try:
            with trio.fail_after(math.inf if seconds is None else seconds):
                if inspect.iscoroutinefunction(function):
                    return await function()
                return await trio.to_thread.run_sync(function, abandon_on_cancel=True)
        except trio.TooSlowError:
            raise TimeoutError(f"the tool did not return within {seconds:g} s") from None


def _nothing() -> None:
    """Find out whether a run accepts functions."""


class _Event:
    """Wakes one waiting task, from any thread and any run."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def set(self) -> None:
        try:
            is_here = trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            is_here = False
        if is_here:
            self._event.set()
        else:
            self.set_from_finaliser()

    def set_from_finaliser(self) -> bool:
        try:
            self._token.run_sync_soon(self._event.set)  # its lock is re-entrant, made for signal handlers
        except trio.RunFinishedError:
            return False
        return True

    async def wait(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._event.wait()


class _TaskGroup:
    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start(self, operation: Callable[[], Awaitable[object]]) -> Callable[[], None]:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await operation()

        self._nursery.start_soon(run)
        return scope.cancel
