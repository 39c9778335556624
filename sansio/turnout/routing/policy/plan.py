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

import attrs

from turnout.errors import Phase
from turnout.failures import FailureClass
from turnout.routing.policy.backoff import backoff_seconds
from turnout.routing.policy.classify import Action
from turnout.routing.policy.decisions import (
    Blocked,
    CandidateInfo,
    Choice,
    Decision,
    FailureFacts,
    Fallback,
    GiveUp,
    Retry,
    TryCandidate,
    WaitUntil,
)
from turnout.routing.policy.settings import Policy
from turnout.trace.text import duration

__all__ = ["Plan"]

# A kept-alive connection that closed while it was idle is not a sign of a bad provider, so the next attempt is free.
# After this many in one call it is no longer taken for an accident.
FREE_STALE = 2
# A text names so many candidates at most.
MOST_NAMES = 10
# After these failures, a candidate that the provider's limit blocks for now may serve the call later.
_WAITABLE = frozenset({FailureClass.RATE_LIMIT, FailureClass.OVERLOADED, FailureClass.SERVER})


@attrs.define(eq=False)
class Plan:
    """Decides which candidate a call tries next, when it retries, and when it stops.

    Attributes:
        candidates: The facts about the candidates that were looked up so far.
        deadline: Seconds from the start of the call.
        seed: The seed of the jitter.
        left: The indexes of the candidates that may still be tried, in their order.
        unseen: How many further models were not looked up yet.
        attempts: How many attempts were started.
        tried: The indexes of the candidates that got one.
        own: The policies of the candidates that have another one than the call.
        may_repeat: True if the next attempt is a retry that was granted: it is not throttled again.
    """

    candidates: list[CandidateInfo]
    policy: Policy
    deadline: float
    seed: int
    left: list[int] = attrs.field(init=False)
    unseen: int = attrs.field(default=0, init=False)
    attempts: int = attrs.field(default=0, init=False)
    tried: set[int] = attrs.field(factory=set, init=False)
    own: dict[int, Policy] = attrs.field(factory=dict, init=False)
    may_repeat: bool = attrs.field(default=False, init=False)
    _parts: int = attrs.field(default=0, init=False)  # attempts that do not count against `max_attempts`
    _retries: dict[tuple[int, FailureClass | None], int] = attrs.field(factory=dict, init=False)
    _replaced: set[FailureClass] = attrs.field(factory=set, init=False)  # whose fallbacks are in use
    _stale: int = attrs.field(default=0, init=False)
    _replaced_silent: bool = attrs.field(default=False, init=False)  # one connection that may be dead was replaced
    _rng: random.Random | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.left = [index for index, candidate in enumerate(self.candidates) if not candidate.only_after]

    def add(self, candidate: CandidateInfo, policy: Policy | None = None) -> None:
        """Add a candidate behind the others. One for a class of failure is not tried before such a failure.

        Args:
            candidate: The candidate.
            policy: Its policy; None if it is that of the call.
        """
        index = len(self.candidates)
        if policy is not None and policy is not self.policy:
            self.own[index] = policy
        if not candidate.only_after:
            self.left.append(index)
        self.candidates.append(candidate)

    def policy_of(self, index: int) -> Policy:
        """Return the policy of the attempts on a candidate."""
        return self.own.get(index, self.policy) if self.own else self.policy

    # -- which candidate --------------------------------------------------------------------------------------------

    def choose(self, found: Sequence[tuple[int, Blocked | None]], at: float, *, throttled: bool = False) -> Choice:
        """Return the first candidate that is free, or the decision of the policy if each one is blocked.

        Args:
            found: The candidates in the order of `left`, each with the reason why it is blocked. It may end after the
                first free one.
            at: Now, in seconds from the start of the call.
            throttled: True if so few requests succeed lately that no candidate is tried while it should rest.
        """
        obstacles: list[tuple[int, Blocked]] = []
        for index, blocked in found:
            if blocked is None:
                return TryCandidate(index)
            obstacles.append((index, blocked))
        if not obstacles:
            return GiveUp("no candidate is left")
        usable = [(index, blocked) for index, blocked in obstacles if blocked.is_preference]
        if usable:
            return TryCandidate(min(usable, key=_load)[0])
        return self._when_blocked(obstacles, at, throttled)

    def _when_blocked(self, obstacles: Sequence[tuple[int, Blocked]], at: float, throttled: bool) -> Choice:
        """Return the next step if no candidate may be used."""
        policy = self.policy
        reason = self._all_blocked(obstacles)
        over_budget = all(blocked.is_budget for _, blocked in obstacles)
        solvent = [(index, blocked) for index, blocked in obstacles if blocked.reason != "budget_spent"]
        if not solvent:
            soonest = min(blocked.wait for _, blocked in obstacles)
            return GiveUp(reason, available_in=soonest if soonest < math.inf else None, over_budget=True)
        obstacles = solvent
        waits = [blocked.wait for _, blocked in obstacles]
        wait = min(waits)
        resting = [(index, blocked) for index, blocked in obstacles if not blocked.is_limit]
        limits = [blocked for _, blocked in obstacles if blocked.is_limit]
        may_wait = (policy.when_at_capacity if limits else policy.when_all_in_cooldown) == "wait"
        if may_wait:
            # If one may become free at any moment (inf), the long rest of another is no reason to give up.
            if max(waits) == math.inf or at + wait < self.deadline:
                return WaitUntil(at + wait, reason)
            reason = f"the first candidate is free again in {duration(wait)}, after the deadline ({reason})"
        elif resting and policy.when_all_in_cooldown == "try_anyway":
            if not throttled:
                return TryCandidate(min(resting, key=_wait)[0], forced=True)
            reason = f"{reason}; too few requests succeed lately to try one of them again"
        if limits:
            advised = next((index for index, blocked in obstacles if blocked.advice), None)
            if advised is not None:
                return TryCandidate(advised, forced=True)
        return GiveUp(
            reason,
            limited=bool(limits),
            available_in=wait if wait < math.inf else None,
            paced=bool(limits) and all(blocked.reason == "paced" for blocked in limits),
            over_budget=over_budget,
            late=may_wait,
        )

    def _all_blocked(self, obstacles: Sequence[tuple[int, Blocked]]) -> str:
        """Return the reasons, each with the candidates that it blocks."""
        names: dict[str, list[str]] = {}
        for index, blocked in obstacles[:MOST_NAMES]:
            names.setdefault(_why(blocked), []).append(self.candidates[index].name)
        reasons = "; ".join(f"{reason}: {', '.join(those)}" for reason, those in names.items())
        more = f"; and {len(obstacles) - MOST_NAMES} more" if len(obstacles) > MOST_NAMES else ""
        return f"every candidate is blocked: {reasons}{more}"

    @property
    def may_hedge(self) -> bool:
        """True if a hedge may start: there are two candidates, and the policy allows two attempts at once."""
        return self.policy.hedge is not None and self.shares_overlap

    @property
    def shares_overlap(self) -> bool:
        """True if the next candidate may start beside an attempt that has used its share of the time."""
        return self.policy.retry_mode == "always" and len(self.left) + self.unseen > 1

    def choose_hedge(self, running: int, is_free: Callable[[int], bool]) -> TryCandidate | None:
        """Return a free candidate for a second attempt while the one on `running` is slow; None if there is none."""
        if self.attempts - self._parts >= self.policy.max_attempts:
            return None
        return next((TryCandidate(index) for index in self.left if index != running and is_free(index)), None)

    def attempt_started(self, index: int) -> None:
        self.attempts += 1
        self.tried.add(index)
        self.may_repeat = False

    def part_returned(self) -> None:
        """Note that an attempt returned a part of the result. `max_attempts` does not limit the number of parts."""
        self._parts += 1

    def time_for_attempt(self, index: int, at: float) -> float:
        """Return how many seconds an attempt that starts now may take."""
        own, left = self.policy_of(index).attempt_timeout, self._time_left(index, at)
        return left if own is None else min(left, own)

    def _time_left(self, index: int, at: float) -> float:
        """Return the seconds for one candidate, waits included: its equal share with the untried ones."""
        return max(0.0, self.deadline - at) / (1 + self._untried_besides(index))

    def _untried_besides(self, index: int) -> int:
        """Return how many other candidates were not tried yet."""
        return self.unseen + sum(other != index and other not in self.tried for other in self.left)

    def _may_retry(self, index: int) -> bool:
        """True if the attempts that are left are more than the candidates that were not tried yet."""
        return self.policy.max_attempts - (self.attempts - self._parts) > self._untried_besides(index)

    def exclude(self, index: int) -> None:
        """Remove a candidate that cannot take this request at all."""
        self.left.remove(index)

    # -- after a failure --------------------------------------------------------------------------------------------

    def failed(self, facts: FailureFacts) -> Decision:
        """Return the next step after an attempt failed before the caller got any of its content."""
        index, kind = facts.index, facts.kind
        if kind is FailureClass.BATCH_TOO_LARGE:
            # The number of these is bounded: each one halves the batch.
            self._parts += 1
            return Retry(0.0, "the provider takes smaller batches")
        stop = self._stop_reason(index, kind, facts.phase)
        if stop is not None:
            return stop
        # A failure beside this attempt may have excluded its candidate while it ran.
        again = self._again(facts) if index in self.left else f"{kind.value}, and its candidate is excluded already"
        if not isinstance(again, str):
            return again
        others = self._fallbacks_for(kind)
        if others:
            self.left = others
            return Fallback(f"{again}; the policy has other models for this failure")
        self.left = [other for other in self.left if other != index]
        excluded = self._exclude_smaller_windows(index) if kind is FailureClass.CONTEXT_LENGTH else ()
        return Fallback(again, excluded)

    def _again(self, facts: FailureFacts) -> Retry | Fallback | str:
        """Return the step after which the candidate is tried again, or the reason why there is none."""
        index = facts.index
        if facts.kind is FailureClass.STALE_CONNECTION:
            self._stale += 1
            if self._stale <= FREE_STALE:
                return self._granted(0.0, "its kept-alive connection had been closed while idle", new_connection=True)
        if self._may_replace_connection(facts):
            self._replaced_silent = True
            if facts.other_free:
                # If the provider itself is silent, it would be silent again, so the others are first.
                self.left.remove(index)
                self.left.append(index)
                reason = "silent on a reused connection; tried again on a new one if the others fail"
                return Fallback(reason, keep=True, new_connection=True)
            return self._granted(0.0, "silent on a reused connection: retried on a new one", new_connection=True)
        waits = self._waits_for_provider(facts)
        return Fallback(waits, keep=True) if waits is not None else self._retry(facts)

    def _fallbacks_for(self, kind: FailureClass) -> list[int]:
        """Return the candidates that the policy has for this class, once in a call."""
        if kind in self._replaced:
            return []
        self._replaced.add(kind)
        names = {self.candidates[index].name for index in self.tried}
        return [
            index
            for index, candidate in enumerate(self.candidates)
            if candidate.only_after == kind.value and candidate.name not in names
        ]

    def _waits_for_provider(self, facts: FailureFacts) -> str | None:
        """Return why the candidate stays among the choices, although it is not retried at once; None if it does not.

        The provider refused because of a limit. Another candidate serves the call if one is free. If none is, the call
        waits in the queue for the first that is.
        """
        kind, wait = facts.kind, facts.retry_after
        repeats = self._action(facts) is Action.RETRY and self.policy.max_retries > 0
        if kind not in _WAITABLE or not repeats or not self._may_retry(facts.index):
            return None
        if wait is None:
            if kind is FailureClass.RATE_LIMIT and facts.other_free:
                return f"{kind.value}, and another candidate is free"
            return None
        if wait <= self.policy_of(facts.index).short_wait or facts.at + wait >= self.deadline:
            return None
        return f"{kind.value}, and its provider asks to wait {duration(wait)}"

    def _retry(self, facts: FailureFacts) -> Retry | str:
        """Return a retry of the same candidate, or the reason why there is none."""
        index, kind = facts.index, facts.kind
        policy = self.policy_of(index)
        rule = policy.rule(kind, self.candidates[index].provider)
        if rule.action is not Action.RETRY:
            return f"{kind.value}, which is not retried"
        counted = (index, kind if rule.max_retries is not None else None)
        most = rule.max_retries if rule.max_retries is not None else policy.max_retries
        used = self._retries.get(counted, 0)
        if used >= most:
            return f"{kind.value}, {used} of {most} retries used"
        if not self._may_retry(index):
            return f"{kind.value}, and the attempts that are left are for the other candidates"
        if facts.throttled:
            return f"{kind.value}, and too few requests succeed lately for a retry"
        wait = backoff_seconds(used + 1, facts.retry_after, policy, self._random())
        if not wait < self._time_left(index, facts.at):
            return f"{kind.value}, and a wait of {duration(wait)} is longer than the time left for it"
        self._retries[counted] = used + 1
        return self._granted(wait, f"{kind.value}, retry {used + 1} of {most}")

    def _may_replace_connection(self, facts: FailureFacts) -> bool:
        """True if a silent request may be sent once more, because its kept-alive connection may be dead."""
        if not facts.reused or self._replaced_silent or facts.throttled:
            return False
        repeats = self.policy_of(facts.index).max_retries > 0 and self._may_retry(facts.index)
        return repeats and self._time_left(facts.index, facts.at) > 0

    def _granted(self, wait: float, reason: str, *, new_connection: bool = False) -> Retry:
        self.may_repeat = True
        return Retry(wait, reason, new_connection)

    def _action(self, facts: FailureFacts) -> Action:
        return self.policy_of(facts.index).rule(facts.kind, self.candidates[facts.index].provider).action

    def interrupted(self, facts: FailureFacts, *, resume: bool) -> Decision:
        """Return the next step after a stream that had delivered tokens broke, if the policy does not raise it."""
        index, failure = facts.index, facts.kind
        stop = self._stop_reason(index, failure, facts.phase)
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
        retry = self._retry(facts)
        return retry if isinstance(retry, Retry) else GiveUp(retry)

    def _stop_reason(self, index: int, failure: FailureClass, phase: Phase) -> GiveUp | None:
        """Return why nothing may follow this failure, whichever candidates are left."""
        policy = self.policy_of(index)
        if policy.rule(failure, self.candidates[index].provider).action is Action.RAISE:
            return GiveUp(f"{failure.value}, which only the caller can correct", final=True)
        if policy.retry_mode == "only_if_unsent" and phase is not Phase.NOT_SENT:
            return GiveUp("the request may have been processed, and only unsent ones are repeated", final=True)
        if self.attempts - self._parts >= self.policy.max_attempts:
            return GiveUp(f"all {self.policy.max_attempts} attempts of the call are used")
        return None

    def _exclude_smaller_windows(self, index: int) -> tuple[int, ...]:
        """Remove and return the candidates with a known context window that is not larger than that of this one."""
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


def _load(found: tuple[int, Blocked]) -> float:
    return found[1].load


def _wait(found: tuple[int, Blocked]) -> float:
    return found[1].wait


def _why(blocked: Blocked) -> str:
    """Return why a candidate is blocked, with the limit or the failure behind it."""
    reason = blocked.reason.replace("_", " ")
    if blocked.limit is not None:
        return f"{reason} (limit of {blocked.limit})"
    return f"{reason} after {blocked.cause}" if blocked.cause else reason
