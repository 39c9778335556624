"""The resources of a candidate that one attempt holds, and the reports of the attempt about the candidate."""

from __future__ import annotations

import math
import random

import attrs

from turnout.chat import RateLimit, Usage
from turnout.failures import FailureClass
from turnout.routing.policy.classify import Action, Rule
from turnout.routing.state.budgets import BudgetReservation
from turnout.routing.state.candidate_state import CandidateState
from turnout.routing.state.limiter import Limiter, Reservation
from turnout.routing.state.limits import Amounts, Booking, ProviderRateLimit
from turnout.routing.state.throttle import Step

__all__ = ["Lease"]

# The wait that a provider requests after these is a pace: calls queue until it ends. After others it is a cooldown.
_LIMITED = frozenset({FailureClass.RATE_LIMIT, FailureClass.OVERLOADED, FailureClass.SERVER})
# Failures in which nothing was heard from the provider.
_UNANSWERED = frozenset(
    {
        FailureClass.CONNECT,
        FailureClass.CONNECT_TIMEOUT,
        FailureClass.CONNECT_CONFIG,
        FailureClass.STALE_CONNECTION,
        FailureClass.NO_RESPONSE,
        FailureClass.STREAM_STALLED,
        FailureClass.TRANSPORT,
    }
)


@attrs.define(eq=False)
class Lease:
    """The slots and shares that one attempt holds, from `Open` to `Close`. All calls are made under the router's lock.

    Attributes:
        state: Of the candidate.
        started: When the attempt started.
        holder: The leases of its call; the lease removes itself when it is released.
        streams: True if the response arrives as a stream.
        reservations: Its shares of the rate limits.
        learnt_request: Its share of the requests that the candidate's provider accepts a minute.
        reported: Its shares of the amounts that the provider reported as left.
        first_content_at: When its first content arrived.
        used: Its usage, if it is known or estimated.
        money: What it has reserved of budgets.
        lines: The calls that wait for this money.
        counted: What the throttle counted it in; None if it does not count.
        cost: What it cost; None as long as that is not known, and all that was reserved counts.
    """

    state: CandidateState
    started: float
    holder: list[Lease]
    streams: bool = True
    reservations: list[Reservation] = attrs.field(factory=list, init=False)
    learnt_request: Booking | None = attrs.field(default=None, init=False)
    reported: list[tuple[ProviderRateLimit, float]] = attrs.field(factory=list, init=False)
    first_content_at: float | None = attrs.field(default=None, init=False)
    used: Usage | None = attrs.field(default=None, init=False)
    money: list[BudgetReservation] = attrs.field(factory=list, init=False)
    lines: tuple[Limiter, ...] = attrs.field(default=(), init=False)
    counted: Step | None = attrs.field(default=None, init=False)
    cost: float | None = attrs.field(default=None, init=False)
    _gave_up: bool = attrs.field(default=False, init=False)
    _limits_recorded: bool = attrs.field(default=False, init=False)
    _outcome_recorded: bool = attrs.field(default=False, init=False)

    @property
    def limiters(self) -> tuple[Limiter, ...]:
        """Everything that calls may wait for until this attempt ends."""
        return self.state.limiters + self.lines

    @property
    def is_probe(self) -> bool:
        """True if a half-open breaker let this attempt through, and is still open."""
        return self.state.breaker.is_probe(self)

    def acquire(self, amounts: Amounts) -> None:
        """Take the slots of the attempt, and its shares of the rate limits, for a request that takes so much."""
        state, now = self.state, self.started
        state.breaker.attempt_started(self, now)
        if not state.silent:
            state.congestion.answered_at.clear()  # while nothing waits, answers are as far apart as requests
        state.silent[self] = now
        if state.settings.learn_limits:
            self.learnt_request = state.pace.take(now)
        if now < state.reported_until:
            self.reported += [
                (limit, limit.take(amount, now)) for limit, amount in zip(state.reported, amounts, strict=True)
            ]
        for limiter in state.limiters:
            if limiter.is_simple:
                limiter.held.add(self)
                continue
            reservation = limiter.acquire(self, amounts, now)
            if reservation is not None:
                self.reservations.append(reservation)

    def record_first_content(self, now: float) -> None:
        self.first_content_at = now
        state, seconds = self.state, now - self.started
        state.heard(self, now)
        state.pace.accepted()
        state.latency.record_first_content(seconds, now, streams=self.streams)
        if self.streams:
            oldest = next(iter(state.silent.values()), math.inf)
            state.congestion.record_first_token(seconds, state.in_flight, now, oldest)
            if state.breaker.is_probe(self):
                state.breaker.record_success(self, now, started=self.started)

    def record_rate_limit(self, limits: RateLimit | None, at: float) -> None:
        """Record the rate-limit headers of this attempt, which arrived at `at`. Only the first call counts."""
        if limits is not None and not self._limits_recorded:
            self._limits_recorded = True
            state = self.state
            if not state.settings.learn_limits:
                return
            state.record_reported(limits, at)
            window = limits.requests
            if window is not None and window.remaining is not None and window.limit is not None:
                state.pace.reported(window.remaining, window.limit, state.in_flight - 1, at)

    def record_success(self, now: float, usage: Usage) -> None:
        """Record that the response is complete, and the tokens that it took."""
        state, completion_tokens = self.state, usage.completion_tokens
        if not self._outcome_recorded:
            self._outcome_recorded = True
            state.breaker.record_success(self, now, started=self.started)
        self.used = usage
        if completion_tokens is not None:
            state.record_completion(completion_tokens)
        if self.first_content_at is None:
            self.record_first_content(now)
        else:
            state.latency.record_response(now - self.first_content_at, completion_tokens, now)

    def record_lost_race(self, now: float) -> None:
        """Record that another attempt of the same call was faster."""
        self.state.latency.record_censored(now - self.started, now, streams=self.streams)

    def record_failure(
        self, now: float, kind: FailureClass, rule: Rule, retry_after: float | None, rng: random.Random
    ) -> None:
        """Record a failure: `rule` decides whether it counts against health, and how long the cooldown is."""
        state, breaker = self.state, self.state.breaker
        longest = state.settings.max_cooldown
        if kind not in _UNANSWERED:
            state.heard(self, now)
        self._gave_up = kind is FailureClass.NO_RESPONSE
        if not self._outcome_recorded:
            self._outcome_recorded = True
            if rule.health:
                breaker.note_cause(kind.value)
                breaker.record_failure(self, now, started=self.started)
            else:
                breaker.forget_probe(self)
        if kind in _LIMITED:
            if retry_after is not None:
                breaker.paced_until = max(breaker.paced_until, now + min(longest, retry_after))
            elif kind is FailureClass.RATE_LIMIT:
                breaker.cool_down_after_refusal(now, rng.random())
            if kind is FailureClass.RATE_LIMIT and self.learnt_request is not None:
                state.pace.give_back(self.learnt_request)
                self.learnt_request = None
                state.pace.refused(retry_after, now)
            retry_after = None
        cooldown = max(rule.cooldown, retry_after or 0.0) if rule.action is not Action.RAISE else 0.0
        if cooldown > 0:
            breaker.cool_down(now + min(longest, cooldown), kind.value)

    def forget_request(self) -> None:
        """Note that the request was never sent, so that no provider had to refuse it."""
        if self.counted is not None:
            self.counted.requests -= 1
            self.counted = None

    def release(self, now: float, *, sent: bool = True) -> None:
        """Free everything that the attempt holds. A second call does nothing.

        Args:
            now: Monotonic seconds.
            sent: False if the request was never sent: it does not count against any limit.
        """
        self._outcome_recorded = True
        state = self.state
        if state.silent.pop(self, None) is not None and sent and self.streams:
            state.congestion.record_silence(now - self.started, state.in_flight, now, gave_up=self._gave_up)
        if not sent:
            self.forget_request()
            while self.reported:
                limit, taken = self.reported.pop()
                limit.give_back(taken)
            if self.learnt_request is not None:
                self.state.pace.give_back(self.learnt_request)
                self.learnt_request = None
        self.state.breaker.forget_probe(self)
        while self.reservations:
            self.reservations.pop().adjust(self.used, refund=not sent)
        while self.money:
            self.money.pop().settle(self.cost if sent else 0.0, now)
        for limiter in self.state.limiters:
            if limiter.is_simple:
                limiter.held.discard(self)
            else:
                limiter.release(self)
        if self in self.holder:
            self.holder.remove(self)
