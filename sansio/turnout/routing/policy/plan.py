"""The decisions of one call, made of facts alone: whom to ask next, after which wait, or that there is nobody left.

A plan sees no bytes and no clock: it is told what stands in a candidate's way, that an attempt began and how it
failed, and answers what follows. All its times are seconds from the call's beginning. The same facts and the same seed
give the same answers, so a recorded call can be decided again (`turnout.routing.replay`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from turnout.errors import Phase
from turnout.failures import FailureClass
from turnout.routing.policy.backoff import backoff_seconds
from turnout.routing.policy.classify import Action
from turnout.routing.policy.settings import Policy

__all__ = ["Blocked", "CandidateInfo", "Decision", "Fallback", "GiveUp", "Plan", "Retry", "TryCandidate", "WaitUntil"]

# A kept-alive connection that died while idle says nothing about the provider, so the next try is free. After this
# many in one call it is no longer taken for an accident.
FREE_STALE = 2


@attrs.frozen
class CandidateInfo:
    """What a plan knows of a candidate from the start.

    window   tokens of prompt and answer that the model takes, where that is known
    resumes  whether the model goes on from a prefilled answer
    """

    provider: str
    window: int | None = None
    resumes: bool = False
    name: str = ""


@attrs.frozen
class Blocked:
    """Why a candidate may not be asked now.

    state  at a limit: `full` of attempts, or `paced` to so many in a minute; resting: `cooling` as its provider asked
           for, `open` breaker, or `probing` while another call's probe is out
    wait   seconds until that passes; inf where only an event can tell
    """

    reason: Literal["full", "paced", "cooling", "open", "probing"]
    wait: float

    @property
    def limit(self) -> bool:
        return self.reason in ("full", "paced")


@attrs.frozen
class TryCandidate:
    """Ask this candidate now; `forced` although it should rest, for there is no other."""

    index: int
    forced: bool = False


@attrs.frozen
class WaitUntil:
    """Nobody can be asked now: wait until `until`, inf until the router says so."""

    until: float
    reason: str


@attrs.frozen
class Retry:
    """The same candidate, after `wait` seconds."""

    wait: float
    reason: str


@attrs.frozen
class Fallback:
    """The next candidate, now. `dropped` are others that would fail for the same reason."""

    reason: str
    excluded: tuple[int, ...] = ()


@attrs.frozen
class GiveUp:
    """No other attempt.

    final  the last error is the whole answer; else all errors are
    full   it was limits that stood in the way
    queue  as many calls as may were waiting already: this many
    """

    reason: str
    final: bool = False
    full: bool = False
    queue: int | None = None


Decision: TypeAlias = Retry | Fallback | GiveUp
Look: TypeAlias = Callable[[int], Blocked | None]


@attrs.define(eq=False)
class Plan:
    """The ledger of one call over its usable candidates.

    deadline  seconds from the call's beginning
    seed      of the jitter
    left      the places that may still be asked, in their order
    attempts  attempts begun in all
    """

    candidates: tuple[CandidateInfo, ...]
    policy: Policy
    deadline: float
    seed: int
    left: list[int] = attrs.field(init=False)
    attempts: int = attrs.field(default=0, init=False)
    _retries: dict[int, int] = attrs.field(factory=dict, init=False)
    _stale: int = attrs.field(default=0, init=False)
    _rng: random.Random | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.left = list(range(len(self.candidates)))

    def choose(self, look: Look, at: float) -> TryCandidate | WaitUntil | GiveUp:
        """The first candidate with nothing in its way; where each has something, what the policy says to that."""
        obstacles: list[tuple[int, Blocked]] = []
        for place in self.left:
            obstacle = look(place)
            if obstacle is None:
                return TryCandidate(place)
            obstacles.append((place, obstacle))
        if not obstacles:
            return GiveUp("no candidate is left")
        policy = self.policy
        waits = [obstacle.wait for _, obstacle in obstacles]
        wait = min(waits)
        resting = [place for place, obstacle in obstacles if not obstacle.limit]
        limits = len(obstacles) > len(resting)
        if policy.when_at_capacity == "wait" if limits else policy.when_all_in_cooldown == "wait":
            # Where any may be free at any moment (inf), no other's long rest is a reason to give up.
            if max(waits) < math.inf and at + wait >= self.deadline:
                return GiveUp(f"the first candidate is free again in {wait:.3g} s, after the deadline", full=limits)
            states = ", ".join(dict.fromkeys(obstacle.reason for _, obstacle in obstacles))
            return WaitUntil(at + wait, f"every candidate is {states}")
        if resting and policy.when_all_in_cooldown == "try_anyway":
            return TryCandidate(resting[0], forced=True)
        states = ", ".join(dict.fromkeys(obstacle.reason for _, obstacle in obstacles))
        return GiveUp(f"every candidate is {states}", full=limits)

    @property
    def may_overlap(self) -> bool:
        """Whether two attempts may be on at once: there are two to ask, and asking twice is allowed."""
        policy = self.policy
        return policy.hedge is not None and policy.retry_mode == "always" and len(self.left) > 1

    def beside(self, place: int, free: Callable[[int], bool]) -> TryCandidate | None:
        """Whom to ask while the attempt on `place` is slow: another that is free."""
        if self.attempts >= self.policy.max_attempts:
            return None
        return next((TryCandidate(other) for other in self.left if other != place and free(other)), None)

    def began(self) -> None:
        self.attempts += 1

    def time_for_attempt(self, at: float) -> float:
        """Seconds that an attempt begun now may take."""
        own, left = self.policy.attempt_timeout, self._time_left(at)
        return left if own is None else min(left, own)

    def _time_left(self, at: float) -> float:
        """Seconds for one candidate, waits included: all that is left, less a reserve for the others."""
        left = max(0.0, self.deadline - at)
        return left * (1.0 - self.policy.fallback_reserve) if len(self.left) > 1 else left

    def unusable(self, place: int) -> None:
        """This candidate cannot be asked at all."""
        self.left.remove(place)

    def failed(self, place: int, failure: FailureClass, retry_after: float | None, phase: Phase, at: float) -> Decision:
        """What follows the failure of an attempt before any of it has reached the caller."""
        stop = self._barred(place, failure, phase)
        if stop is not None:
            return stop
        if failure is FailureClass.STALE_CONNECTION:
            self._stale += 1
            if self._stale <= FREE_STALE:
                return Retry(0.0, "its kept-alive connection had been closed while idle")
        again = self._again(place, failure, retry_after, at)
        if isinstance(again, Retry):
            return again
        self.left.remove(place)
        dropped = self._no_larger(place) if failure is FailureClass.CONTEXT_LENGTH else ()
        return Fallback(again, dropped)

    def _again(self, place: int, failure: FailureClass, retry_after: float | None, at: float) -> Retry | str:
        """Another try of the same candidate, or why there is none."""
        policy = self.policy
        if policy.rule(failure, self.candidates[place].provider).action is not Action.RETRY:
            return f"{failure.value} does not pass by trying again"
        used = self._retries.get(place, 0)
        if used >= policy.max_retries:
            return f"{failure.value}, and its {policy.max_retries} retries are used"
        wait = backoff_seconds(used + 1, retry_after, policy, self._chance())
        if not wait < self._time_left(at):
            return f"{failure.value}, and a wait of {wait:.3g} s is longer than the time left for it"
        self._retries[place] = used + 1
        return Retry(wait, f"{failure.value}, retry {used + 1} of {policy.max_retries}")

    def broke(
        self, place: int, failure: FailureClass, retry_after: float | None, phase: Phase, at: float, *, resume: bool
    ) -> Decision:
        """What follows a stream that broke after content, where the policy does not leave that to the caller."""
        stop = self._barred(place, failure, phase)
        if stop is not None:
            return stop
        if resume:
            self.left = [other for other in self.left if self.candidates[other].resumes]
        others = [other for other in self.left if other != place]
        if others:
            self.left = others
            return Fallback(f"{failure.value} in the middle of the answer")
        if not self.left:
            return GiveUp("no candidate can go on from there")
        again = self._again(place, failure, retry_after, at)
        return again if isinstance(again, Retry) else GiveUp(again)

    def _barred(self, place: int, failure: FailureClass, phase: Phase) -> GiveUp | None:
        """Why nothing may follow this failure, whoever is left."""
        policy = self.policy
        if policy.rule(failure, self.candidates[place].provider).action is Action.RAISE:
            return GiveUp(f"{failure.value} is for the caller to mend", final=True)
        if policy.retry_mode == "only_if_unsent" and phase is not Phase.NOT_SENT:
            return GiveUp("the request may have been processed, and only unsent ones are repeated", final=True)
        if self.attempts >= policy.max_attempts:
            return GiveUp(f"all {policy.max_attempts} attempts of the call are used")
        return None

    def _no_larger(self, place: int) -> tuple[int, ...]:
        """The candidates whose window is known to be no larger than this one's; they are left out from now on."""
        window = self.candidates[place].window
        if window is None:
            return ()
        dropped = tuple(
            other for other in self.left if (known := self.candidates[other].window) is not None and known <= window
        )
        self.left = [other for other in self.left if other not in dropped]
        return dropped

    def _chance(self) -> random.Random:
        if self._rng is None:  # most calls never need it, and seeding costs more than all else here
            self._rng = random.Random(self.seed)
        return self._rng
