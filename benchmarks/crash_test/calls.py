"""The same call asked in each mode through each driver, and what its caller saw."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable, Generator
from typing import Any, Literal, Self, TypeAlias

import attrs
import trio

from turnout.chat import ChatRequest, ChatResponse
from turnout.errors import TurnoutError
from turnout.events import End, Event, Restarted, Token
from turnout.providers.protocol import Provider
from turnout.routing.policy.settings import OnInterrupt, Policy
from turnout.trace import Trace
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.base import AsyncTransport, Transport
from turnout_io.drivers import AsyncRouter
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

__all__ = ["ASK", "DRIVERS", "Mode", "Play", "Seen", "play"]


class Mode(enum.StrEnum):
    """How the answer is asked for; the columns of the table."""

    CHAT = "chat"
    COLLECT = "collect"
    STREAM = "stream"
    RESTART = "restart"
    RESUME = "resume"

    @property
    def streams(self) -> bool:
        """Whether the answer comes as a stream on the wire."""
        return self is not Mode.CHAT

    @property
    def delivers(self) -> bool:
        """Whether the caller sees the answer as it comes, so that a piece of it cannot be taken back in silence."""
        return self in (Mode.STREAM, Mode.RESTART, Mode.RESUME)

    @property
    def on_interrupt(self) -> OnInterrupt:
        return "restart" if self is Mode.RESTART else "resume" if self is Mode.RESUME else "raise"


ASK: Literal["ask"] = "ask"


@attrs.define(eq=False)
class Seen:
    """What the caller of one call saw.

    text      of the deltas since the last `Restarted`
    restarts  how many `Restarted` came
    ends      how many `End` came
    error     what was raised, whatever it is
    """

    began: float = attrs.field(factory=time.monotonic)
    seconds: float = 0.0
    text: str = ""
    restarts: int = 0
    ends: int = 0
    response: ChatResponse | None = None
    error: Exception | None = None

    def take(self, event: Event) -> None:
        match event:
            case Token(delta):
                self.text += delta
            case Restarted():
                self.text = ""
                self.restarts += 1
            case End():
                self.ends += 1
            case _:
                pass

    def over(self) -> Self:
        self.seconds = time.monotonic() - self.began
        return self

    @property
    def trace(self) -> Trace | None:
        if isinstance(self.error, TurnoutError):
            return self.error.trace
        return self.response.trace if self.response is not None else None


Play: TypeAlias = Generator[float | Literal["ask"], Seen | None, Any]
"""A scenario being played: it yields ASK and is sent what was seen, or seconds to let pass."""


def _ask(router: sync.Router, request: ChatRequest, mode: Mode) -> Seen:
    seen = Seen()
    try:
        if mode.delivers:
            with router.stream(request) as stream:
                for event in stream:
                    seen.take(event)
                seen.response = stream.response
        else:
            seen.response = router.chat(request, collect=mode is Mode.COLLECT)
    except Exception as error:
        seen.error = error  # judged with the rest: only some errors are right
    return seen.over()


async def _aask(router: AsyncRouter, request: ChatRequest, mode: Mode) -> Seen:
    seen = Seen()
    try:
        if mode.delivers:
            async with router.stream(request) as stream:
                async for event in stream:
                    seen.take(event)
                seen.response = stream.response
        else:
            seen.response = await router.chat(request, collect=mode is Mode.COLLECT)
    except Exception as error:
        seen.error = error  # as above
    return seen.over()


@attrs.frozen
class _Blocking:
    """The blocking router on one of its transports."""

    make_transport: Callable[[], Transport]

    def __call__(self, providers: list[Provider], policy: Policy, mode: Mode, request: ChatRequest, plot: Play) -> Any:
        answer: Seen | None = None
        with sync.Router(providers, policy=policy, transport=self.make_transport(), seed=0) as router:
            while True:
                try:
                    step = plot.send(answer)
                except StopIteration as end:
                    return end.value
                if isinstance(step, float):
                    answer = None
                    time.sleep(step)
                else:
                    answer = _ask(router, request, mode)


@attrs.frozen
class _Async:
    """The async router on one of its libraries."""

    make_router: Callable[..., AsyncRouter]
    make_transport: Callable[[], AsyncTransport]
    run: Callable[[Callable[[], Any]], Any]
    sleep: Callable[[float], Any]

    def __call__(self, providers: list[Provider], policy: Policy, mode: Mode, request: ChatRequest, plot: Play) -> Any:
        async def main() -> Any:
            answer: Seen | None = None
            transport = self.make_transport()
            async with self.make_router(providers, policy=policy, transport=transport, seed=0) as router:
                while True:
                    try:
                        step = plot.send(answer)
                    except StopIteration as end:
                        return end.value
                    if isinstance(step, float):
                        answer = None
                        await self.sleep(step)
                    else:
                        answer = await _aask(router, request, mode)

        return self.run(main)


DRIVERS: dict[str, _Blocking | _Async] = {
    "sync-requests": _Blocking(lambda: RequestsTransport(trust_env=False)),
    "sync-socket": _Blocking(lambda: SocketTransport(trust_env=False)),
    "trio": _Async(trio_driver.Router, lambda: TrioTransport(trust_env=False), trio.run, trio.sleep),
    "asyncio": _Async(
        asyncio_driver.Router,
        lambda: AsyncioTransport(trust_env=False),
        lambda main: asyncio.run(main()),
        asyncio.sleep,
    ),
}


def play(driver: str, providers: list[Provider], policy: Policy, mode: Mode, request: ChatRequest, plot: Play) -> Any:
    """Play a scenario to its end through a driver, with one router; what the scenario returns."""
    return DRIVERS[driver](providers, policy, mode, request, plot)
