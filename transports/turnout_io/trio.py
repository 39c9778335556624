"""The router for trio apps.

    async with Router.from_env() as router:
        reply = await router.chat(ChatRequest(...))
        async with router.stream(ChatRequest(...)) as stream:
            async for event in stream: ...

It owns no task and no nursery; cancellation may come at any await. One router may be used in one `trio.run` after
another: the second opens connections of its own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from turnout.routing.policy.settings import Policy
from turnout_io.base import AsyncTransport
from turnout_io.drivers.async_driver import AsyncChatStream, AsyncRouter
from turnout_io.drivers.hedging import HedgedRun

__all__ = ["ChatStream", "Router"]

ChatStream = AsyncChatStream


class _Waker:
    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._event.wait()


class _Group:
    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start(self, operation: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await operation()

        self._nursery.start_soon(run)
        return scope.cancel


# Each run of trio has a clock that begins somewhere else, and a router outlives runs: its times are those of the
# process's own monotonic clock, at the pace of the run's.
_offset: trio.lowlevel.RunVar[float] = trio.lowlevel.RunVar("turnout_clock_offset")


class _TrioRuntime:
    def now(self) -> float:
        now = trio.current_time()
        try:
            return now + _offset.get()
        except LookupError:
            offset = time.monotonic() - now
            _offset.set(offset)
            return now + offset

    def make_waker(self) -> _Waker:
        return _Waker()

    @asynccontextmanager
    async def group(self) -> AsyncIterator[_Group]:
        async with trio.open_nursery() as nursery:
            yield _Group(nursery)

    async def shield(self, close: Callable[[], Awaitable[None]]) -> None:
        with trio.CancelScope(shield=True):
            await close()


class Router(AsyncRouter):
    """Routes requests over its providers, on trio. The transport is trio and h11 where none is given."""

    _runtime = _TrioRuntime()
    _overlapping = HedgedRun

    @staticmethod
    def _make_transport(policy: Policy) -> AsyncTransport:
        from turnout_io.transports.trio import TrioTransport

        return TrioTransport()
