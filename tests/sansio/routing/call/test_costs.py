"""What a call may cost: budgets, and the sizes that they and the limits go by."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.sansio.routing.line_dialect import lines
from tests.sansio.routing.small_worlds import CUT, DOWN, GOOD, World
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import BudgetExceeded, DeadlineExceeded, Disconnected, StreamInterrupted
from turnout.events import End
from turnout.prices import Price
from turnout.providers.protocol import ModelProfile
from turnout.routing import Budget
from turnout.routing.call.operations import Chat, Embed, ListModels, Stream
from turnout.routing.policy.settings import Hedge, Limit
from turnout.simulation import Outcome, Script
from turnout.trace.entries import SPENDING, AttemptCompleted


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


def test_a_failure_is_not_hidden_by_the_cost_that_rules_out_the_fallback() -> None:
    """The money is enough for either of the two, but not for both."""
    world = World([CUT], [GOOD], prices={"m": Price(100.0, 100.0)}, max_cost=0.15, max_retries=0)
    error = world.run(Chat(world.request())).error
    assert world.who == ["p0"]
    assert isinstance(error, BudgetExceeded)
    assert isinstance(error.__cause__, Disconnected)
    assert "no other candidate" in str(error)
    assert str(error.__cause__) in str(error)


def test_costs_are_on_the_answer_and_in_the_trace() -> None:
    # The dialect of lines reports no usage. The answer does not make it up, and the trace estimates it.
    world = World([GOOD], prices={"m": Price(1.0, 2.0)})
    outcome = world.run()
    assert outcome.result.usage.cost is None
    [completed] = [entry for entry in outcome.call.trace.entries if isinstance(entry, AttemptCompleted)]
    assert completed.estimated
    assert completed.tokens == PROMPT + 2
    assert outcome.call.trace.cost == pytest.approx((PROMPT * 1.0 + 2 * 2.0) / 1e6)
    assert isinstance(outcome.events[-1][1], End)


# -- attempts that end early --------------------------------------------------------------------------------------

PRICED: dict[str, Any] = {"prices": {"m": Price(1e6, 1e6)}}  # a token costs 1
PROMPT = 5  # "x" is a token, and each message has four
USUAL = 1000


def spent(outcome: Outcome) -> list[tuple[int | None, float | None, bool]]:
    entries = [entry for entry in outcome.call.trace.entries if isinstance(entry, SPENDING)]
    return [(entry.tokens, entry.cost, entry.estimated) for entry in entries]


def test_a_stream_that_breaks_has_an_estimated_usage() -> None:
    outcome = World([CUT], **PRICED).run()
    assert isinstance(outcome.error, StreamInterrupted)
    assert outcome.error.partial is not None
    usage = outcome.error.partial.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.source, usage.cost) == (PROMPT, 2, "estimated", 7.0)
    assert spent(outcome) == [(7, 7.0, True)]
    assert outcome.call.trace.cost == 7.0
    assert "about 7 tokens, cost about 7" in outcome.call.trace.explain()


def test_a_stream_that_is_left_early_has_an_estimated_usage() -> None:
    slow = Script(body=((0.0, lines("tone")), (9.0, lines("ttwo", "f"))))
    world = World([slow], **PRICED)
    outcome = world.run(cancel_at=1.0)
    assert outcome.call.response is not None
    assert outcome.call.response.usage.source == "estimated"
    assert outcome.call.response.usage.cost == 6.0
    assert spent(outcome) == [(PROMPT + 1, 6.0, True)]


def test_a_restarted_stream_costs_both_attempts() -> None:
    outcome = World([CUT], [GOOD], on_interrupt="restart", **PRICED).run()
    assert [tokens for tokens, _, _ in spent(outcome)] == [7, 7]
    assert outcome.call.trace.cost == 14.0


def test_a_resumed_stream_has_the_usage_of_both_attempts() -> None:
    facts = {1: ModelProfile(prefill={})}
    outcome = World([CUT], [GOOD], facts=facts, on_interrupt="resume", **PRICED).run()
    assert outcome.result.text == "onetwoonetwo"
    first, second = spent(outcome)
    assert first[0] == 7
    assert second[0] == PROMPT + 2 + 2, "the prompt of the second has the part that arrived"
    assert outcome.result.usage.source == "absent", "the last part has no usage"


def test_the_loser_of_a_hedge_costs_its_prompt() -> None:
    slow = Script(head=5.0, body=GOOD.body)
    world = World([slow], [GOOD], concurrent=True, hedge=Hedge(delay=1.0, budget=1.0), **PRICED)
    assert sorted(spent(world.run())) == [(PROMPT, 5.0, True), (7, 7.0, True)]


def test_a_deadline_costs_the_part_that_arrived() -> None:
    outcome = World([Script(head=math.inf)], timeout=5.0, **PRICED).run()
    assert isinstance(outcome.error, DeadlineExceeded)
    assert spent(outcome) == [(PROMPT, 5.0, True)]


def test_a_whole_answer_that_did_not_arrive_costs_the_usual_one() -> None:
    world = World([Script(head=math.inf)], timeout=5.0, **PRICED)
    assert spent(world.run(Chat(world.request()))) == [(PROMPT + USUAL, 1005.0, True)]


@pytest.mark.parametrize("script", [DOWN, Script(refused=True), Script(connect=math.inf), Script(status=429)])
def test_what_the_provider_refused_or_never_received_costs_nothing(script: Script) -> None:
    outcome = World([script], max_retries=0, **PRICED).run()
    assert outcome.error is not None
    assert spent(outcome) == [(None, None, False)]
    assert outcome.call.trace.cost is None


def test_an_error_inside_a_stream_costs_what_arrived_before_it_in_any_split() -> None:
    together = Script(body=((0.0, lines("tone", "e500")),))
    apart = Script(body=((0.0, lines("tone")), (0.1, lines("e500"))))
    for script in (together, apart):
        assert spent(World([script], max_retries=0, **PRICED).run()) == [(PROMPT + 1, 6.0, True)]


def test_a_token_limit_counts_an_abandoned_stream_by_the_same_estimate() -> None:
    slow = Script(body=((0.0, lines("tone")), (9.0, lines("ttwo", "f"))))
    world = World([slow, GOOD], limits={"p0": Limit(tokens_per_minute=1100)}, **PRICED)
    world.run(cancel_at=1.0)
    outcome = world.run()
    assert outcome.error is None
    assert outcome.ended - outcome.began < 2.0, "the reservation of 1,005 tokens was corrected to 6"


def asked_with(world: World, *ceilings: int) -> list[str]:
    """Who is asked for a stream with these ceilings of tokens, one for each candidate."""
    models = [ModelConfig(f"p{place}", "m", max_tokens=ceiling) for place, ceiling in enumerate(ceilings)]
    world.run(Stream(ChatRequest(models[0], "x", fallbacks=models[1:])))
    return world.who


@pytest.mark.parametrize(
    ("ceilings", "who"),
    [((100, 100_000), ["p0"]), ((100_000, 100), ["p1"]), ((100, 100), ["p0", "p1"])],
    ids=["a dear fallback", "a dear primary", "both within it"],
)
def test_each_candidate_is_held_to_its_own_ceiling(ceilings: tuple[int, int], who: list[str]) -> None:
    world = World([DOWN], [DOWN], prices={"m": Price(0.0, 1e6)}, max_cost=200.0, max_retries=0)
    assert asked_with(world, *ceilings) == who


def test_what_costs_nothing_needs_no_price() -> None:
    world = World([Script()], max_cost=1.0)
    assert world.run(ListModels("p0")).error is None


def test_what_broke_off_is_counted() -> None:
    """Each answer may come to 1,000: two fit into 1,500 only where the first was broken off early, or refused."""
    prices = {"m": Price(0.0, 1e6)}
    long = Script(body=((0.0, lines("t" + "word" * 600)),), end="cut")
    for first, second in ((CUT, True), (long, False), (DOWN, True), (Script(refused=True), True)):
        world = World([first], [GOOD], on_interrupt="restart", prices=prices, max_cost=1500.0, max_retries=0)
        assert ("p1" in asked_with(world, 1000, 1000)) is second


def test_an_answer_that_was_lost_is_taken_to_have_been_billed_whole() -> None:
    """Not streamed, it may have been written to its end before its connection was lost."""
    world = World(
        [Script(body=GOOD.body, end="cut")], [GOOD], prices={"m": Price(0.0, 1e6)}, max_cost=1500.0, max_retries=0
    )
    models = [ModelConfig(f"p{place}", "m", max_tokens=1000) for place in range(2)]
    outcome = world.run(Chat(ChatRequest(models[0], "x", fallbacks=models[1:])))
    assert world.who == ["p0"]
    assert "500 is left of max_cost" in outcome.call.trace.explain()


def test_no_hedge_takes_a_call_over_its_budget() -> None:
    slow = Script(head=5.0, body=GOOD.body)
    for max_cost, who in ((150.0, ["p0"]), (250.0, ["p0", "p1"])):
        hedge = Hedge(delay=1.0, budget=1.0)
        world = World([slow], [GOOD], concurrent=True, hedge=hedge, prices={"m": Price(0.0, 1e6)}, max_cost=max_cost)
        assert asked_with(world, 100, 100) == who


def test_a_batch_is_estimated_by_its_own_texts() -> None:
    """Five batches of 20 tokens each fit into 100 a minute; the rest of the texts is not counted with each."""
    world = World([Script(body=((0.0, b"[[1],[2]]"),))], limits={"p0": Limit(tokens_per_minute=100)})
    outcome = world.run(Embed(EmbeddingRequest("p0/m", ["x" * 40] * 10)))
    assert outcome.error is None
    assert len(world.asked) == 5
    assert outcome.ended < 1.0, outcome.call.trace.explain()


DEAR = {"m": Price(0.0, 1e6)}  # 1 for each token of the response
LONG = lines("t" + "word" * 600)


def test_what_costs_exactly_what_is_left_is_affordable() -> None:
    assert asked_with(World([GOOD], prices=DEAR, max_cost=1000.0), 1000) == ["p0"]
    assert asked_with(World([GOOD], prices=DEAR, max_cost=999.9), 1000) == []


def test_an_error_after_content_is_billed_for_what_arrived() -> None:
    broken = Script(body=((0.0, LONG), (0.1, lines("e500"))))
    for first, second in ((broken, False), (Script(body=((0.0, lines("e500")),)), True)):
        world = World([first], [GOOD], on_interrupt="restart", prices=DEAR, max_cost=1500.0, max_retries=0)
        assert ("p1" in asked_with(world, 1000, 1000)) is second


def test_a_connection_that_was_closed_while_idle_costs_nothing() -> None:
    stale = Script(reset="reused", reused=True)
    world = World([stale, GOOD], prices=DEAR, max_cost=1500.0)
    assert world.run(Chat(ChatRequest(ModelConfig("p0", "m", max_tokens=1000), "x"))).error is None
    assert world.who == ["p0", "p0"]


@pytest.mark.parametrize(("max_tokens", "tokens"), [(None, 2500), (100, 100), (4000, 4000)])
def test_a_response_without_a_usage_costs_the_largest_that_it_may_be(max_tokens: int | None, tokens: int) -> None:
    long = Script(body=((0.0, lines("t" + "x" * 10_000, "f")),))
    world = World([long], prices=DEAR, budgets=[Budget(10_000, per="day")])
    request = ChatRequest(ModelConfig("p0", "m", max_tokens=max_tokens), "x")
    outcome = world.run(Chat(request))
    [budget] = world.core.budgets(world.simulation.now, world.simulation.now)
    assert budget.spent == tokens
    assert outcome.call.trace.cost == min(tokens, 2500)
