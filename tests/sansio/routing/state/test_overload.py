"""A router repeats little while its providers refuse most requests: the throttle."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.routing.small_worlds import DOWN, GOOD, World
from turnout.routing.call.operations import Chat
from turnout.routing.replay import replay
from turnout.routing.state.throttle import FREE, Throttle
from turnout.simulation import Script


@given(requests=st.integers(0, 200), share=st.floats(0, 1))
def test_it_holds_back_the_share_of_the_source_and_nothing_while_half_is_answered(requests: int, share: float) -> None:
    throttle = Throttle()
    answers = math.floor(requests * share)
    for number in range(requests):
        throttle.count_request(1.0)
        if number < answers:
            throttle.count_answer(1.0)
    allowed = sum(not throttle.refuses(1.0) for _ in range(1000))
    if requests < FREE or requests <= 2 * answers:
        assert allowed == 1000
    else:
        rejected = (requests - 2 * answers) / (requests + 1)
        assert allowed == pytest.approx(1000 * (1 - rejected), abs=1.5)


def test_what_happened_more_than_half_a_minute_ago_does_not_count() -> None:
    throttle = Throttle()
    for _ in range(100):
        throttle.count_request(0.0)
    assert throttle.refuses(20.0)
    assert not throttle.refuses(34.0)


@pytest.mark.parametrize("candidates", [1, 2, 4])
def test_while_all_candidates_refuse_a_call_makes_about_one_request(candidates: int) -> None:
    world = World(*[[DOWN] for _ in range(candidates)])
    for number in range(200):
        world.simulation.call(Chat(world.request()), at=number * 0.5)
    world.simulation.run()
    late = [at for _, at in world.asked if at > 30.0]
    assert len(late) <= 1.25 * (200 - 60)
    assert len(late) >= 200 - 60, "the first attempt of a call is never held back"
    told = [outcome.call.trace for outcome in world.simulation.outcomes]
    throttled = [trace for trace in told if "too few requests succeed lately" in trace.explain()]
    assert len(throttled) > 100
    assert replay(json.loads(json.dumps(throttled[-1].to_dict()))) == ()


def test_a_fallback_to_an_available_candidate_is_never_held_back() -> None:
    # Three fail always, and their breakers are off: each call tries them and needs the last one.
    world = World([DOWN], [DOWN], [DOWN], [GOOD], breaker=None, max_retries=0)
    for number in range(50):
        world.simulation.call(Chat(world.request()), at=number * 0.1)
    world.simulation.run()
    assert all(outcome.error is None for outcome in world.simulation.outcomes)
    assert world.who == ["p0", "p1", "p2", "p3"] * 50


def test_a_provider_that_refuses_only_some_requests_is_asked_again() -> None:
    # A brown-out: two of three requests are answered, so no retry is held back.
    world = World([DOWN, GOOD, GOOD] * 60 + [GOOD], breaker=None)
    for number in range(60):
        world.simulation.call(Chat(world.request()), at=number * 1.0)
    world.simulation.run()
    assert all(outcome.error is None for outcome in world.simulation.outcomes)


def test_refusals_because_of_a_request_alone_are_answers() -> None:
    world = World([Script(status=400)])
    for number in range(30):
        world.run(Chat(world.request()), at=number * 0.1)
    assert not world.core.scheduler._throttle.refuses(3.0)


def test_requests_that_were_never_sent_count_for_nothing() -> None:
    """A server that has not started yet refuses connections, which burdens nobody: its client may wait for it."""
    world = World([Script(refused=True)] * 40 + [GOOD], max_retries=60, max_attempts=100, backoff_max=1.0)
    for _ in range(3):
        world.simulation.call(Chat(world.request()))
    world.simulation.run()
    assert [outcome.error for outcome in world.simulation.outcomes] == [None] * 3
    assert len(world.asked) == 43


def test_a_request_that_was_sent_counts_also_if_later_ones_were_not() -> None:
    world = World([DOWN] * 10 + [Script(refused=True)], max_retries=0)
    for number in range(20):
        world.run(Chat(world.request()), at=number * 0.1)
    assert world.core.scheduler._throttle.refuses(3.0)
