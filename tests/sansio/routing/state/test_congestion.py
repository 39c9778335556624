"""A queue at a candidate is seen in the times to the first token, and other candidates are preferred to it."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.strategies.rows import unequal
from benchmarks.strategies.server import ServerConfig, lognormal
from benchmarks.strategies.world import World as QueueingWorld
from tests.sansio.routing.line_dialect import lines
from tests.sansio.routing.small_worlds import DOWN, World
from turnout.routing.call.operations import Stream
from turnout.routing.state.learnt.congestion import LATE_IN_A_ROW, NEWEST, Congestion
from turnout.routing.state.learnt.usual_time import FIRST, SHARE, UsualTime
from turnout.simulation import Script

TIMES = st.lists(st.floats(0.05, 60.0), min_size=1, max_size=60)
# The 95th percentile over the median, and the calls a second.
SPREADS = [(3.0, 1.0), (3.0, 20.0), (5.0, 5.0), (8.0, 1.0), (8.0, 20.0)]


def known(*times: float) -> Congestion:
    """The attempts with these times were answered a second apart."""
    congestion = Congestion()
    for number, seconds in enumerate(times):
        congestion.record_first_token(seconds, 3, float(number))
    return congestion


# -- what shows a queue -----------------------------------------------------------------------------------------------


def test_some_late_attempts_in_a_row_cut_the_limit_once_for_each_round_trip() -> None:
    congestion = known(*[1.0] * NEWEST)
    for number in range(LATE_IN_A_ROW - 1):
        congestion.record_first_token(8.0, 10, 108.0 + number / 100)
    assert congestion.limit == math.inf
    congestion.record_first_token(8.0, 10, 109.0)
    assert congestion.limit == pytest.approx(5.0)
    congestion.record_first_token(8.0, 10, 116.9)
    assert congestion.limit == pytest.approx(5.0)
    congestion.record_first_token(8.0, 10, 117.1)
    assert congestion.limit == pytest.approx(2.5)


def test_an_attempt_in_time_that_started_between_late_ones_shows_that_there_is_no_queue() -> None:
    congestion = known(*[1.0] * NEWEST)
    for number in range(20):
        congestion.record_first_token(8.0, 10, 108.0 + number)
        congestion.record_first_token(0.9, 10, 108.01 + number)  # it started later
    assert congestion.limit == math.inf


def test_the_limit_grows_only_while_it_is_used() -> None:
    congestion = known(*[1.0] * NEWEST)
    for number in range(LATE_IN_A_ROW):
        congestion.record_first_token(8.0, 10, 108.0 + number / 100)
    limit = congestion.limit
    congestion.record_first_token(0.5, 1, 200.0)
    assert congestion.limit == limit
    congestion.record_first_token(0.5, 4, 201.0)
    assert congestion.limit > limit


def test_silent_attempts_show_a_queue_before_they_are_answered() -> None:
    congestion = known(*[1.0] * NEWEST)
    silent = {number: 100.0 + number / 10 for number in range(LATE_IN_A_ROW - 1)}
    congestion.look_at(silent, 3, 150.0)
    assert congestion.limit == math.inf
    congestion.look_at({**silent, "young": 150.9}, 4, 151.0)
    assert congestion.limit == math.inf
    congestion.look_at({**silent, "late": 149.0}, 4, 152.0)
    assert congestion.limit < 4


@given(usual=st.floats(0.1, 5.0), silences=st.integers(NEWEST, 40))
def test_a_candidate_that_answers_nobody_in_time_queues(usual: float, silences: int) -> None:
    congestion = known(usual)
    for number in range(silences):
        congestion.record_silence(15.0, 10, 100.0 + number, gave_up=True)
    assert congestion.limit < 10
    assert congestion.seconds_to_first_token(1) >= 15.0


@given(times=TIMES, short=st.lists(st.floats(0.0, 0.04), max_size=40))
def test_short_silences_say_nothing(times: list[float], short: list[float]) -> None:
    congestion = known(*times)
    before = congestion.limit, congestion.seconds_to_first_token(5)
    for seconds in short:
        congestion.record_silence(seconds, 3, 1000.0, gave_up=False)
    assert (congestion.limit, congestion.seconds_to_first_token(5)) == before


def test_silence_of_an_unknown_candidate_says_nothing() -> None:
    congestion = Congestion()
    congestion.record_silence(1000.0, 50, 1000.0, gave_up=False)
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


def test_a_queue_of_some_minutes_does_not_become_usual() -> None:
    congestion = known(*[1.0] * NEWEST)
    for number in range(600):
        congestion.record_first_token(6.0, 5, 100.0 + number / 4)
    assert congestion.limit == 1.0
    assert congestion._usual.seconds < 2.0


@given(times=st.lists(st.floats(0.05, 60.0), min_size=FIRST, max_size=FIRST), order=st.randoms(use_true_random=False))
def test_the_usual_time_is_learnt_in_the_order_of_the_starts(times: list[float], order: random.Random) -> None:
    """Whoever is answered first: of attempts that start at once, those are the quickest ones."""
    waiting = {float(number): seconds for number, seconds in enumerate(times)}
    usual = UsualTime()
    starts = list(waiting)
    order.shuffle(starts)
    for started in starts:
        seconds = waiting.pop(started)
        usual.add(seconds, started, min(waiting, default=math.inf), queueing=False)
    assert usual.seconds == sorted(times)[int(SHARE * FIRST)]


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


@pytest.mark.parametrize(("other", "expected"), [(1.5, "p0"), (3.0, "p0"), (0.4, "p1")])
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


@pytest.mark.parametrize(
    ("spread", "rate"),
    [*SPREADS[:1], *(pytest.param(*each, marks=pytest.mark.full) for each in SPREADS[1:])],
)
def test_a_healthy_candidate_keeps_its_calls_whatever_its_times(spread: float, rate: float) -> None:
    """It has no queue; its requests differ. The other candidate always answers much sooner."""
    for seed in range(3):
        servers = [
            ServerConfig(name="A", first_token=lognormal(1.0, spread)),
            ServerConfig(name="B", first_token=lognormal(0.3, 0.6)),
        ]
        world = QueueingWorld(servers=servers, rate=rate, calls=600, seed=seed).run()
        assert sum(record.answered_by == "A" for record in world.records) > 0.75 * 600
