"""Each invariant of the worlds catches the bug that it is there for: bugs are planted, and must be found."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import FlakyFailure

from tests.sansio.routing.worlds.generated import World, worlds
from tests.sansio.routing.worlds.outcomes import check_world
from turnout.failures import FailureClass
from turnout.routing.call.in_flight import InFlight
from turnout.routing.call.machine import Call
from turnout.routing.call.trace_writer import TraceWriter
from turnout.routing.commands import Sleep
from turnout.routing.policy.backoff import backoff_seconds
from turnout.routing.policy.classify import Rule
from turnout.routing.policy.decisions import Retry
from turnout.routing.policy.plan import Plan
from turnout.routing.policy.settings import BreakerPolicy, Policy
from turnout.routing.state.breaker import Breaker
from turnout.routing.state.lease import Lease
from turnout.routing.state.limiter import Limiter
from turnout.routing.state.limits import Amounts, SlidingWindow
from turnout.routing.state.scheduler import Scheduler
from turnout.routing.state.throttle import Throttle
from turnout.routing.state.waiter import Admitted, Waiter
from turnout.simulation import Simulation
from turnout.trace.entries import FellBack

Plant = Callable[[pytest.MonkeyPatch], None]
BUGS: dict[str, tuple[Plant, tuple[str, ...]]] = {}


def bug(*caught_by: str) -> Callable[[Plant], Plant]:
    """A bug, and words of the invariant that must catch it: of each, where more than one rightly can be the first."""

    def plant(function: Plant) -> Plant:
        BUGS[function.__name__] = function, caught_by
        return function

    return plant


@bug("leases equal opens minus drops")
def a_lease_is_never_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lease, "release", lambda self, now, *, sent=True: None)


@bug("over its limit")
def a_place_too_many_is_given(patch: pytest.MonkeyPatch) -> None:
    real = Limiter.__attrs_post_init__

    def one_more(self: Limiter) -> None:
        real(self)
        self.slots += 1

    patch.setattr(Limiter, "__attrs_post_init__", one_more)


# One window counts requests, another one tokens.
@bug("asked too often", "asked for too many tokens")
def the_minute_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SlidingWindow, "wait", lambda self, amount, now: 0.0)


@bug("asked for too many tokens")
def the_tokens_of_answers_are_not_counted_apart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Amounts, "of", lambda prompt, completion: Amounts(1, prompt + completion, prompt, 0))


@bug("overrun the deadline")
def an_attempt_takes_what_time_it_likes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "time_for_attempt", lambda self, index, at: 1000.0)


@bug("longer than the deadline")
def a_wait_forgets_the_deadline(patch: pytest.MonkeyPatch) -> None:
    real = Call.next_command

    def next_command(self: Call, now: float) -> Any:
        command = real(self, now)
        return Sleep(math.inf) if isinstance(command, Sleep) else command

    patch.setattr(Call, "next_command", next_command)


@bug("open breaker")
def the_breaker_never_blocks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Breaker, "blocked_by", lambda self, now: None)


@bug("one probe")
def every_attempt_is_a_probe(patch: pytest.MonkeyPatch) -> None:
    real = Breaker.attempt_started

    def attempt_started(self: Breaker, attempt: object, now: float) -> None:
        self._probe = None
        real(self, attempt, now)
        self._probe_until = -math.inf

    patch.setattr(Breaker, "attempt_started", attempt_started)


@bug("a probe without a result")
def a_probe_never_expires(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("turnout.routing.state.breaker.PROBE_SECONDS", math.inf)


@bug("soon asked again")
def a_break_grows_without_bound(patch: pytest.MonkeyPatch) -> None:
    real = Breaker._open

    def open_(self: Breaker, now: float, policy: BreakerPolicy) -> None:
        real(self, now, attrs.evolve(policy, break_duration=60.0, max_break_duration=1e6))

    patch.setattr(Breaker, "_open", open_)


@bug("holds for every call")
def only_the_call_that_was_refused_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Breaker, "paced_until", property(lambda self: -math.inf, lambda self, until: None))


@bug("after content")
def content_does_not_commit(patch: pytest.MonkeyPatch) -> None:
    real = Call._on_first_content

    def on_first_content(self: Call, live: Any, events: tuple[Any, ...], now: float) -> None:
        deadline = self._deadline
        real(self, live, events, now)
        self._response.committed, self._deadline = False, deadline

    patch.setattr(Call, "_on_first_content", on_first_content)


@bug("what was delivered was sent")
def a_delta_is_told_twice(patch: pytest.MonkeyPatch) -> None:
    real = Call.receive_data

    def receive_data(self: Call, attempt: int, data: bytes, now: float) -> Any:
        events = real(self, attempt, data, now)
        return events * 2 if len(events) == 2 else events

    patch.setattr(Call, "receive_data", receive_data)


@bug("nothing received is lost")
def the_partial_answer_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    from turnout.routing.call.final_error import as_interrupted as real

    def as_interrupted(error: Any, partial: Any, candidate: str) -> Any:
        empty = attrs.evolve(partial, message=attrs.evolve(partial.message, content=())) if partial else partial
        return real(error, empty, candidate)

    for module in ("ending", "partial_response", "recovery"):
        patch.setattr(f"turnout.routing.call.{module}.as_interrupted", as_interrupted)


@bug("every call finishes")
def a_driver_stops_too_early(patch: pytest.MonkeyPatch) -> None:
    real = Simulation.run
    patch.setattr(Simulation, "run", lambda self, until: real(self, 1.0))


@bug("served first")
def the_last_comes_first(patch: pytest.MonkeyPatch) -> None:
    real = Limiter.join

    def join(self: Limiter, waiter: Any) -> None:
        waiter.rank = (-waiter.rank[0], -waiter.rank[1])
        real(self, waiter)

    patch.setattr(Limiter, "join", join)


@bug("served first")
def a_priority_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("turnout.routing.router.seconds_behind", lambda priority, time: 0.0)


@bug("served first")
def a_low_priority_does_not_age(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("turnout.routing.router.seconds_behind", lambda priority, time: priority * 1e6)


# The end of its call tells of it, and before that each command that comes first: both are right.
@bug("what began has ended", "leases equal opens minus drops")
def a_drop_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    real = Call._close

    def close(self: Call, live: Any, now: float, *, sent: bool = True) -> Any:
        real(self, live, now, sent=sent)
        if live.number == 2:
            self.in_flight.to_close.pop()
        return ()

    patch.setattr(Call, "_close", close)


@bug("leases equal opens minus drops")
def a_drop_is_owed_twice(patch: pytest.MonkeyPatch) -> None:
    real = Call._close

    def close(self: Call, live: Any, now: float, *, sent: bool = True) -> Any:
        real(self, live, now, sent=sent)
        self.in_flight.to_close.append(live)
        return ()

    patch.setattr(Call, "_close", close)


@bug("attempt")
def attempts_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "attempt_started", lambda self, index: None)


@bug("told")
def the_trace_is_silent_about_moving_on(patch: pytest.MonkeyPatch) -> None:
    real = TraceWriter.write

    def write(self: TraceWriter, entry: Any) -> None:
        if not isinstance(entry, FellBack):
            real(self, entry)

    patch.setattr(TraceWriter, "write", write)


@bug("told")
def the_trace_is_silent_about_the_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TraceWriter, "answered", lambda self, now, candidate, unmet=(): None)


@bug("names who is asked")
def the_trace_names_another(patch: pytest.MonkeyPatch) -> None:
    real = TraceWriter.attempt_started

    def attempt_started(self: TraceWriter, now: float, number: int, index: int, candidate: str, **more: Any) -> None:
        real(self, now, number, index, "p9/m", **more)

    patch.setattr(TraceWriter, "attempt_started", attempt_started)


@bug("after the deadline", "no wait is longer than the deadline")
def the_deadline_is_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    real = Call._start_next_attempt

    def start_next_attempt(self: Call, now: float) -> Any:
        if now >= self._deadline:
            self._backoff_until, self._deadline = -math.inf, now + 10.0
        return real(self, now)

    patch.setattr(Call, "_start_next_attempt", start_next_attempt)
    patch.setattr(Plan, "failed", lambda self, facts: Retry(50.0, "planted"))


@bug("leases equal opens minus drops")
def the_loser_is_never_dropped(patch: pytest.MonkeyPatch) -> None:
    real = InFlight.declare_winner

    def declare_winner(self: InFlight, winner: Any) -> Any:
        loser = real(self, winner)
        if loser is not None:
            self.to_close.remove(loser)
        return loser

    patch.setattr(InFlight, "declare_winner", declare_winner)


@bug("hedges keep to their budget")
def every_slow_call_hedges(patch: pytest.MonkeyPatch) -> None:
    real = Scheduler.acquire_hedge

    def acquire_hedge(
        self: Scheduler, waiter: Waiter, running: int, now: float, *, budgeted: bool = True
    ) -> Admitted | None:
        self._hedge_tokens = 10.0
        return real(self, waiter, running, now, budgeted=budgeted)

    patch.setattr(Scheduler, "acquire_hedge", acquire_hedge)


@bug("over its limit")
def a_hedge_overlooks_the_limits(patch: pytest.MonkeyPatch) -> None:
    real = Plan.choose_hedge
    patch.setattr(Plan, "choose_hedge", lambda self, running, is_free: real(self, running, lambda other: True))


@bug("may have been processed")
def a_hedge_repeats_what_was_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "shares_overlap", property(lambda self: True))


# The call that was refused asks again too early, or before it another one does: both are right.
@bug("is a floor", "holds for every call")
def nobody_heeds_what_was_asked_for(patch: pytest.MonkeyPatch) -> None:
    real = backoff_seconds

    def hasty(retry: int, retry_after: float | None, policy: Policy, rng: random.Random) -> float:
        return real(retry, None, policy, rng)

    patch.setattr("turnout.routing.policy.plan.backoff_seconds", hasty)
    real_failure = Scheduler.record_failure

    def record_failure(
        self: Scheduler,
        lease: Lease,
        now: float,
        kind: FailureClass,
        rule: Rule,
        retry_after: float | None,
        *,
        sent: bool = True,
    ) -> None:
        real_failure(self, lease, now, kind, rule, None, sent=sent)

    patch.setattr(Scheduler, "record_failure", record_failure)


@bug("repeated while nobody answers")
def the_throttle_refuses_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Throttle, "refuses", lambda self, now: False)


@contextmanager
def planted(plant: Plant) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        yield


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str) -> None:
    plant, words = BUGS[name]

    # Generated only: to shrink the example would cost time and tell nothing here.
    @given(worlds())
    @settings(
        max_examples=3000,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
    def search(world: World) -> None:
        check_world(world)

    with planted(plant), pytest.raises((AssertionError, FlakyFailure, ExceptionGroup)) as caught:
        search()
    assert any(word in told(caught.value) for word in words), f"another invariant caught it: {told(caught.value)[:300]}"


def told(error: BaseException) -> str:
    """The messages of an error and of all in it."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return " ".join([str(error), *map(told, inner)])
