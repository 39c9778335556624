"""Each rule of the policy, case by case, through the real core on a virtual clock."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.sansio.routing.line_dialect import LineProvider, lines, text_of
from turnout.chat import Capability, ChatRequest, ModelConfig, ResponseFormat
from turnout.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    ConcurrencyExceeded,
    ContextLengthExceeded,
    DeadlineExceeded,
    ProviderNotRegistered,
    ProviderUnavailable,
    ServerError,
    StreamFailed,
    StreamInterrupted,
)
from turnout.events import End, Restarted
from turnout.http import HttpRequest
from turnout.messages import Message
from turnout.prices import Price
from turnout.providers.protocol import ModelFacts
from turnout.routing.operations import Chat, Operation, Stream
from turnout.routing.policy import BreakerPolicy, Hedge, Limit, Policy
from turnout.routing.router import RouterCore
from turnout.routing.routes import Choice, Route
from turnout.simulation import Outcome, Script, Simulation

GOOD = Script(body=((0.0, lines("tone", "ttwo", "f")),))
CUT = Script(body=((0.0, lines("tone")), (0.1, lines("ttwo"))), end="cut")
DOWN = Script(status=500)


class World:
    """Providers p0, p1, … with a script for each of their exchanges; the last script is played again and again."""

    def __init__(self, *scripts: list[Script], facts: dict[int, ModelFacts] | None = None, **policy: Any) -> None:
        self.core = RouterCore(Policy(**policy), random.Random(1))
        for number in range(len(scripts)):
            known = (facts or {}).get(number, ModelFacts())
            self.core.register(LineProvider(f"p{number}", known=known))
        self.left = {f"p{number}.test": list(mine) for number, mine in enumerate(scripts)}
        self.asked: list[tuple[str, float]] = []
        self.simulation = Simulation(self.core, self.answer)

    def answer(self, request: HttpRequest, now: float) -> Script:
        host = request.url.split("/")[2]
        self.asked.append((host.removesuffix(".test"), now))
        mine = self.left[host]
        return mine.pop(0) if len(mine) > 1 else mine[0]

    def request(self, *places: int, **options: Any) -> ChatRequest:
        models = [ModelConfig(f"p{number}", "m") for number in places or range(len(self.left))]
        return ChatRequest(models[0], "x", fallbacks=models[1:], **options)

    def run(self, operation: Operation | None = None, *, at: float | None = None, **options: Any) -> Outcome:
        when = self.simulation.now if at is None else at
        self.simulation.call(operation or Stream(self.request()), at=when, **options)
        self.simulation.run()
        return self.simulation.outcomes[-1]

    @property
    def who(self) -> list[str]:
        return [name for name, _ in self.asked]


def texts(outcome: Outcome) -> list[str]:
    """What was delivered, from restart to restart."""
    parts = [""]
    for _, event in outcome.events:
        if isinstance(event, Restarted):
            parts.append("")
        else:
            parts[-1] += text_of([event])
    return parts


# -- streams that break ---------------------------------------------------------------------------------------------


def test_a_broken_stream_restarts_elsewhere_where_it_may() -> None:
    world = World([CUT], [GOOD], on_interrupt="restart")
    outcome = world.run()
    assert texts(outcome) == ["onetwo", "onetwo"]
    restarted = next(event for _, event in outcome.events if isinstance(event, Restarted))
    assert restarted.attempt == 2
    assert restarted.partial is not None
    assert restarted.partial.text == "onetwo"
    assert outcome.result.model.provider == "p1"
    assert world.who == ["p0", "p1"]


def test_a_lone_candidate_restarts_itself() -> None:
    world = World([CUT, GOOD], on_interrupt="restart")
    assert texts(world.run()) == ["onetwo", "onetwo"]
    assert world.asked[1][1] > world.asked[0][1] + 0.1, "after a wait"


def test_a_restart_that_fails_in_the_end_has_the_partial_answer() -> None:
    world = World([CUT], [DOWN], on_interrupt="restart", retries=0)
    outcome = world.run()
    assert isinstance(outcome.error, StreamFailed)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "onetwo"
    assert isinstance(outcome.error.__cause__, AllAttemptsFailed)


def test_a_restart_has_a_deadline_of_its_own() -> None:
    slow = Script(body=((0.0, lines("tone")), (50.0, lines("ttwo"))), end="cut")
    world = World([slow], [GOOD], on_interrupt="restart", timeout=20.0)
    assert world.run().error is None
    late = World([slow], [Script(head=500.0)], on_interrupt="restart", timeout=20.0)
    outcome = late.run()
    assert isinstance(outcome.error, StreamInterrupted)
    assert outcome.ended == pytest.approx(50.0 + 20.0)


def test_a_total_bounds_restarts_too() -> None:
    world = World([CUT], [Script(head=500.0)], on_interrupt="restart")
    outcome = world.run(total=7.0)
    assert outcome.ended == pytest.approx(7.0)
    assert isinstance(outcome.error, StreamInterrupted)


def test_a_model_that_can_goes_on_where_the_answer_broke() -> None:
    rest = Script(body=((0.0, lines("tthree", "f")),))
    world = World([CUT], [GOOD], [rest], facts={2: ModelFacts(prefill={})}, on_interrupt="resume")
    outcome = world.run()
    assert texts(outcome) == ["onetwothree"]
    assert outcome.result.text == "onetwothree"
    assert outcome.result.model.provider == "p2"
    assert world.who == ["p0", "p2"], "the one in between cannot"


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (CUT, {"response_format": ResponseFormat.json()}),
        (Script(body=((0.0, lines("rhm", "tone")),), end="cut"), {}),
        (Script(body=((0.0, lines("tone ")),), end="cut"), {}),
    ],
    ids=["structured", "reasoning", "ends in white space"],
)
def test_what_cannot_be_gone_on_with_is_raised(script: Script, options: dict[str, Any]) -> None:
    world = World([script], [GOOD], facts={1: ModelFacts(prefill={})}, on_interrupt="resume")
    for number in range(2):
        provider = LineProvider(f"p{number}", known=ModelFacts(prefill={}))
        provider.capabilities = provider.capabilities | {Capability.JSON}
        world.core.register(provider, replace=True)
    outcome = world.run(Stream(world.request(**options)))
    assert isinstance(outcome.error, StreamInterrupted)
    assert world.who == ["p0"]


def test_a_resumed_answer_keeps_to_its_ceiling_and_adds_up_its_usage() -> None:
    seen: list[Any] = []

    class Counting(LineProvider):
        def stream(self, request: ChatRequest) -> Any:
            seen.append(request)
            return super().stream(request)

    world = World([CUT], [Script(body=((0.0, lines("tthree", "f")),))], on_interrupt="resume")
    world.core.register(Counting("p1", known=ModelFacts(prefill={"prefix": True})), replace=True)
    models = [ModelConfig("p0", "m", max_tokens=100), ModelConfig("p1", "m", max_tokens=100)]
    world.run(Stream(ChatRequest(models[0], "x", fallbacks=models[1:])))
    (resumed,) = seen
    assert resumed.messages[-1] == Message("assistant", "onetwo", extra={"prefix": True})
    assert resumed.model.max_tokens == 98


# -- who is repeated -----------------------------------------------------------------------------------------------


def test_what_may_have_been_processed_is_not_repeated_for_those_who_say_so() -> None:
    world = World([Script(reset="fresh")], [GOOD], replay="only_if_unsent")
    assert world.run().error is not None
    assert world.who == ["p0"]
    unsent = World([Script(refused=True)], [GOOD], replay="only_if_unsent", retries=0)
    assert unsent.run().error is None


def test_rules_can_be_given_per_class_and_per_provider() -> None:
    world = World([DOWN], [DOWN], [GOOD], rules={"server": "move-on", "p1:server": "stop"})
    outcome = world.run()
    assert isinstance(outcome.error, ServerError)
    assert world.who == ["p0", "p1"]


def test_an_attempt_has_a_time_of_its_own() -> None:
    world = World([Script(head=100.0)], [GOOD], attempt_timeout=3.0)
    world.run(Chat(world.request()))
    assert world.asked[1] == ("p1", 3.0)


# -- breakers and cooldowns ----------------------------------------------------------------------------------------


def test_a_candidate_that_fails_is_left_alone_and_probed() -> None:
    breaker = BreakerPolicy(consecutive=2, open_for=10.0)
    world = World([DOWN] * 4 + [GOOD], [GOOD], retries=1, breaker=breaker)
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
    world = World([Script(refused=True)], [GOOD], retries=0, breaker=BreakerPolicy(consecutive=1))
    world.run()
    world.run(at=1.0)
    assert world.who == ["p0", "p1", "p1"]


def test_a_retry_after_holds_for_other_calls_too() -> None:
    limited = Script(status=429, headers=(("retry-after", "30"),))
    world = World([limited, GOOD], [GOOD], retries=0)
    world.run()
    passed = world.run(at=5.0)
    assert "passed over: cooling for 25 s more" in passed.call.trace.explain()
    world.run(at=31.0)
    assert world.who == ["p0", "p1", "p1", "p0"]


def test_the_last_candidate_left_is_still_tried() -> None:
    world = World([DOWN], retries=0, breaker=BreakerPolicy(consecutive=1))
    world.run()
    outcome = world.run(at=1.0)
    assert len(world.asked) == 2
    assert "for there is no other" in outcome.call.trace.explain()


def test_a_call_may_wait_for_the_first_that_returns() -> None:
    limited = Script(status=429, headers=(("retry-after", "10"),))
    world = World([limited, GOOD], retries=0, on_exhausted="wait", breaker=None)
    world.run()
    outcome = world.run(at=1.0)
    assert outcome.error is None
    assert world.asked[1][1] == pytest.approx(10.0, abs=1e-4)
    assert "waits: every candidate is cooling" in outcome.call.trace.explain()


def test_no_call_waits_for_what_returns_after_its_deadline() -> None:
    limited = Script(status=429, headers=(("retry-after", "1000"),))
    world = World([limited], retries=0, on_exhausted="wait")
    world.run()
    outcome = world.run(at=1.0)
    assert isinstance(outcome.error, ProviderUnavailable)
    assert outcome.ended == 1.0
    assert "after the deadline" in str(outcome.error)


def test_a_call_may_fail_where_all_cool_down() -> None:
    world = World([DOWN], retries=0, on_exhausted="fail", breaker=BreakerPolicy(consecutive=1))
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
    world = World([GOOD], limits={"p0": Limit(tokens_per_minute=3000)}, timeout=10.0, on_full="reject")
    big = ChatRequest(ModelConfig("p0", "m", max_tokens=2500), "x")
    assert world.run(Stream(big)).error is None
    assert isinstance(world.run(Stream(big)).error, ConcurrencyExceeded)
    small = ChatRequest(ModelConfig("p0", "m", max_tokens=100), "x")
    assert world.run(Stream(small)).error is None


def test_what_failed_is_not_held_against_the_minute() -> None:
    world = World([DOWN, DOWN, GOOD], limits={"p0": Limit(requests_per_minute=1)}, retries=2, breaker=None)
    assert world.run().error is None
    assert len(world.asked) == 3


# -- money, windows, filters ---------------------------------------------------------------------------------------


def test_a_candidate_that_may_cost_too_much_is_skipped() -> None:
    prices = {"p0/m": Price(100.0, 100.0), "p1/m": Price(0.1, 0.1)}
    world = World([GOOD], [GOOD], prices=prices, max_cost=0.01)
    outcome = world.run()
    assert outcome.result.model.provider == "p1"
    assert "left of max_cost" in outcome.call.trace.explain()


def test_no_candidate_within_the_budget_is_an_error_before_sending() -> None:
    world = World([GOOD], [GOOD], prices={"p0/m": Price(100.0, 100.0)}, max_cost=0.01)
    outcome = world.run()
    assert isinstance(outcome.error, BudgetExceeded)
    assert "its price is not known" in str(outcome.error)
    assert world.asked == []


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
    assert "p1/m is skipped: its context window is no larger" in outcome.call.trace.explain()


def test_routing_around_a_content_filter_is_the_caller_s_choice() -> None:
    blocked = Script(status=451)
    assert World([blocked], [GOOD]).run().error is not None
    world = World([blocked], [GOOD], rules={"content-filter": "move-on"})
    assert world.run().result.model.provider == "p1"


# -- hedging in the core -------------------------------------------------------------------------------------------


def test_a_hedge_may_learn_when_it_is_worth_it() -> None:
    quick = Script(head=0.1, body=GOOD.body)
    slow = Script(head=9.0, body=GOOD.body)
    world = World([quick] * 20 + [slow], [quick], hedge=Hedge(quantile=0.9, budget=0.5))
    world.simulation.concurrent = True
    for _ in range(20):
        world.run()
    began = world.simulation.now
    outcome = world.run()
    assert outcome.result.model.provider == "p1"
    assert outcome.ended - began < 1.0


def test_calls_that_may_hedge_save_up_for_it_whoever_says_that_they_may() -> None:
    world = World([Script(head=9.0, body=GOOD.body)], [Script(head=0.1, body=GOOD.body)], breaker=None)
    world.simulation.concurrent = True
    hedging = Policy(hedge=Hedge(after=0.5, budget=0.5))
    quick = [world.run(policy=hedging).result.model.provider == "p1" for _ in range(20)]
    assert 10 <= sum(quick) <= 12  # one in two, and what was saved up before


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
    assert [str(status.model) for status in world.core.provider_plan(request)] == ["p0/m", "p1/m", "p2/m"]


def test_a_route_has_rules_of_its_own() -> None:
    world = World([DOWN], [GOOD])
    world.core.add_route(Route("careful", [ModelConfig("p0", "m"), ModelConfig("p1", "m")], policy=Policy(retries=0)))
    world.run(Stream(ChatRequest("route/careful", "x")))
    assert world.who == ["p0", "p1"]
    world.run(Stream(ChatRequest("route/careful", "x")), policy=Policy(retries=1, breaker=None))
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


def test_costs_are_on_the_answer_and_in_the_trace() -> None:
    # The dialect of lines tells no usage: a cost is then not known, and not made up.
    world = World([GOOD], prices={"m": Price(1.0, 2.0)})
    outcome = world.run()
    assert outcome.result.usage.cost is None
    assert outcome.call.trace.cost is None
    assert isinstance(outcome.events[-1][1], End)


def test_names_without_end_fill_no_memory_and_what_matters_is_kept() -> None:
    world = World(
        [Script(status=429, headers=(("retry-after", "900"),))], [GOOD], limits={"p1/kept": Limit(max_concurrency=1)}
    )
    world.run(Stream(ChatRequest("p0/cooling", "x")))
    world.run(Stream(ChatRequest("p1/kept", "x")))
    for number in range(5000):
        world.run(Stream(ChatRequest(f"p1/m{number}", "x")))
    standings = world.core.places.standings()
    assert len(standings) <= 1001
    assert {"p0/cooling", "p1/kept"} <= set(standings)


def test_a_deadline_is_nobody_s_fault() -> None:
    world = World([Script(head=500.0)], breaker=BreakerPolicy(consecutive=1))
    outcome = world.run(Chat(world.request()), timeout=2.0)
    assert isinstance(outcome.error, DeadlineExceeded)
    (standing,) = world.core.places.standings().values()
    assert standing.breaker.state(2.0) == "closed"
