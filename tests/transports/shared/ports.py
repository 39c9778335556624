"""A shared half without a router, and a link that serves it on each runtime."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

import attrs
import trio

from turnout.shared.bell import Bell
from turnout.shared.notices import Notice
from turnout.shared.state import SharedState, Sharing
from turnout.shared.store.session import ScriptCall, SessionEvent
from turnout_io.shared.link import Link
from turnout_io.shared.valkey import Valkey
from turnout_io.transports.asyncio import AsyncioSocketRuntime
from turnout_io.transports.blocking_coroutines import BlockingCoroutineRuntime, run_to_end
from turnout_io.transports.trio import TrioSocketRuntime

__all__ = ["RUNTIMES", "Port", "clock_of", "run_on", "threaded"]


@attrs.define(eq=False)
class Port:
    """`turnout_io.shared.link.SharedPort` around a bare state, with a lock."""

    state: SharedState
    heard: list[Notice] = attrs.field(factory=list)
    sent: int = 0
    lock: threading.RLock = attrs.field(factory=threading.RLock)
    counts_money: bool = False

    @classmethod
    def make(cls, process: str, **sharing: Any) -> Port:
        return cls(SharedState(Sharing(**sharing), process))

    @property
    def bell(self) -> Bell:
        return self.state.bell

    @property
    def channel(self) -> str:
        return self.state.channel

    @property
    def stale(self) -> bool:
        return self.state.notices.stale

    def due(self, now: float) -> float:
        with self.lock:
            return self.state.due(now)

    def calls(self, now: float, *, leaving: bool = False) -> list[ScriptCall]:
        with self.lock:
            calls = self.state.calls(now, leaving=leaving)
            self.sent += len(calls)
            return calls

    def receive(self, events: Iterable[SessionEvent], now: float) -> None:
        with self.lock:
            self.heard += self.state.receive(events, now)

    def lost(self, reason: str, now: float) -> None:
        with self.lock:
            self.state.lost(reason, now)

    def found(self, now: float) -> None:
        with self.lock:
            self.state.found(now)


RUNTIMES = ["threads", "asyncio", "trio"]

Body = Callable[[Link, Callable[[], float], Callable[[Callable[[], bool]], Awaitable[None]]], Awaitable[None]]


def clock_of(runtime: str) -> Callable[[], float]:
    if runtime == "asyncio":
        return lambda: asyncio.get_running_loop().time()
    return trio.current_time if runtime == "trio" else time.monotonic


@contextlib.contextmanager
def threaded(valkey: Valkey, port: Port, notify: Callable[[], None] = lambda: None) -> Iterator[Link]:
    """Run a link in a thread."""
    link = Link(valkey, port, BlockingCoroutineRuntime(), time.monotonic, notify)
    try:
        run_to_end(link.open())
        thread = threading.Thread(target=lambda: run_to_end(link.run()), name="turnout-shared")
        thread.start()
        try:
            yield link
        finally:
            link.stop()
            thread.join(10)
            assert not thread.is_alive()
    finally:
        link.close()


@contextlib.asynccontextmanager
async def _in_task(runtime: str, valkey: Valkey, port: Port) -> AsyncIterator[Link]:
    link = Link(
        valkey,
        port,
        TrioSocketRuntime() if runtime == "trio" else AsyncioSocketRuntime(),
        clock_of(runtime),
        lambda: None,
    )
    try:
        await link.open()
        if runtime == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.run)
                yield link
                link.stop()
        else:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(link.run())
                yield link
                link.stop()
    finally:
        link.close()


def run_on(runtime: str, valkey: Valkey, port: Port, body: Body, *, seconds: float = 20.0) -> None:
    """Run `body` beside a link. It gets the link, the clock, and `until(condition)`, which waits."""

    def until_of(sleep: Callable[[float], Awaitable[None]]) -> Callable[[Callable[[], bool]], Awaitable[None]]:
        async def until(condition: Callable[[], bool]) -> None:
            deadline = time.monotonic() + seconds
            while not condition():
                assert time.monotonic() < deadline, "it did not happen in time"
                await sleep(0.002)

        return until

    async def main() -> None:
        async with _in_task(runtime, valkey, port) as link:
            sleep = trio.sleep if runtime == "trio" else asyncio.sleep
            await body(link, clock_of(runtime), until_of(sleep))

    if runtime == "trio":
        trio.run(main)
    elif runtime == "asyncio":
        asyncio.run(main())
    else:
        with threaded(valkey, port) as link:

            async def sleep(seconds: float) -> None:
                time.sleep(seconds)

            async def blocking() -> None:
                await body(link, time.monotonic, until_of(sleep))

            run_to_end(blocking())
