"""Budgets: the money that calls may cost together in a period."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import attrs

from turnout._utils.names import vendor_of
from turnout._utils.validation import CheckedFields, instance, non_empty, number, one_of, quoted

__all__ = ["Budget", "BudgetPeriod", "Period", "amount_text", "checked_budgets"]

BudgetPeriod: TypeAlias = Literal["hour", "day", "week", "month"]

HOUR: Final = 3600.0


@attrs.frozen
class Period:
    """One period of a budget.

    Attributes:
        name: `2026-11-30T07`, `2026-11-30`, `2026-W49` or `2026-11`.
        end: Seconds since 1970.
    """

    name: str
    end: float


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else None
    if names is None or any(not isinstance(name, str) for name in names):
        raise TypeError(f"Budget.only must be names, not {quoted(value)}")
    return names


@attrs.frozen
class Budget(CheckedFields):
    """The most that calls may cost together in a period, in the currency of the prices.

    An attempt reserves the most that it can cost, and its real cost replaces the reservation when it ends. A candidate
    without a price cannot be used while a budget counts it.

    Attributes:
        amount: The amount for each provider, each model, each user or the whole router: see `by`.
        per: "hour", "day", "week" (from Monday) or "month", by the calendar.
        by: "router" for one amount in all, "provider", "model", or a label in the metadata of requests such as
            "user". Requests without this label share one amount.
        only: The providers, models or values of the label that have this budget. Empty for all that have no other
            budget with the same `per` and `by`.
        zone: Where a period begins at midnight.
    """

    amount: float = attrs.field(validator=number(above=0))
    per: BudgetPeriod = attrs.field(kw_only=True, validator=one_of("hour", "day", "week", "month"))
    by: str = attrs.field(default="router", kw_only=True, validator=non_empty)
    only: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_names)
    zone: datetime.tzinfo = attrs.field(default=datetime.UTC, kw_only=True, validator=instance(datetime.tzinfo))

    def __str__(self) -> str:
        return f"{amount_text(self.amount)} per {self.per}"

    def period(self, wall: float) -> Period:
        """Return the period of a time in seconds since 1970."""
        at = datetime.datetime.fromtimestamp(wall, self.zone)
        if self.per == "hour":
            # In UTC, because an hour of the zone may be repeated when its clocks change.
            start = wall // HOUR * HOUR
            name = datetime.datetime.fromtimestamp(start, datetime.UTC).strftime("%Y-%m-%dT%H")
            return Period(name, start + HOUR)
        day = at.date()
        if self.per == "day":
            name, following = day.isoformat(), day + datetime.timedelta(days=1)
        elif self.per == "week":
            year, week, weekday = day.isocalendar()
            name, following = f"{year}-W{week:02}", day + datetime.timedelta(days=8 - weekday)
        else:
            name, following = day.isoformat()[:7], (day.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
        midnight = datetime.datetime.combine(following, datetime.time(), self.zone)
        return Period(name, midnight.timestamp())

    def group_of(self, provider: str, model: str, metadata: Any) -> str:
        """Return the name of the amount that an attempt uses.

        Args:
            provider: The provider of the candidate. All of its keys share one amount.
            model: `provider/model`.
            metadata: The labels of the request.
        """
        if self.by == "router":
            return ""
        if self.by == "provider":
            return vendor_of(provider)
        if self.by == "model":
            return vendor_of(model)
        label = metadata.get(self.by)
        return str(label) if label is not None else ""


def amount_text(amount: float) -> str:
    """Return an amount for a message: to millionths, as budgets count, and never with an exponent that hides digits."""
    return f"{amount:.6f}".rstrip("0").rstrip(".") if not 0 < amount < 1e-6 else f"{amount:g}"


def checked_budgets(value: Budget | Iterable[Budget]) -> tuple[Budget, ...]:
    """Return the budgets.

    Raises:
        TypeError: If it is something else.
        ValueError: If two budgets count the same.
    """
    budgets = (value,) if isinstance(value, Budget) else tuple(value) if isinstance(value, Iterable) else None
    if budgets is None or any(not isinstance(budget, Budget) for budget in budgets):
        raise TypeError(f"Policy.budgets must be a list of Budget, not {value!r}")
    seen: set[tuple[str, str, str | None]] = set()
    for budget in budgets:
        for group in budget.only or (None,):
            if (budget.per, budget.by, group) in seen:
                of = f" for {group!r}" if group is not None else ""
                raise ValueError(f"Policy.budgets has two budgets per {budget.per} by {budget.by}{of}; write one")
            seen.add((budget.per, budget.by, group))
    return budgets
