"""A call as the scheduler sees it: its plan, its candidates, and its place in the lines."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs

from turnout.routing.policy.decisions import Blocked, GiveUp, WaitUntil
from turnout.routing.policy.plan import Plan
from turnout.routing.state.budgets import Spending
from turnout.routing.state.candidate import Candidate
from turnout.routing.state.lease import Lease
from turnout.routing.state.limiter import Limiter
from turnout.routing.state.limits import ONE_REQUEST, Amounts

__all__ = ["Admitted", "BlockedCandidates", "Refused", "Waiter"]

# The candidates that were blocked, by index, with the reasons.
BlockedCandidates: TypeAlias = tuple[tuple[int, Blocked], ...]
# A busy candidate is passed over for a free one that answers so many times sooner.
MUCH_SOONER = 1.5


@attrs.define(eq=False)
class Admitted:
    """An attempt may start.

    Attributes:
        index: Of the candidate.
        lease: The resources of the candidate that the attempt holds.
        blocked: The candidates before it that were blocked.
        forced: True if the candidate should rest, but no other is left.
        throttled: True if the call may not try a candidate that rests.
    """

    index: int
    lease: Lease
    blocked: BlockedCandidates = ()
    forced: bool = False
    throttled: bool = False


@attrs.define(eq=False)
class Refused:
    """No attempt may start now: the call waits, or gives up. `throttled`: it may not try a candidate that rests."""

    decision: WaitUntil | GiveUp
    blocked: BlockedCandidates
    throttled: bool = False


@attrs.define(eq=False)
class Waiter(abc.ABC):
    """The part of a call that the scheduler works on, under the router's lock.

    Attributes:
        plan: The call's decisions.
        candidates: Its candidates that were looked up so far, by index.
        started: When the call started; the plan's times count from there.
        behind: Seconds in which newer calls of a higher priority are served before it.
        call: The call itself, for the driver that wakes it; None unless it waits.
        leases: The leases of its attempts.
        lines: The limiters that have it in their lines.
        rank: Its order in them: the smaller is served first.
        answer: Set if it was admitted or refused while it waited, until the call takes it.
        wake_at: The latest time at which a waiting call must be checked again.
        must_wake: True if `wake_at` was moved forward while the call slept.
    """

    plan: Plan
    candidates: list[Candidate]
    started: float
    behind: float = attrs.field(default=0.0, kw_only=True)
    call: Any = attrs.field(default=None, init=False)
    leases: list[Lease] = attrs.field(factory=list, init=False)
    lines: dict[Limiter, None] = attrs.field(factory=dict, init=False)
    rank: tuple[float, int] = attrs.field(default=(0.0, 0), init=False)
    answer: Admitted | Refused | None = attrs.field(default=None, init=False)
    wake_at: float = attrs.field(default=0.0, init=False)
    must_wake: bool = attrs.field(default=False, init=False)

    @property
    @abc.abstractmethod
    def streams(self) -> bool:
        """True if the response arrives as a stream."""

    @property
    @abc.abstractmethod
    def has_more(self) -> bool:
        """True if there are candidates that were not looked up."""

    @abc.abstractmethod
    def amounts_for(self, index: int) -> Amounts:
        """Return how much of each limit the next request to this candidate may take."""

    @abc.abstractmethod
    def spending_of(self, index: int) -> Spending | None:
        """Return what an attempt on this candidate may spend; None if no budget counts it."""

    def obstacle(self, index: int, now: float) -> tuple[Blocked, Limiter] | None:
        """Return why an attempt on this candidate may not start now, and where to wait; None if it may start.

        Budgets are checked first: nothing may start without the money, not even on a candidate that rests.
        """
        spending = self.spending_of(index)
        blocked = spending.blocked_by(now) if spending is not None else None
        return blocked or self.candidates[index].state.blocked_by(self, index, now)

    def begin(self, index: int, now: float) -> Lease:
        """Start an attempt: take its slots, its shares of the rate limits, and its money.

        The call has the lease before anything is taken, so that all of it can be released if this is interrupted.
        """
        state = self.candidates[index].state
        counts = state.counts_tokens or now < state.reported_until
        amounts = self.amounts_for(index) if counts else ONE_REQUEST
        lease = Lease(state, now, self.leases, self.streams)
        self.leases.append(lease)
        lease.acquire(amounts)
        spending = self.spending_of(index)
        if spending is not None:
            spending.reserve(lease, now)
        return lease

    def first_soon_enough(self, found: Sequence[tuple[int, Blocked]], free: int) -> int:
        """Return the place in `found` of the first busy candidate that probably answers about as soon as the free one.

        Returns:
            The length of `found` if there is none, or if nobody knows how soon the free one answers.
        """
        soonest = self.candidates[free].state.congestion.seconds_to_first_token(0)
        if soonest < math.inf:
            for place, (_, blocked) in enumerate(found):
                if blocked.reason == "busy" and blocked.load <= MUCH_SOONER * soonest:
                    return place
        return len(found)

    @abc.abstractmethod
    def is_affordable(self, index: int, beside: int) -> bool:
        """True if a second attempt on `index` keeps the call's budget while the one on `beside` runs."""
