"""A queue at a candidate is seen in the times to the first token, and other candidates are preferred to it."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.strategies.rows import unequal
from benchmarks.strategies.world import World as QueueingWorld
from tests.sansio.routing.line_dialect import lines
from tests.sansio.routing.small_worlds import DOWN, World
from turnout.routing.call.operations import Stream
from turnout.routing.state.congestion import KNOWN, NEWEST, QUEUEING, Congestion
from turnout.simulation import Script

TIMES = st.lists(st.floats(0.05, 60.0), min_size=1, max_size=60)


def known(*times: float) -> Congestion:
    congestion = Congestion()
    for number, seconds in enumerate(times):
        congestion.record_first_token(seconds, 3, float(number))
    return congestion


# -- attempts that end without a first token --------------------------------------------------------------------------


@given(usual=st.floats(0.1, 5.0), silences=st.integers(NEWEST, 40))
def test_a_candidate_that_answers_nobody_in_time_queues(usual: float, silences: int) -> None:
    congestion = known(*[usual] * (KNOWN + 1))
    for number in range(silences):
        congestion.record_silence(15.0 + 3 * usual, 10, 100.0 + number)
    assert congestion.limit < 10
    assert congestion.seconds_to_first_token(1) >= 15.0


@given(times=TIMES, short=st.lists(st.floats(0.0, 1.0), max_size=40))
def test_short_silences_say_nothing(times: list[float], short: list[float]) -> None:
    congestion = known(*times)
    before = congestion.limit, congestion.seconds_to_first_token(5)
    for seconds in short:
        congestion.record_silence(seconds * 0.05 * QUEUEING, 3, 1000.0)  # no time is below 0.05
    assert (congestion.limit, congestion.seconds_to_first_token(5)) == before


def test_silence_of_an_unknown_candidate_says_nothing() -> None:
    congestion = Congestion()
    congestion.record_silence(1000.0, 50, 1000.0)
    assert congestion.limit == congestion.seconds_to_first_token(1) == math.inf


# -- how long one more attempt would wait -----------------------------------------------------------------------------


@given(times=TIMES, waiting=st.integers(0, 500))
def test_the_expected_time_is_at_least_the_median_and_grows_with_the_queue(times: list[float], waiting: int) -> None:
    congestion = known(*times)
    newest = sorted(times[-NEWEST:])
    assert congestion.seconds_to_first_token(0) == newest[len(newest) // 2]
    assert congestion.seconds_to_first_token(waiting) <= congestion.seconds_to_first_token(waiting + 1)
    if len(times) > 1:  # they were one second apart
        assert congestion.seconds_to_first_token(waiting) >= waiting * 0.999


@given(usual=st.floats(0.1, 2.0), queue=st.lists(st.floats(5.0, 8.0), min_size=200, max_size=200))
def test_a_queue_of_some_minutes_does_not_become_usual(usual: float, queue: list[float]) -> None:
    congestion = known(*[usual] * 30, *[seconds * usual for seconds in queue])
    assert congestion.limit == pytest.approx(1.0)


def test_a_pause_says_nothing_about_the_pace_of_answers() -> None:
    """Two answers are an hour apart because nobody asked, not because requests waited that long."""
    world = World([answers_after(1.0)] * 4 + [DOWN, answers_after(1.0)], max_retries=0)
    for at in (0.0, 0.5, 1.0, 1.5, 2.0, 3600.0, 3600.5):
        world.simulation.call(Stream(world.request(0)), at=at)
    world.simulation.run()
    congestion = world.core.scheduler.states()["p0/m"].congestion
    assert congestion.seconds_to_first_token(3) < 10.0


# -- which candidate a call gets --------------------------------------------------------------------------------------


def answers_after(seconds: float) -> Script:
    return Script(head=seconds, body=((0.0, lines("tone", "f")),))


@pytest.mark.parametrize(("other", "expected"), [(1.2, "p0"), (3.0, "p0"), (0.4, "p1")])
def test_a_busy_candidate_is_passed_over_only_for_one_that_answers_much_sooner(other: float, expected: str) -> None:
    """The first one answers in 0.2 s, and then in 1.5 s; the other one always takes the same time."""
    world = World([answers_after(0.2)] * 40 + [answers_after(1.5)], [answers_after(other)])
    for number in range(3):
        world.run(Stream(world.request(1)), at=number * 4.0)
    for number in range(400):
        world.simulation.call(Stream(world.request(0, 1)), at=20.0 + number * 0.2)
    world.simulation.run()
    late = [name for name, at in world.asked if at > 80.0]
    assert late.count(expected) > 0.8 * len(late)


def test_many_routers_that_share_a_queue_see_it() -> None:
    """Each of 20 routers sees few of its times, and attempts that are given up are most of what it sees."""
    servers = unequal()
    rate = 0.5 * sum(server.capacity for server in servers)
    world = QueueingWorld(servers=servers, rate=rate, calls=1500, routers=20).run()
    assert not world.failed
    assert world.at_work["A"].in_system(world.now) < 20
    assert statistics.median(world.first_tokens[-500:]) < 4.0
