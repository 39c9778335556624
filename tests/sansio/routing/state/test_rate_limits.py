"""What a call does after a provider refused it because of a rate limit, and what other calls do then."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.sansio.routing.small_worlds import GOOD, World
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import AllRateLimited, RateLimited
from turnout.providers import create
from turnout.providers.protocol import ModelProfile
from turnout.routing.call.operations import Chat
from turnout.routing.commands import Finish, Open
from turnout.routing.policy.settings import BreakerPolicy, Limit
from turnout.routing.replay import replay
from turnout.routing.router import RouterCore
from turnout.simulation import Script


def limited(seconds: float | None = None) -> Script:
    headers = (("retry-after", f"{seconds:g}"),) if seconds is not None else ()
    return Script(status=429, headers=headers)


def test_a_short_wait_is_waited_for() -> None:
    world = World([limited(2), GOOD], [GOOD])
    assert world.run().result.model.provider == "p0"
    assert 2.0 <= world.asked[1][1] <= 2.3


def test_a_longer_wait_makes_the_call_fall_back_at_once() -> None:
    world = World([limited(20), GOOD], [GOOD])
    outcome = world.run()
    assert world.asked == [("p0", 0.0), ("p1", 0.0)]
    assert "turning from p0/m: rate-limit, and its provider asks to wait 20 s" in outcome.call.trace.explain()


def test_the_rival_may_be_the_third_model() -> None:
    busy = Script(head=100.0, body=GOOD.body)
    world = World([limited(), GOOD], [busy], [GOOD], limits={"p1": Limit(max_concurrency=1)})
    world.simulation.call(Chat(world.request(1)))  # p1 has no place
    outcome = world.run(at=1.0)
    assert outcome.result.model.provider == "p2"
    assert outcome.ended == 1.0


def test_the_wait_that_counts_as_short_is_a_setting() -> None:
    world = World([limited(5), GOOD], [GOOD], short_wait=5.0)
    assert world.run().result.model.provider == "p0"


def test_without_a_hint_the_call_falls_back_at_once() -> None:
    world = World([limited()], [GOOD])
    world.run()
    assert world.asked == [("p0", 0.0), ("p1", 0.0)]
    world.run(at=3.0)
    assert world.who[2:] == ["p1"], "it cools down for some seconds"
    world.run(at=7.0)
    assert world.who[3:] == ["p0", "p1"]
    world.run(at=15.0)
    assert world.who[5:] == ["p1"], "and for longer if it refuses again"


def test_without_a_rival_the_call_waits_for_what_its_provider_asks() -> None:
    world = World([limited(20), GOOD])
    outcome = world.run()
    assert outcome.error is None
    assert world.asked[1][1] == pytest.approx(20.0, abs=1e-4)
    assert "queued: every candidate is blocked: paced" in outcome.call.trace.explain()


def test_other_calls_wait_too_and_nothing_overrides_that() -> None:
    world = World([limited(20), GOOD], when_all_in_cooldown="try_anyway")
    for at in (0.0, 1.0, 2.0):
        world.simulation.call(Chat(world.request()), at=at)
    world.simulation.run()
    assert [at for _, at in world.asked] == pytest.approx([0.0, 20.0, 20.0, 20.0], abs=1e-4)


@pytest.mark.parametrize("status", [429, 503])
def test_a_call_behind_others_waits_for_what_the_provider_asks_as_they_do(status: int) -> None:
    """An open breaker may be tried anyway, but not by a newcomer while others wait for the provider."""
    refusal = Script(status=status, headers=(("retry-after", "20"),))
    world = World([refusal, GOOD], breaker=BreakerPolicy(consecutive_failures=1))
    for at, priority in ((0.0, 0.0), (1.0, 0.0), (2.0, 6.0)):
        world.simulation.call(Chat(world.request()), at=at, priority=priority)
    world.simulation.run()
    assert [at for _, at in world.asked] == pytest.approx([0.0, 20.0, 20.0, 20.0], abs=1e-4)


def test_a_call_that_may_not_wait_gets_the_seconds_in_its_error() -> None:
    world = World([limited(20), GOOD], when_at_capacity="reject")
    first = world.run().error
    assert isinstance(first, RateLimited)
    second = world.run(at=5.0).error
    assert isinstance(second, RateLimited)
    assert second.retry_after == pytest.approx(15.0, abs=1e-4)
    assert "the first one is available in 15 s" in str(second)
    assert len(world.asked) == 1


def test_limited_keys_do_not_hide_a_healthy_provider_behind_them() -> None:
    world = World(*[[limited(40)] for _ in range(4)], [GOOD])
    assert world.run().result.model.provider == "p4"
    assert [at for _, at in world.asked] == [0.0] * 5


def test_a_call_returns_to_a_limited_candidate_if_the_others_fail() -> None:
    world = World([limited(10), GOOD], [Script(status=401)])
    assert world.run().result.model.provider == "p0"
    assert world.who == ["p0", "p1", "p0"]


def test_if_all_are_limited_the_error_is_a_rate_limit_with_the_soonest_wait() -> None:
    world = World([limited(90)], [limited(70)])
    error = world.run().error
    assert isinstance(error, RateLimited)
    assert isinstance(error, AllRateLimited)
    assert error.retry_after == 70.0
    assert error.status == 429


def test_waiting_calls_are_released_few_first_and_more_as_they_are_accepted() -> None:
    slow = Script(head=1.0, body=GOOD.body)
    world = World([limited(10), slow])
    world.simulation.call(Chat(world.request()))
    for _ in range(7):
        world.simulation.call(Chat(world.request()), at=1.0)
    world.simulation.run()
    times = [round(at) for _, at in world.asked[1:]]
    assert times == [10, 11, 11, 12, 12, 12, 12, 13]


def test_refusals_with_a_wait_do_not_use_up_the_retries() -> None:
    world = World([limited(20)] * 6 + [GOOD], max_retries=2, timeout=300.0)
    assert world.run().error is None
    assert [round(at) for _, at in world.asked] == [0, 20, 40, 60, 80, 100, 120]


@pytest.mark.parametrize("wait", [None, 1.0, 20.0, 90.0])
def test_the_decisions_can_be_replayed(wait: float | None) -> None:
    world = World([limited(wait), GOOD], [limited(wait)], [GOOD])
    for at in (0.0, 1.0, 30.0):
        outcome = world.run(at=at)
        assert replay(json.loads(json.dumps(outcome.call.trace.to_dict()))) == ()


# -- by hand -------------------------------------------------------------------------------------------------------


def test_a_cooldown_can_be_read_set_and_lifted() -> None:
    world = World([GOOD], [GOOD])
    world.run()
    world.core.cool_down("p0/m", 20.0, 1.0)
    assert [health.available_in for health in world.core.health(1.0)] == [20.0, 0.0]
    world.run(at=2.0)
    world.core.reset("p0/m", 3.0)
    world.run(at=4.0)
    assert world.who == ["p0", "p1", "p0"]


def test_a_cooldown_has_a_ceiling() -> None:
    world = World([limited(10_000)], [GOOD])
    world.run()
    assert world.core.health(0.0)[0].available_in == 300.0
    world.core.cool_down("p1/m", 1e9, 0.0)
    assert world.core.health(0.0)[1].available_in == 300.0


def test_a_reset_lifts_the_pace_and_what_was_learnt_and_wakes_the_calls_that_wait() -> None:
    world = World([limited(50), GOOD])
    world.simulation.call(Chat(world.request()))
    world.simulation.at(10.0, lambda: world.core.reset(None, 10.0))
    world.simulation.run()
    assert world.simulation.outcomes[0].error is None
    assert [at for _, at in world.asked] == [0.0, 10.0]


def test_an_unknown_candidate_is_an_error_that_names_the_known_ones() -> None:
    world = World([GOOD])
    world.run()
    with pytest.raises(ValueError, match="known are: p0/m"):
        world.core.cool_down("p0/other", 1.0, 0.0)
    with pytest.raises(ValueError, match="above 0"):
        world.core.cool_down("p0/m", 0.0, 0.0)


def test_learning_can_be_turned_off() -> None:
    told = (("x-ratelimit-limit-requests", "60"), ("x-ratelimit-remaining-requests", "0"))
    script = Script(headers=(*told, ("x-ratelimit-reset-requests", "20s")), body=GOOD.body)
    world = World([script], learn_limits=False)
    world.run()
    world.run(at=1.0)
    assert [at for _, at in world.asked] == [0.0, 1.0]


@pytest.mark.parametrize("action", ["raise", "fallback"])
def test_a_caller_s_invalid_request_cools_nothing_down(action: Any) -> None:
    world = World([Script(status=400, headers=(("retry-after", "60"),)), GOOD], rules={"invalid-request": action})
    assert world.run().error is not None
    assert world.core.health(world.simulation.now)[0].available_in == 0.0


def test_max_tokens_does_not_waste_a_limit_once_the_answers_are_known() -> None:
    state = World([GOOD]).core.scheduler.state_of("p", "p/m", ModelProfile())
    assert state.usual_completion(4096) == 4096
    for _ in range(10):
        state.record_completion(100)
    assert state.usual_completion(4096) == 100
    assert state.usual_completion(50) == 50


def test_a_limit_that_reports_show_to_be_far_away_holds_nobody_back() -> None:
    # As OpenAI's: an even refill, so that 29 remain however many were sent before. In fact 90 a minute are accepted.
    reports = [
        ("x-ratelimit-limit-requests", "30"),
        ("x-ratelimit-remaining-requests", "29"),
        ("x-ratelimit-reset-requests", "2s"),
    ]
    core = RouterCore(rng=random.Random(1))
    core.register(create("openai", api_key="k"))
    reply = b'{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}'
    for number in range(120):
        now = number * 2 / 3
        call = core.start(Chat(ChatRequest(ModelConfig("openai", "m"), "x")), now)
        assert isinstance(call.next_command(now), Open)
        call.receive_head(1, 200, reports, now)
        call.receive_data(1, reply, now)
        call.receive_end(1, now)
        while not isinstance(call.next_command(now), Finish):
            pass
        call.release(now)
