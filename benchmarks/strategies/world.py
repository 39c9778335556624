"""Routers, callers and simulated providers on one virtual clock."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import attrs

from benchmarks.strategies.server import Server, ServerConfig
from turnout.chat import ChatRequest, ModelConfig
from turnout.http import HttpRequest
from turnout.messages import Message
from turnout.prices import Price
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.policy.routes import Choice, Route, Strategy
from turnout.routing.policy.settings import Policy
from turnout.routing.router import RouterCore
from turnout.simulation import Outcome, Script, Simulation
from turnout.simulation.dialect import SimulatedDialect
from turnout.trace.entries import Answered, FirstContent, Started

__all__ = ["CallRecord", "World", "quantile"]

Agenda = list[tuple[float, int, "Node | None", Callable[[], None]]]


@attrs.frozen
class CallRecord:
    """One call that has ended. Times are in seconds; `first` is infinity if no content came.

    Attributes:
        began: When it started.
        first: From its start to its first content.
        took: From its start to its end.
        answered_by: The provider that answered; None if the call failed.
        tokens: Of prompt and answer, if it was answered.
    """

    began: float
    first: float
    took: float
    answered_by: str | None
    tokens: int


@attrs.define(eq=False)
class Node(Simulation):
    """One router of several that share a clock."""

    agenda: Agenda = attrs.field(factory=list, kw_only=True)
    order: itertools.count[int] = attrs.field(factory=itertools.count, kw_only=True)

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, (when, next(self.order), self, action))

    def step(self, now: float, action: Callable[[], None]) -> None:
        """Let one thing happen on this router."""
        self.now = now
        action()
        self.wake_ready()


@attrs.define(eq=False, kw_only=True)
class World:
    """A simulation of several routers.

    Attributes:
        servers: The providers, in the order of the route.
        strategy: Of the route.
        policy: Of every router.
        routers: How many there are.
        rate: Calls a second in all, at random times.
        users: Instead of a rate: so many callers, who ask, wait for the answer, think, and ask again.
        think: Seconds, on average.
        calls: How many calls come; infinity if `duration` ends them.
        duration: Seconds in which calls come.
        kind: Whether callers ask for streams or for whole answers.
        max_tokens: Of each request.
    """

    servers: Sequence[ServerConfig]
    strategy: Strategy = "ordered"
    policy: Policy = attrs.field(factory=Policy)
    routers: int = 1
    rate: float = 10.0
    users: int | None = None
    think: float = 1.0
    calls: float = math.inf
    duration: float = math.inf
    kind: Literal["stream", "chat"] = "stream"
    max_tokens: int | None = None
    seed: int = 1
    now: float = attrs.field(default=0.0, init=False)
    at_work: dict[str, Server] = attrs.field(init=False)
    records: list[CallRecord] = attrs.field(factory=list, init=False)
    errors: Counter[str] = attrs.field(factory=Counter, init=False)
    hedges: int = attrs.field(default=0, init=False)
    _nodes: list[Node] = attrs.field(factory=list, init=False)
    _agenda: Agenda = attrs.field(factory=list, init=False)
    _order: itertools.count[int] = attrs.field(factory=itertools.count, init=False)
    _rng: random.Random = attrs.field(init=False)
    _started: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed}/callers")
        self.at_work = {one.name: Server(one, random.Random(f"{self.seed}/{one.name}")) for one in self.servers}
        prices = {f"{one.name}/m": Price(prompt=one.price, completion=one.price) for one in self.servers}
        policy = attrs.evolve(self.policy, prices=prices)
        choices = [Choice(ModelConfig(one.name, "m", max_tokens=self.max_tokens)) for one in self.servers]
        for number in range(self.routers):
            core = RouterCore(policy, random.Random(f"{self.seed}/router{number}"))
            for one in self.servers:
                core.register(SimulatedDialect(one.name))
            core.add_route(Route("r", choices, self.strategy))
            self._nodes.append(
                Node(
                    core,
                    self._answer,
                    concurrent=True,
                    finished=self._finished,
                    agenda=self._agenda,
                    order=self._order,
                )
            )

    # -- results ----------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> int:
        return sum(server.requests for server in self.at_work.values())

    @property
    def refused(self) -> int:
        return sum(server.refused for server in self.at_work.values())

    @property
    def failed(self) -> list[CallRecord]:
        return [record for record in self.records if record.answered_by is None]

    @property
    def first_tokens(self) -> list[float]:
        """The times to the first token of the calls that were answered."""
        return [min(record.first, record.took) for record in self.records if record.answered_by is not None]

    # -- running ----------------------------------------------------------------------------------------------------

    def run(self) -> World:
        """Play until nothing is left to happen."""
        if self.users is None:
            self._schedule(0.0, self._arrive)
        else:
            for _ in range(self.users):
                self._schedule(self._rng.random() * 0.5, self._arrive)
        while self._agenda:
            when, _, node, action = heapq.heappop(self._agenda)
            self.now = max(self.now, when)
            if node is None:
                action()
            else:
                node.step(self.now, action)
        return self

    def _schedule(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), None, action))

    def _arrive(self) -> None:
        if self._started >= self.calls or self.now >= self.duration:
            return
        self._started += 1
        request = ChatRequest(ModelConfig.route("r"), (Message.user("x" * 200),))
        node = self._nodes[self._rng.randrange(self.routers)]
        node.now = self.now
        node.call(Stream(request) if self.kind == "stream" else Chat(request), at=self.now)
        if self.users is None:
            self._schedule(self.now + self._rng.expovariate(self.rate), self._arrive)

    def _answer(self, request: HttpRequest, now: float) -> Script:
        return self.at_work[request.url.split("/")[3]].answer("/stream/" in request.url, now)

    def _finished(self, outcome: Outcome) -> None:
        first, answered_by = math.inf, None
        for entry in outcome.call.trace.entries:
            match entry:
                case FirstContent():
                    first = min(first, entry.at)
                case Started():
                    self.hedges += entry.hedge
                case Answered():
                    answered_by = entry.candidate.split("/")[0]
                case _:
                    pass
        tokens = 0
        if outcome.error is not None:
            answered_by = None
            self.errors[type(outcome.error).__name__] += 1
        elif outcome.result is not None:
            tokens = outcome.result.usage.total_tokens or 0
        self.records.append(CallRecord(outcome.began, first, outcome.ended - outcome.began, answered_by, tokens))
        if self.users is not None:
            self._schedule(self.now + self._rng.expovariate(1 / self.think), self._arrive)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the quantile of the values; not-a-number if there are none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]
