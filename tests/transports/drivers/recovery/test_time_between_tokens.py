"""After the first token, a stream ends if too much time passes without an event, however busy its driver is.

The driver's own time counts: to wait, to read and to parse. The caller's time does not. The clock is virtual.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import attrs
import pytest
import trio

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, Message
from turnout.errors import RemoteProtocolError, StreamFailed, TimedOut, Timer
from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers import create
from turnout.providers.decoding.stream_reader import MAX_UNREADABLE
from turnout.routing.policy.settings import Policy, Timeouts

BETWEEN_TOKENS = 3.0
TOKEN = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
COMMENT, UNREADABLE, UNKNOWN = b": ping\n\n", b"data: {\n\n", b"event: other\ndata: {}\n\n"
REQUEST = ChatRequest("openai/m", [Message.user("x")])


@attrs.define
class Clock:
    """The time of the drivers, which the network and the tests move."""

    now: float = 100.0


@attrs.define
class Body:
    """A response as a blocking and as an async transport returns it."""

    clock: Clock
    pieces: Iterable[tuple[float, bytes]]
    status: int = 200
    headers: Iterable[tuple[str, str]] = (("content-type", "text/event-stream"),)

    def next_piece(self, timeout: float | None) -> bytes:
        assert timeout is not None
        delay, piece = next(iter(self.pieces), (0.0, b""))
        if delay > timeout:
            self.clock.now += timeout
            raise TimedOut("nothing was received", timer=Timer.READ)
        self.clock.now += delay
        return piece


class BlockingBody(Body):
    def read(self, timeout: float | None) -> bytes:
        return self.next_piece(timeout)

    def close(self) -> None: ...


class AsyncBody(Body):
    async def read(self, timeout: float | None) -> bytes:
        return self.next_piece(timeout)

    async def aclose(self) -> None: ...


@attrs.define
class BlockingNetwork:
    body: BlockingBody

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> BlockingBody:
        return self.body

    def close(self) -> None: ...


@attrs.define
class AsyncNetwork:
    body: AsyncBody

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncBody:
        return self.body

    async def aclose(self) -> None: ...


@attrs.define
class SlowProvider:
    """A provider whose responses take time to parse."""

    clock: Clock
    seconds: float
    _made: Any = attrs.field(factory=lambda: create("openai", api_key="k"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def stream(self, request: ChatRequest) -> Any:
        return SlowExchange(self._made.stream(request), self)


@attrs.define
class SlowExchange:
    _made: Any
    _provider: SlowProvider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def receive_data(self, data: bytes) -> Any:
        self._provider.clock.now += self._provider.seconds
        return self._made.receive_data(data)


def router_of(module: Any, clock: Clock, transport: Any, parse: float) -> Any:
    timeouts = Timeouts(between_tokens=BETWEEN_TOKENS)
    policy = Policy(timeout=10.0, timeouts=timeouts, max_retries=0)
    router = module.Router([SlowProvider(clock, parse)], policy=policy, transport=transport)
    router._now = lambda: clock.now
    return router


def on_sync(clock: Clock, pieces: Iterable[tuple[float, bytes]], parse: float, pause: float) -> int:
    with router_of(turnout_io.sync, clock, BlockingNetwork(BlockingBody(clock, pieces)), parse) as router:
        count = 0
        with router.stream(REQUEST) as stream:
            for _ in stream:
                count += 1
                clock.now += pause
        return count


async def on_async(module: Any, clock: Clock, pieces: Iterable[tuple[float, bytes]], parse: float, pause: float) -> int:
    async with router_of(module, clock, AsyncNetwork(AsyncBody(clock, pieces)), parse) as router:
        count = 0
        async with router.stream(REQUEST) as stream:
            async for _ in stream:
                count += 1
                clock.now += pause
        return count


def on_trio(module: Any, clock: Clock, pieces: Iterable[tuple[float, bytes]], parse: float, pause: float) -> int:
    return trio.run(on_async, module, clock, pieces, parse, pause)


def on_asyncio(module: Any, clock: Clock, pieces: Iterable[tuple[float, bytes]], parse: float, pause: float) -> int:
    return asyncio.run(on_async(module, clock, pieces, parse, pause))


Play = Callable[[Clock, Iterable[tuple[float, bytes]], float, float], int]
DRIVERS = pytest.mark.parametrize(
    "play",
    [
        pytest.param(on_sync, id="sync"),
        pytest.param(partial(on_trio, turnout_io.trio), id="trio"),
        pytest.param(partial(on_asyncio, turnout_io.asyncio), id="asyncio"),
    ],
)


def endless(piece: bytes, delay: float) -> Iterable[tuple[float, bytes]]:
    """Yield a token, and then one piece again and again."""
    return itertools.chain([(0.0, TOKEN)], itertools.repeat((delay, piece), 10_000))


@DRIVERS
@pytest.mark.parametrize("piece", [COMMENT, UNREADABLE, UNKNOWN, b":", b"\n"])
def test_a_stream_without_events_ends(play: Play, piece: bytes) -> None:
    clock = Clock()
    with pytest.raises(StreamFailed) as caught:
        play(clock, endless(piece, 0.5), 0.0, 0.0)
    assert isinstance(caught.value.__cause__, TimedOut)
    assert caught.value.__cause__.timer is Timer.BETWEEN_TOKENS
    assert clock.now == pytest.approx(100.0 + BETWEEN_TOKENS, abs=0.01)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "a"


@DRIVERS
def test_the_time_to_parse_counts(play: Play) -> None:
    clock = Clock()
    with pytest.raises(StreamFailed) as caught:
        play(clock, endless(COMMENT, 0.0), 0.5, 0.0)
    assert isinstance(caught.value.__cause__, TimedOut)
    assert caught.value.__cause__.timer is Timer.BETWEEN_TOKENS
    # The token is parsed before the time begins. One read more looks whether a process that stood still missed content.
    assert clock.now - 100.5 <= BETWEEN_TOKENS + 1.0


@DRIVERS
def test_the_time_of_the_caller_does_not_count(play: Play) -> None:
    clock = Clock()
    pieces = [(0.0, TOKEN), *[(2.9, TOKEN)] * 5, (2.9, END)]
    assert play(clock, iter(pieces), 0.0, 100.0) == 7
    assert clock.now > 700.0


@DRIVERS
def test_each_event_begins_the_time_anew(play: Play) -> None:
    pieces = [(0.0, TOKEN), *[(1.0, COMMENT), (1.5, TOKEN)] * 20, (0.0, END)]
    assert play(Clock(), iter(pieces), 0.0, 0.0) == 22


@DRIVERS
def test_unreadable_events_in_a_row_end_a_stream_at_once(play: Play) -> None:
    clock = Clock()
    with pytest.raises(StreamFailed) as caught:
        play(clock, endless(UNREADABLE, 0.0), 0.0, 0.0)
    assert isinstance(caught.value.__cause__, RemoteProtocolError)
    assert f"more than {MAX_UNREADABLE} events in a row" in str(caught.value.__cause__)
    assert clock.now == 100.0
    mixed = [(0.0, TOKEN), *[(0.0, UNREADABLE * MAX_UNREADABLE + TOKEN)] * 3, (0.0, END)]
    assert play(Clock(), iter(mixed), 0.0, 0.0) == 5
