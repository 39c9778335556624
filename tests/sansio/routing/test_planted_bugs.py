"""Each invariant of the worlds catches the bug that it is there for: bugs are planted, and must be found."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
from hypothesis import Phase, given, settings
from hypothesis.errors import FlakyFailure

from tests.sansio.routing.observer import check_world
from tests.sansio.routing.worlds import World, worlds
from turnout.routing.call.in_flight import InFlight
from turnout.routing.call.machine import Call
from turnout.routing.call.selection import CandidateSelector
from turnout.routing.commands import Sleep
from turnout.routing.policy.backoff import backoff_seconds
from turnout.routing.policy.plan import Plan, Retry
from turnout.routing.policy.settings import Policy
from turnout.routing.state.breaker import Breaker
from turnout.routing.state.candidate_state import Lease
from turnout.routing.state.limits import Limiter, SlidingWindow
from turnout.routing.state.router_lock import Places
from turnout.routing.state.scheduler import Admission, Admitted
from turnout.simulation import Simulation
from turnout.trace.entries import Answered, FellBack, Started

Plant = Callable[[pytest.MonkeyPatch], None]
BUGS: dict[str, tuple[Plant, str]] = {}


def bug(caught_by: str) -> Callable[[Plant], Plant]:
    """A bug, and a word of the invariant that must catch it."""

    def plant(function: Plant) -> Plant:
        BUGS[function.__name__] = function, caught_by
        return function

    return plant


@bug("leases equal opens minus drops")
def a_lease_is_never_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lease, "release", lambda self: None)


@bug("over its limit")
def a_place_too_many_is_given(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Limiter,
        "full",
        lambda self: self.limit.max_concurrency is not None and self.in_flight > self.limit.max_concurrency,
    )


@bug("asked too often")
def the_minute_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SlidingWindow, "wait", lambda self, amount, now: 0.0)


@bug("overrun the deadline")
def an_attempt_takes_what_time_it_likes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "time_for_attempt", lambda self, at: 1000.0)


@bug("longer than the deadline")
def a_wait_forgets_the_deadline(patch: pytest.MonkeyPatch) -> None:
    real = Call.next_command

    def next_command(self: Call, now: float) -> Any:
        command = real(self, now)
        return Sleep(math.inf) if isinstance(command, Sleep) else command

    patch.setattr(Call, "next_command", next_command)


@bug("open breaker")
def the_breaker_never_blocks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Breaker, "blocked", lambda self, now: None)


@bug("one probe")
def every_attempt_is_a_probe(patch: pytest.MonkeyPatch) -> None:
    real = Breaker.begin

    def begin(self: Breaker, attempt: object, now: float) -> None:
        self._probe = None
        real(self, attempt, now)

    patch.setattr(Breaker, "begin", begin)
    patch.setattr(Breaker, "probing", property(lambda self: False))


@bug("after content")
def content_does_not_commit(patch: pytest.MonkeyPatch) -> None:
    real = Call._flow

    def flow(self: Call, live: Any, now: float) -> None:
        deadline = self._deadline
        real(self, live, now)
        self._delivery.committed, self._deadline = False, deadline

    patch.setattr(Call, "_flow", flow)


@bug("what was delivered was sent")
def a_delta_is_told_twice(patch: pytest.MonkeyPatch) -> None:
    real = Call.receive_data

    def receive_data(self: Call, attempt: int, data: bytes, now: float) -> Any:
        events = real(self, attempt, data, now)
        return events * 2 if len(events) == 2 else events

    patch.setattr(Call, "receive_data", receive_data)


@bug("nothing received is lost")
def the_partial_answer_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    from turnout.routing.call.final_error import interrupted as real

    def interrupted(error: Any, partial: Any, candidate: str) -> Any:
        empty = attrs.evolve(partial, message=attrs.evolve(partial.message, content=())) if partial else partial
        return real(error, empty, candidate)

    patch.setattr("turnout.routing.call.machine.interrupted", interrupted)
    patch.setattr("turnout.routing.call.partial_response.interrupted", interrupted)


@bug("every call finishes")
def a_driver_stops_too_early(patch: pytest.MonkeyPatch) -> None:
    real = Simulation.run
    patch.setattr(Simulation, "run", lambda self, until: real(self, 1.0))


@bug("served first")
def the_last_comes_first(patch: pytest.MonkeyPatch) -> None:
    real = Admission._let_in

    def let_in(self: Admission[Any], now: float) -> None:
        self._queue = dict(reversed(self._queue.items()))
        real(self, now)
        self._queue = dict(reversed(self._queue.items()))

    patch.setattr(Admission, "_let_in", let_in)


@bug("leases equal opens minus drops")
def a_drop_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    real = Call._close

    def close(self: Call, live: Any, now: float) -> None:
        real(self, live, now)
        if live.number == 2:
            self.in_flight.drops.pop()

    patch.setattr(Call, "_close", close)


@bug("leases equal opens minus drops")
def a_drop_is_owed_twice(patch: pytest.MonkeyPatch) -> None:
    real = Call._close

    def close(self: Call, live: Any, now: float) -> None:
        real(self, live, now)
        self.in_flight.drops.append(live)

    patch.setattr(Call, "_close", close)


@bug("attempt")
def attempts_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "began", lambda self: None)


@bug("told")
def the_trace_is_silent_about_moving_on(patch: pytest.MonkeyPatch) -> None:
    forget(patch, FellBack)


@bug("told")
def the_trace_is_silent_about_the_answer(patch: pytest.MonkeyPatch) -> None:
    forget(patch, Answered)


@bug("names who is asked")
def the_trace_names_another(patch: pytest.MonkeyPatch) -> None:
    real = Call._note

    def note(self: Call, entry: Any) -> None:
        real(self, attrs.evolve(entry, candidate="p9/m") if isinstance(entry, Started) else entry)

    patch.setattr(Call, "_note", note)


@bug("after the deadline")
def the_deadline_is_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    real = Call._advance

    def advance(self: Call, now: float) -> Any:
        if now >= self._deadline:
            self._not_before, self._deadline = -math.inf, now + 10.0
        return real(self, now)

    patch.setattr(Call, "_advance", advance)
    patch.setattr(Plan, "failed", lambda self, place, failure, after, phase, at: Retry(50.0, "planted"))


@bug("leases equal opens minus drops")
def the_loser_is_never_dropped(patch: pytest.MonkeyPatch) -> None:
    real = InFlight.overtake

    def overtake(self: InFlight, winner: Any) -> Any:
        loser = real(self, winner)
        if loser is not None:
            self.drops.remove(loser)
        return loser

    patch.setattr(InFlight, "overtake", overtake)


@bug("hedges keep to their budget")
def every_slow_call_hedges(patch: pytest.MonkeyPatch) -> None:
    def beside(self: Places[CandidateSelector], field: CandidateSelector, place: int, now: float) -> Admitted | None:
        return self._admission.beside(field, place, now)

    patch.setattr(Places, "beside", beside)


@bug("over its limit")
def a_hedge_overlooks_the_limits(patch: pytest.MonkeyPatch) -> None:
    real = Plan.beside
    patch.setattr(Plan, "beside", lambda self, place, free: real(self, place, lambda other: True))


@bug("may have been processed")
def a_hedge_repeats_what_was_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "may_overlap", property(lambda self: self.policy.hedge is not None))


@bug("is a floor")
def nobody_heeds_what_was_asked_for(patch: pytest.MonkeyPatch) -> None:
    real = backoff_seconds

    def hasty(retry: int, retry_after: float | None, policy: Policy, rng: random.Random) -> float:
        return real(retry, None, policy, rng)

    patch.setattr("turnout.routing.policy.plan.backoff_seconds", hasty)


def forget(patch: pytest.MonkeyPatch, kind: type) -> None:
    real = Call._note

    def note(self: Call, entry: Any) -> None:
        if not isinstance(entry, kind):
            real(self, entry)

    patch.setattr(Call, "_note", note)


@contextmanager
def planted(plant: Plant) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        yield


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str) -> None:
    plant, word = BUGS[name]

    # Generated only: to shrink the example would cost time and tell nothing here.
    @given(worlds())
    @settings(max_examples=3000, phases=[Phase.generate], database=None, derandomize=True)
    def search(world: World) -> None:
        check_world(world)

    with planted(plant), pytest.raises((AssertionError, FlakyFailure, ExceptionGroup)) as caught:
        search()
    assert word in told(caught.value), f"another invariant caught it: {told(caught.value)[:300]}"


def told(error: BaseException) -> str:
    """The messages of an error and of all in it."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return " ".join([str(error), *map(told, inner)])
