"""How the candidates of a call share its time, and what silence says about their health."""

from __future__ import annotations

import json
import math

import pytest

from tests.sansio.routing.line_dialect import lines
from tests.sansio.routing.small_worlds import DOWN, GOOD, World
from turnout.errors import Overloaded
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.policy.settings import BreakerPolicy, Hedge
from turnout.routing.replay import replay
from turnout.simulation import Outcome, Script

SILENT = Script(head=math.inf)


def replayed(outcome: Outcome) -> Outcome:
    assert replay(json.loads(json.dumps(outcome.call.trace.to_dict()))) == ()
    return outcome


def test_untried_candidates_share_the_remaining_time_equally() -> None:
    world = World([SILENT], [SILENT], [SILENT], [GOOD], timeout=60.0)
    assert world.run(Chat(world.request())).error is None
    assert [at for _, at in world.asked] == pytest.approx([0.0, 15.0, 30.0, 45.0])


def test_models_that_were_not_looked_up_have_their_share() -> None:
    world = World([SILENT], *[[GOOD] for _ in range(5)], timeout=60.0)
    world.run(Chat(world.request()))
    assert world.asked[1][1] == pytest.approx(10.0)


def test_a_connection_timeout_is_not_retried_in_place() -> None:
    world = World([Script(connect=math.inf)], [GOOD])
    world.run()
    assert world.asked == [("p0", 0.0), ("p1", 5.0)]


def test_retries_leave_an_attempt_for_each_untried_candidate() -> None:
    world = World([DOWN], [DOWN], [GOOD], max_attempts=3)
    assert world.run().error is None
    assert world.who == ["p0", "p1", "p2"]


def test_an_error_says_how_many_of_the_candidates_were_tried() -> None:
    world = World(*[[DOWN] for _ in range(13)])
    error = world.run().error
    assert len(world.asked) == 10
    assert "10 of 13 candidates tried" in str(error)


def test_a_whole_response_goes_on_while_the_next_candidate_starts_beside_it() -> None:
    slow = Script(head=40.0, body=GOOD.body)
    world = World([slow], [SILENT], concurrent=True)
    outcome = replayed(world.run(Chat(world.request())))
    assert outcome.result.model.provider == "p0"
    assert world.asked == [("p0", 0.0), ("p1", 30.0)]
    assert outcome.ended == 40.0
    assert "attempt 2: p1/m started, beside the other one" in outcome.call.trace.explain()


def test_a_second_attempt_that_used_its_share_makes_room_for_the_third() -> None:
    world = World([SILENT], [SILENT], [GOOD], concurrent=True)
    assert replayed(world.run(Chat(world.request()))).result.model.provider == "p2"
    assert [at for _, at in world.asked] == pytest.approx([0.0, 20.0, 40.0])


def test_if_one_of_two_attempts_fails_the_next_candidate_starts_at_once() -> None:
    world = World([SILENT], [Script(head=0.5, status=401)], [GOOD], concurrent=True, hedge=Hedge(delay=1.0))
    outcome = replayed(world.run())
    assert outcome.result.model.provider == "p2"
    assert world.asked == [("p0", 0.0), ("p1", 1.0), ("p2", 1.5)]


def test_a_retry_beside_an_attempt_starts_after_its_wait() -> None:
    failing = Script(head=0.5, status=503, headers=(("retry-after", "1"),))
    world = World([SILENT], [failing, GOOD], concurrent=True, hedge=Hedge(delay=1.0))
    outcome = replayed(world.run())
    assert outcome.result.model.provider == "p1"
    assert world.asked[2][1] == pytest.approx(2.5, abs=0.2)


def test_a_silent_attempt_that_another_one_beat_counts_against_health() -> None:
    world = World([SILENT], [GOOD], concurrent=True, breaker=BreakerPolicy(consecutive_failures=1))
    assert world.run(Chat(world.request())).result.model.provider == "p1"
    assert [health.times_opened for health in world.core.health(31.0)] == [1, 0]


# -- the body of an error ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [0, 10_000])
def test_an_error_body_that_does_not_end_is_read_for_two_seconds(pieces: int) -> None:
    endless = Script(status=503, body=((0.1, b"x"),) * pieces, end="silent")
    world = World([endless], [GOOD], max_retries=0)
    outcome = replayed(world.run())
    assert outcome.result.model.provider == "p1"
    assert world.asked[1][1] == pytest.approx(2.0, abs=0.2)
    assert "overloaded, status 503" in outcome.call.trace.explain()


def test_the_status_decides_although_the_deadline_passes_in_its_body() -> None:
    world = World([Script(status=503, end="silent")], timeout=1.0, max_retries=0)
    assert isinstance(world.run().error, Overloaded)


# -- silence and health --------------------------------------------------------------------------------------------


def open_breakers(world: World) -> list[str]:
    states = world.core.scheduler.states()
    return [key for key, state in states.items() if state.breaker.state(world.simulation.now) == "open"]


def test_a_deadline_that_passes_in_silence_counts_if_there_was_time_enough() -> None:
    world = World([GOOD, SILENT], breaker=BreakerPolicy(consecutive_failures=1))
    world.run()
    assert world.run(Chat(world.request()), timeout=20.0).error is not None
    assert open_breakers(world) == ["p0/m"]


def test_short_timeouts_of_a_caller_open_no_breaker() -> None:
    world = World([SILENT], [SILENT], breaker=BreakerPolicy(consecutive_failures=1))
    for _ in range(5):
        assert world.run(timeout=3.0).error is not None
    assert open_breakers(world) == []


def test_a_candidate_that_does_not_respond_is_passed_over_while_another_is_free() -> None:
    usual = Script(head=0.5, body=GOOD.body)
    world = World([usual] * 20 + [SILENT], [GOOD])
    for number in range(20):
        world.run(at=float(number))
    for number in range(40):
        world.simulation.call(Stream(world.request()), at=30.0 + number / 4)
    world.simulation.run(until=40.0)
    late = [name for name, at in world.asked if at > 32.0]
    assert late.count("p0") <= 5, "one attempt at a time tests it"
    assert late.count("p1") >= 25
    traces = [outcome.call.trace.explain() for outcome in world.simulation.outcomes]
    assert any("p0/m skipped: not responding" in trace for trace in traces)


def test_it_is_used_nevertheless_if_no_other_is_left() -> None:
    world = World([SILENT])
    for number in range(5):
        world.simulation.call(Stream(world.request()), at=number * 12.0)
    world.simulation.run(until=50.0)
    assert len(world.asked) >= 5


def test_the_first_token_of_a_probe_closes_the_breaker() -> None:
    long = Script(body=((0.1, lines("tone")), (30.0, lines("f"))))
    world = World([DOWN, long], max_retries=0, breaker=BreakerPolicy(consecutive_failures=1))
    world.run()
    world.simulation.call(Stream(world.request()), at=6.0)
    world.simulation.run(until=7.0)
    assert world.core.scheduler.states()["p0/m"].breaker.state(7.0) == "closed"


def test_a_probe_without_a_result_is_not_waited_for() -> None:
    world = World([DOWN, SILENT, GOOD], [GOOD], breaker=BreakerPolicy(consecutive_failures=1), max_retries=0)
    world.run()
    for at in (6.0, 7.0, 22.0):
        world.simulation.call(Stream(world.request(0, 1)), at=at)
    world.simulation.run(until=23.0)
    assert [name for name, at in world.asked if at >= 6.0] == ["p0", "p1", "p0"]
