"""The learnt limit of a candidate: a queue cuts it, room lets it grow, and neither makes it drift."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.routing.state.congestion import SMALLEST_CUT, Congestion


def known(usual: float = 1.0, count: int = 5) -> Congestion:
    """A candidate that has answered so many attempts in the usual time, from the beginning of time on."""
    congestion = Congestion()
    for number in range(count):
        congestion.record_first_token(usual, 10, usual + number)
    return congestion


def queued(seconds: float = 8.0) -> Congestion:
    """A candidate that has shown a queue at 100 s: most of the newest times are far above the usual one."""
    congestion = known()
    number = 0
    while congestion.limit == math.inf:
        congestion.record_first_token(seconds, 10, 100.0 + number / 100)
        number += 1
    return congestion


def test_a_few_times_are_enough_to_see_a_queue() -> None:
    congestion = known(count=3)
    assert congestion.limit == math.inf
    congestion.look_at({"a": 10.0, "b": 10.0, "c": 10.0}, 3, 13.5)
    assert congestion.limit < math.inf


@pytest.mark.parametrize(("seconds", "limit"), [(2.4, 6.0), (8.0, 10 * SMALLEST_CUT)])
def test_a_cut_aims_at_twice_the_usual_time_and_leaves_a_share_of_the_limit(seconds: float, limit: float) -> None:
    assert queued(seconds).limit == pytest.approx(limit, rel=0.1)


def test_attempts_from_before_a_cut_do_not_cut_again() -> None:
    congestion = queued()
    limit = congestion.limit
    for number in range(50):
        congestion.record_first_token(8.0, 3, 100.5 + number / 10)
    congestion.look_at(dict.fromkeys("abcdef", 99.0), 10, 107.0)
    assert congestion.limit == limit


def test_attempts_from_after_a_cut_cut_again() -> None:
    congestion = queued()
    for number in range(3):
        congestion.record_first_token(8.0, 3, 110.0 + number / 100)
    assert congestion.limit == 1.5


def test_the_limit_grows_only_while_it_is_used() -> None:
    congestion = queued()
    limit = congestion.limit
    for number in range(15):
        congestion.record_first_token(1.0, 1, 200.0 + number)
    assert congestion.limit == limit
    congestion.record_first_token(1.0, 4, 300.0)
    assert congestion.limit > limit


def test_one_silent_attempt_is_no_queue() -> None:
    congestion = known()
    congestion.look_at({"a": 5.0}, 1, 48.0)
    congestion.look_at({"a": 5.0, "b": 5.0}, 2, 50.0)
    assert congestion.limit == math.inf
    congestion.look_at({"a": 5.0, "b": 5.0, "c": 5.0, "d": 49.0}, 4, 51.0)
    assert congestion.limit < math.inf


def test_a_queue_that_grows_slowly_at_the_limit_is_seen() -> None:
    congestion = queued()
    for number in range(200):  # room for more
        congestion.record_first_token(1.0, math.ceil(congestion.limit), 200.0 + number)
    limit, seconds, now = congestion.limit, 1.0, 1000.0
    while congestion.limit >= limit:
        seconds, now = seconds * 1.004, now + 1.0
        congestion.record_first_token(seconds, math.ceil(congestion.limit), now)
        assert seconds < 5.0, "the usual time grows with the queue"


@given(st.floats(3.5, 50.0))
def test_a_candidate_that_has_become_slower_gets_its_calls_back(factor: float) -> None:
    congestion, now = known(), 1000.0
    for _ in range(1500):
        now += factor
        congestion.record_first_token(factor, math.ceil(min(10.0, congestion.limit)), now)
    assert congestion.limit > 5.0
