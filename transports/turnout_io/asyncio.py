"""The router for asyncio apps.

    async with Router.from_env() as router:
        reply = await router.chat(ChatRequest(...))
        async with router.stream(ChatRequest(...)) as stream:
            async for event in stream: ...

It owns no task; cancellation may come at any await.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from turnout.routing.policy.settings import Policy
from turnout_io.base import AsyncTransport
from turnout_io.drivers.async_driver import AsyncChatStream, AsyncRouter
from turnout_io.drivers.hedging import HedgedRun

__all__ = ["ChatStream", "Router"]

ChatStream = AsyncChatStream


class _Waker:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds if seconds < float("inf") else None):
                await self._event.wait()
        except TimeoutError:
            return


class _Group:
    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks

    def start(self, operation: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        async def run() -> None:
            await operation()

        task = self._tasks.create_task(run())

        def cancel() -> None:
            task.cancel()

        return cancel


class _AsyncioRuntime:
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def make_waker(self) -> _Waker:
        return _Waker()

    @asynccontextmanager
    async def group(self) -> AsyncIterator[_Group]:
        async with asyncio.TaskGroup() as tasks:
            yield _Group(tasks)

    async def shield(self, close: Callable[[], Awaitable[None]]) -> None:
        """Run `close` to its end; a cancellation that comes meanwhile is raised after it."""
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


class Router(AsyncRouter):
    """Routes requests over its providers, on asyncio. The transport is asyncio and h11 where none is given."""

    _runtime = _AsyncioRuntime()
    _overlapping = HedgedRun

    @staticmethod
    def _make_transport(policy: Policy) -> AsyncTransport:
        from turnout_io.transports.asyncio import AsyncioTransport

        return AsyncioTransport()
