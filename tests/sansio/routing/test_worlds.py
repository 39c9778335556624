"""Worlds drawn at random, driven through the real core: what must hold holds at every command."""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.routing.line_dialect import LineProvider, text_of
from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.errors import ConcurrencyExceeded, DeadlineExceeded, StreamInterrupted
from turnout.events import Event
from turnout.http import HttpRequest
from turnout.messages import Message
from turnout.routing.call import Call
from turnout.routing.commands import Command, Drop, Finish, Open, Read, Sleep
from turnout.routing.operations import Chat, Stream
from turnout.routing.policy import Policy, Timers
from turnout.routing.router import RouterCore
from turnout.routing.trace import Answered, Ended, Failed, Finished, Started
from turnout.simulation import Outcome, Script, Simulation

DELAYS = st.sampled_from([0.0, 0.0, 0.01, 0.5, 3.0, 20.0])
LINES = st.sampled_from(["ta", "tb", "r?", "c", "x", "e500", "e429", "?"])


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    body = draw(st.lists(LINES, max_size=6)) + draw(st.sampled_from([["f"], ["f"], ["f"], []]))
    text = "".join(f"{line}\n" for line in body).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    edges = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges) if a < b]
    return Script(
        connect=draw(st.sampled_from([0.0, 0.0, 0.0, 1.0, math.inf])),
        refused=draw(st.sampled_from([False, False, False, True])),
        head=draw(DELAYS),
        reset=draw(st.sampled_from(["no", "no", "no", "no", "fresh", "reused"])),
        status=draw(st.sampled_from([200, 200, 200, 200, 400, 401, 404, 429, 451, 500, 503])),
        headers=draw(st.sampled_from([(), (), (("retry-after", "2"),), (("retry-after", "900"),)])),
        body=tuple((draw(DELAYS), piece) for piece in pieces),
        end=draw(st.sampled_from(["end", "end", "end", "cut", "silent"])),
    )


@attrs.frozen
class PlannedCall:
    kind: str
    at: float
    cancel_at: float | None
    timeout: float | None
    candidates: tuple[int, ...]


@attrs.frozen
class World:
    candidates: int
    scripts: tuple[tuple[Script, ...], ...]
    calls: tuple[PlannedCall, ...]
    policy: Policy


@st.composite
def worlds(draw: st.DrawFn) -> World:
    candidates = draw(st.integers(1, 3))
    calls = []
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.sampled_from([0.0, 0.0, 0.25, 5.0]))
        calls.append(
            PlannedCall(
                draw(st.sampled_from(["stream", "collect", "chat"])),
                at,
                draw(st.sampled_from([None, None, None, at, at + 0.3, at + 4.0])),
                draw(st.sampled_from([None, None, 1.0, 10.0])),
                tuple(draw(st.permutations(range(candidates)))),
            )
        )
    return World(
        candidates,
        tuple(tuple(draw(st.lists(scripts(), min_size=1, max_size=4))) for _ in range(candidates)),
        tuple(calls),
        Policy(
            timeout=30.0,
            timers=Timers(first_content=15.0, idle=8.0),
            retries=draw(st.integers(0, 2)),
            max_attempts=draw(st.sampled_from([2, 10])),
            max_concurrency=draw(st.sampled_from([None, 1, 2])),
            on_full=draw(st.sampled_from(["wait", "wait", "reject"])),
            max_waiting=draw(st.sampled_from([None, 1])),
        ),
    )


class Observer:
    """Checks the invariants at every command."""

    def __init__(self, core: RouterCore, policy: Policy) -> None:
        self.core = core
        self.policy = policy
        self.calls: list[Call] = []
        self.opened: dict[Call, list[int]] = defaultdict(list)
        self.dropped: dict[Call, list[int]] = defaultdict(list)
        self.deadline: dict[Call, float] = {}

    def __call__(self, call: Call, command: Command, now: float) -> None:
        if call not in self.calls:
            self.calls.append(call)
            timeout = call.trace.metadata["timeout"]
            self.deadline[call] = now + min(self.policy.timeout, timeout if timeout is not None else math.inf)
        match command:
            case Open(attempt, _, timeouts):
                assert attempt not in self.opened[call], "an attempt is opened once"
                assert not call.committed, "nothing is opened once content has reached the caller"
                assert now < self.deadline[call], "nothing is opened after the deadline"
                assert timeouts.head is not None
                assert now + timeouts.head <= self.deadline[call] + 1e-6
                self.opened[call].append(attempt)
                assert len(self.opened[call]) <= self.policy.max_attempts
            case Drop(attempt):
                assert attempt in self.opened[call], "only what was opened is dropped"
                assert attempt not in self.dropped[call], "nothing is dropped twice"
                self.dropped[call].append(attempt)
            case Read(attempt, until, idle):
                assert attempt in self.opened[call]
                assert attempt not in self.dropped[call]
                assert until > now
                assert idle > 0
            case Sleep(until):
                assert until > now
            case Finish(result, error):
                assert result is None or error is None
                assert sorted(self.opened[call]) == sorted(self.dropped[call]), "what began has ended"
        # A place is held from Open to Drop, and by a call that was just granted one.
        on = sum(len(self.opened[other]) - len(self.dropped[other]) for other in self.calls)
        owed = sum(len(other._drops) for other in self.calls)
        granted = sum(other.ready for other in self.calls)
        assert self.core.in_flight == on - owed + granted
        if self.policy.max_concurrency is not None:
            assert self.core.in_flight <= self.policy.max_concurrency


def drive(world: World, seed: int = 7) -> tuple[Simulation, Observer]:
    core = RouterCore(world.policy, random.Random(seed))
    for number in range(world.candidates):
        core.register(LineProvider(f"p{number}"))
    served: dict[str, int] = defaultdict(int)

    def network(request: HttpRequest, now: float) -> Script:
        name = str(urlsplit(request.url).hostname).removesuffix(".test")
        mine = world.scripts[int(name[1:])]
        served[name] += 1
        return mine[(served[name] - 1) % len(mine)]

    observer = Observer(core, world.policy)
    simulation = Simulation(core, network, observer)
    for planned in world.calls:
        models = [ModelConfig(f"p{number}", "m") for number in planned.candidates]
        request = ChatRequest(
            models[0], (Message.user("hello"),), fallbacks=models[1:], metadata={"timeout": planned.timeout}
        )
        operation = Stream(request) if planned.kind == "stream" else Chat(request, planned.kind == "collect")
        simulation.call(operation, at=planned.at, cancel_at=planned.cancel_at, timeout=planned.timeout)
    simulation.run()
    return simulation, observer


def check(outcome: Outcome, policy: Policy) -> None:
    call, finish = outcome.call, outcome.finish
    assert finish is not None, "every call finishes"
    entries = call.trace.entries
    events: list[Event] = [event for _, event in outcome.events]
    answered = [entry for entry in entries if isinstance(entry, Answered)]
    finished = [entry for entry in entries if isinstance(entry, Finished)]
    assert len(answered) + len(finished) == 1 or (answered and finish.result is None)

    # The trace tells of every attempt how it ended, but of one that was cancelled.
    begun = [entry.attempt for entry in entries if isinstance(entry, Started)]
    over = [entry.attempt for entry in entries if isinstance(entry, Failed | Ended)]
    assert begun == sorted(set(begun))
    assert len(over) == len(set(over))
    cancelled = finish.result is None and finish.error is None
    assert set(over) <= set(begun)
    assert cancelled or set(over) == set(begun)

    if isinstance(finish.result, ChatResponse):
        assert finish.result.trace is call.trace
        if events:
            assert events[-1].done, "a stream that does not fail ends with End"
            assert sum(event.done for event in events) == 1
            assert text_of(events) == finish.result.reasoning + finish.result.text or text_of(events)
    if finish.error is not None:
        assert finish.error.trace is call.trace
        if call.committed:
            assert isinstance(finish.error, StreamInterrupted)
            assert finish.error.partial is not None
            got = finish.error.partial
            assert sorted(got.text + got.reasoning) == sorted(text_of(events)), "nothing received is lost"
            assert not any(event.done for event in events), "a failure is no success"
        else:
            assert not events
    if not call.committed and not isinstance(finish.error, ConcurrencyExceeded):
        assert outcome.ended <= outcome.began + policy.timeout + policy.timers.linger + 1e-6
    if isinstance(finish.error, DeadlineExceeded):
        assert outcome.ended >= outcome.began


@given(worlds())
@settings(max_examples=400, deadline=None)
def test_what_must_hold_holds_in_every_world(world: World) -> None:
    simulation, _ = drive(world)
    assert len(simulation.outcomes) == len(world.calls)
    for outcome in simulation.outcomes:
        check(outcome, world.policy)
    assert simulation.core.in_flight == 0


@given(worlds())
@settings(max_examples=50, deadline=None)
def test_the_same_world_goes_the_same_way_twice(world: World) -> None:
    def story() -> list[dict[str, Any]]:
        return [outcome.call.trace.to_dict() for outcome in drive(world)[0].outcomes]

    assert story() == story()


@given(worlds())
@settings(max_examples=50, deadline=None)
def test_every_trace_can_be_told(world: World) -> None:
    for outcome in drive(world)[0].outcomes:
        told = outcome.call.trace.explain()
        assert len(told.splitlines()) == 1 + len(outcome.call.trace.entries)
        assert "None" not in told


@pytest.mark.parametrize("kind", ["stream", "collect", "chat"])
def test_a_healthy_world_answers(kind: str) -> None:
    healthy = Script(body=((0.0, b"ta\nr?\ntb\nf\n"),))
    world = World(1, ((healthy,),), (PlannedCall(kind, 0.0, None, None, (0,)),), Policy())
    (outcome,) = drive(world)[0].outcomes
    assert outcome.error is None
    assert outcome.result.text == "ab"
    assert outcome.result.reasoning == "?"
