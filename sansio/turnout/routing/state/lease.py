"""What one attempt holds of its candidate, and what it reports about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from turnout.chat import RateLimit
from turnout.routing.policy.classify import Rule
from turnout.routing.state.limiter import Reservation

if TYPE_CHECKING:
    from turnout.routing.state.candidate_state import CandidateState

__all__ = ["Lease"]


@attrs.define(eq=False)
class Lease:
    """The slots and shares that one attempt holds, from `Open` to `Close`. All calls are made under the router's lock.

    Attributes:
        state: Of the candidate.
        started: When the attempt started.
        holder: The leases of its call; the lease removes itself when it is released.
        reservations: Its shares of the rate limits.
        first_content_at: When its first content arrived.
    """

    state: CandidateState
    started: float
    holder: list[Lease]
    reservations: list[Reservation] = attrs.field(factory=list, init=False)
    first_content_at: float | None = attrs.field(default=None, init=False)
    _limits_recorded: bool = attrs.field(default=False, init=False)
    _outcome_recorded: bool = attrs.field(default=False, init=False)
    _tokens_used: int | None = attrs.field(default=None, init=False)

    @property
    def is_probe(self) -> bool:
        """True if a half-open breaker let this attempt through, and is still open."""
        return self.state.breaker.is_probe(self)

    def record_first_content(self, now: float) -> None:
        self.first_content_at = now
        self.state.latency.record_first_content(now - self.started, now)

    def record_rate_limit(self, limits: RateLimit | None, at: float) -> None:
        """Record the rate-limit headers of this attempt, which arrived at `at`. Only the first call counts."""
        if limits is not None and not self._limits_recorded:
            self._limits_recorded = True
            state = self.state
            state.requests.update(limits.requests, at, state.in_flight - 1)
            state.tokens.update(limits.tokens, at, 0)

    def record_success(self, now: float, *, total_tokens: int | None, completion_tokens: int | None) -> None:
        """Record that the response is complete.

        Args:
            now: Monotonic seconds.
            total_tokens: The tokens of prompt and response, if the usage reports them.
            completion_tokens: Those of the response.
        """
        state = self.state
        if not self._outcome_recorded:
            self._outcome_recorded = True
            state.breaker.record_success(self, now, started=self.started)
        self._tokens_used = total_tokens
        if self.first_content_at is None:
            self.record_first_content(now)
        else:
            state.latency.record_response(now - self.first_content_at, completion_tokens, now)

    def record_lost_race(self, now: float) -> None:
        """Record that another attempt of the same call was faster."""
        self.state.latency.record_censored(now - self.started, now)

    def record_failure(self, now: float, rule: Rule, retry_after: float | None) -> None:
        """Record a failure: `rule` says whether it counts against health, and for how long the candidate cools down."""
        breaker = self.state.breaker
        if not self._outcome_recorded:
            self._outcome_recorded = True
            if rule.health:
                breaker.record_failure(self, now, started=self.started)
            else:
                breaker.forget_probe(self)
        cooldown = max(rule.cooldown, retry_after or 0.0)
        if cooldown > 0:
            breaker.cool_down(now + cooldown)

    def release(self) -> None:
        """Free everything that the attempt holds. A second call does nothing."""
        self._outcome_recorded = True
        self.state.breaker.forget_probe(self)
        while self.reservations:
            self.reservations.pop().adjust(self._tokens_used, refund=self.first_content_at is None)
        for limiter in self.state.limiters:
            if limiter.is_simple:
                limiter.held.discard(self)
            else:
                limiter.release(self)
        if self in self.holder:
            self.holder.remove(self)
