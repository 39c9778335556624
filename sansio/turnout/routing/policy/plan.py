"""The decisions of one call: which candidate is next, after which wait, or that none remains.

A plan works on facts alone. It sees no bytes and no clock. The call reports which candidates are blocked, when an
attempt starts and how it fails; the plan returns what follows. All its times are seconds from the start of the call.
The same facts and the same seed give the same decisions, so a recorded call can be decided again
(`turnout.routing.replay`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import attrs
import msgspec

from turnout.errors import Phase
from turnout.failures import FailureClass
from turnout.routing.policy.backoff import backoff_seconds
from turnout.routing.policy.classify import Action
from turnout.routing.policy.settings import Policy

__all__ = [
    "Blocked",
    "BlockedReason",
    "CandidateInfo",
    "Choice",
    "Decision",
    "Fallback",
    "GiveUp",
    "Plan",
    "Retry",
    "TryCandidate",
    "WaitUntil",
]

# A kept-alive connection that closed while it was idle says nothing about the provider, so the next attempt is free.
# After this many in one call it is no longer taken for an accident.
FREE_STALE = 2

BlockedReason: TypeAlias = Literal["at_capacity", "rate_limited", "cooldown", "breaker_open", "probe_in_flight"]
_LIMITS = frozenset({"at_capacity", "rate_limited"})


class CandidateInfo(msgspec.Struct, frozen=True, gc=False):
    """The facts about a candidate that a plan decides by.

    Attributes:
        provider: The name of its provider.
        window: How many tokens of prompt and response the model takes, if that is known.
        resumes: True if the model continues a prefilled response.
        name: `provider/model`.
    """

    provider: str
    window: int | None = None
    resumes: bool = False
    name: str = ""


class Blocked(msgspec.Struct, frozen=True, gc=False):
    """The reason why a candidate may not get an attempt now.

    Attributes:
        reason: A limit: "at_capacity" (attempts in flight) or "rate_limited" (requests or tokens a minute). Or a rest:
            "cooldown" (its provider asked for it), "breaker_open" (it failed), or "probe_in_flight" (the probe of
            another call has no result yet).
        wait: Seconds until the reason passes; infinity if only an event can tell.
        limit: The name of the limit, if it is one.
    """

    reason: BlockedReason
    wait: float
    limit: str | None = None

    @property
    def is_limit(self) -> bool:
        return self.reason in _LIMITS


class TryCandidate(msgspec.Struct, frozen=True, gc=False):
    """Start an attempt on this candidate now. `forced` if it should rest, but no other is left."""

    index: int
    forced: bool = False


class WaitUntil(msgspec.Struct, frozen=True, gc=False):
    """No candidate is available. Wait until `until` (infinity: until the scheduler wakes the call)."""

    until: float
    reason: str


class Retry(msgspec.Struct, frozen=True, gc=False):
    """Try the same candidate again after `wait` seconds."""

    wait: float
    reason: str


class Fallback(msgspec.Struct, frozen=True, gc=False):
    """Try the next candidate now. `excluded` are others that would fail for the same reason."""

    reason: str
    excluded: tuple[int, ...] = ()


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """Make no other attempt.

    Attributes:
        reason: For people.
        final: True if the last error is the error of the call; False if all errors are.
        limited: True if limits blocked the candidates.
        queue: The number of calls in the queue, if the queue is full.
    """

    reason: str
    final: bool = False
    limited: bool = False
    queue: int | None = None


Choice: TypeAlias = TryCandidate | WaitUntil | GiveUp
Decision: TypeAlias = Retry | Fallback | GiveUp


@attrs.define(eq=False)
class Plan:
    """Decides which candidate a call tries next, when it retries, and when it stops.

    Attributes:
        candidates: The facts about the candidates that were looked up so far.
        deadline: Seconds from the start of the call.
        seed: The seed of the jitter.
        left: The indexes of the candidates that may still be tried, in their order.
        attempts: How many attempts were started.
    """

    candidates: list[CandidateInfo]
    policy: Policy
    deadline: float
    seed: int
    left: list[int] = attrs.field(init=False)
    attempts: int = attrs.field(default=0, init=False)
    _parts: int = attrs.field(default=0, init=False)  # attempts that do not count against `max_attempts`
    _retries: dict[int, int] = attrs.field(factory=dict, init=False)
    _stale: int = attrs.field(default=0, init=False)
    _rng: random.Random | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.left = list(range(len(self.candidates)))

    def add(self, candidate: CandidateInfo) -> None:
        """Add a candidate behind the others."""
        self.left.append(len(self.candidates))
        self.candidates.append(candidate)

    # -- which candidate --------------------------------------------------------------------------------------------

    def choose(self, found: Sequence[tuple[int, Blocked | None]], at: float) -> Choice:
        """Return the first candidate that is free, or what the policy says if each one is blocked.

        Args:
            found: The candidates in the order of `left`, each with the reason why it is blocked. It may end after the
                first free one.
            at: Now, in seconds from the start of the call.
        """
        obstacles: list[tuple[int, Blocked]] = []
        for index, blocked in found:
            if blocked is None:
                return TryCandidate(index)
            obstacles.append((index, blocked))
        if not obstacles:
            return GiveUp("no candidate is left")
        policy = self.policy
        waits = [blocked.wait for _, blocked in obstacles]
        wait = min(waits)
        resting = [index for index, blocked in obstacles if not blocked.is_limit]
        limited = len(obstacles) > len(resting)
        if policy.when_at_capacity == "wait" if limited else policy.when_all_in_cooldown == "wait":
            # If one may become free at any moment (inf), the long rest of another is no reason to give up.
            if max(waits) < math.inf and at + wait >= self.deadline:
                return GiveUp(f"the first candidate is free again in {wait:.3g} s, after the deadline", limited=limited)
            return WaitUntil(at + wait, _why(obstacles))
        if resting and policy.when_all_in_cooldown == "try_anyway":
            return TryCandidate(resting[0], forced=True)
        return GiveUp(_why(obstacles), limited=limited)

    @property
    def may_overlap(self) -> bool:
        """True if two attempts may run at once: there are two candidates, and the policy allows to ask twice."""
        policy = self.policy
        return policy.hedge is not None and policy.retry_mode == "always" and len(self.left) > 1

    def choose_hedge(self, running: int, is_free: Callable[[int], bool]) -> TryCandidate | None:
        """Return a free candidate for a second attempt while the one on `running` is slow; None if there is none."""
        if self.attempts - self._parts >= self.policy.max_attempts:
            return None
        return next((TryCandidate(index) for index in self.left if index != running and is_free(index)), None)

    def attempt_started(self) -> None:
        self.attempts += 1

    def part_returned(self) -> None:
        """Note that an attempt returned a part of the result. `max_attempts` does not limit the number of parts."""
        self._parts += 1

    def time_for_attempt(self, at: float) -> float:
        """Return how many seconds an attempt that starts now may take."""
        own, left = self.policy.attempt_timeout, self._time_left(at)
        return left if own is None else min(left, own)

    def _time_left(self, at: float) -> float:
        """Return the seconds for one candidate, waits included: the time left, less a reserve for the others."""
        left = max(0.0, self.deadline - at)
        return left * (1.0 - self.policy.fallback_reserve) if len(self.left) > 1 else left

    def exclude(self, index: int) -> None:
        """Remove a candidate that cannot take this request at all."""
        self.left.remove(index)

    # -- after a failure --------------------------------------------------------------------------------------------

    def failed(self, index: int, failure: FailureClass, retry_after: float | None, phase: Phase, at: float) -> Decision:
        """Return what follows the failure of an attempt of which nothing has reached the caller."""
        if failure is FailureClass.BATCH_TOO_LARGE:
            # The number of these is bounded: each one halves the batch.
            self._parts += 1
            return Retry(0.0, "the provider takes smaller batches")
        stop = self._stop_reason(index, failure, phase)
        if stop is not None:
            return stop
        if failure is FailureClass.STALE_CONNECTION:
            self._stale += 1
            if self._stale <= FREE_STALE:
                return Retry(0.0, "its kept-alive connection had been closed while idle")
        retry = self._retry(index, failure, retry_after, at)
        if isinstance(retry, Retry):
            return retry
        self.left.remove(index)
        excluded = self._exclude_smaller_windows(index) if failure is FailureClass.CONTEXT_LENGTH else ()
        return Fallback(retry, excluded)

    def _retry(self, index: int, failure: FailureClass, retry_after: float | None, at: float) -> Retry | str:
        """Return a retry of the same candidate, or the reason why there is none."""
        policy = self.policy
        if policy.rule(failure, self.candidates[index].provider).action is not Action.RETRY:
            return f"{failure.value}, which is not retried"
        used = self._retries.get(index, 0)
        if used >= policy.max_retries:
            return f"{failure.value}, {used} of {policy.max_retries} retries used"
        wait = backoff_seconds(used + 1, retry_after, policy, self._random())
        if not wait < self._time_left(at):
            return f"{failure.value}, and a wait of {wait:.3g} s is longer than the time left for it"
        self._retries[index] = used + 1
        return Retry(wait, f"{failure.value}, retry {used + 1} of {policy.max_retries}")

    def interrupted(
        self, index: int, failure: FailureClass, retry_after: float | None, phase: Phase, at: float, *, resume: bool
    ) -> Decision:
        """Return what follows a stream that broke after its first token, if the policy does not raise the error."""
        stop = self._stop_reason(index, failure, phase)
        if stop is not None:
            return stop
        if resume:
            self.left = [other for other in self.left if self.candidates[other].resumes]
        others = [other for other in self.left if other != index]
        if others:
            self.left = others
            return Fallback(f"{failure.value} in the middle of the response")
        if not self.left:
            return GiveUp("no candidate can continue the response")
        retry = self._retry(index, failure, retry_after, at)
        return retry if isinstance(retry, Retry) else GiveUp(retry)

    def _stop_reason(self, index: int, failure: FailureClass, phase: Phase) -> GiveUp | None:
        """Return why nothing may follow this failure, whichever candidates are left."""
        policy = self.policy
        if policy.rule(failure, self.candidates[index].provider).action is Action.RAISE:
            return GiveUp(f"{failure.value}, which only the caller can correct", final=True)
        if policy.retry_mode == "only_if_unsent" and phase is not Phase.NOT_SENT:
            return GiveUp("the request may have been processed, and only unsent ones are repeated", final=True)
        if self.attempts - self._parts >= policy.max_attempts:
            return GiveUp(f"all {policy.max_attempts} attempts of the call are used")
        return None

    def _exclude_smaller_windows(self, index: int) -> tuple[int, ...]:
        """Remove and return the candidates whose context window is known to be no larger than this one's."""
        window = self.candidates[index].window
        if window is None:
            return ()
        excluded = tuple(
            other for other in self.left if (known := self.candidates[other].window) is not None and known <= window
        )
        self.left = [other for other in self.left if other not in excluded]
        return excluded

    def _random(self) -> random.Random:
        if self._rng is None:  # most calls never need it, and seeding costs more than all else here
            self._rng = random.Random(self.seed)
        return self._rng


def _why(obstacles: Sequence[tuple[int, Blocked]]) -> str:
    reasons = ", ".join(dict.fromkeys(blocked.reason.replace("_", " ") for _, blocked in obstacles))
    return f"every candidate is blocked: {reasons}"
