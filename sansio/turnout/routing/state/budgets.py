"""The accounts of budgets: what attempts spent and reserved in the present period.

An attempt reserves the most that it can cost before it starts, and its cost replaces the reservation when it ends. So
no more is spent than the amount, and what costs exceeded their reservations. `BalanceLease` is the one machine for it:
a router that shares nothing holds the whole amount itself, and other routers lease parts of it from the store.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from turnout.routing.policy.budgets import Budget, Period, amount_text
from turnout.routing.policy.decisions import Blocked
from turnout.routing.policy.settings import Limit
from turnout.routing.state.limiter import Limiter

if TYPE_CHECKING:
    # At run time only if there is a budget: a router without one pays nothing for the leases.
    from turnout.routing.state.shared_limits import SharedLimits
    from turnout.shared.leases.balance import BalanceLease, Reservation, Verdict

__all__ = ["BudgetAccount", "BudgetReservation", "BudgetStatus", "Budgets", "Spending"]

MICRO: Final = 1_000_000
"""Amounts are kept in millionths of the currency, because totals of integers have no rounding error."""

KEPT_AFTER_PERIOD: Final = 7 * 86_400.0
"""Seconds for which the store keeps the totals of a period that has ended."""

HOURS_KEPT_AFTER: Final = 6 * 3600.0
"""The same of an hour in this process: a week has 168 of them, for each user."""

EVICT_ABOVE: Final = 1000
"""How many accounts are remembered before those that hold nothing are evicted: users may be without end."""


@attrs.frozen(kw_only=True)
class BudgetStatus:
    """How much of a budget is left, for a person or a dashboard.

    Attributes:
        budget: The budget.
        group: The provider, the model or the value of the label that it counts; "" for the whole router.
        period: The present period, such as `2026-11-30`.
        spent: The amount spent by this process; with a shared store, as far as the store does not count it as spent
            by processes that have ended.
        reserved: The amount that attempts in flight have reserved.
        left: The amount that this process may still spend without asking anybody.
        ends_in: Seconds until the period ends.
    """

    budget: Budget
    group: str
    period: str
    spent: float
    reserved: float
    left: float
    ends_in: float


@attrs.define(eq=False)
class BudgetReservation:
    """What one attempt has reserved. Settle it once; to do it again does nothing."""

    _account: BudgetAccount
    _lease: BalanceLease
    _reservation: Reservation

    def settle(self, cost: float | None, now: float) -> None:
        """Replace the reservation by the cost of the attempt; None if that is not known, which counts all of it."""
        amount = self._reservation.amount
        if amount:
            spent = self._account.whole(cost) if cost is not None else amount
            self._lease.settle(self._reservation, spent, now)


@attrs.define(eq=False)
class BudgetAccount:
    """One amount of a budget, for one provider, model or user.

    Attributes:
        name: Its name in the store.
        budget: The budget.
        group: What it counts; see `BudgetStatus`.
        shared: Where routers share their limits; None if this one has the amount alone.
        line: The calls that wait for money that others have reserved.
    """

    name: str
    budget: Budget
    group: str = ""
    shared: SharedLimits | None = None
    line: Limiter = attrs.field(init=False)
    _leases: dict[str, tuple[Period, BalanceLease]] = attrs.field(factory=dict, init=False)
    _fraction: float = attrs.field(default=0.0, init=False)  # of a millionth, which the next cost adds to

    def __attrs_post_init__(self) -> None:
        self.line = Limiter(self.name, Limit())
        if self.shared is not None:
            self.shared.count_money()

    def __str__(self) -> str:
        return f"{self.budget} for {self.group}" if self.group else str(self.budget)

    def lease(self, wall: float) -> BalanceLease:
        """Return the money of the period of this time, which is in seconds since 1970."""
        period = self.budget.period(wall)
        known = self._leases.get(period.name)
        if known is not None:
            return known[1]
        bound = max(1, round(self.budget.amount * MICRO))
        if self.shared is not None:
            lasts = period.end - wall + KEPT_AFTER_PERIOD
            lease = self.shared.state.money(self.name, bound, period.name, lasts=lasts)
        else:
            from turnout.shared.leases.balance import BalanceLease

            lease = BalanceLease(self.name, "money", bound, "", period=period.name, alone=True)
        self._forget_before(wall)
        self._leases[period.name] = period, lease
        return lease

    def _forget_before(self, wall: float) -> None:
        """Forget periods that ended long ago: a clock that steps back for less finds what was spent."""
        kept = HOURS_KEPT_AFTER if self.budget.per == "hour" else KEPT_AFTER_PERIOD
        for name, (period, lease) in tuple(self._leases.items()):
            if period.end + kept < wall and not lease.used:
                del self._leases[name]
                if self.shared is not None:
                    self.shared.state.drop_idle(self.name, name)

    def check(self, cost: float, now: float, wall: float) -> tuple[Verdict, float]:
        """Return whether so much can be reserved now, and else after how many seconds it is worth looking again."""
        return self.lease(wall).check(reserved(cost), now)

    def reserve(self, cost: float, now: float, wall: float) -> BudgetReservation:
        """Reserve so much, which `check` found to fit."""
        lease = self.lease(wall)
        return BudgetReservation(self, lease, lease.take(reserved(cost), now))

    def whole(self, cost: float) -> int:
        """Return a cost in millionths. The fraction is added to the next one, so that none is lost."""
        exact = max(0.0, cost) * MICRO + self._fraction
        amount = math.floor(exact)
        self._fraction = exact - amount
        return amount

    def spend(self, cost: float, wall: float) -> None:
        """Count a cost that was not reserved here, such as one that a file remembers."""
        self.lease(wall).spend(self.whole(cost))

    def update(self, budget: Budget, wall: float) -> None:
        """Take over another amount."""
        self.budget = budget
        for period, lease in self._leases.values():
            if period.end > wall:
                lease.set_bound(max(1, round(budget.amount * MICRO)))

    def is_empty(self, wall: float) -> bool:
        """True if nothing was spent or reserved in a period that has not ended."""
        return self.line.head is None and not any(
            lease.used or (period.end > wall and lease.spent) for period, lease in self._leases.values()
        )

    def status(self, wall: float) -> BudgetStatus:
        """Return how much is left."""
        lease = self.lease(wall)
        return BudgetStatus(
            budget=self.budget,
            group=self.group,
            period=lease.period,
            spent=lease.spent / MICRO,
            reserved=lease.used / MICRO,
            left=lease.room / MICRO,
            ends_in=self.budget.period(wall).end - wall,
        )

    def blocked(self, cost: float, now: float, wall: float) -> Blocked | None:
        """Return why an attempt of this cost may not start now; None if it may."""
        verdict, wait = self.check(cost, now, wall)
        if verdict == "fits":
            return None
        lease = self.lease(wall)
        spent, used = amount_text(lease.spent / MICRO), amount_text(lease.used / MICRO)
        limit = f"{self}: it may cost {amount_text(cost)}, {spent} is spent and {used} reserved"
        ends_in = self.budget.period(wall).end - wall
        if verdict == "exceeded":
            return Blocked("budget_spent", ends_in if reserved(cost) <= lease.bound else math.inf, limit)
        return Blocked("budget_reserved", wait, limit, again=ends_in)


def reserved(cost: float) -> int:
    """Return a cost in millionths as it is reserved: rounded up."""
    return max(1, math.ceil(cost * MICRO))


def _account_name(budget: Budget, group: str) -> str:
    """Return the name of an account in the store. No label that has a slash makes it the name of another one."""
    by = budget.by.replace("%", "%25").replace("/", "%2F")
    return "/".join(("budget", budget.per, by, *([group] if by != "router" else ())))


class Spender(Protocol):
    """An attempt that spends money (`turnout.routing.state.lease.Lease`)."""

    money: list[BudgetReservation]
    lines: tuple[Limiter, ...]


@attrs.frozen
class Spending:
    """What an attempt will spend.

    Attributes:
        budgets: The budgets of the router.
        accounts: The accounts that count it.
        cost: The most that it can cost; None if its price is not known.
    """

    budgets: Budgets
    accounts: tuple[BudgetAccount, ...]
    cost: float | None

    def blocked_by(self, now: float) -> tuple[Blocked, Limiter] | None:
        """Return why the attempt may not start now, and the line in which its call waits; None if it may."""
        wall = self.budgets.wall(now)
        for account in self.accounts:
            if self.cost is None:
                return Blocked("budget_spent", math.inf, f"{account}: its price is not known"), account.line
            blocked = account.blocked(self.cost, now, wall)
            if blocked is not None:
                return blocked, account.line
        return None

    def reserve(self, attempt: Spender, now: float) -> None:
        """Reserve the money for an attempt, for which `blocked_by` returned None."""
        wall = self.budgets.wall(now)
        for account in self.accounts:
            attempt.lines += (account.line,)
            attempt.money.append(account.reserve(self.cost or 0.0, now, wall))


@attrs.define(eq=False)
class Budgets:
    """The accounts of all budgets of a router. Every method is called under the router's lock.

    Attributes:
        budgets: The budgets.
        shared: Where routers share their limits; None if this one shares nothing.
    """

    budgets: tuple[Budget, ...]
    shared: SharedLimits | None = None
    _accounts: dict[str, BudgetAccount] = attrs.field(factory=dict, init=False)
    _evict_at: int = attrs.field(default=EVICT_ABOVE, init=False)
    _wall: float = attrs.field(default=0.0, init=False)  # as the last call reported it
    _wall_less_now: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._note_shared()

    def __bool__(self) -> bool:
        return bool(self.budgets)

    def _note_shared(self) -> None:
        if self.budgets and self.shared is not None:
            self.shared.count_money()

    def observe(self, now: float, wall: float) -> None:
        """Take over the time of the calendar, in seconds since 1970."""
        self._wall, self._wall_less_now = wall, wall - now

    def wall(self, now: float) -> float:
        """Return seconds since 1970 for a monotonic time."""
        return now + self._wall_less_now

    def accounts_of(self, provider: str, model: str, metadata: Mapping[str, Any] | None) -> tuple[BudgetAccount, ...]:
        """Return the accounts that an attempt spends from; without metadata, those that count every request."""
        found = []
        for budget in self.budgets:
            if metadata is None and budget.by not in ("router", "provider", "model"):
                continue
            group = budget.group_of(provider, model, metadata)
            if group in budget.only if budget.only else not self._has_own(budget, group):
                found.append(self._account(budget, group))
        return tuple(found)

    def _has_own(self, wide: Budget, group: str) -> bool:
        """True if another budget is for this group alone."""
        return any(one.per == wide.per and one.by == wide.by and group in one.only for one in self.budgets)

    def _account(self, budget: Budget, group: str) -> BudgetAccount:
        name = _account_name(budget, group)
        account = self._accounts.get(name)
        if account is None:
            if len(self._accounts) >= self._evict_at:
                self._evict()
            account = self._accounts[name] = BudgetAccount(name, budget, group, self.shared)
        return account

    def _evict(self) -> None:
        self._accounts = {name: one for name, one in self._accounts.items() if not one.is_empty(self._wall)}
        self._evict_at = max(EVICT_ABOVE, 2 * len(self._accounts))

    def line_of(self, name: str) -> Limiter | None:
        """Return the line of the account with this name in the store."""
        account = self._accounts.get(name)
        return account.line if account is not None else None

    def lines(self) -> Iterable[Limiter]:
        """Return the lines of all accounts."""
        return [account.line for account in self._accounts.values()]

    def update(self, budgets: tuple[Budget, ...], now: float) -> None:
        """Take over other budgets. What was spent still counts."""
        self.budgets = budgets
        self._note_shared()
        wall = self.wall(now)
        for name, account in tuple(self._accounts.items()):
            kind = account.budget.per, account.budget.by
            own = [one for one in budgets if (one.per, one.by) == kind and account.group in one.only]
            wide = [one for one in budgets if (one.per, one.by) == kind and not one.only]
            found = next(iter((*own, *wide)), None)
            if found is not None:
                account.update(found, wall)
            elif account.is_empty(wall):
                del self._accounts[name]

    def left_for(self, provider: str, model: str, now: float) -> float | None:
        """Return the least that budgets leave for a candidate, whoever asks; None if none counts it."""
        wall = self.wall(now)
        accounts = self.accounts_of(provider, model, None)
        return min((account.status(wall).left for account in accounts), default=None)

    def statuses(self, now: float, wall: float) -> tuple[BudgetStatus, ...]:
        """Return how much of each budget is left, for what calls have used so far."""
        self.observe(now, wall)
        return tuple(one.status(wall) for one in self._accounts.values() if one.budget in self.budgets)
