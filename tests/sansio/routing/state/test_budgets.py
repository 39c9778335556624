"""Accounts of budgets: never more than the amount and what costs exceeded their reservations; periods; settings."""

from __future__ import annotations

import datetime
import math
import pickle
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.routing import Budget, Policy
from turnout.routing.policy.budgets import BudgetPeriod
from turnout.routing.policy.names import check_names
from turnout.routing.state.budgets import MICRO, BudgetAccount, BudgetReservation, Budgets
from turnout.shared.leases.balance import BalanceLease

NOON = 1_796_040_000.0  # 30 November 2026, 12:00 UTC

STEP = st.one_of(
    st.tuples(st.just("reserve"), st.floats(0.0, 5.0)),
    st.tuples(st.just("settle"), st.integers(0, 20), st.none() | st.floats(0.0, 8.0)),
    st.tuples(st.just("amount"), st.floats(0.5, 20.0)),
)


@given(st.floats(0.5, 20.0), st.lists(STEP, max_size=60))
def test_overspending_is_at_most_what_costs_exceed_their_reservations(amount: float, steps: list[Any]) -> None:
    account = BudgetAccount("b", Budget(amount, per="day"))
    highest, spent, excess = amount, 0.0, 0.0
    open_ones: list[tuple[BudgetReservation, float]] = []
    for step in steps:
        match step:
            case ("reserve", cost):
                if account.check(cost, 0.0, NOON)[0] == "fits":
                    open_ones.append((account.reserve(cost, 0.0, NOON), cost))
            case ("settle", place, cost) if open_ones:
                reservation, held = open_ones.pop(place % len(open_ones))
                for _ in range(2):  # the second time does nothing
                    reservation.settle(cost, 0.0)
                spent += held if cost is None else cost
                excess += max(0.0, (cost or 0.0) - held)
            case ("amount", other):
                account.update(Budget(other, per="day"), NOON)
                highest = max(highest, other)
        rounding = len(steps) / MICRO
        status = account.status(NOON)
        assert status.spent == pytest.approx(spent, abs=rounding)
        assert spent + status.reserved <= highest + excess + rounding
        assert status.left <= max(0.0, account.budget.amount - spent - status.reserved) + rounding


def test_what_one_cost_exceeds_is_missing_for_the_next() -> None:
    account = BudgetAccount("b", Budget(10, per="day"))
    dear, cheap = account.reserve(6.0, 0.0, NOON), account.reserve(4.0, 0.0, NOON)
    dear.settle(8.0, 0.0)
    cheap.settle(1.0, 0.0)
    assert account.status(NOON).left == 1.0


@given(st.lists(st.floats(0.0, 3e-6), max_size=200))
def test_costs_below_a_millionth_are_neither_lost_nor_rounded_up(costs: list[float]) -> None:
    account = BudgetAccount("b", Budget(1, per="day"))
    for cost in costs:
        account.reserve(cost, 0.0, NOON).settle(cost, 0.0)
    assert account.status(NOON).spent == pytest.approx(sum(costs), abs=1.1 / MICRO)


def test_a_wait_helps_only_if_reserved_money_may_come_back() -> None:
    lease = BalanceLease("b", "money", 10, "", alone=True)
    reservation = lease.take(8, 0.0)
    assert lease.check(10, 0.0) == ("wait", math.inf)
    assert lease.check(11, 0.0) == ("exceeded", 0.0)
    lease.settle(reservation, 3, 0.0)
    assert lease.check(7, 0.0) == ("fits", 0.0)
    assert lease.check(8, 0.0) == ("exceeded", 0.0)


ZONES = st.sampled_from(
    [datetime.UTC, *map(ZoneInfo, ("Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia"))]
)


@given(st.sampled_from(["hour", "day", "week", "month"]), ZONES, st.integers(0, 2_000_000_000))
def test_periods_follow_each_other_without_a_gap(per: Any, zone: datetime.tzinfo, wall: int) -> None:
    budget = Budget(1, per=per, zone=zone)
    period = budget.period(wall)
    assert wall < period.end <= wall + 32 * 86_400
    assert budget.period(period.end - 1).name == period.name
    assert budget.period(period.end).name > period.name


def test_a_period_begins_at_midnight_of_its_zone() -> None:
    late = datetime.datetime(2026, 11, 30, 23, 30, tzinfo=datetime.UTC).timestamp()
    assert Budget(1, per="day").period(late).name == "2026-11-30"
    assert Budget(1, per="month", zone=ZoneInfo("Europe/Berlin")).period(late).name == "2026-12"
    assert Budget(1, per="week").period(late).name == "2026-W49"


def test_accounts_without_end_do_not_stay_in_memory() -> None:
    budgets = Budgets((Budget(1, per="hour", by="user"),))
    for hour in range(5):
        budgets.observe(0.0, hour * 3600.0)
        for user in range(1000):
            (account,) = budgets.accounts_of("p", "p/m", {"user": f"{hour}-{user}"})
            account.reserve(0.5, 0.0, budgets.wall(0.0)).settle(0.5, 0.0)
    assert len(budgets.statuses(0.0, 5 * 3600.0)) <= 2000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"amount": 0, "per": "day"}, "more than 0"),
        ({"amount": 1, "per": "year"}, "hour, day, week or month"),
        ({"amount": 1, "per": "day", "by": ""}, "must not be empty"),
        ({"amount": 1, "per": "day", "only": [3]}, "must be names"),
        ({"amount": 1, "per": "day", "zone": "UTC"}, "zone"),
        ({"amount": 1, "per": "day", "each": "user"}, "each"),
    ],
)
def test_a_wrong_budget_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Budget(**fields)


def test_two_budgets_that_count_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="two budgets per day by provider for 'groq'"):
        Policy(budgets=[Budget(1, per="day", by="provider", only=["groq"])] * 2)
    with pytest.raises(TypeError, match="list of Budget"):
        Policy(budgets=cast("Any", [5]))


def test_a_budget_of_an_unknown_provider_is_refused() -> None:
    policy = Policy(budgets=[Budget(1, per="day", by="provider", only=["opnai"])])
    with pytest.raises(ValueError, match="did you mean openai"):
        check_names(policy, ["openai"])
    check_names(Policy(budgets=[Budget(1, per="day", by="user", only=["opnai"])]), ["openai"])


def test_only_a_router_has_budgets() -> None:
    with pytest.raises(ValueError, match="only a router can have budgets"):
        Policy(budgets=[Budget(1, per="day")]).check_place(Policy(), "the policy of a call")


def test_a_policy_with_budgets_pickles() -> None:
    policy = Policy(budgets=[Budget(1, per="day", by="user", zone=ZoneInfo("Europe/Berlin"))])
    assert pickle.loads(pickle.dumps(policy)) == policy


@pytest.mark.parametrize("per", ["hour", "day"])
def test_an_account_holds_few_periods_and_finds_the_newest_again(per: BudgetPeriod) -> None:
    """A clock may step back a little. Without a bound, an hour's budget of each user would hold a week of hours."""
    account, length = BudgetAccount("b", Budget(10, per=per)), 3600.0 if per == "hour" else 86_400.0
    for number in range(200):
        account.spend(1.0, number * length)
    assert len(account._leases) < 10
    assert account.status(195 * length).spent == 1.0
