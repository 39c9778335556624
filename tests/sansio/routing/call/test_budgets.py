"""Budgets across calls: who is skipped, who waits, and what attempts are charged for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.routing.line_dialect import lines
from tests.sansio.routing.small_worlds import DOWN, GOOD, World
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import BudgetExceeded, ServerError
from turnout.prices import Price
from turnout.reranking import RerankRequest
from turnout.routing import Budget, Hedge, Policy
from turnout.routing.call.operations import Chat, Embed, ListModels, Operation, Rerank, Stream
from turnout.routing.replay import replay
from turnout.simulation import Script
from turnout.trace.entries import CandidateBlocked

# A token of a response costs 1, and a prompt costs nothing: `max_tokens` is what an attempt reserves.
ONE_EACH = {"m": Price(0.0, 1e6)}
SLOW = Script(head=1.0, body=GOOD.body)


def ask(*places: int, tokens: int = 10, chat: bool = False, **options: Any) -> Operation:
    models = [ModelConfig(f"p{place}", "m", max_tokens=tokens) for place in places or (0,)]
    request = ChatRequest(models[0], "x", fallbacks=models[1:], **options)
    return Chat(request) if chat else Stream(request)


def world_of(*scripts: list[Script], **policy: Any) -> World:
    return World(*scripts, **{"prices": ONE_EACH, "max_retries": 0, **policy})


def spent(world: World, at: float | None = None) -> dict[str, float]:
    now = world.simulation.now if at is None else at
    return {status.group: status.spent for status in world.core.budgets(now, now)}


def test_a_spent_budget_ends_calls_before_they_send() -> None:
    world = world_of([GOOD], budgets=[Budget(25, per="day")])
    assert [world.run(ask(chat=True)).error for _ in range(2)] == [None, None]
    error = world.run(ask(chat=True)).error
    assert isinstance(error, BudgetExceeded)
    assert "25 per day" in str(error)
    assert "20 is spent" in str(error)
    assert world.who == ["p0", "p0"]
    assert spent(world) == {"": 20.0}


def test_a_spent_provider_is_skipped_while_others_can_answer() -> None:
    world = world_of([GOOD], [GOOD], budgets=[Budget(15, per="month", by="provider")])
    assert world.run(ask(0, 1)).error is None
    outcome = world.run(ask(0, 1))
    assert outcome.error is None
    assert world.who == ["p0", "p1"]
    assert "p0/m skipped: budget spent (limit of 15 per month for p0" in outcome.call.trace.explain()
    assert replay(outcome.call.trace.to_dict()) == ()
    assert isinstance(world.run(ask(0, 1)).error, BudgetExceeded)
    left = {health.candidate: health.budget_left for health in world.core.health(world.simulation.now)}
    assert left == {"p0/m": 5.0, "p1/m": 5.0}


def test_each_user_has_its_own_amount_and_calls_without_a_user_share_one() -> None:
    world = world_of([GOOD], budgets=[Budget(15, per="day", by="user")])
    for user in ("ada", "bob", "ada", "", "", "bob"):
        world.run(ask(chat=True, metadata={"user": user} if user else {}))
    failed = [isinstance(outcome.error, BudgetExceeded) for outcome in world.simulation.outcomes]
    assert failed == [False, False, True, False, True, True]
    assert spent(world) == {"ada": 10.0, "bob": 10.0, "": 10.0}


def test_a_narrower_budget_replaces_the_wide_one_for_its_names() -> None:
    budgets = [Budget(100, per="day", by="provider"), Budget(10, per="day", by="provider", only=["p1"])]
    world = world_of([GOOD], [GOOD], budgets=budgets)
    for _ in range(3):
        world.run(ask(1, 0, chat=True))
    assert world.who == ["p1", "p0", "p0"]


@pytest.mark.parametrize("per", ["hour", "day", "week", "month"])
def test_a_new_period_has_the_whole_amount_again(per: Any) -> None:
    budget = Budget(10, per=per)
    world = world_of([GOOD], budgets=[budget])
    world.run(ask(chat=True), wall=0.0)
    assert isinstance(world.run(ask(chat=True), wall=0.0).error, BudgetExceeded)
    end = budget.period(0.0).end
    assert isinstance(world.run(ask(chat=True), at=end - 1.0, wall=end - 1.0).error, BudgetExceeded)
    assert world.run(ask(chat=True), at=end, wall=end).error is None


def test_a_call_that_waits_for_money_starts_with_the_next_period() -> None:
    """The money that it waits for is reserved far into the next period, which has an amount of its own."""
    slow = Script(head=50.0, body=GOOD.body)
    world = world_of([slow], concurrent=True, budgets=[Budget(10, per="hour")], timeout=100.0)
    for at in (3590.0, 3591.0, 3592.0):
        world.simulation.call(ask(chat=True), at=at, wall=at)
    world.simulation.run()
    assert [round(at) for _, at in world.asked] == [3590, 3600]
    assert [outcome.error is None for outcome in world.simulation.outcomes][:2] == [True, True]


def test_a_clock_that_steps_back_finds_what_was_spent() -> None:
    world = world_of([GOOD], budgets=[Budget(10, per="day")])
    assert world.run(ask(chat=True), wall=0.0).error is None
    assert world.run(ask(chat=True), wall=90_000.0).error is None
    assert isinstance(world.run(ask(chat=True), wall=100.0).error, BudgetExceeded)


def test_a_call_waits_for_money_that_others_reserved() -> None:
    """Two reserve all of it, and the stream that ends early gives the rest back."""
    short = Script(head=1.0, body=((0.0, lines("tword")),), end="cut")
    world = world_of([short], budgets=[Budget(20, per="day")])
    for _ in range(3):
        world.simulation.call(ask(), at=0.0)
    world.simulation.run()
    assert [at for _, at in world.asked] == [0.0, 0.0, 1.0]
    blocked = [
        entry for entry in world.simulation.outcomes[2].call.trace.entries if isinstance(entry, CandidateBlocked)
    ]
    assert [entry.reason for entry in blocked] == ["budget_reserved"]


def test_it_does_not_wait_if_the_policy_rejects() -> None:
    world = world_of([SLOW], budgets=[Budget(10, per="day")], when_at_capacity="reject")
    world.simulation.call(ask(), at=0.0)
    world.simulation.call(ask(), at=0.0)
    world.simulation.run()
    assert isinstance(world.simulation.outcomes[1].error, BudgetExceeded)


def test_what_was_never_billed_costs_nothing() -> None:
    for script in (DOWN, Script(refused=True)):
        world = world_of([script], budgets=[Budget(10, per="day")])
        world.run(ask())
        assert spent(world) == {"": 0.0}


def test_an_answer_that_its_caller_leaves_costs_what_arrived_of_it() -> None:
    endless = Script(body=((0.0, lines("tfour words of text")), (9.0, b"")), end="silent")
    world = world_of([endless], budgets=[Budget(100, per="day")])
    world.run(ask(tokens=50), cancel_at=1.0)
    assert spent(world) == {"": 5.0}
    world.run(ask(tokens=50), timeout=0.1)
    assert 5.0 < spent(world)[""] <= 55.0


def test_an_answer_that_does_not_stream_costs_all_that_it_may() -> None:
    world = world_of([SLOW], budgets=[Budget(100, per="day")])
    world.run(ask(tokens=50, chat=True), cancel_at=0.5)
    assert spent(world) == {"": 50.0}


def test_a_hedge_reserves_too_and_starts_only_if_it_can() -> None:
    hedge = Hedge(delay=0.1, budget=1.0)
    for amount, who in ((10, ["p0"]), (20, ["p0", "p1"])):
        world = world_of([SLOW], [SLOW], concurrent=True, hedge=hedge, budgets=[Budget(amount, per="day")])
        world.run(ask(0, 1))
        assert world.who == who


def test_a_batch_of_embeddings_is_charged_request_by_request() -> None:
    batch = Script(body=((0.0, b"[[1.0],[2.0]]"),))
    world = world_of([batch], prices={"m": Price(1e6, 0.0)}, budgets=[Budget(100, per="day")])
    world.run(Embed(EmbeddingRequest(ModelConfig("p0", "m"), ["four", "four", "four", "four"])))
    assert len(world.asked) == 2
    assert spent(world) == {"": 4.0}


def test_embeddings_and_rerankings_have_labels() -> None:
    world = world_of([Script(status=500)], budgets=[Budget(100, per="day", by="user")])
    labels = {"user": "ada"}
    embed = Embed(EmbeddingRequest(ModelConfig("p0", "m"), "text", metadata=labels))
    rerank = Rerank(RerankRequest(ModelConfig("p0", "m"), "a question", ["text"], metadata=labels))
    for operation in (embed, rerank):
        assert world.run(operation).call.trace.metadata == labels
    assert [status.group for status in world.core.budgets(0.0, 0.0)] == ["ada"]


def test_a_budget_that_was_removed_is_not_listed() -> None:
    world = world_of([GOOD], budgets=[Budget(20, per="day")])
    world.run(ask(chat=True))
    both = Policy(prices=ONE_EACH), Policy(prices=ONE_EACH, budgets=[Budget(30, per="day")])
    listed = []
    for policy in both:
        world.core.update(policy, world.simulation.now)
        listed.append(spent(world))
    assert listed == [{}, {"": 10.0}], "what was spent counts when it returns"


def test_a_candidate_without_a_price_is_not_asked() -> None:
    world = World([GOOD], [GOOD], prices={"p1/m": Price(0.0, 1.0)}, budgets=[Budget(1, per="day")])
    outcome = world.run()
    assert world.who == ["p1"]
    assert "its price is not known, and a budget of 1 per day counts it" in outcome.call.trace.explain()
    alone = World([GOOD], budgets=[Budget(1, per="day")])
    assert isinstance(alone.run().error, BudgetExceeded)
    assert alone.who == []


def test_a_free_model_answers_when_the_budget_is_spent() -> None:
    prices = {"p0/m": Price(0.0, 1e6), "p1/m": Price(0.0, 0.0)}
    world = world_of([GOOD], [GOOD], prices=prices, budgets=[Budget(10, per="day")])
    assert [world.run(ask(0, 1, chat=True)).error for _ in range(3)] == [None] * 3
    assert world.who == ["p0", "p1", "p1"]
    assert spent(world) == {"": 10.0}


def test_a_label_of_none_is_a_missing_label() -> None:
    world = world_of([GOOD], budgets=[Budget(100, per="day", by="user")])
    for metadata in ({"user": None}, {}, {"user": ""}):
        world.run(ask(chat=True, metadata=metadata))
    assert spent(world) == {"": 30.0}


def test_labels_with_slashes_have_accounts_of_their_own() -> None:
    world = world_of([GOOD], budgets=[Budget(15, per="day", by="a"), Budget(15, per="day", by="a/b")])
    assert world.run(ask(chat=True, metadata={"a": "b/c", "a/b": "c"})).error is None
    assert spent(world) == {"b/c": 10.0, "c": 10.0}


def test_health_opens_no_account_that_no_call_has_named() -> None:
    world = world_of([GOOD], budgets=[Budget(15, per="day", by="user")])
    world.run(ask(chat=True, metadata={"user": "ada"}))
    assert world.core.health(world.simulation.now)[0].budget_left is None
    assert spent(world) == {"ada": 10.0}


@pytest.mark.parametrize(
    ("amount", "tokens", "limit"),
    [
        (1234567, 20_000_000, "limit of 1234567 per day: it may cost 20000000, 0 is spent"),
        (0.00005, 1, "limit of 0.00005 per day: it may cost 1, 0 is spent"),
    ],
)
def test_the_error_has_whole_amounts_and_promises_nothing(amount: float, tokens: int, limit: str) -> None:
    """A request above the whole amount does not fit tomorrow either."""
    error = world_of([GOOD], budgets=[Budget(amount, per="day")]).run(ask(chat=True, tokens=tokens)).error
    assert limit in str(error)
    assert "available in" not in str(error)


def test_what_costs_nothing_needs_no_money() -> None:
    world = World([Script()], budgets=[Budget(1, per="day")])
    assert world.run(ListModels("p0")).error is None


def test_a_candidate_that_rests_is_not_tried_without_the_money() -> None:
    world = world_of([DOWN], budgets=[Budget(15, per="day")], rules={"server": {"cooldown": 60}})
    world.run(ask(chat=True))
    world.left["p0.test"] = [GOOD]
    assert world.run(ask(chat=True)).error is None, "nothing else is left, so it is tried although it rests"
    world.run(ask(chat=True))
    assert world.who == ["p0", "p0"]


def test_the_failure_of_another_candidate_is_the_cause() -> None:
    world = world_of([DOWN], [GOOD], budgets=[Budget(5, per="day", by="provider", only="p1")])
    error = world.run(ask(0, 1)).error
    assert isinstance(error, BudgetExceeded)
    assert isinstance(error.__cause__, ServerError)


def test_another_amount_holds_at_once_and_what_was_spent_still_counts() -> None:
    world = world_of([GOOD], budgets=[Budget(10, per="day")])
    world.run(ask(chat=True))
    for amount, fits in ((25, True), (15, False), (30, True)):
        policy = world.core.policy
        changed = type(policy)(prices=ONE_EACH, max_retries=0, budgets=[Budget(amount, per="day")])
        world.core.update(changed, world.simulation.now)
        assert (world.run(ask(chat=True)).error is None) is fits


END = st.sampled_from([GOOD, DOWN, SLOW, Script(refused=True), Script(body=((0.2, lines("tab")),), end="cut")])
CALL = st.tuples(st.integers(0, 40), st.integers(1, 30), st.booleans(), st.none() | st.integers(1, 30))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(END, min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(CALL, min_size=1, max_size=25),
    st.integers(5, 120),
    st.sampled_from(["router", "provider", "user"]),
)
def test_no_more_is_spent_or_reserved_than_the_amount(
    scripts: list[list[Script]], calls: list[tuple[int, int, bool, int | None]], amount: int, by: str
) -> None:
    """No estimate of a cost is above its reservation here, so the amount is never exceeded."""
    hedge = Hedge(delay=0.5, budget=1.0)
    budgets = [Budget(amount, per="day", by=by), Budget(amount + 20, per="month")]
    world = world_of(*scripts, concurrent=True, budgets=budgets, hedge=hedge, max_retries=1, timeout=5.0)

    def check(*_: object) -> None:
        for status in world.core.budgets(world.simulation.now, world.simulation.now):
            assert status.spent + status.reserved <= status.budget.amount + 1e-6
            assert status.left >= 0

    world.simulation.observe = check
    for at, tokens, chat, leaves in calls:
        cancel_at = (at + leaves) / 10 if leaves is not None else None
        operation = ask(*range(len(scripts)), tokens=tokens, chat=chat, metadata={"user": "ab"[tokens % 2]})
        world.simulation.call(operation, at=at / 10, cancel_at=cancel_at)
    world.simulation.run()
    check()
    now = world.simulation.now
    statuses = world.core.budgets(now, now)
    assert all(status.reserved == 0.0 for status in statuses), "everything was settled"
    traced = sum(outcome.call.trace.cost or 0.0 for outcome in world.simulation.outcomes)
    assert traced <= sum(status.spent for status in statuses if status.budget.per == "month") + 1e-6
    assert not world.core.scheduler.waiting
    for outcome in world.simulation.outcomes:
        assert replay(outcome.call.trace.to_dict()) == ()
