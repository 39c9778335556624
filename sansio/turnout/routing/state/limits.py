"""Limits over time: the requests and tokens that a provider or a candidate may receive in a minute.

`Quota` is the interface: a limiter accepts any object with its three operations. A single process uses
`SlidingWindow`. Several processes can use a lease of a shared limit instead.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, TypeAlias, get_args, runtime_checkable

import attrs

from turnout.chat import RateWindow

__all__ = [
    "ONE_REQUEST",
    "UNITS",
    "Amounts",
    "Booking",
    "LeasedQuota",
    "ProviderRateLimit",
    "Quota",
    "QuotaFactory",
    "QuotaUnit",
    "SlidingWindow",
    "Slots",
    "SlotsFactory",
    "sliding_window",
]

MINUTE = 60.0
# By how much the time until a window is full may differ from what its refill at an even rate takes.
REFILL_TOLERANCE = 0.2
# Bookings within this time share one entry, which leaves the window with the last of them. So the window is never
# over its limit, and its memory does not grow with the rate.
BUCKET_SECONDS = 0.25


@attrs.define(eq=False)
class Booking:
    """An amount that was taken from a quota.

    Attributes:
        first: The time of the first amount in it.
        latest: The time of the last one; minus infinity once it no longer counts.
        amount: The sum.
    """

    first: float
    latest: float
    amount: float


class Quota(Protocol):
    """A limit on an amount per time. All calls are made under the router's lock; times are monotonic seconds.

    If its `wait` falls for another reason than time, a quota calls `Scheduler.recheck` for the limiter that holds it.
    """

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` fits: 0 if it fits now, infinity if it depends on an event."""
        ...

    def take(self, amount: float, now: float) -> Booking:
        """Take `amount`, whether it fits or not, and return the booking."""
        ...

    def correct(self, booking: Booking, by: float) -> None:
        """Correct the amount of a booking: the request used more (`by` > 0) or less than was estimated."""
        ...


QuotaUnit: TypeAlias = Literal["requests", "tokens", "input_tokens", "output_tokens"]
UNITS: tuple[QuotaUnit, ...] = get_args(QuotaUnit)
# Makes the quota for a configured limit: (name of the provider or candidate, unit, amount per minute).
QuotaFactory: TypeAlias = Callable[[str, QuotaUnit, float], Quota]


class Amounts(NamedTuple):
    """How much of each unit one request takes; the fields are in the order of `UNITS`."""

    requests: int
    tokens: int
    input_tokens: int
    output_tokens: int

    @classmethod
    def of(cls, prompt: int, completion: int) -> Amounts:
        """Return the amounts of one request with so many tokens."""
        return cls(1, prompt + completion, prompt, completion)


ONE_REQUEST = Amounts(1, 0, 0, 0)


@runtime_checkable
class LeasedQuota(Quota, Protocol):
    """A quota of which this process has only a part: the rest is with other processes."""

    def note(self, now: float) -> str:
        """Return a text for the user about a used-up quota."""
        ...

    def expect(self, requests: int, now: float) -> None:
        """Note that so many more requests wait, besides the one that `wait` was called for."""
        ...


class Slots(Protocol):
    """The slots of a concurrency limit that several processes share. All calls are made under the router's lock."""

    def count(self, now: float) -> int:
        """Return how many attempts of this process may run at once now."""
        ...

    def wait(self, now: float) -> float:
        """Ask for one more slot. Return 0 if there is one, else the seconds until it is worth looking again."""
        ...

    def acquire(self, attempt: object, now: float) -> None: ...

    def release(self, attempt: object) -> None: ...


# Makes the slots of a concurrency limit: (name of the provider or candidate, slots of the whole fleet).
SlotsFactory: TypeAlias = Callable[[str, int], Slots]


@attrs.define(eq=False)
class SlidingWindow:
    """No more than `limit` in any `seconds` (`Quota`)."""

    limit: float
    seconds: float = MINUTE
    _entries: deque[Booking] = attrs.field(factory=deque, init=False)
    _sum: float = attrs.field(default=0.0, init=False)

    def taken(self, now: float) -> float:
        """Return the amount that counts now."""
        self._forget(now)
        return self._sum

    def age(self, now: float) -> float:
        """Return the seconds since the first amount that still counts; 0 if there is none."""
        self._forget(now)
        return now - self._entries[0].first if self._entries else 0.0

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` fits. More than the whole limit fits once the window is empty."""
        self._forget(now)
        over = min(amount, self.limit) + self._sum - self.limit
        if over <= 0:
            return 0.0
        for entry in self._entries:
            over -= entry.amount
            if over <= 0:
                return max(0.0, entry.latest + self.seconds - now)
        return 0.0

    def take(self, amount: float, now: float) -> Booking:
        self._forget(now)
        newest = self._entries[-1] if self._entries else None
        if newest is None or now >= newest.first + BUCKET_SECONDS:
            newest = Booking(now, now, 0.0)
            self._entries.append(newest)
        newest.amount += amount
        newest.latest = now
        self._sum += amount
        return newest

    def correct(self, booking: Booking, by: float) -> None:
        # An entry that has left the window no longer counts; its `latest` of -inf marks that.
        if booking.latest > -math.inf:
            by = max(by, -booking.amount)
            booking.amount += by
            self._sum += by

    def _forget(self, now: float) -> None:
        entries = self._entries
        while entries and entries[0].latest + self.seconds <= now:
            old = entries.popleft()
            self._sum -= old.amount
            old.latest = -math.inf
        if not entries:
            self._sum = 0.0  # no rounding error outlives its cause


def sliding_window(name: str, unit: QuotaUnit, per_minute: float) -> SlidingWindow:
    """Make the quota of a limit that this process keeps alone (`QuotaFactory`)."""
    return SlidingWindow(per_minute)


@attrs.define(eq=False)
class ProviderRateLimit:
    """The rest of a provider's own limit, as its response headers report it.

    With it, calls wait before the provider has to refuse them.

    Attributes:
        believed_for: Seconds for which a report is believed at most.
        remaining: The amount that is left until `until`.
        until: The time at which the provider's window resets, or the report is no longer believed.
    """

    believed_for: float = MINUTE
    remaining: float = math.inf
    until: float = -math.inf
    _reported_at: float = -math.inf
    _refill: float = 0.0  # a second, if the window is filled up evenly

    def update(self, window: RateWindow | None, reported_at: float, in_flight: float) -> None:
        """Take over the values of response headers that arrived at `reported_at`.

        Values of an older response are ignored, even if that response ends later.

        Args:
            window: The values of the headers.
            reported_at: Monotonic seconds.
            in_flight: The amount that other attempts take, and that the provider may not have counted yet.
        """
        if window is None or window.remaining is None or window.reset is None or window.reset <= 0:
            return
        if reported_at < self._reported_at:
            return
        self._reported_at = reported_at
        self.remaining = max(0.0, window.remaining - in_flight)
        self.until = reported_at + min(window.reset, self.believed_for)
        self._refill = _even_refill(window.limit, window.remaining, window.reset)

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` fits; 0 if it fits now or nothing is known."""
        if now >= self.until:
            return 0.0
        missing = amount - self.remaining - self._refill * (now - self._reported_at)
        if missing <= 0:
            return 0.0
        return min(self.until - now, missing / self._refill) if self._refill else self.until - now

    def take(self, amount: float, now: float) -> float:
        """Take `amount`. Return the part of it that can be given back."""
        if now >= self.until:
            return 0.0
        self.remaining -= amount
        return amount

    def give_back(self, amount: float) -> None:
        self.remaining += amount


def _even_refill(limit: float | None, remaining: float, reset: float) -> float:
    """Return the refill a second of a window that is full again in `reset` seconds; 0 if it is no such window."""
    if not limit or remaining >= limit:
        return 0.0
    rate = limit / MINUTE
    takes = (limit - remaining) / rate
    return rate if abs(reset - takes) <= REFILL_TOLERANCE * takes else 0.0
