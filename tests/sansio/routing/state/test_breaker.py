"""The breaker against a plain model of itself, and what may never happen whatever comes."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.routing.policy.settings import BreakerPolicy
from turnout.routing.state.breaker import Breaker

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "succeed", "fail", "abandon", "cool"]), st.sampled_from([0.0, 0.1, 1.0, 4.0, 30.0])
    ),
    max_size=60,
)
POLICIES = st.builds(
    BreakerPolicy,
    window=st.sampled_from([1.0, 10.0]),
    minimum_calls=st.integers(1, 4),
    failure_ratio=st.sampled_from([0.25, 0.5, 1.0]),
    consecutive_failures=st.integers(0, 3),
    break_duration=st.sampled_from([1.0, 5.0]),
    break_multiplier=st.sampled_from([1.0, 2.0]),
    max_break_duration=st.sampled_from([5.0, 20.0]),
)


PROBE, OTHER = "the probe", "another attempt"


@attrs.define(eq=False)
class Attempt:
    began: float
    probe: bool = False


@given(POLICIES, STEPS)
def test_whatever_comes_the_breaker_keeps_its_word(policy: BreakerPolicy, steps: list[tuple[str, float]]) -> None:
    breaker, now = Breaker(policy), 0.0
    going: list[Attempt] = []
    for step, passes in steps:
        now += passes
        before = breaker.blocked_by(now)
        cool, opened = breaker.cool_until, breaker.open_until
        match step:
            case "begin":
                if before is None:
                    attempt = Attempt(now)
                    breaker.attempt_started(attempt, now)
                    attempt.probe = breaker.is_probe(attempt)
                    going.append(attempt)
            case "cool":
                breaker.cool_down(now + passes)
            case "succeed" if going:
                attempt = going.pop(0)
                breaker.record_success(attempt, now, started=attempt.began)
            case "fail" if going:
                attempt = going.pop(0)
                breaker.record_failure(attempt, now, started=attempt.began)
            case "abandon" if going:
                breaker.forget_probe(going.pop(0))
        assert breaker.cool_until >= cool, "a cooldown is only ever extended"
        assert breaker.open_until >= opened, "so is an open breaker"
        assert sum(attempt.probe and attempt.began > now - 15.0 for attempt in going) <= 1, "one probe at a time"
        if breaker.has_probe:
            assert any(attempt.probe for attempt in going)
        blocked = breaker.blocked_by(now)
        if blocked is not None:
            _, wait = blocked
            assert wait > 0
            assert math.isfinite(wait), "every rest ends, that of a probe without a result too"
            assert breaker.blocked_by(now + wait) != blocked
        assert len(breaker._steps) <= 12, "its memory does not grow"


def test_failures_in_a_row_open_it_and_a_probe_closes_it() -> None:
    breaker = Breaker(BreakerPolicy(consecutive_failures=3, break_duration=5.0))
    for _ in range(3):
        assert breaker.blocked_by(0.0) is None
        breaker.record_failure(OTHER, 0.0, started=0.0)
    assert breaker.blocked_by(1.0) == ("breaker_open", 4.0)
    assert breaker.state(1.0) == "open"
    assert breaker.state(5.0) == "half-open"
    breaker.attempt_started(PROBE, 5.0)
    assert breaker.is_probe(PROBE)
    assert breaker.blocked_by(5.0) == ("probe_in_flight", 15.0)
    breaker.record_success(PROBE, 5.5, started=5.0)
    assert breaker.state(5.5) == "closed"
    assert breaker.blocked_by(5.5) is None


def test_each_failed_probe_keeps_it_open_for_longer_up_to_the_ceiling() -> None:
    breaker, now = (
        Breaker(
            BreakerPolicy(consecutive_failures=1, break_duration=5.0, break_multiplier=2.0, max_break_duration=15.0)
        ),
        0.0,
    )
    breaker.record_failure(OTHER, now, started=now)
    for seconds in (5.0, 10.0, 15.0, 15.0):
        assert breaker.blocked_by(now) == ("breaker_open", seconds)
        now += seconds
        breaker.attempt_started(PROBE, now)
        assert breaker.is_probe(PROBE)
        breaker.record_failure(PROBE, now, started=now)


def test_the_ratio_counts_only_over_enough_calls_and_only_in_the_window() -> None:
    breaker = Breaker(BreakerPolicy(consecutive_failures=0, minimum_calls=4, failure_ratio=0.5, window=10.0))
    for now, good in ((0.0, False), (0.1, False), (11.0, True), (11.1, True), (11.2, False)):
        if good:
            breaker.record_success(OTHER, now, started=now)
        else:
            breaker.record_failure(OTHER, now, started=now)
        assert breaker.state(now) == "closed"
    breaker.record_failure(OTHER, 11.3, started=11.3)
    assert breaker.state(11.3) == "open"


def test_what_was_under_way_before_it_opened_neither_closes_nor_prolongs() -> None:
    breaker = Breaker(BreakerPolicy(consecutive_failures=1, break_duration=5.0))
    breaker.record_failure(OTHER, 10.0, started=9.0)
    breaker.record_success(OTHER, 11.0, started=8.0)
    breaker.record_failure(OTHER, 12.0, started=8.5)
    assert breaker.blocked_by(12.0) == ("breaker_open", 3.0)


@pytest.mark.parametrize("opened", [64, 5000])
def test_growth_does_not_overflow(opened: int) -> None:
    breaker = Breaker(BreakerPolicy(consecutive_failures=1))
    breaker.consecutive_opens = opened
    breaker._opened_at = breaker.open_until = 0.0
    breaker.record_failure(PROBE, 1.0, started=1.0)
    assert breaker.open_until == 13.0


def test_one_that_was_closed_by_an_answer_rests_no_longer() -> None:
    """Asked although it was open, for there was no other, and it answered."""
    breaker = Breaker(BreakerPolicy(consecutive_failures=1, break_duration=100.0, max_break_duration=100.0))
    breaker.record_failure(OTHER, 0.0, started=0.0)
    assert breaker.available_in(1.0) == 99.0
    breaker.record_success(OTHER, 2.0, started=1.0)
    assert breaker.available_in(2.0) == 0.0
    breaker.cool_down(9.0)
    assert breaker.available_in(2.0) == 7.0
