"""Faults that occur together in real outages, on the pure core in virtual time.

Each scenario has one or more broken candidates and, in most of them, one that works. The call must be answered by it,
in time, and without a request that cannot help.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from tests.sansio.routing.line_dialect import lines
from tests.sansio.routing.small_worlds import DOWN, GOOD, World, texts
from turnout.errors import (
    AllAttemptsFailed,
    DeadlineExceeded,
    RateLimited,
    StreamInterrupted,
    TimedOut,
    TurnoutError,
)
from turnout.http import HttpRequest
from turnout.routing.call.operations import Chat, Operation, Stream
from turnout.routing.policy.settings import Hedge, Timeouts
from turnout.routing.replay import replay
from turnout.simulation import Outcome, Script

STREAMED, KINDS = ("collect", "restart"), ("chat", "collect", "restart")


def refuse(status: int, wait: float | None = None, **more: Any) -> Script:
    return Script(status=status, head=0.05, headers=(("retry-after", f"{wait:g}"),) if wait is not None else (), **more)


HANG = Script(head=math.inf)
NO_CONNECTION = Script(connect=math.inf)
REFUSED = Script(refused=True)
RESET = Script(reset="fresh")
STALE = Script(reset="reused")
DEAD = Script(head=math.inf, reused=True)
MUTE = Script(end="silent")
CUT = Script(body=((0.0, lines("tone")),), end="cut")
STALL = Script(body=((0.0, lines("tone")),), end="silent")
EMPTY = Script()
GARBAGE = Script(body=((0.0, lines("?")),))
FAILS_INSIDE = Script(body=((0.0, lines("tone")), (0.1, lines("e503"))))
LIMITED_INSIDE = Script(body=((0.0, lines("e429")),))
ONLY_COMMENTS = Script(body=tuple((5.0, lines("c")) for _ in range(40)))
SLOW = Script(body=((0.0, lines("tone")), (5.0, lines("c")), (5.0, lines("ttwo")), (5.0, lines("f"))))
HANGING_BODY: dict[str, Any] = {"body": (), "end": "silent"}
DRIPPING_BODY: dict[str, Any] = {"body": tuple((0.5, b"x") for _ in range(500)), "end": "silent"}


@attrs.frozen
class Scenario:
    """What each candidate does, who must answer (None: nobody), within how many seconds, and who may be asked."""

    candidates: tuple[list[Script], ...]
    answers: str | None
    within: float
    asked: tuple[str, ...] | None = None
    error: type[TurnoutError] = TurnoutError
    kinds: tuple[str, ...] = KINDS
    settings: dict[str, Any] = attrs.field(factory=dict)
    concurrent: bool = False


SCENARIOS = {
    "refused, limited for 30 s, and one works": Scenario(
        ([REFUSED], [refuse(429, 30)], [GOOD]), "p2", 8.0, ("p0", "p0", "p0", "p1", "p2")
    ),
    "no connection, then silence, then one works": Scenario(
        ([NO_CONNECTION], [HANG], [GOOD]), "p2", 45.0, ("p0", "p1", "p2")
    ),
    "no connection anywhere but at the last": Scenario(([NO_CONNECTION],) * 4 + ([GOOD],), "p4", 45.0),
    "limited for a second, then overloaded, then well": Scenario(
        ([refuse(429, 1), refuse(503), GOOD],), "p0", 4.0, ("p0", "p0", "p0")
    ),
    "all are limited, and the soonest answers": Scenario(
        ([refuse(429, 30), GOOD], [refuse(429, 3), GOOD], [refuse(429, 20), GOOD]), "p1", 4.0
    ),
    "limited beyond the deadline, alone": Scenario(([refuse(429, 900)],), None, 1.0, ("p0",), RateLimited),
    "all limited beyond the deadline": Scenario(([refuse(429, 900)], [refuse(429, 600)]), None, 2.0, None, RateLimited),
    "overloaded with a long wait, and one works": Scenario(([refuse(503, 900)], [GOOD]), "p1", 1.0, ("p0", "p1")),
    "a wrong key everywhere but at the last": Scenario(
        ([refuse(401)], [refuse(401)], [refuse(404)], [GOOD]), "p3", 1.0, ("p0", "p1", "p2", "p3")
    ),
    "silent before the first token, then down, then one works": Scenario(([MUTE], [DOWN], [GOOD]), "p2", 40.0),
    "comments only, and one works": Scenario(([ONLY_COMMENTS], [GOOD]), "p1", 45.0, ("p0", "p1"), kinds=STREAMED),
    "cut twice, and one works": Scenario(([CUT], [CUT], [GOOD]), "p2", 20.0, kinds=STREAMED),
    "stalled and cut, and one works": Scenario(([STALL], [CUT], [GOOD]), "p2", 60.0, kinds=STREAMED),
    "fails inside the stream, and one works": Scenario(([FAILS_INSIDE], [GOOD]), "p1", 10.0, kinds=STREAMED),
    "limited inside a 200, and one works": Scenario(([LIMITED_INSIDE], [GOOD]), "p1", 1.0, ("p0", "p1")),
    "empty answers, and one works": Scenario(([EMPTY], [GOOD]), "p1", 8.0),
    "garbage in a 200, and one works": Scenario(([GARBAGE], [GOOD]), "p1", 8.0),
    "two resets, then well": Scenario(([RESET, RESET, GOOD],), "p0", 3.0),
    "two stale connections cost no retry": Scenario(([STALE, STALE, DOWN, DOWN, GOOD],), "p0", 8.0),
    "a dead connection beside one that is down": Scenario(([DEAD, GOOD], [DOWN]), "p0", 45.0, kinds=STREAMED),
    "a dead connection, and then real silence": Scenario(([DEAD, HANG],), None, 60.0, ("p0", "p0"), kinds=STREAMED),
    "an overload whose body hangs": Scenario(([refuse(503, **HANGING_BODY)], [GOOD]), "p1", 12.0),
    "a limit whose body hangs": Scenario(([refuse(429, 30, **HANGING_BODY)], [GOOD]), "p1", 3.0, ("p0", "p1")),
    "a wrong key whose body drips": Scenario(([refuse(401, **DRIPPING_BODY)], [GOOD]), "p1", 3.0, ("p0", "p1")),
    "a filter whose body hangs": Scenario(([refuse(451, **HANGING_BODY)], [GOOD]), None, 3.0, ("p0",)),
    "an invalid request is asked once": Scenario(([refuse(400)], [GOOD]), None, 1.0, ("p0",)),
    "three of four hang": Scenario(([HANG], [HANG], [HANG], [GOOD]), "p3", 60.0, ("p0", "p1", "p2", "p3")),
    "all hang": Scenario(([HANG], [HANG], [HANG]), None, 60.1, ("p0", "p1", "p2")),
    "a short deadline and a hang": Scenario(([HANG], [GOOD]), "p1", 2.6, ("p0", "p1"), settings={"timeout": 5.0}),
    "a short deadline and a limit": Scenario(
        ([refuse(429, 4)], [GOOD]), "p1", 1.0, ("p0", "p1"), settings={"timeout": 5.0}
    ),
    "a deadline in the wait for a retry": Scenario(([refuse(503, 4)],), None, 2.1, ("p0",), settings={"timeout": 2.0}),
    "a slow healthy stream is left alone": Scenario(([SLOW], [GOOD]), "p0", 20.0, ("p0",), kinds=STREAMED),
    "a slow start within the timers is left alone": Scenario(
        ([Script(head=20.0, body=GOOD.body)], [GOOD]), "p0", 21.0, ("p0",)
    ),
    "more candidates than attempts": Scenario(
        ([DOWN],) * 5, None, 5.0, ("p0", "p1", "p2"), AllAttemptsFailed, settings={"max_attempts": 3}
    ),
    "nothing is repeated that may have been processed": Scenario(
        ([RESET], [GOOD]), None, 1.0, ("p0",), settings={"retry_mode": "only_if_unsent"}
    ),
    "what was not sent may go elsewhere": Scenario(
        ([REFUSED], [GOOD]), "p1", 5.0, settings={"retry_mode": "only_if_unsent"}
    ),
    "a hedge that fails is replaced at once": Scenario(
        ([HANG], [DOWN], [GOOD]), "p2", 8.0, kinds=STREAMED, concurrent=True, settings={"hedge": Hedge(delay=1.0)}
    ),
    "the hedged one fails first": Scenario(
        ([Script(head=3.0, status=500)], [Script(head=9.0, body=GOOD.body)], [HANG]),
        "p1",
        15.0,
        kinds=STREAMED,
        concurrent=True,
        settings={"hedge": Hedge(delay=1.0)},
    ),
    "a whole answer overlaps one that hangs": Scenario(
        ([HANG], [GOOD]), "p1", 31.0, ("p0", "p1"), kinds=("chat",), concurrent=True
    ),
    "the one that used its share answers in the end": Scenario(
        ([Script(head=35.0, body=GOOD.body)], [HANG]), "p0", 36.0, ("p0", "p1"), kinds=("chat",), concurrent=True
    ),
    "the fallback of a cut stream is limited": Scenario(
        ([CUT, CUT, CUT], [refuse(429, 3), GOOD]), "p1", 15.0, kinds=STREAMED
    ),
    "every fault once, and then well": Scenario(
        ([RESET, refuse(503), GARBAGE, GOOD],), "p0", 20.0, settings={"max_retries": 3}
    ),
}


def operation(world: World, kind: str) -> Operation:
    request = world.request()
    return Stream(request) if kind == "restart" else Chat(request, collect=kind == "collect")


@pytest.mark.parametrize(
    ("kind", "scenario"),
    [(kind, scenario) for scenario in SCENARIOS.values() for kind in scenario.kinds],
    ids=[f"{name} ({kind})" for name, scenario in SCENARIOS.items() for kind in scenario.kinds],
)
def test_the_call_ends_as_well_as_it_can(kind: str, scenario: Scenario) -> None:
    settings = {"on_interrupt": "restart", **scenario.settings}
    world = World(*map(list, scenario.candidates), concurrent=scenario.concurrent, **settings)
    outcome = world.run(operation(world, kind))
    story = outcome.call.trace.explain()
    if scenario.answers is None:
        assert isinstance(outcome.error, scenario.error), story
    else:
        assert outcome.error is None, story
        assert outcome.result.model.provider == scenario.answers, story
        assert outcome.result.text == "onetwo"
        if kind == "restart":
            assert texts(outcome)[-1] == "onetwo"
    assert outcome.ended <= scenario.within, story
    if scenario.asked is not None:
        assert tuple(world.who) == scenario.asked, story
    assert replay(outcome.call.trace.to_dict()) == ()


# -- many calls -----------------------------------------------------------------------------------------------------


def traffic(rule: Any, *, candidates: int = 2, seconds: int = 60, every: float = 1.0, **policy: Any) -> World:
    """A call every so many seconds. `rule` returns the script for a candidate and a time."""
    world = World(*[[GOOD]] * candidates, **policy)

    def answer(request: HttpRequest, now: float) -> Script:
        name = request.url.split("/")[2].removesuffix(".test")
        world.asked.append((name, now))
        script: Script = rule(name, now)
        return script

    world.simulation.network = answer
    for number in range(int(seconds / every)):
        world.simulation.call(Stream(world.request()), at=number * every)
    world.simulation.run()
    return world


def failed(world: World) -> list[Outcome]:
    return [outcome for outcome in world.simulation.outcomes if outcome.error is not None]


def asked(world: World, name: str) -> list[float]:
    return [at for who, at in world.asked if who == name]


def test_a_candidate_that_flaps_fails_no_call() -> None:
    world = traffic(lambda name, now: DOWN if name == "p0" and int(now / 5) % 2 else GOOD, every=0.2)
    assert failed(world) == []


def test_half_of_the_requests_fail_on_one_of_two() -> None:
    world = traffic(lambda name, now: DOWN if name == "p0" and int(now * 10) % 2 else GOOD, every=0.1)
    assert failed(world) == []


def test_a_limited_candidate_is_asked_only_when_its_wait_has_ended() -> None:
    world = traffic(lambda name, now: refuse(429, 10) if name == "p0" else GOOD, every=0.2)
    assert failed(world) == []
    assert len(asked(world, "p0")) <= 7


def test_a_wrong_key_costs_one_request_in_a_minute() -> None:
    world = traffic(lambda name, now: refuse(401) if name == "p0" else GOOD, every=0.2)
    assert failed(world) == []
    assert len(asked(world, "p0")) <= 2


def test_all_are_down_and_the_first_to_recover_serves() -> None:
    world = traffic(lambda name, now: GOOD if name == "p1" and now >= 30 else DOWN, seconds=90)
    assert max(outcome.began for outcome in failed(world)) <= 45.0
    assert len(world.asked) <= 5 * 90


@pytest.mark.slow
def test_an_hour_s_outage_ends_within_15_s() -> None:
    world = traffic(lambda name, now: GOOD if name == "p1" or now >= 3600 else DOWN, seconds=3660)
    assert failed(world) == []
    back = next(at for at in asked(world, "p0") if at >= 3600)
    assert back <= 3615.0
    assert len([at for at in asked(world, "p0") if 60 <= at < 3600]) <= 354, "fewer than one probe in 10 s"


def test_silence_and_a_limit_together_leave_the_third_to_serve() -> None:
    rules = {"p0": HANG, "p1": refuse(429, 20), "p2": GOOD}
    world = traffic(lambda name, now: rules[name], candidates=3, every=0.5)
    assert failed(world) == []
    late = [outcome for outcome in world.simulation.outcomes if outcome.ended - outcome.began > 15.0]
    assert len(late) <= 70, "only those that began before the silence was noticed, and tests of it"


def test_the_deadline_of_a_caller_opens_no_breaker() -> None:
    slow = Script(head=2.0, body=GOOD.body)
    world = traffic(lambda name, now: slow, candidates=1, timeout=1.0)
    assert all(isinstance(outcome.error, DeadlineExceeded) for outcome in world.simulation.outcomes)
    assert world.core.health(world.simulation.now)[0].times_opened == 0
    assert "failed, deadline of 1 s, phase sent" in world.simulation.outcomes[0].call.trace.explain()


def test_a_stream_that_may_not_restart_keeps_what_arrived() -> None:
    world = World([CUT], [GOOD])
    error = world.run().error
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert error.partial.text == "one"
    assert world.who == ["p0"]


def test_a_timer_that_runs_out_names_itself_and_its_seconds() -> None:
    timers = Timeouts(connect=3.0, response_headers=10.0, first_token=12.0, between_tokens=7.0)
    for script, timer, seconds in [(NO_CONNECTION, "connect", 3.0), (HANG, "response-headers", 10.0)]:
        error = World([script], timeouts=timers).run().error
        assert isinstance(error, TimedOut)
        assert (error.timer, error.seconds) == (timer, seconds)
    for script, timer, seconds in [(MUTE, "first-token", 12.0), (STALL, "between-tokens", 7.0)]:
        outcome = World([script], timeouts=timers).run()
        assert f"timer {timer} of {seconds:g} s" in outcome.call.trace.explain()
