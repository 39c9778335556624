"""The state of one candidate that all calls of a router share: breaker, slots, rate limits and latency."""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import Protocol

import attrs

from turnout.chat import RateLimit
from turnout.providers.protocol import ModelProfile
from turnout.routing.policy.decisions import Blocked
from turnout.routing.policy.settings import Limit, Policy
from turnout.routing.state.breaker import Breaker, BreakerState
from turnout.routing.state.learnt.congestion import Congestion
from turnout.routing.state.learnt.latency import Latency
from turnout.routing.state.learnt.pace import Pace
from turnout.routing.state.limiter import InLine, Limiter
from turnout.routing.state.limits import ONE_REQUEST, UNITS, Amounts, ProviderRateLimit

__all__ = ["CandidateState", "Health", "health_of"]

# So many silent attempts show that a candidate does not respond.
HANGING = 3
# How much longer than usual they must be silent: a multiple of the 95th percentile, in streams and in whole responses.
STREAM_FACTOR = 4.0
WHOLE_FACTOR = 2.0
SHORTEST_PATIENCE = 1.0
# Seconds, for a candidate with unknown times.
UNKNOWN_PATIENCE = 10.0
# The number of newest responses that show the tokens of a response, and the smallest number that is enough.
COMPLETIONS = 50
KNOWN_COMPLETIONS = 5


class Attempt(Protocol):
    """An attempt, as its candidate sees it (`turnout.routing.state.lease.Lease`)."""

    @property
    def streams(self) -> bool: ...


class Applicant(InLine, Protocol):
    """A call that wants to start an attempt (`turnout.routing.state.waiter.Waiter`)."""

    def amounts_for(self, index: int) -> Amounts: ...


@attrs.define(eq=False)
class CandidateState:
    """One candidate as all calls see it.

    Attributes:
        key: `provider/model`.
        limiters: The router's, the provider's and its own, in this order.
        breaker: Its circuit breaker and its cooldown.
        profile: What its provider knows about the model.
        latency: How long it takes.
        settings: The policy of the router.
        reported: The provider's own limits from its response headers, in the order of `UNITS`.
        reported_until: When the last of them is not believed any more.
        pace: How many requests it takes after it refused some.
        congestion: How many attempts it serves quickly.
        counts_tokens: True if a configured limit on tokens counts its attempts.
        silent: The attempts without an answer so far, with the time of their start, in this order.
    """

    key: str
    limiters: tuple[Limiter, Limiter, Limiter]
    breaker: Breaker
    profile: ModelProfile = ModelProfile()
    latency: Latency = attrs.field(factory=Latency)
    settings: Policy = attrs.field(factory=Policy)
    reported: tuple[ProviderRateLimit, ...] = attrs.field(init=False)
    reported_until: float = attrs.field(init=False)
    pace: Pace = attrs.field(factory=Pace, init=False)
    congestion: Congestion = attrs.field(factory=Congestion, init=False)
    silent: dict[Attempt, float] = attrs.field(factory=dict, init=False)
    _heard_at: float = attrs.field(default=-math.inf, init=False)
    _completions: deque[int] = attrs.field(factory=lambda: deque(maxlen=COMPLETIONS), init=False)
    _usual_completion: int | None = attrs.field(default=None, init=False)
    counts_tokens: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._forget_reported()
        self.counts_tokens = any(limiter.counts_tokens for limiter in self.limiters)

    def update(self, policy: Policy, limit: Limit) -> None:
        """Take over new settings of the router."""
        self.settings, self.breaker.policy = policy, policy.breaker
        self.limiters[2].update(limit)
        self.counts_tokens = any(limiter.counts_tokens for limiter in self.limiters)

    @property
    def in_flight(self) -> int:
        return self.limiters[2].in_flight

    def blocked_by(self, waiter: Applicant, index: int, now: float) -> tuple[Blocked, Limiter] | None:
        """Return why a call may not start an attempt now, and the limiter that it waits for; None if it may start.

        The outermost limiter decides. Limits are checked before rests: a candidate that should rest may be tried
        nevertheless, one at its limit never.
        """
        amounts: Amounts | None = None
        own, is_behind = self.limiters[2], False
        for limiter in self.limiters:
            if len(limiter.held) >= limiter.slots:
                wait = limiter.slot_wait(now)
                if wait > 0:
                    return Blocked("at_capacity", wait, limiter.label(now)), limiter
            if limiter.has_quotas:
                if limiter.counts_tokens and amounts is None:
                    amounts = waiter.amounts_for(index)
                wait = limiter.wait(amounts or ONE_REQUEST, now)
                if wait > 0:
                    return Blocked("rate_limited", wait, limiter.label(now)), limiter
            if limiter.line and limiter.is_behind(waiter):
                if limiter is not own:
                    return self._behind(limiter), limiter
                is_behind = True  # what the others wait for here holds for this call too
        if now < self.breaker.paced_until:
            return Blocked("paced", self.breaker.paced_until - now, f"{self.key}, as its provider asks"), own
        wait = 0.0
        if now < self.reported_until:
            amounts = amounts or waiter.amounts_for(index)
            wait = max(limit.wait(amount, now) for limit, amount in zip(self.reported, amounts, strict=True))
        if wait > 0:
            return self._paced(wait, "provider reports it", now), own
        wait = self.pace.wait(self.silent.values(), now)
        if wait > 0:
            return self._paced(wait, f"{self.pace.shown_by} show", now), own
        rest = self.breaker.blocked_by(now)
        if rest is not None:
            return Blocked(*rest, cause=self.breaker.cause_of(rest[0])), own
        if is_behind:
            return self._behind(own), own
        preference = self._better_avoided(now)
        return (preference, own) if preference is not None else None

    def _paced(self, wait: float, shown_by: str, now: float) -> Blocked:
        return Blocked("paced", wait, f"{self.key}, as its {shown_by}", advice=self.pace.may_ask_anyway(now))

    def _better_avoided(self, now: float) -> Blocked | None:
        """Return why another candidate is better than this one, although this one may be used."""
        silent = self.silent
        if len(silent) >= HANGING:
            wait = self._silence_to_wait_out(now)
            if wait > 0:
                return Blocked("not_responding", wait, load=math.inf)
            self.congestion.look_at(silent, self.in_flight, now)
        limit = self.congestion.limit
        if limit < math.inf and self.in_flight >= limit:
            return Blocked("busy", math.inf, load=round(self.congestion.seconds_to_first_token(len(silent) + 1), 3))
        return None

    def _silence_to_wait_out(self, now: float) -> float:
        """Return the seconds until one more attempt may test a candidate that does not respond; 0 if it responds.

        It does not respond if several attempts are silent for far longer than usual, and nothing was heard meanwhile.
        """
        oldest = list(itertools.islice(self.silent.items(), HANGING))
        streams = oldest[-1][0].streams
        usual = self.latency.quantile(0.95, streams=streams)
        factor = STREAM_FACTOR if streams else WHOLE_FACTOR
        patience = max(SHORTEST_PATIENCE, factor * usual) if usual is not None else UNKNOWN_PATIENCE
        if now - oldest[-1][1] < patience or now - self._heard_at < patience:
            return 0.0
        return next(reversed(self.silent.values())) + patience - now

    def heard(self, attempt: Attempt, now: float) -> None:
        """Note that an attempt got an answer."""
        self.silent.pop(attempt, None)
        self._heard_at = now

    def is_patient_enough(self, seconds: float, *, streams: bool) -> bool:
        """True if an attempt that was silent for so long had enough time: the silence counts against health."""
        usual = self.latency.quantile(0.95, streams=streams)
        if usual is not None:
            return seconds >= max(SHORTEST_PATIENCE, (STREAM_FACTOR if streams else WHOLE_FACTOR) * usual)
        known = self.latency.first_content.value
        if known is not None:
            return seconds >= max(SHORTEST_PATIENCE, STREAM_FACTOR * known)
        return seconds >= UNKNOWN_PATIENCE

    def lift(self) -> None:
        """End the cooldown and the break, and forget the learnt limits."""
        self.breaker.lift()
        self.pace.lift()
        self._forget_reported()
        self.congestion = Congestion()
        self.silent.clear()

    # -- limits that the provider reports ---------------------------------------------------------------------------

    def _forget_reported(self) -> None:
        self.reported = tuple(ProviderRateLimit(self.settings.max_learned_wait) for _ in UNITS)
        self.reported_until = -math.inf

    def record_reported(self, limits: RateLimit, at: float) -> None:
        """Take over the limits in response headers that arrived at `at`."""
        others = max(0, self.in_flight - 1)
        # Responses in flight have yet to take about half of their tokens, if these count as they are produced.
        output = 0.0 if self.profile.counts_max_tokens else others * (self._usual_completion or 0) / 2
        windows = (limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens)
        self.reported_until = -math.inf
        for limit, window, in_flight in zip(self.reported, windows, (others, 0, 0, output), strict=True):
            if window is not None:
                limit.update(window, at, in_flight)
            if limit.until > self.reported_until:
                self.reported_until = limit.until

    # -- tokens of responses ----------------------------------------------------------------------------------------

    def record_completion(self, tokens: int) -> None:
        """Take the tokens that a response really had."""
        self._completions.append(tokens)
        known = self._completions
        if len(known) >= KNOWN_COMPLETIONS:
            self._usual_completion = math.ceil(sum(known) / len(known))

    @property
    def has_answered(self) -> bool:
        """True if a response told how many tokens it had."""
        return bool(self._completions)

    def usual_completion(self, at_most: int) -> int:
        """Return the tokens that the next response probably takes, so that `max_tokens` does not waste a limit."""
        return at_most if self._usual_completion is None else min(at_most, self._usual_completion)

    @staticmethod
    def _behind(limiter: Limiter) -> Blocked:
        """Return the reason for a call that must wait only because others wait already."""
        if limiter.limit.max_concurrency is not None:
            return Blocked("at_capacity", math.inf, limiter.name)
        if not limiter.has_quotas:
            return Blocked("paced", math.inf, f"{limiter.name}, as its provider asks")
        return Blocked("rate_limited", math.inf, limiter.name)

    def is_idle(self, now: float) -> bool:
        """True if nothing runs or waits here and no limit, cooldown or open breaker must be remembered."""
        own = self.limiters[2]
        paced = now < self.reported_until or self.pace.is_known
        held = own.in_flight or own.limit != Limit() or own.head is not None
        return not (paced or held or self.breaker.consecutive_opens or self.breaker.blocked_by(now))


@attrs.frozen(kw_only=True)
class Health:
    """The condition of a candidate, for a person or a dashboard.

    Attributes:
        candidate: `provider/model`.
        state: That of its circuit breaker, which counts failures of the server and of the network. "closed": too few.
            "open": skipped after failures. "half-open": one probe may try it. A wrong key, a used-up quota or a rate
            limit does not open it: calls skip the candidate until `available_in` has passed.
        times_opened: How often its breaker opened so far.
        available_in: Seconds until it may be tried again, whatever the reason; 0 if it may be tried now.
        reason: Why it is skipped until then, such as "cooldown after authentication"; "" if it may be tried now.
        in_flight: Attempts that run now.
        time_to_first_token: Seconds, as measured lately; None if it is not known.
        time_per_output_token: Seconds, as measured lately; None if it is not known.
        budget_left: The least that a budget of the router, of its provider or of the model leaves; None if none counts
            it.
    """

    candidate: str
    state: BreakerState
    times_opened: int
    available_in: float
    in_flight: int
    time_to_first_token: float | None
    time_per_output_token: float | None
    budget_left: float | None = None
    reason: str = ""


def health_of(state: CandidateState, now: float, budget_left: float | None = None) -> Health:
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
        budget_left=budget_left,
        reason=breaker.reason(now),
    )
