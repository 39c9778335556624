"""The state of one candidate that all calls of a router share: breaker, slots, rate limits and latency."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from turnout.providers.protocol import ModelProfile
from turnout.routing.policy.plan import Blocked
from turnout.routing.policy.settings import Limit
from turnout.routing.state.breaker import Breaker, BreakerState
from turnout.routing.state.latency import Latency
from turnout.routing.state.lease import Lease
from turnout.routing.state.limiter import Limiter
from turnout.routing.state.limits import ProviderRateLimit

if TYPE_CHECKING:
    from turnout.routing.state.waiter import Waiter

__all__ = ["CandidateState", "Health", "health_of"]


@attrs.define(eq=False)
class CandidateState:
    """One candidate as all calls see it.

    Attributes:
        key: `provider/model`.
        limiters: The router's, the provider's and its own, in this order.
        breaker: Its circuit breaker and its cooldown.
        profile: What its provider knows about the model.
        latency: How long it takes.
        requests: The provider's own limit of requests, from its response headers.
        tokens: The provider's own limit of tokens, from its response headers.
    """

    key: str
    limiters: tuple[Limiter, Limiter, Limiter]
    breaker: Breaker
    profile: ModelProfile = ModelProfile()
    latency: Latency = attrs.field(factory=Latency)
    requests: ProviderRateLimit = attrs.field(factory=ProviderRateLimit)
    tokens: ProviderRateLimit = attrs.field(factory=ProviderRateLimit)
    _counts_tokens: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._counts_tokens = any(limiter.counts_tokens for limiter in self.limiters)

    @property
    def in_flight(self) -> int:
        return self.limiters[2].in_flight

    def blocked_by(self, waiter: Waiter, index: int, now: float) -> tuple[Blocked, Limiter] | None:
        """Return why a call may not start an attempt now, and the limiter in whose line it waits; None if it may.

        The outermost limiter decides. Limits are checked before rests: a candidate that should rest may be tried
        nevertheless, one at its limit never.
        """
        tokens: int | None = None
        for limiter in self.limiters:
            if len(limiter.held) >= limiter.slots:
                wait = limiter.slot_wait(now)
                if wait > 0:
                    return Blocked("at_capacity", wait, limiter.label(now)), limiter
            if limiter.has_quotas:
                if limiter.counts_tokens and tokens is None:
                    tokens = waiter.tokens_for(index)
                wait = limiter.wait(tokens or 0, now)
                if wait > 0:
                    return Blocked("rate_limited", wait, limiter.label(now)), limiter
            if limiter.line and limiter.is_behind(waiter):
                return self._behind(limiter, now), limiter
        own = self.limiters[2]
        wait = 0.0
        if now < self.requests.until:
            wait = self.requests.wait(1, now)
        if now < self.tokens.until:
            wait = max(wait, self.tokens.wait(waiter.tokens_for(index) if tokens is None else tokens, now))
        if wait > 0:
            return Blocked("rate_limited", wait, f"{self.key}, as its provider reports it"), own
        blocked = self.breaker.blocked_by(now)
        return (Blocked(*blocked), own) if blocked is not None else None

    def _behind(self, limiter: Limiter, now: float) -> Blocked:
        """Return the reason for a call that must wait only because others wait already."""
        if limiter is self.limiters[2]:
            blocked = self.breaker.blocked_by(now)
            if blocked is not None:
                return Blocked(*blocked)
        if limiter.limit.max_concurrency is not None:
            return Blocked("at_capacity", math.inf, limiter.name)
        return Blocked("rate_limited", math.inf, limiter.name)

    def is_idle(self, now: float) -> bool:
        """True if nothing runs or waits here and no limit, cooldown or open breaker must be remembered."""
        own = self.limiters[2]
        paced = now < self.requests.until or now < self.tokens.until
        held = own.in_flight or own.limit != Limit() or own.head is not None
        return not (paced or held or self.breaker.consecutive_opens or self.breaker.blocked_by(now))

    def begin(self, waiter: Waiter, index: int, now: float) -> Lease:
        """Start an attempt: take its slots and its shares of the rate limits.

        The call has the lease before anything is taken, so that all of it can be released if this is interrupted.
        """
        counts = self._counts_tokens or now < self.tokens.until
        tokens = waiter.tokens_for(index) if counts else 0
        lease = Lease(self, now, waiter.leases)
        waiter.leases.append(lease)
        self.breaker.attempt_started(lease, now)
        if now < self.requests.until:
            self.requests.take(1, now)
        if now < self.tokens.until:
            self.tokens.take(tokens, now)
        for limiter in self.limiters:
            if limiter.is_simple:
                limiter.held.add(lease)
                continue
            reservation = limiter.acquire(lease, tokens, now)
            if reservation is not None:
                lease.reservations.append(reservation)
        return lease


@attrs.frozen(kw_only=True)
class Health:
    """The condition of a candidate, for a person or a dashboard.

    Attributes:
        candidate: `provider/model`.
        state: "closed": used as usual. "open": skipped after failures. "half-open": one probe may try it.
        times_opened: How often its breaker opened so far.
        available_in: Seconds until it may be tried again, whatever the reason; 0 if it may be tried now.
        in_flight: Attempts that run now.
        time_to_first_token: Seconds, as measured lately; None if it is not known.
        time_per_output_token: Seconds, as measured lately; None if it is not known.
    """

    candidate: str
    state: BreakerState
    times_opened: int
    available_in: float
    in_flight: int
    time_to_first_token: float | None
    time_per_output_token: float | None


def health_of(state: CandidateState, now: float) -> Health:
    """Return the condition of a candidate at this time."""
    breaker, latency = state.breaker, state.latency
    return Health(
        candidate=state.key,
        state=breaker.state(now),
        times_opened=breaker.times_opened,
        available_in=breaker.available_in(now),
        in_flight=state.in_flight,
        time_to_first_token=latency.first_content.value,
        time_per_output_token=latency.per_token.value,
    )
