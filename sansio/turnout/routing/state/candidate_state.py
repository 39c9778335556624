"""What the calls of one router share of a candidate: its health, its places, its pace and its speed."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from turnout.chat import RateLimit
from turnout.providers.protocol import ModelProfile
from turnout.routing.policy.classify import Rule
from turnout.routing.policy.plan import Blocked
from turnout.routing.policy.settings import Limit
from turnout.routing.state.breaker import Breaker, BreakerState
from turnout.routing.state.latency import Latency
from turnout.routing.state.limits import Limiter, ProviderRateLimit, Reservation

__all__ = ["CandidateState", "Health", "Lease", "health_of"]

# What one request has in tokens, counted only where somebody needs to know.
Size = Callable[[], int]


@attrs.define(eq=False)
class CandidateState:
    """One candidate as all calls see it.

    gates  the router's, the provider's and its own, in this order
    facts  what its provider knows of the model, asked once
    """

    key: str
    gates: tuple[Limiter, ...]
    breaker: Breaker
    facts: ModelProfile = ModelProfile()
    latency: Latency = attrs.field(factory=Latency)
    requests: ProviderRateLimit = attrs.field(factory=ProviderRateLimit)
    tokens: ProviderRateLimit = attrs.field(factory=ProviderRateLimit)

    @property
    def in_flight(self) -> int:
        return self.gates[-1].in_flight

    def obstacle(self, size: Size, now: float) -> Blocked | None:
        """What stands in the way of one more attempt, a request of `size()` tokens.

        Limits come first: a candidate that should rest may be asked all the same, one at its limit never.
        """
        for gate in self.gates:
            if gate.full():
                return Blocked("full", math.inf)
        wait = 0.0
        for gate in self.gates:
            if gate.limit.requests_per_minute is not None or gate.counts_tokens:
                wait = max(wait, gate.wait(size() if gate.counts_tokens else 0, now))
        if now < self.requests.until:
            wait = max(wait, self.requests.wait(1, now))
        if now < self.tokens.until:
            wait = max(wait, self.tokens.wait(size(), now))
        if wait > 0:
            return Blocked("paced", wait)
        blocked = self.breaker.blocked(now)
        return Blocked(*blocked) if blocked is not None else None

    def at_rest(self, now: float) -> bool:
        """Whether nothing is under way, and nothing is known that would keep a call away or is to be kept to."""
        paced = now < self.requests.until or now < self.tokens.until
        held = self.in_flight or self.gates[-1].limit != Limit()
        return not (paced or held or self.breaker.opened or self.breaker.blocked(now))

    def begin(self, holder: list[Lease], size: Size, now: float) -> Lease:
        """One more attempt, with its places and allowances.

        `holder` has the lease before anything is taken: where this is broken off midway, all of it can be given back.
        """
        counts = now < self.tokens.until or any(gate.counts_tokens for gate in self.gates)
        tokens = size() if counts else 0
        lease = Lease(self, now, holder)
        holder.append(lease)
        self.breaker.begin(lease, now)
        self.requests.take(1, now)
        self.tokens.take(tokens, now)
        for gate in self.gates:
            ticket = gate.enter(lease, tokens, now)
            if ticket is not None:
                lease.tickets.append(ticket)
        return lease


@attrs.frozen(kw_only=True)
class Health:
    """How a candidate stands now, for a person or a dashboard.

    candidate      provider/model
    state          closed: used as usual; open: left alone after failures; half-open: one probe may try it
    openings       how many times it was closed and opened, so far
    rests_for      seconds until it may be asked again, for whatever reason; 0 where it may
    in_flight      attempts on it now
    first_content  seconds to its first content lately, None where it is not known
    per_token      seconds a token after that, None where it is not known
    """

    candidate: str
    state: BreakerState
    openings: int
    available_in: float
    in_flight: int
    time_to_first_token: float | None
    time_per_output_token: float | None


def health_of(standing: CandidateState, now: float) -> Health:
    breaker, latency = standing.breaker, standing.latency
    return Health(
        candidate=standing.key,
        state=breaker.state(now),
        openings=breaker.openings,
        available_in=breaker.rests_for(now),
        in_flight=standing.in_flight,
        time_to_first_token=latency.first_content.value,
        time_per_output_token=latency.per_token.value,
    )


@attrs.define(eq=False)
class Lease:
    """What one attempt holds of its candidate, from Open to Drop. `holder` has the leases of its call."""

    standing: CandidateState
    began: float
    holder: list[Lease]
    tickets: list[Reservation] = attrs.field(factory=list, init=False)
    content_at: float | None = attrs.field(default=None, init=False)
    _told: bool = attrs.field(default=False, init=False)
    _judged: bool = attrs.field(default=False, init=False)
    _used: int | None = attrs.field(default=None, init=False)

    @property
    def probe(self) -> bool:
        """Whether it is the one that a half-open breaker lets through, as long as that is open."""
        return self.standing.breaker.is_probe(self)

    def content_came(self, now: float) -> None:
        self.content_at = now
        self.standing.latency.content_came(now - self.began, now)

    def told(self, limits: RateLimit | None, at: float) -> None:
        """What the head that came at `at` said of the provider's limits. The first word holds."""
        if limits is not None and not self._told:
            self._told = True
            standing = self.standing
            standing.requests.learn(limits.requests, at, standing.in_flight - 1)
            standing.tokens.learn(limits.tokens, at, 0)

    def succeeded(self, now: float, *, tokens: int | None, answer: int | None) -> None:
        """The answer came whole.

        tokens  what it came to in all, where its usage says so
        answer  of these, the answer's
        """
        standing = self.standing
        if not self._judged:
            self._judged = True
            standing.breaker.succeeded(self, now, began=self.began)
        self._used = tokens
        if self.content_at is None:
            self.content_came(now)
        else:
            standing.latency.ended(now - self.content_at, answer, now)

    def overtaken(self, now: float) -> None:
        """Another attempt of the same call was faster."""
        self.standing.latency.no_content_for(now - self.began, now)

    def failed(self, now: float, rule: Rule, retry_after: float | None) -> None:
        standing, breaker = self.standing, self.standing.breaker
        if not self._judged:
            self._judged = True
            if rule.health:
                breaker.failed(self, now, began=self.began)
            else:
                breaker.abandoned(self)
        cooldown = max(rule.cooldown, retry_after or 0.0)
        if cooldown > 0:
            standing.breaker.cool_down(now + cooldown)

    def release(self) -> None:
        """The attempt is over, however it went: what it held is free. To do it again does nothing."""
        self._judged = True
        self.standing.breaker.abandoned(self)
        while self.tickets:
            self.tickets.pop().settle(self._used, give_back=self.content_at is None)
        for gate in self.standing.gates:
            gate.leave(self)
        if self in self.holder:
            self.holder.remove(self)
