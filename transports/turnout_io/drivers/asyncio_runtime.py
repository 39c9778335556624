"""The driver's runtime on asyncio."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from turnout_io.drivers.sole_error import sole_error

if TYPE_CHECKING:
    from turnout_io.shared.link import SharedPort
    from turnout_io.shared.running import AsyncioLink
    from turnout_io.shared.valkey import Valkey

__all__ = ["AsyncioRuntime"]


class AsyncioRuntime:
    """See `turnout_io.drivers.hedging.TaskRuntime`."""

    def now(self) -> float:
        """Return monotonic seconds."""
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return time.monotonic()  # the clock of asyncio's own loops

    def token(self) -> object:
        """Return the caller's event loop. None if there is none."""
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return None

    def has_ended(self, token: object) -> bool:
        """Return True if this event loop is closed."""
        return isinstance(token, asyncio.AbstractEventLoop) and token.is_closed()

    def make_event(self) -> _Event:
        """Return a new event for the current call."""
        return _Event()

    def make_link(self, valkey: Valkey, port: SharedPort, notify: Callable[[], None]) -> AsyncioLink:
        """Return a link that runs in a task of the current loop."""
        from turnout_io.shared.running import AsyncioLink

        return AsyncioLink(valkey, port, self.now, notify)

    @asynccontextmanager
    async def task_group(self) -> AsyncIterator[_TaskGroup]:
        """Return a block that waits for its tasks before it ends, and raises the error of one of them as it is."""
        try:
            async with asyncio.TaskGroup() as tasks:
                yield _TaskGroup(tasks)
        except BaseExceptionGroup as group:
            error = sole_error(group)
        else:
            return
        raise error

    async def shield(self, close: Callable[[], Awaitable[None]]) -> None:
        """Run `close` to its end. A cancellation that arrives meanwhile is raised afterwards."""
        closing = asyncio.ensure_future(close())
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError as error:
                if closing.cancelled():
                    raise
                cancelled = error
        closing.result()
        if cancelled is not None:
            raise cancelled

    async def run_tool(self, function: Callable[[], object], seconds: float | None) -> object:
        """Call a function of the user, and return its result. An async one runs in this task, another in a thread.

        Raises:
            TimeoutError: After `seconds`. A function in a thread continues, because a thread cannot be stopped.
        """
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                if inspect.iscoroutinefunction(function):
                    return await function()
                return await asyncio.to_thread(function)
        except TimeoutError:
            if not timer.expired():
                raise  # the tool itself raised it
            raise TimeoutError(f"the tool did not return within {seconds:g} s") from None


class _Event:
    """Wakes one waiting task, from any thread and any loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def set(self) -> None:
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            self._event.set()
        else:
            self.set_from_finaliser()

    def set_from_finaliser(self) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            return False  # the loop is closed
        return True

    async def wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds if seconds < math.inf else None):
                await self._event.wait()
        except TimeoutError:
            return


class _TaskGroup:
    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks

    def start(self, operation: Callable[[], Awaitable[object]]) -> Callable[[], None]:
        async def run() -> None:
            await operation()

        task = self._tasks.create_task(run())

        def cancel() -> None:
            task.cancel()

        return cancel
