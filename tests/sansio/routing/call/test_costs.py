"""What a call may cost: budgets, and the sizes that they and the limits go by."""

from __future__ import annotations

import pytest

from tests.sansio.routing.line_dialect import lines
from tests.sansio.routing.small_worlds import CUT, DOWN, GOOD, World
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import (
    BudgetExceeded,
)
from turnout.events import End
from turnout.prices import Price
from turnout.routing.call.operations import Chat, Embed, ListModels, Stream
from turnout.routing.policy.settings import Hedge, Limit
from turnout.simulation import Script


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


def test_costs_are_on_the_answer_and_in_the_trace() -> None:
    # The dialect of lines tells no usage: a cost is then not known, and not made up.
    world = World([GOOD], prices={"m": Price(1.0, 2.0)})
    outcome = world.run()
    assert outcome.result.usage.cost is None
    assert outcome.call.trace.cost is None
    assert isinstance(outcome.events[-1][1], End)


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
