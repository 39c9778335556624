"""Many calls at once through one router, lap after lap: through tasks, or through threads."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import attrs
import trio

from benchmarks.soak.judging import Heard, deadline_of
from benchmarks.soak.mix import Act, Server, Wish, wishes
from benchmarks.soak.profile import Profile
from benchmarks.soak.resources import at_rest, trio_tasks
from benchmarks.soak.stalls import Stalls
from benchmarks.soak.story import IDLE, Story
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.base import AsyncTransport, Transport
from turnout_io.drivers import AsyncRouter
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

__all__ = ["DRIVERS", "Blocking", "Concurrent", "Driver", "soak"]

_SHARE_WITH_A_PLACE = 0.95  # of the callers: a few wait for a place
_STARTING = 0.25  # of a lap: to begin all at once would only show how long it takes to begin a thousand calls


def _patience(profile: Profile) -> float:
    """Return the seconds after which a lap hangs.

    Nothing is begun after `lap`, and all calls have deadlines. A machine without a free CPU makes all of it several
    times longer; the time of each call is judged for itself.
    """
    return 4 * (profile.lap + profile.total + profile.grace)


@attrs.frozen
class Blocking:
    """The blocking router on one of its transports, called from threads."""

    make_transport: Callable[[], Transport]

    def __call__(self, server: Server, profile: Profile, story: Story) -> None:
        places = max(1, int(profile.threads * _SHARE_WITH_A_PLACE))
        policy = profile.policy("raise", places)
        router = sync.Router(server.providers(), policy=policy, transport=self.make_transport(), seed=0)
        restart = profile.policy("restart", places)

        def work(begun: float, place: float) -> None:
            time.sleep(place * profile.lap * _STARTING)
            while time.monotonic() < begun + profile.lap:
                wish = story.next_wish()
                seen, left = Heard(), False
                own = restart if wish.on_interrupt == "restart" else policy
                try:
                    left = self._ask(router, wish, seen, profile, own)
                except Exception as error:
                    seen.error = error  # judged with the rest: only some errors are right
                story.take(wish, seen, left=left)

        with router:
            story.lap_over(at_rest(router, 0, threading.active_count()))
            for _ in range(profile.laps):
                begun = time.monotonic()
                # Daemons: one that hangs, which is a finding, must not keep the process.
                crew = [
                    threading.Thread(target=work, args=(begun, number / profile.threads), daemon=True)
                    for number in range(profile.threads)
                ]
                for thread in crew:
                    thread.start()
                for thread in crew:
                    thread.join(max(0.0, begun + _patience(profile) - time.monotonic()))
                if any(thread.is_alive() for thread in crew):
                    story.stuck()
                    return
                story.lap_over(at_rest(router, story.calls, threading.active_count()))
        story.closed(at_rest(router, story.calls, threading.active_count()))

    @staticmethod
    def _ask(router: sync.Router, wish: Wish, seen: Heard, profile: Profile, policy: Any) -> bool:
        total = deadline_of(wish, profile)
        if wish.act in (Act.CHAT, Act.COLLECT):
            seen.response = router.chat(wish.request, collect=wish.act is Act.COLLECT, timeout=total, policy=policy)
            return False
        count = 0
        with router.stream(wish.request, total_timeout=total, policy=policy) as stream:
            try:
                for event in stream:
                    seen.take(event)
                    count += 1
                    if count == wish.events:
                        if wish.act is Act.LEAVE:
                            return True
                        if wish.act is Act.SLOW:
                            time.sleep(wish.seconds)
            finally:
                seen.response = stream.response
        return False


@attrs.frozen
class Concurrent:
    """The async router on one of its libraries, called from tasks."""

    make_router: Callable[..., AsyncRouter]
    make_transport: Callable[[], AsyncTransport]
    run: Callable[[Callable[[], Any]], Any]
    sleep: Callable[[float], Any]
    tasks: Callable[[], int]
    limited: Callable[[float, Callable[[], Awaitable[None]]], Awaitable[bool]]
    together: Callable[[int, Callable[[int], Awaitable[None]]], Awaitable[None]]

    def __call__(self, server: Server, profile: Profile, story: Story) -> None:
        self.run(lambda: self._main(server, profile, story))

    async def _main(self, server: Server, profile: Profile, story: Story) -> None:
        places = max(1, int(profile.streams * _SHARE_WITH_A_PLACE))
        policies = {how: profile.policy(how, places) for how in ("raise", "restart")}
        router = self.make_router(server.providers(), policy=policies["raise"], transport=self.make_transport(), seed=0)

        async def one(wish: Wish) -> None:
            seen, left, cancelled = Heard(), False, False

            async def ask() -> None:
                nonlocal left
                try:
                    left = await self._ask(router, wish, seen, profile, policies[wish.on_interrupt])
                except Exception as error:
                    seen.error = error  # judged with the rest: only some errors are right

            seconds = wish.seconds if wish.act is Act.CANCEL else math.inf
            cancelled = await self.limited(seconds, ask)
            story.take(wish, seen, cancelled=cancelled, left=left)

        async with router:
            story.lap_over(at_rest(router, 0, self.tasks()))
            for _ in range(profile.laps):
                begun = time.monotonic()

                async def work(number: int, begun: float = begun) -> None:
                    await self.sleep(number / profile.streams * profile.lap * _STARTING)
                    while time.monotonic() < begun + profile.lap:
                        await one(story.next_wish())

                async def lap(work: Callable[[int], Awaitable[None]] = work) -> None:
                    await self.together(profile.streams, work)

                if await self.limited(_patience(profile), lap):
                    story.stuck()
                    return
                story.lap_over(at_rest(router, story.calls, self.tasks()))
        story.closed(at_rest(router, story.calls, self.tasks()))

    async def _ask(self, router: AsyncRouter, wish: Wish, seen: Heard, profile: Profile, policy: Any) -> bool:
        total = profile.total
        if wish.act in (Act.CHAT, Act.COLLECT):
            collect = wish.act is Act.COLLECT
            seen.response = await router.chat(wish.request, collect=collect, timeout=total, policy=policy)
            return False
        count = 0
        async with router.stream(wish.request, total_timeout=total, policy=policy) as stream:
            try:
                async for event in stream:
                    seen.take(event)
                    count += 1
                    if count == wish.events:
                        if wish.act is Act.LEAVE:
                            return True
                        if wish.act is Act.SLOW:
                            await self.sleep(wish.seconds)
            finally:
                seen.response = stream.response
        return False


async def _trio_limited(seconds: float, deed: Callable[[], Awaitable[None]]) -> bool:
    with trio.move_on_after(seconds) as scope:
        await deed()
    return scope.cancelled_caught


async def _trio_together(count: int, deed: Callable[[int], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(deed, number)


async def _asyncio_limited(seconds: float, deed: Callable[[], Awaitable[None]]) -> bool:
    limit = asyncio.timeout(None if math.isinf(seconds) else seconds)
    try:
        async with limit:
            await deed()
    except TimeoutError:
        if not limit.expired():
            raise
        return True
    return False


async def _asyncio_together(count: int, deed: Callable[[int], Awaitable[None]]) -> None:
    async def run(number: int) -> None:
        await deed(number)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(run(number))


Driver: TypeAlias = Blocking | Concurrent

DRIVERS: dict[str, Driver] = {
    "trio": Concurrent(
        trio_driver.Router,
        lambda: TrioTransport(trust_env=False, max_keepalive_connections=IDLE),
        trio.run,
        trio.sleep,
        trio_tasks,
        _trio_limited,
        _trio_together,
    ),
    "asyncio": Concurrent(
        asyncio_driver.Router,
        lambda: AsyncioTransport(trust_env=False, max_keepalive_connections=IDLE),
        lambda main: asyncio.run(main()),
        asyncio.sleep,
        lambda: len(asyncio.all_tasks()),
        _asyncio_limited,
        _asyncio_together,
    ),
    "sync-socket": Blocking(lambda: SocketTransport(trust_env=False, max_keepalive_connections=IDLE)),
    "sync-requests": Blocking(lambda: RequestsTransport(trust_env=False, pool_size=IDLE)),
}


def soak(driver: Driver, server: Server, profile: Profile, seed: int) -> Story:
    """All laps of one driver; what came of them."""
    with Stalls() as stalls:
        story = Story(profile, wishes(profile, seed), stalls)
        driver(server, profile, story)
    return story
