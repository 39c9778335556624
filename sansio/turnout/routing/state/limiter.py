"""The concurrency slots and rate limits of the router, of one provider or of one candidate, and the calls in its line.

Limiters form a tree: the router, its providers, their candidates. An attempt holds a slot of all three.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from turnout._utils.names import NameTable, vendor_of
from turnout.chat import Usage
from turnout.routing.policy.settings import Limit
from turnout.routing.state.limits import (
    UNITS,
    Amounts,
    Booking,
    LeasedQuota,
    Quota,
    QuotaFactory,
    SlidingWindow,
    Slots,
    SlotsFactory,
    sliding_window,
)

__all__ = ["InLine", "Limiter", "Reservation", "limit_of"]

# Entries of calls that have left a line are removed once there are this many, and more of them than of others.
COMPACT_ABOVE = 64

# At most so many waiting calls count when the fleet learns what this process needs.
MOST_EXPECTED = 100


class InLine(Protocol):
    """A call, as the lines see it. `Waiter` describes the attributes."""

    lines: dict[Limiter, None]
    rank: tuple[float, int]


@attrs.define(eq=False)
class Limiter:
    """The slots, the rate limits and the line of the router, a provider or a candidate.

    Attributes:
        name: The name of the provider or candidate, or "the router".
        limit: The configured limits.
        parent: The limiter around it.
        make_quota: Makes the quota of each rate limit.
        make_slots: Makes slots that are shared with other processes; None if this process has them alone.
        slots: How many attempts may run at once; infinity if that is not limited.
        held: The attempts that hold a slot.
        has_quotas: True if there is a rate limit.
        counts_tokens: True if there is a limit on tokens.
        is_simple: True if there is neither a rate limit nor a slot shared with other processes: attempts are only held.
        line: The calls that wait, as a heap by rank. It can hold calls that have left; `head` drops them.
        stalled: Limiters inside this one that have room and calls in line, but were blocked by this one.
    """

    name: str
    limit: Limit
    parent: Limiter | None = None
    make_quota: QuotaFactory = sliding_window
    make_slots: SlotsFactory | None = None
    slots: float = attrs.field(init=False)
    held: set[object] = attrs.field(factory=set, init=False)
    has_quotas: bool = attrs.field(init=False)
    counts_tokens: bool = attrs.field(init=False)
    is_simple: bool = attrs.field(init=False)
    line: list[tuple[tuple[float, int], InLine]] = attrs.field(factory=list, init=False)
    stalled: dict[Limiter, None] = attrs.field(factory=dict, init=False)
    _quotas: dict[int, Quota] = attrs.field(factory=dict, init=False)  # by the index of their unit
    _shared_slots: Slots | None = attrs.field(default=None, init=False)
    _left: int = attrs.field(default=0, init=False)  # entries of the line after their calls have left it

    def __attrs_post_init__(self) -> None:
        limit = self.limit
        self.slots = limit.max_concurrency if limit.max_concurrency is not None else math.inf
        if limit.max_concurrency is not None and self.make_slots is not None:
            self._shared_slots = self.make_slots(self.name, limit.max_concurrency)
            self.slots = 0
        for index, unit in enumerate(UNITS):
            per_minute: int | None = getattr(limit, f"{unit}_per_minute")
            if per_minute is not None:
                self._quotas[index] = self.make_quota(self.name, unit, per_minute)
        self.has_quotas = bool(self._quotas)
        self.counts_tokens = any(self._quotas)  # the index of "requests" is 0
        self.is_simple = not self.has_quotas and self._shared_slots is None

    def update(self, limit: Limit) -> None:
        """Take over another limit. Requests and tokens of the last minute still count."""
        if limit == self.limit:
            return
        before, self.limit = self._quotas, limit
        self._quotas, self._shared_slots = {}, None
        self.__attrs_post_init__()
        self._quotas = {index: _kept(before.get(index), quota) for index, quota in self._quotas.items()}

    # -- slots and rate limits --------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many attempts hold a slot."""
        return len(self.held)

    def label(self, now: float) -> str:
        """Return the name of the limit for a trace, with a note about its present state."""
        for quota in self._quotas.values():
            if isinstance(quota, LeasedQuota):
                return f"{self.name} ({quota.note(now)})"
        return self.name

    def is_full(self) -> bool:
        """True if every slot is held."""
        return len(self.held) >= self.slots

    def slot_wait(self, now: float) -> float:
        """Return the seconds until a slot may be free, while none is: infinity if only an event can end the wait.

        It requests shared slots then.
        """
        shared = self._shared_slots
        if shared is None:
            return math.inf
        wait = shared.wait(now)
        self.slots = shared.count(now)
        return wait

    def update_slots(self, now: float) -> None:
        """Take over the number of shared slots that this process has now."""
        if self._shared_slots is not None:
            self.slots = self._shared_slots.count(now)

    def ask_again(self, now: float) -> None:
        """Request from the other processes the slots and shares that the calls in line wait for."""
        waiting = len(self.line)
        if not waiting or self.head is None:
            return
        if self._shared_slots is not None and self.is_full():
            self._shared_slots.wait(now)
        for quota in self._quotas.values():
            if isinstance(quota, LeasedQuota):
                quota.expect(min(waiting - 1, MOST_EXPECTED), now)

    def wait(self, amounts: Amounts, now: float) -> float:
        """Return the seconds until a request that takes so much fits into the rate limits."""
        return max((quota.wait(amounts[index], now) for index, quota in self._quotas.items()), default=0.0)

    def acquire(self, attempt: object, amounts: Amounts, now: float) -> Reservation | None:
        """Take a slot for this attempt until it is released, and its share of the rate limits.

        Returns:
            The share of the rate limits; None if there are none.
        """
        self.held.add(attempt)
        if self._shared_slots is not None:
            self._shared_slots.acquire(attempt, now)
        if not self.has_quotas:
            return None
        taken = [(index, quota, quota.take(amounts[index], now)) for index, quota in self._quotas.items()]
        return Reservation(taken, amounts)

    def release(self, attempt: object) -> None:
        self.held.discard(attempt)
        if self._shared_slots is not None:
            self._shared_slots.release(attempt)

    # -- the line ---------------------------------------------------------------------------------------------------

    def join(self, waiter: InLine) -> None:
        waiter.lines[self] = None
        heapq.heappush(self.line, (waiter.rank, waiter))

    def leave(self, waiter: InLine) -> None:
        """Remove a call from the line. Its entry stays until it reaches the head, or too many such entries are left."""
        del waiter.lines[self]
        self._left += 1
        if self._left > COMPACT_ABOVE and self._left > len(self.line) // 2:
            self.line = [entry for entry in self.line if self in entry[1].lines]
            heapq.heapify(self.line)
            self._left = 0

    @property
    def head(self) -> InLine | None:
        """The call that is served next."""
        line = self.line
        while line:
            rank, waiter = line[0]
            if self in waiter.lines and rank == waiter.rank:
                return waiter
            heapq.heappop(line)
            self._left = max(0, self._left - 1)
        return None

    def rank_of_head(self) -> tuple[float, int]:
        """Return the rank of the call that is served next: a lower rank is served first."""
        head = self.head
        return head.rank if head is not None else (math.inf, 0)

    def is_behind(self, waiter: InLine) -> bool:
        """True if another call in the line must be served before this one."""
        head = self.head
        return head is not None and head is not waiter and head.rank < waiter.rank

    def is_inside(self, other: Limiter) -> bool:
        """True if `other` is around this limiter."""
        outer = self.parent
        while outer is not None:
            if outer is other:
                return True
            outer = outer.parent
        return False


@attrs.define(eq=False)
class Reservation:
    """The share of one limiter's rate limits that an attempt took."""

    _taken: list[tuple[int, Quota, Booking]]
    _amounts: Amounts

    def adjust(self, used: Usage | None, *, refund: bool) -> None:
        """Correct the share after the attempt.

        Args:
            used: The tokens that the attempt took; None if they are not known.
            refund: True if the attempt does not count at all.
        """
        known: Sequence[int | None] = (0, 0, 0, 0)
        if not refund:
            known = (None, used.total_tokens, used.prompt_tokens, used.completion_tokens) if used is not None else ()
        for index, quota, booking in self._taken if known else ():
            amount = known[index]
            if amount is not None:
                quota.correct(booking, amount - self._amounts[index])


def _kept(old: Quota | None, new: Quota) -> Quota:
    """Return the old window with the new limit, because attempts in flight still correct their shares of it."""
    if isinstance(old, SlidingWindow) and isinstance(new, SlidingWindow):
        old.limit = new.limit
        return old
    return new


def limit_of(limits: Mapping[str, Limit], name: str) -> Limit:
    """Return the limit of a provider or a candidate. A limit of a provider holds for each of its keys."""
    if not limits:
        return Limit()
    vendor = vendor_of(name)
    found = limits.find(name, vendor) if isinstance(limits, NameTable) else limits.get(name) or limits.get(vendor)
    return found or Limit()
