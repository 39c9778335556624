"""How many requests a candidate takes that refused some because of a limit.

After a refusal, few requests start at first, and more as the provider accepts them. And the requests that it accepted
within a minute before it refused one show its limit. So do response headers, if the provider's window is a minute: they
do not name its length, but a provider with a shorter one has fewer requests on its count than were sent in a minute.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from turnout.routing.state.limits import Booking, SlidingWindow

__all__ = ["ENOUGH", "Pace"]

# From so many attempts that may be unanswered at once, the number is not bounded any more.
UNBOUNDED = 64
# A limit is learnt only from so many accepted requests in the minute.
ENOUGH = 10
# A provider that requests a shorter wait has a window far shorter than a minute, or is nearly free again.
SHORT = 2.0
# Seconds of requests after which a report can show that the window is a minute: no provider is known that counts over
# 20 to 60 s. And the share of the requests of the last minute that a window of a minute has on its count at least.
SPAN = 20.0
COUNTED = 0.8
# Seconds from the oldest of the requests that count to the end of the requested wait, if the window may be a minute.
WHOLE = 55.0
# Seconds after which a request without an answer counts as accepted: a refusal arrives sooner.
REFUSAL = 2.0
# Seconds for which a learnt limit holds; from when on it grows, and by how much.
KEPT = 300.0
GROWS_AFTER = 120.0
GROWTH_PER_MINUTE = 1.05
# Seconds after a refusal in which no request is sent against the known limit.
REFUSED_LATELY = 60.0


@attrs.define(eq=False)
class Pace:
    """The learned limit of one provider for one candidate.

    Attributes:
        shown_by: What taught the limit last: "refusals" or "response headers".
    """

    shown_by: str = attrs.field(default="refusals", init=False)
    _unanswered: float = attrs.field(default=math.inf, init=False)
    _refused_at: float = attrs.field(default=-math.inf, init=False)
    _asked_at: float = attrs.field(default=-math.inf, init=False)
    _window: SlidingWindow = attrs.field(factory=lambda: SlidingWindow(math.inf), init=False)
    _learnt: float = attrs.field(default=math.inf, init=False)
    _learnt_at: float = attrs.field(default=-math.inf, init=False)

    def wait(self, unanswered: Iterable[float], now: float) -> float:
        """Return the seconds until one more attempt may start, at most.

        Args:
            unanswered: When the attempts without an answer started.
            now: Monotonic seconds.
        """
        if self._learnt < math.inf:
            if now >= self._learnt_at + KEPT:
                self._learnt = math.inf
            else:
                grown = max(0.0, now - self._learnt_at - GROWS_AFTER) / 60.0
                self._window.limit = float(math.floor(self._learnt * GROWTH_PER_MINUTE**grown))
                wait = self._window.wait(1, now)
                if wait > 0:
                    return wait
        if self._unanswered == math.inf:
            return 0.0
        earliest = max(self._refused_at, now - REFUSAL)
        open_since = [started for started in unanswered if started > earliest]
        return min(open_since) + REFUSAL - now if len(open_since) >= self._unanswered else 0.0

    def take(self, now: float) -> Booking:
        """Count a request."""
        return self._window.take(1, now)

    def give_back(self, booking: Booking) -> None:
        """Do not count a request that was refused or never sent."""
        self._window.correct(booking, -1)

    def accepted(self) -> None:
        """Note that the provider accepted a request: one more may be unanswered, so each round has twice as many."""
        if self._unanswered < math.inf:
            self._unanswered += 1
            if self._unanswered > UNBOUNDED:
                self._unanswered = math.inf

    def refused(self, retry_after: float | None, now: float) -> None:
        """Note that the provider refused a request. The refused one is no longer counted."""
        self._unanswered, self._refused_at = 1, now
        accepted = self._window.taken(now)
        if retry_after is not None and retry_after <= SHORT:
            is_minute = False
        else:
            # A wait for a window of a minute ends a minute after the oldest of the requests that it counts.
            is_minute = self._window.age(now) + (retry_after or 0.0) >= WHOLE
        if accepted >= ENOUGH and (is_minute or self._learnt < math.inf):
            self._learnt = accepted
            self._learnt_at = now
            self.shown_by = "refusals"

    def may_ask_anyway(self, now: float) -> bool:
        """True if one request may test whether the limit is real: no refusal and no other test showed it lately."""
        return now >= max(self._refused_at, self._asked_at) + REFUSED_LATELY

    def ask_anyway(self, now: float) -> None:
        """Note that a request starts although it does not fit."""
        self._asked_at = now

    def reported(self, remaining: float, limit: float, in_flight: float, now: float) -> None:
        """Learn the limit: the remaining requests in response headers, plus the requests of the last minute.

        Args:
            remaining: What the headers report to remain.
            limit: The limit in the headers.
            in_flight: The requests that the provider may not have counted yet.
            now: Monotonic seconds.
        """
        taken = self._window.taken(now)
        if taken < ENOUGH or self._window.age(now) < SPAN:
            return
        if limit - remaining >= COUNTED * (taken - in_flight):
            self._learnt = min(limit, remaining + taken)
            self._learnt_at = now
            self.shown_by = "response headers"
        elif self.shown_by == "response headers":
            self._learnt = math.inf  # the window is shorter than a minute

    def lift(self) -> None:
        """Forget every limit."""
        self._unanswered = self._learnt = math.inf

    @property
    def is_known(self) -> bool:
        """True if there is anything to remember."""
        return self._learnt < math.inf or self._unanswered < math.inf
