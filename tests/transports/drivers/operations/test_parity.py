"""The blocking, the trio and the asyncio router behave alike.

With a random scripted network and a virtual clock, each of them has the same commands, events, result and trace.
"""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.routing.line_dialect import LineProvider
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import ConnectFailed, Disconnected, Phase, TimedOut, Timer, TurnoutError
from turnout.http import HttpRequest, TransportTimeouts
from turnout.messages import Message
from turnout.routing.call.machine import Call
from turnout.routing.commands import Command, Finish
from turnout.routing.policy.settings import Policy, Timeouts
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver


@attrs.frozen
class Exchange:
    """How the network answers one request: seconds to the head, a status, pieces with their delays, and an end."""

    head: float
    status: int
    pieces: tuple[tuple[float, bytes], ...]
    end: str  # end, cut, refused or reset


@attrs.define
class Network:
    """Plays exchanges in turn, again and again. It moves a virtual clock and does not wait."""

    exchanges: tuple[Exchange, ...]
    now: float = 100.0
    opened: int = 0
    closed: list[int] = attrs.field(factory=list)

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Response:
        exchange = self.exchanges[self.opened % len(self.exchanges)]
        self.opened += 1
        if exchange.end == "refused":
            raise ConnectFailed("refused")
        assert timeouts.response_headers is not None
        if exchange.head > timeouts.response_headers:
            self.now += timeouts.response_headers
            raise TimedOut("head", timer=Timer.RESPONSE_HEADERS)
        self.now += exchange.head
        if exchange.end == "reset":
            raise Disconnected("reset")
        return Response(self, self.opened, exchange)


@attrs.define
class Response:
    network: Network
    number: int
    exchange: Exchange
    place: int = 0

    @property
    def status(self) -> int:
        return self.exchange.status

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [("x-attempt", str(self.number))]

    def read(self, timeout: float | None) -> bytes:
        assert timeout is not None
        if self.place == len(self.exchange.pieces):
            if self.exchange.end == "cut":
                raise Disconnected("cut", phase=Phase.BODY)
            return b""
        delay, data = self.exchange.pieces[self.place]
        if delay > timeout:
            self.network.now += timeout
            raise TimedOut("read")
        self.place += 1
        self.network.now += delay
        return data

    def close(self) -> None:
        self.network.closed.append(self.number)


class BlockingTransport:
    def __init__(self, network: Network) -> None:
        self.network = network

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Response:
        return self.network.open(request, timeouts)

    def close(self) -> None:
        pass


class AsyncResponse:
    def __init__(self, response: Response) -> None:
        self.response = response
        self.status, self.headers = response.status, response.headers

    async def read(self, timeout: float | None) -> bytes:
        return self.response.read(timeout)

    async def aclose(self) -> None:
        self.response.close()


class AsyncTransport:
    def __init__(self, network: Network) -> None:
        self.network = network

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncResponse:
        return AsyncResponse(self.network.open(request, timeouts))

    async def aclose(self) -> None:
        pass


DELAYS = st.sampled_from([0.0, 0.0, 0.5, 4.0, 30.0])
LINES = st.sampled_from([b"ta\n", b"tb\nr?\n", b"c\n", b"x\n", b"e500\n", b"f\n", b"tc\nf\n", b"?\n", b"t"])
EXCHANGES = st.builds(
    Exchange,
    DELAYS,
    st.sampled_from([200, 200, 200, 400, 401, 429, 503]),
    st.lists(st.tuples(DELAYS, LINES), max_size=6).map(tuple),
    st.sampled_from(["end", "end", "cut", "refused", "reset"]),
)
MODELS = [ModelConfig("p0", "m"), ModelConfig("p1", "m")]
REQUEST = ChatRequest(MODELS[0], [Message.user("x")], fallbacks=MODELS[1:])


@attrs.define
class Story:
    """Everything that a caller, a transport or a reader of traces could see of one call."""

    events: list[Any] = attrs.field(factory=list)
    commands: list[Command | str] = attrs.field(factory=list)
    outcome: Any = None
    trace: Any = None
    network: Any = None

    def ended(self, result: Any, error: TurnoutError | None, trace: Any, network: Network) -> Story:
        partial = error.partial.text if error is not None and error.partial is not None else None
        self.outcome = (result.text if result is not None else None, type(error), str(error), partial)
        self.trace = {**trace.to_dict(), "started_at": None}
        self.network = (network.now, network.opened, network.closed)
        return self


def router_of(kind: Any, network: Network, transport: Any) -> Any:
    policy = Policy(
        backoff_initial=0.0, timeouts=Timeouts(response_headers=5.0, first_token=8.0, between_tokens=3.0), timeout=20.0
    )
    router = kind([LineProvider("p0"), LineProvider("p1")], policy=policy, transport=transport, seed=1)
    router._now = lambda: network.now
    router._hedges = False  # the blocking driver has one attempt at a time
    return router


def blocking_story(exchanges: tuple[Exchange, ...], how: str, story: Story) -> Story:
    network = Network(exchanges)
    router = router_of(sync.Router, network, BlockingTransport(network))
    result, error, trace = None, None, None
    try:
        if how == "stream":
            with router.stream(REQUEST) as stream:
                for event in stream:
                    story.events.append(event)
                result = stream.response
        else:
            result = router.chat(REQUEST, collect=how == "collect")
        trace = result.trace
    except TurnoutError as failure:
        error, trace = failure, failure.trace
    return story.ended(result, error, trace, network)


async def async_story(kind: Any, exchanges: tuple[Exchange, ...], how: str, story: Story) -> Story:
    network = Network(exchanges)
    router = router_of(kind, network, AsyncTransport(network))
    result, error, trace = None, None, None
    try:
        if how == "stream":
            async with router.stream(REQUEST) as stream:
                async for event in stream:
                    story.events.append(event)
                result = stream.response
        else:
            result = await router.chat(REQUEST, collect=how == "collect")
        trace = result.trace
    except TurnoutError as failure:
        error, trace = failure, failure.trace
    return story.ended(result, error, trace, network)


@pytest.mark.full
@given(st.lists(EXCHANGES, min_size=1, max_size=5).map(tuple), st.sampled_from(["stream", "collect", "chat"]))
@settings(max_examples=150)
def test_every_driver_behaves_alike_on_the_same_network(exchanges: tuple[Exchange, ...], how: str) -> None:
    stories = [Story(), Story(), Story()]
    told = iter(stories)
    next_command = Call.next_command
    with pytest.MonkeyPatch.context() as patch:

        def watch() -> Story:
            story = next(told)

            def watched(call: Call, now: float) -> Command:
                command = next_command(call, now)
                # Two errors are never equal; their messages are compared in the outcome.
                story.commands.append("finish" if isinstance(command, Finish) else command)
                return command

            patch.setattr(Call, "next_command", watched)
            return story

        blocking_story(exchanges, how, watch())
        trio.run(async_story, trio_driver.Router, exchanges, how, watch())
        asyncio.run(async_story(asyncio_driver.Router, exchanges, how, watch()))
    assert stories[0].commands
    assert attrs.asdict(stories[0], recurse=False) == attrs.asdict(stories[1], recurse=False)
    assert attrs.asdict(stories[1], recurse=False) == attrs.asdict(stories[2], recurse=False)
    now, opened, closed = stories[0].network
    assert len(closed) == len(set(closed)) <= opened
    assert now < 500
