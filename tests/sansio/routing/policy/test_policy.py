"""Each rule of the policy, case by case, through the real core on a virtual clock."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from tests.sansio.routing.line_dialect import LineProvider
from tests.sansio.routing.small_worlds import DOWN, GOOD, World
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import (
    ConcurrencyExceeded,
    ContextLengthExceeded,
    DeadlineExceeded,
    ProviderNotRegistered,
    ProviderUnavailable,
    ServerError,
)
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.commands import Open
from turnout.routing.policy.routes import Choice, Route
from turnout.routing.policy.settings import BreakerPolicy, Limit, Policy
from turnout.routing.replay import replay
from turnout.routing.router import RouterCore
from turnout.simulation import Script

# -- who is repeated -----------------------------------------------------------------------------------------------


def test_what_may_have_been_processed_is_not_repeated_for_those_who_say_so() -> None:
    world = World([Script(reset="fresh")], [GOOD], retry_mode="only_if_unsent")
    assert world.run().error is not None
    assert world.who == ["p0"]
    unsent = World([Script(refused=True)], [GOOD], retry_mode="only_if_unsent", max_retries=0)
    assert unsent.run().error is None


def test_rules_can_be_given_per_class_and_per_provider() -> None:
    world = World([DOWN], [DOWN], [GOOD], rules={"server": "fallback", "p1:server": "raise"})
    outcome = world.run()
    assert isinstance(outcome.error, ServerError)
    assert world.who == ["p0", "p1"]


def test_an_attempt_has_a_time_of_its_own() -> None:
    world = World([Script(head=100.0)], [GOOD], attempt_timeout=3.0)
    world.run(Chat(world.request()))
    assert world.asked[1] == ("p1", 3.0)


def test_the_time_of_an_attempt_does_not_bound_the_wait_for_it() -> None:
    world = World([Script(status=429, headers=(("retry-after", "5"),)), GOOD], attempt_timeout=4.0)
    assert world.run().error is None
    assert world.asked[1][1] >= 5.0


@pytest.mark.parametrize("asked_for", ["1e305", "inf", "nan", "-1"])
def test_a_retry_after_that_is_no_time_is_survived(asked_for: str) -> None:
    limited = Script(status=429, headers=(("retry-after", asked_for),))
    world = World([limited], [GOOD], max_retries=1)
    for at in (0.0, 1.0):
        outcome = world.run(at=at)
        assert outcome.result.model.provider == "p1"
        assert replay(json.loads(json.dumps(outcome.call.trace.to_dict(), allow_nan=False))) == ()


# -- breakers and cooldowns ----------------------------------------------------------------------------------------


def test_a_candidate_that_fails_is_left_alone_and_probed() -> None:
    breaker = BreakerPolicy(consecutive_failures=2, break_duration=10.0)
    world = World([DOWN] * 4 + [GOOD], [GOOD], max_retries=1, breaker=breaker)
    world.run()
    world.run(at=1.0)
    assert world.who == ["p0", "p0", "p1", "p1"], "the second call leaves it alone"
    world.run(at=11.0)
    assert world.who[4:] == ["p0", "p1"], "a probe fails, and is not tried again"
    world.run(at=20.0)
    assert world.who[6:] == ["p1"], "open for longer now"
    last = world.run(at=40.0)
    assert world.who[7:] == ["p0", "p1"]
    assert "as a probe" in last.call.trace.explain()
    world.run(at=100.0)
    assert world.who[9:] == ["p0"], "healed"
    world.run(at=101.0)
    assert world.who[10:] == ["p0"]


def test_connections_that_fail_count() -> None:
    world = World([Script(refused=True)], [GOOD], max_retries=0, breaker=BreakerPolicy(consecutive_failures=1))
    world.run()
    world.run(at=1.0)
    assert world.who == ["p0", "p1", "p1"]


def test_a_retry_after_holds_for_other_calls_too() -> None:
    limited = Script(status=429, headers=(("retry-after", "30"),))
    world = World([limited, GOOD], [GOOD], max_retries=0)
    world.run()
    passed = world.run(at=5.0)
    assert "p0/m skipped: paced (limit of p0/m, as its provider asks), for 25 s" in passed.call.trace.explain()
    world.run(at=31.0)
    assert world.who == ["p0", "p1", "p1", "p0"]


def test_the_last_candidate_left_is_still_tried() -> None:
    world = World([DOWN], max_retries=0, breaker=BreakerPolicy(consecutive_failures=1))
    world.run()
    outcome = world.run(at=1.0)
    assert len(world.asked) == 2
    assert "because no other is left" in outcome.call.trace.explain()


def test_a_call_may_wait_for_the_first_that_returns() -> None:
    breaker = BreakerPolicy(consecutive_failures=1, break_duration=10.0)
    world = World([DOWN, GOOD], max_retries=0, when_all_in_cooldown="wait", breaker=breaker)
    world.run()
    outcome = world.run(at=1.0)
    assert outcome.error is None
    assert world.asked[1][1] == pytest.approx(10.0, abs=1e-4)
    assert "queued: every candidate is blocked: breaker open" in outcome.call.trace.explain()


def test_no_call_waits_for_what_returns_after_its_deadline() -> None:
    breaker = BreakerPolicy(consecutive_failures=1, break_duration=100.0, max_break_duration=100.0)
    world = World([DOWN], max_retries=0, when_all_in_cooldown="wait", breaker=breaker)
    world.run()
    outcome = world.run(at=1.0)
    assert isinstance(outcome.error, ProviderUnavailable)
    assert outcome.ended == 1.0
    assert "after the deadline" in str(outcome.error)
    assert "free again in 99 s" in str(outcome.error)
    assert str(outcome.error).endswith("; raise the timeout, or add a fallback")


def test_a_call_may_fail_where_all_cool_down() -> None:
    world = World([DOWN], max_retries=0, when_all_in_cooldown="fail", breaker=BreakerPolicy(consecutive_failures=1))
    world.run()
    outcome = world.run(at=1.0)
    assert isinstance(outcome.error, ProviderUnavailable)
    assert len(world.asked) == 1


# -- limits --------------------------------------------------------------------------------------------------------


def test_a_provider_at_its_limit_is_passed_over() -> None:
    slow = Script(head=5.0, body=GOOD.body)
    world = World([slow], [GOOD], limits={"p0": Limit(max_concurrency=1)})
    for _ in range(2):
        world.simulation.call(Stream(world.request()))
    world.simulation.run()
    assert world.asked == [("p0", 0.0), ("p1", 0.0)]


def test_requests_a_minute_are_kept_to() -> None:
    world = World([GOOD], limits={"p0/m": Limit(requests_per_minute=2)}, timeout=100.0)
    for number in range(5):
        world.simulation.call(Stream(world.request()), at=number * 0.5)
    world.simulation.run()
    times = [at for _, at in world.asked]
    assert times == pytest.approx([0.0, 0.5, 60.0, 60.5], abs=0.3), "the fifth would have to wait beyond its deadline"
    for at in times:
        assert sum(at <= other < at + 60.0 for other in times) <= 2
    errors = [outcome.error for outcome in world.simulation.outcomes]
    assert [type(error) for error in errors] == [type(None)] * 4 + [ConcurrencyExceeded]


def test_tokens_a_minute_are_estimated_and_then_corrected() -> None:
    world = World([GOOD], limits={"p0": Limit(tokens_per_minute=3000)}, timeout=10.0, when_at_capacity="reject")
    big = ChatRequest(ModelConfig("p0", "m", max_tokens=2500), "x")
    assert world.run(Stream(big)).error is None
    assert isinstance(world.run(Stream(big)).error, ConcurrencyExceeded)
    small = ChatRequest(ModelConfig("p0", "m", max_tokens=100), "x")
    assert world.run(Stream(small)).error is None


def test_only_requests_that_were_never_sent_do_not_count() -> None:
    never_sent = Script(refused=True)
    world = World([never_sent, never_sent, GOOD], limits={"p0": Limit(requests_per_minute=1)}, breaker=None)
    assert world.run().error is None
    assert len(world.asked) == 3
    sent = World([DOWN, GOOD], limits={"p0": Limit(requests_per_minute=1)}, timeout=100.0)
    assert sent.run().error is None
    assert sent.asked[1][1] == pytest.approx(60.0, abs=0.3), "the provider has counted the request that failed"


# -- money, windows, filters ---------------------------------------------------------------------------------------


def test_a_context_overflow_moves_to_a_larger_window_only() -> None:
    class Overflowing(LineProvider):
        def _read_error(self, status: int, headers: Any, body: bytes) -> Any:
            return ContextLengthExceeded("too long", status=status, provider=self.name)

    world = World(
        [Script(status=400)], [GOOD], [GOOD], [GOOD], context_windows={"p0/m": 8000, "p1/m": 8000, "p2/m": 32000}
    )
    world.core.register(Overflowing("p0"), replace=True)
    outcome = world.run()
    assert world.who == ["p0", "p2"]
    assert "p1/m is excluded: its context window is no larger" in outcome.call.trace.explain()


def test_routing_around_a_content_filter_is_the_caller_s_choice() -> None:
    blocked = Script(status=451)
    assert World([blocked], [GOOD]).run().error is not None
    world = World([blocked], [GOOD], rules={"content-filter": "fallback"})
    assert world.run().result.model.provider == "p1"


# -- routes --------------------------------------------------------------------------------------------------------


def test_a_route_stands_in_place_of_a_model() -> None:
    world = World([DOWN], [GOOD], [GOOD])
    route = Route("fast", [Choice(ModelConfig("p0", "m")), Choice(ModelConfig("p1", "m", temperature=0.5))])
    world.core.add_route(route)
    request = ChatRequest(ModelConfig.route("fast", max_tokens=7), "x", fallbacks=["p2/m"])
    outcome = world.run(Stream(request))
    assert outcome.result.model == ModelConfig("p1", "m", temperature=0.5, max_tokens=7)
    told = outcome.call.trace.explain()
    assert told.startswith("stream over route/fast, p2/m")
    assert "route fast, ordered: p0/m, p1/m" in told
    assert [str(status.model) for status in world.core.explain_plan(request)] == ["p0/m", "p1/m", "p2/m"]


def test_a_route_has_rules_of_its_own() -> None:
    world = World([DOWN], [GOOD])
    world.core.add_route(
        Route("careful", [ModelConfig("p0", "m"), ModelConfig("p1", "m")], policy=Policy(max_retries=0))
    )
    world.run(Stream(ChatRequest("route/careful", "x")))
    assert world.who == ["p0", "p1"]
    world.run(Stream(ChatRequest("route/careful", "x")), policy=Policy(max_retries=1))
    assert world.who[2:] == ["p0", "p0", "p1"], "the call's own stand over the route's"


def test_an_unknown_route_is_told_with_those_there_are() -> None:
    world = World([GOOD])
    world.core.add_route(Route("fast", [ModelConfig("p0", "m")]))
    with pytest.raises(ValueError, match="there already"):
        world.core.add_route(Route("fast", [ModelConfig("p0", "m")]))
    with pytest.raises(ValueError, match="kept for routes"):
        world.core.register(LineProvider("route"))
    outcome = world.run(Stream(ChatRequest("route/slow", "x")))
    assert isinstance(outcome.error, ProviderNotRegistered)
    assert "no route named 'slow' (it has: fast)" in str(outcome.error)


def test_load_spreads_over_equals() -> None:
    slow = Script(head=1.0, body=GOOD.body)
    world = World([slow], [slow], [slow])
    models = [ModelConfig(f"p{number}", "m") for number in range(3)]
    world.core.add_route(Route("even", models, "least-busy"))
    for _ in range(9):
        world.simulation.call(Stream(ChatRequest("route/even", "x")))
    world.simulation.run()
    assert sorted(world.who) == ["p0"] * 3 + ["p1"] * 3 + ["p2"] * 3


def test_the_faster_is_preferred_once_it_is_known() -> None:
    world = World([Script(head=3.0, body=GOOD.body)], [Script(head=0.1, body=GOOD.body)])
    world.core.add_route(Route("quick", [ModelConfig("p0", "m"), ModelConfig("p1", "m")], "lowest-latency"))
    for _ in range(10):
        world.run(Stream(ChatRequest("route/quick", "x")))
    assert world.who.count("p0") <= 1


@pytest.mark.full
def test_names_without_end_fill_no_memory_and_what_matters_is_kept() -> None:
    world = World(
        [Script(status=429, headers=(("retry-after", "900"),))], [GOOD], limits={"p1/kept": Limit(max_concurrency=1)}
    )
    world.run(Stream(ChatRequest("p0/cooling", "x")))
    world.run(Stream(ChatRequest("p1/kept", "x")))
    for number in range(5000):
        world.run(Stream(ChatRequest(f"p1/m{number}", "x")))
    standings = world.core.scheduler.states()
    assert len(standings) <= 1001
    assert {"p0/cooling", "p1/kept"} <= set(standings)


def test_a_deadline_is_nobody_s_fault() -> None:
    world = World([Script(head=500.0)], breaker=BreakerPolicy(consecutive_failures=1))
    outcome = world.run(Chat(world.request()), timeout=2.0)
    assert isinstance(outcome.error, DeadlineExceeded)
    (standing,) = world.core.scheduler.states().values()
    assert standing.breaker.state(2.0) == "closed"


def test_a_deadline_while_connecting_is_nobody_s_fault_either() -> None:
    world = World([Script(connect=math.inf)], breaker=BreakerPolicy(consecutive_failures=1))
    outcome = world.run(timeout=1.0)
    assert isinstance(outcome.error, DeadlineExceeded)
    (standing,) = world.core.scheduler.states().values()
    assert standing.breaker.state(1.0) == "closed"


def test_calls_in_a_hurry_say_nothing_against_those_who_take_their_time() -> None:
    """Where content takes 1 s as it always did, a caller who gives 0.5 s opens no breaker for the others."""
    steady = Script(head=1.0, body=GOOD.body)
    world = World([steady], [steady])
    for _ in range(3):
        assert world.run(Chat(world.request())).error is None
    for _ in range(10):
        assert world.run(Chat(world.request()), timeout=0.5).error is not None
    now = world.simulation.now
    assert [standing.breaker.state(now) for standing in world.core.scheduler.states().values()] == ["closed"] * 2


def test_silence_counts_where_content_came_sooner_before() -> None:
    world = World([GOOD, Script(head=500.0)], [GOOD], breaker=BreakerPolicy(consecutive_failures=1))
    world.run()
    world.run(timeout=2.0)
    assert world.core.scheduler.states()["p0/m"].breaker.state(world.simulation.now) == "open"


def test_whom_waiting_may_let_in_at_any_moment_is_waited_for() -> None:
    """p1 rests for longer than the call has, but p0 is only busy with another call."""
    busy = Script(head=5.0, body=GOOD.body)
    resting = Script(status=429, headers=(("retry-after", "900"),))
    world = World([busy], [resting], limits={"p0": Limit(max_concurrency=1)}, max_retries=0)
    world.simulation.call(Stream(world.request(1, 0)))
    world.simulation.call(Stream(world.request(0, 1)), at=1.0)
    world.simulation.run()
    outcome = world.simulation.outcomes[1]
    assert outcome.error is None, outcome.call.trace.explain()
    assert [at for name, at in world.asked if name == "p0"] == pytest.approx([0.0, 5.0])


def test_who_waits_for_a_probe_is_let_in_by_its_answer_and_before_newcomers() -> None:
    """The probe's answer is whole at 3.5, its body has not ended; a call that came at 3.0 waits, one comes at 3.6."""
    lingering = Script(head=1.0, body=GOOD.body, end="silent")
    breaker = BreakerPolicy(consecutive_failures=1, break_duration=2.0)
    world = World([DOWN, lingering, GOOD], max_retries=0, when_all_in_cooldown="wait", breaker=breaker)
    world.run()
    for at in (2.5, 3.0, 3.6):
        world.simulation.call(Stream(world.request()), at=at)
    world.simulation.run()
    assert [at for _, at in world.asked[2:]] == pytest.approx([3.5, 3.6])


def test_to_look_at_the_plan_takes_nobody_s_turn() -> None:
    world = World([GOOD], [GOOD])
    world.core.add_route(Route("both", ["p0/m", "p1/m"], "round-robin"))
    request = ChatRequest("route/both", "x")
    for _ in range(4):
        world.core.explain_plan(request)
        world.run(Stream(request))
    assert world.who == ["p0", "p1", "p0", "p1"]


def test_what_is_granted_while_a_call_asks_is_not_lost() -> None:
    """Another thread gives back its place between the asking and the taking note of the answer."""
    then: list[Any] = []

    class Lock:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            while then:
                then.pop()()

    core = RouterCore(Policy(max_concurrency=1), random.Random(1), Lock())
    core.register(LineProvider("p0"))
    first, second = (core.start(Stream(ChatRequest("p0/m", "x")), 0.0) for _ in range(2))
    assert isinstance(first.next_command(0.0), Open)
    then.append(lambda: first.cancel(0.0))
    command = second.next_command(0.0)
    assert second.is_runnable or isinstance(command, Open)
