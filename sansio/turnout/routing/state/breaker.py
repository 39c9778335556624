"""Skips a candidate for some time: a circuit breaker, and the cooldowns that providers request.

States of the breaker: closed (attempts start, and failures are counted over a sliding window), open (no attempt starts
until a time that grows with each failed probe), half-open (one probe starts, and its result closes or opens the
breaker again). A cooldown is independent of it: it is not about health, and it can only be extended. Source of
the pattern: M. Nygard, "Release It!".
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from turnout.failures import FailureClass
from turnout.routing.policy.settings import BreakerPolicy

__all__ = ["Breaker", "BreakerState"]

BreakerState: TypeAlias = Literal["closed", "open", "half-open"]

# The window slides in steps of a tenth of itself, so that its memory does not grow with the rate of calls.
STEPS = 10
# Seconds in which a probe must have its first token or its result; then another one is let through.
PROBE_SECONDS = 15.0
# Seconds of the cooldown after a refusal without a wait, at first and at most, and the share that jitter adds.
FIRST_REFUSAL = 5.0
LONGEST_REFUSAL = 60.0
JITTER = 0.2
# The failures that are of the key or of its account, not of the model or of the moment.
REFUSALS = frozenset({FailureClass.AUTHENTICATION.value, FailureClass.QUOTA.value})


@attrs.define(eq=False)
class _Step:
    started: float
    calls: int = 0
    failures: int = 0


@attrs.define(eq=False)
class Breaker:
    """The breaker and the cooldown of one candidate. With `policy` None it counts nothing; cooldowns hold nevertheless.

    Attributes:
        cool_until: The end of the cooldown.
        paced_until: The time at which the provider accepts requests again, as it reported.
        open_until: The time at which an open breaker becomes half-open.
        consecutive_opens: How often it opened without closing in between; 0 while it is closed.
        times_opened: How often it opened after it had been closed.
        cool_cause: The class of the failure that the cooldown follows, or who asked for it; "" if it is not known.
        open_cause: The class of the failure that opened the breaker; "" if it is not known.
        claim: In a fleet of processes, claims the one probe of the fleet: returns None if this process may send it,
            else the seconds until the next try.
        give_back_claim: Gives that claim back.
    """

    policy: BreakerPolicy | None
    claim: Callable[[float], float | None] | None = attrs.field(default=None, init=False)
    give_back_claim: Callable[[], None] | None = attrs.field(default=None, init=False)
    cool_until: float = attrs.field(default=-math.inf, init=False)
    paced_until: float = attrs.field(default=-math.inf, init=False)
    open_until: float = attrs.field(default=-math.inf, init=False)
    cool_cause: str = attrs.field(default="", init=False)
    open_cause: str = attrs.field(default="", init=False)
    consecutive_opens: int = attrs.field(default=0, init=False)
    times_opened: int = attrs.field(default=0, init=False)
    _probe: object = attrs.field(default=None, init=False)  # the attempt that it lets through half-open
    _probe_until: float = attrs.field(default=-math.inf, init=False)
    _refusals: int = attrs.field(default=0, init=False)  # cooldowns in a row because of refusals
    _opened_at: float = attrs.field(default=-math.inf, init=False)
    _failures_in_a_row: int = attrs.field(default=0, init=False)
    _steps: deque[_Step] = attrs.field(factory=deque, init=False)

    @property
    def rests(self) -> tuple[float, float, int]:
        """The end of the cooldown, the end of the break, and how often in a row it opened."""
        return max(self.cool_until, self.paced_until), self.open_until, self.consecutive_opens

    def state(self, now: float) -> BreakerState:
        if not self.consecutive_opens:
            return "closed"
        return "open" if now < self.open_until else "half-open"

    def blocked_by(self, now: float) -> tuple[Literal["cooldown", "breaker_open", "probe_in_flight"], float] | None:
        """Return why no attempt may start now, and for how many more seconds; None if one may."""
        if now < self.cool_until:
            return "cooldown", self.cool_until - now
        return self.broken_by(now)

    def broken_by(self, now: float) -> tuple[Literal["breaker_open", "probe_in_flight"], float] | None:
        """Return the same for the breaker alone, without the cooldown."""
        if self.consecutive_opens:
            if now < self.open_until:
                return "breaker_open", self.open_until - now
            if self._probe is not None and now < self._probe_until:
                return "probe_in_flight", self._probe_until - now  # or until that probe has its result
            wait = self.claim(now) if self.claim is not None else None
            if wait is not None:
                return "probe_in_flight", wait  # of another process, or not yet claimed
        return None

    def is_refused(self, now: float) -> bool:
        """True if it cools down because the provider refused the key or the account."""
        return now < self.cool_until and self.cool_cause in REFUSALS

    def reason(self, now: float) -> str:
        """Return for a person why no attempt starts before `available_in` has passed; "" if one may start."""
        if now < self.cool_until:
            return f"cooldown after {self.cool_cause}" if self.cool_cause else "cooldown"
        if now < self.paced_until:
            return "paced, as its provider asks"
        if self.consecutive_opens and now < self.open_until:
            return f"breaker open after {self.open_cause}" if self.open_cause else "breaker open"
        return ""

    def available_in(self, now: float) -> float:
        """Return the seconds until an attempt may start, as far as time alone decides that; 0 if it may now."""
        until = max(self.rests[:2]) if self.consecutive_opens else self.rests[0]
        return max(0.0, until - now)

    @property
    def has_probe(self) -> bool:
        """True if a probe is in flight."""
        return self._probe is not None

    def is_probe(self, attempt: object) -> bool:
        return self._probe is attempt

    def attempt_started(self, attempt: object, now: float) -> None:
        """Record an attempt. It is the probe if the breaker is half-open and no other probe is in flight.

        A probe that has no result in time is not waited for: the next attempt is the probe then.
        """
        free = self._probe is None or now >= self._probe_until
        if self.consecutive_opens and free and now >= self.open_until:
            self._probe, self._probe_until = attempt, now + PROBE_SECONDS

    def cool_down(self, until: float, cause: str = "") -> None:
        """Extend the cooldown."""
        if until > self.cool_until:
            self.cool_until, self.cool_cause = until, cause

    def cause_of(self, reason: Literal["cooldown", "breaker_open", "probe_in_flight"]) -> str:
        """Return why this candidate may not be used, for the reason that `blocked_by` returned."""
        return self.cool_cause if reason == "cooldown" else self.open_cause

    def note_cause(self, cause: str) -> None:
        """Keep the class of a failure that counts against health: it may open the breaker."""
        self.open_cause = cause

    def cool_down_after_refusal(self, now: float, jitter: float) -> None:
        """Cool down because the provider refused a request and gave no duration.

        Args:
            now: Monotonic seconds.
            jitter: Between 0 and 1. It spreads the routers that were refused at the same time.
        """
        if now < self.cool_until:
            return  # the refusal of an attempt that started before the cooldown
        seconds = min(LONGEST_REFUSAL, FIRST_REFUSAL * 2.0 ** min(self._refusals, 64))
        self._refusals += 1
        self.cool_until, self.cool_cause = now + seconds * (1.0 + JITTER * jitter), "rate-limit"

    def lift(self) -> None:
        """End the cooldown and the break."""
        self.cool_until = self.paced_until = self.open_until = -math.inf
        self.consecutive_opens = self._refusals = self._failures_in_a_row = 0
        self._probe = None
        self._steps.clear()

    def forget_probe(self, attempt: object) -> None:
        """Record that an attempt ended without a result about the candidate's health."""
        if self._probe is attempt:
            self._probe = None
            if self.give_back_claim is not None:
                self.give_back_claim()

    def record_success(self, attempt: object, now: float, *, started: float) -> None:
        self.forget_probe(attempt)
        self._refusals = 0
        if self.consecutive_opens:
            if started < self._opened_at:
                return  # it was in flight before the failures began, so it does not show the present health
            self.consecutive_opens = 0
            self._steps.clear()
        self._failures_in_a_row = 0
        self._count(now, failures=0)

    def record_failure(self, attempt: object, now: float, *, started: float) -> None:
        self.forget_probe(attempt)
        policy = self.policy
        if policy is None:
            return
        if self.consecutive_opens:
            if started >= self._opened_at and now >= self.open_until:
                self._open(now, policy)
            return
        self._failures_in_a_row += 1
        self._count(now, failures=1)
        calls = sum(step.calls for step in self._steps)
        failures = sum(step.failures for step in self._steps)
        over_ratio = calls >= policy.minimum_calls and failures >= policy.failure_ratio * calls
        if over_ratio or 0 < policy.consecutive_failures <= self._failures_in_a_row:
            self._open(now, policy)

    def opened_elsewhere(self, until: float, consecutive_opens: int, now: float) -> None:
        """Take over that the breaker of another process opened. A probe that is in flight here decides by itself."""
        if self.policy is None or self.has_probe:
            return
        if not self.consecutive_opens:
            self.times_opened += 1
            self._opened_at = now
        self.consecutive_opens = max(self.consecutive_opens, consecutive_opens, 1)
        self.open_until = max(self.open_until, until)
        self._failures_in_a_row = 0
        self._steps.clear()

    def closed_elsewhere(self, consecutive_opens: int) -> None:
        """Take over that a probe of another process succeeded, unless this breaker opened more often meanwhile."""
        if self.has_probe or self.consecutive_opens > max(consecutive_opens, 1):
            return
        self.consecutive_opens = 0
        self.open_until = -math.inf

    def _open(self, now: float, policy: BreakerPolicy) -> None:
        self.times_opened += not self.consecutive_opens
        self.consecutive_opens += 1
        self._opened_at = now
        # The exponent is bounded before it is used: 2.0 ** 5000 is an OverflowError.
        seconds = min(
            policy.max_break_duration,
            policy.break_duration * policy.break_multiplier ** min(self.consecutive_opens - 1, 64),
        )
        self.open_until = max(self.open_until, now + seconds)
        self._failures_in_a_row = 0
        self._steps.clear()

    def _count(self, now: float, *, failures: int) -> None:
        if self.policy is None:
            return
        steps, window = self._steps, self.policy.window
        while steps and steps[0].started <= now - window:
            steps.popleft()
        if not steps or now >= steps[-1].started + window / STEPS:
            steps.append(_Step(now))
        steps[-1].calls += 1
        steps[-1].failures += failures
