"""How much a provider, a candidate, or the whole router may be given at once and in a minute."""

from __future__ import annotations

import math
from collections import deque

import attrs

from turnout.chat import RateWindow
from turnout.routing.policy.settings import Limit

__all__ = ["Limiter", "ProviderRateLimit", "SlidingWindow"]

MINUTE = 60.0
# A reset that is further off is an instant taken for a duration, or a slip: we look again after a day.
LONGEST_RESET = 86_400.0
# What was taken within this time shares one entry, and is given up with the last of it: never over the limit, and
# memory that does not grow with the rate.
GRAIN = 0.25


@attrs.define(eq=False)
class Taken:
    """What was taken from a window. `latest` is when the last of it was."""

    first: float
    latest: float
    amount: float


@attrs.define(eq=False)
class SlidingWindow:
    """No more than `limit` in any `seconds`."""

    limit: float
    seconds: float = MINUTE
    _entries: deque[Taken] = attrs.field(factory=deque, init=False)
    _sum: float = attrs.field(default=0.0, init=False)

    def taken(self, now: float) -> float:
        """What counts now."""
        self._forget(now)
        return self._sum

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` fits; 0 where it does. More than the whole limit fits once the window is empty."""
        self._forget(now)
        over = min(amount, self.limit) + self._sum - self.limit
        if over <= 0:
            return 0.0
        for entry in self._entries:
            over -= entry.amount
            if over <= 0:
                return max(0.0, entry.latest + self.seconds - now)
        return 0.0

    def take(self, amount: float, now: float) -> Taken:
        self._forget(now)
        newest = self._entries[-1] if self._entries else None
        if newest is None or now >= newest.first + GRAIN:
            newest = Taken(now, now, 0.0)
            self._entries.append(newest)
        newest.amount += amount
        newest.latest = now
        self._sum += amount
        return newest

    def correct(self, entry: Taken, by: float) -> None:
        """What was taken turned out to be more, or less, by so much."""
        # An entry that has left the window counts no more; `latest` of -inf marks it.
        if entry.latest > -math.inf:
            by = max(by, -entry.amount)
            entry.amount += by
            self._sum += by

    def _forget(self, now: float) -> None:
        entries = self._entries
        while entries and entries[0].latest + self.seconds <= now:
            gone = entries.popleft()
            self._sum -= gone.amount
            gone.latest = -math.inf
        if not entries:
            self._sum = 0.0  # no rounding error outlives its cause


@attrs.define(eq=False)
class ProviderRateLimit:
    """What a provider's headers said is left of its own limit, so that we wait before it has to refuse us."""

    remaining: float = math.inf
    until: float = -math.inf
    _told_at: float = -math.inf

    def learn(self, window: RateWindow | None, told_at: float, in_flight: int) -> None:
        """Take over what a head said that came at `told_at`; `in_flight` others may not have been counted in it yet.

        The answer of an older head may end later: what it said is old news then.
        """
        if window is None or window.remaining is None or window.reset is None or window.reset <= 0:
            return
        if told_at < self._told_at:
            return
        self._told_at = told_at
        self.remaining = max(0.0, window.remaining - in_flight)
        self.until = told_at + min(window.reset, LONGEST_RESET)

    def wait(self, amount: float, now: float) -> float:
        if now >= self.until or amount <= self.remaining:
            return 0.0
        return self.until - now

    def take(self, amount: float, now: float) -> None:
        if now < self.until:
            self.remaining = max(0.0, self.remaining - amount)


@attrs.define(eq=False)
class Limiter:
    """The places and the minute's allowances of one provider or candidate."""

    name: str
    limit: Limit
    _held: set[object] = attrs.field(factory=set, init=False)
    _requests: SlidingWindow | None = attrs.field(init=False)
    _tokens: SlidingWindow | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        requests, tokens = self.limit.requests_per_minute, self.limit.tokens_per_minute
        self._requests = SlidingWindow(requests) if requests is not None else None
        self._tokens = SlidingWindow(tokens) if tokens is not None else None

    @property
    def in_flight(self) -> int:
        """Attempts that hold a place."""
        return len(self._held)

    @property
    def counts_tokens(self) -> bool:
        return self._tokens is not None

    def full(self) -> bool:
        bound = self.limit.max_concurrency
        return bound is not None and self.in_flight >= bound

    def wait(self, tokens: int, now: float) -> float:
        """Seconds until a request of so many tokens fits into the minute."""
        wait = self._requests.wait(1, now) if self._requests is not None else 0.0
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait(tokens, now))
        return wait

    def enter(self, attempt: object, tokens: int, now: float) -> Reservation | None:
        """A place for this attempt, until it leaves, and what it takes of the minute's allowances, if there are any."""
        self._held.add(attempt)
        if self._requests is None and self._tokens is None:
            return None
        return Reservation(
            self,
            tokens,
            self._requests.take(1, now) if self._requests is not None else None,
            self._tokens.take(tokens, now) if self._tokens is not None else None,
        )

    def leave(self, attempt: object) -> None:
        self._held.discard(attempt)


@attrs.define(eq=False)
class Reservation:
    """What one attempt took of a gate's allowances."""

    gate: Limiter
    tokens: int
    request_taken: Taken | None
    tokens_taken: Taken | None

    def settle(self, used: int | None, *, give_back: bool) -> None:
        """The attempt is over.

        used       tokens that it really came to, where that is known
        give_back  whether it brought nothing, and so shall count for nothing
        """
        gate = self.gate
        if give_back and self.request_taken is not None and gate._requests is not None:
            gate._requests.correct(self.request_taken, -1)
        if self.tokens_taken is not None and gate._tokens is not None:
            used = 0 if give_back else used
            if used is not None:
                gate._tokens.correct(self.tokens_taken, used - self.tokens)
