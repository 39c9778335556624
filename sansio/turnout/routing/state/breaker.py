"""Whether a candidate is left alone for a while: a circuit breaker, and the cooldowns that providers ask for.

Closed: attempts go through, and failures are counted over a sliding window. Open: none goes through, until a time that
grows with each probe that fails. Half-open: one probe goes through, and its outcome closes or opens again. A cooldown
is apart from that: it says nothing of health, and can only be extended. The pattern is of M. Nygard, "Release It!".
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, TypeAlias

import attrs

from turnout.routing.policy.settings import BreakerPolicy

__all__ = ["Breaker", "BreakerState"]

BreakerState: TypeAlias = Literal["closed", "open", "half-open"]

# The window slides in steps of a tenth of itself, so that its memory does not grow with the rate of calls.
STEPS = 10


@attrs.define(eq=False)
class _Step:
    began: float
    calls: int = 0
    failures: int = 0


@attrs.define(eq=False)
class Breaker:
    """The breaker of one candidate. `policy` None counts nothing; cooldowns hold all the same."""

    policy: BreakerPolicy | None
    cool_until: float = attrs.field(default=-math.inf, init=False)
    open_until: float = attrs.field(default=-math.inf, init=False)
    opened: int = attrs.field(default=0, init=False)  # times in a row, 0 while closed
    openings: int = attrs.field(default=0, init=False)  # times that it opened and had been closed
    _probe: object = attrs.field(default=None, init=False)  # the attempt that it lets through half-open
    _opened_at: float = attrs.field(default=-math.inf, init=False)
    _in_a_row: int = attrs.field(default=0, init=False)
    _steps: deque[_Step] = attrs.field(factory=deque, init=False)

    def state(self, now: float) -> BreakerState:
        if not self.opened:
            return "closed"
        return "open" if now < self.open_until else "half-open"

    def blocked(self, now: float) -> tuple[Literal["cooling", "open", "probing"], float] | None:
        """Why no attempt may begin now, and for how many seconds more; None where one may."""
        if now < self.cool_until:
            return "cooling", self.cool_until - now
        if self.opened:
            if now < self.open_until:
                return "open", self.open_until - now
            if self.probing:
                return "probing", math.inf  # until that probe has its outcome
        return None

    def rests_for(self, now: float) -> float:
        """Seconds until it may be asked again, as far as time alone decides that; 0 where it may."""
        until = max(self.cool_until, self.open_until) if self.opened else self.cool_until
        return max(0.0, until - now)

    @property
    def probing(self) -> bool:
        """Whether a probe is out."""
        return self._probe is not None

    def is_probe(self, attempt: object) -> bool:
        return self._probe is attempt

    def begin(self, attempt: object, now: float) -> None:
        """An attempt begins: as the probe, where one may go through and none is out."""
        if self.opened and self._probe is None and now >= self.open_until:
            self._probe = attempt

    def cool_down(self, until: float) -> None:
        self.cool_until = max(self.cool_until, until)

    def abandoned(self, attempt: object) -> None:
        """An attempt ended without saying anything of the candidate's health."""
        if self._probe is attempt:
            self._probe = None

    def succeeded(self, attempt: object, now: float, *, began: float) -> None:
        self.abandoned(attempt)
        if self.opened:
            if began < self._opened_at:
                return  # it was under way before the trouble began, and tells nothing of now
            self.opened = 0
            self._steps.clear()
        self._in_a_row = 0
        self._count(now, failures=0)

    def failed(self, attempt: object, now: float, *, began: float) -> None:
        self.abandoned(attempt)
        policy = self.policy
        if policy is None:
            return
        if self.opened:
            if began >= self._opened_at and now >= self.open_until:
                self._open(now, policy)
            return
        self._in_a_row += 1
        self._count(now, failures=1)
        calls = sum(step.calls for step in self._steps)
        failures = sum(step.failures for step in self._steps)
        ratio_says = calls >= policy.minimum_calls and failures >= policy.failure_ratio * calls
        if ratio_says or 0 < policy.consecutive_failures <= self._in_a_row:
            self._open(now, policy)

    def _open(self, now: float, policy: BreakerPolicy) -> None:
        self.openings += not self.opened
        self.opened += 1
        self._opened_at = now
        # The exponent is bounded before it is used: 2.0 ** 5000 is an OverflowError.
        seconds = min(
            policy.max_break_duration, policy.break_duration * policy.break_multiplier ** min(self.opened - 1, 64)
        )
        self.open_until = max(self.open_until, now + seconds)
        self._in_a_row = 0
        self._steps.clear()

    def _count(self, now: float, *, failures: int) -> None:
        if self.policy is None:
            return
        steps, window = self._steps, self.policy.window
        while steps and steps[0].began <= now - window:
            steps.popleft()
        if not steps or now >= steps[-1].began + window / STEPS:
            steps.append(_Step(now))
        steps[-1].calls += 1
        steps[-1].failures += failures
