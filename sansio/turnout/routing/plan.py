"""The decisions of one call, made of facts alone: which candidate next, after which wait, or that there is none left.

A plan sees no bytes: it is told that an attempt began and how it failed, and answers what follows. The same facts and
the same random numbers give the same answers.
"""

from __future__ import annotations

import random
from typing import TypeAlias

import attrs

from turnout.routing.backoff import backoff_seconds
from turnout.routing.classify import RULES, Action, FailureClass
from turnout.routing.policy import Policy

__all__ = ["Again", "Decision", "Next", "Plan", "Stop"]

# A kept-alive connection that died while idle says nothing about the provider, so the next try is free. After this
# many in one call it is no longer taken for an accident.
FREE_STALE = 2


@attrs.frozen
class Again:
    """The same candidate, after `wait` seconds."""

    wait: float
    reason: str


@attrs.frozen
class Next:
    """The next candidate, now; where there is none, the call has failed."""

    reason: str


@attrs.frozen
class Stop:
    """No other attempt. With `final` the last error is the whole answer; else all errors are."""

    reason: str
    final: bool = False


Decision: TypeAlias = Again | Next | Stop


@attrs.define(eq=False)
class Plan:
    """The ledger of one call over `candidates` usable candidates in their order.

    seed      of the jitter
    place     the candidate that is tried now; equal to `candidates` once none is left
    attempts  attempts begun in all
    """

    candidates: int
    policy: Policy
    deadline: float
    seed: int
    place: int = attrs.field(default=0, init=False)
    attempts: int = attrs.field(default=0, init=False)
    _retries: int = attrs.field(default=0, init=False)
    _stale: int = attrs.field(default=0, init=False)
    _rng: random.Random | None = attrs.field(default=None, init=False)

    @property
    def exhausted(self) -> bool:
        return self.place >= self.candidates

    def began(self) -> None:
        self.attempts += 1

    def time_for_attempt(self, now: float) -> float:
        """Seconds that an attempt begun now may take: all that is left, less a reserve for untried candidates."""
        left = max(0.0, self.deadline - now)
        return left * (1.0 - self.policy.reserve) if self.place + 1 < self.candidates else left

    def failed(self, failure: FailureClass, retry_after: float | None, now: float) -> Decision:
        """What follows a failure of the current candidate. `Next` has moved `place` on already."""
        rule = RULES[failure]
        if rule.action is Action.STOP:
            return Stop(f"{failure.value} is for the caller to mend", final=True)
        if self.attempts >= self.policy.max_attempts:
            return Stop(f"all {self.policy.max_attempts} attempts of the call are used")
        if failure is FailureClass.STALE:
            self._stale += 1
            if self._stale <= FREE_STALE:
                return Again(0.0, "its kept-alive connection had been closed while idle")
        if rule.action is Action.RETRY and self._retries < self.policy.retries:
            if self._rng is None:  # most calls never need it, and seeding costs more than all else here
                self._rng = random.Random(self.seed)
            wait = backoff_seconds(self._retries + 1, retry_after, self.policy, self._rng)
            if wait < self.time_for_attempt(now):
                self._retries += 1
                return Again(wait, f"{failure.value}, retry {self._retries} of {self.policy.retries}")
            reason = f"{failure.value}, and a wait of {wait:.3g} s is longer than the time left for it"
        elif rule.action is Action.RETRY:
            reason = f"{failure.value}, and its {self.policy.retries} retries are used"
        else:
            reason = f"{failure.value} does not pass by trying again"
        self.move_on()
        return Next(reason)

    def move_on(self) -> None:
        self.place += 1
        self._retries = 0
