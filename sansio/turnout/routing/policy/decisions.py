"""The facts and the decisions of a plan: plain values, which a trace can keep and a replay can compare."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import msgspec

from turnout.errors import Phase
from turnout.failures import FailureClass

__all__ = [
    "Blocked",
    "BlockedReason",
    "CandidateInfo",
    "Choice",
    "Decision",
    "FailureFacts",
    "Fallback",
    "GiveUp",
    "Retry",
    "TryCandidate",
    "WaitUntil",
]

BlockedReason: TypeAlias = Literal[
    "at_capacity",
    "rate_limited",
    "paced",
    "budget_reserved",
    "budget_spent",
    "cooldown",
    "breaker_open",
    "probe_in_flight",
    "busy",
    "not_responding",
]
_LIMITS = frozenset({"at_capacity", "rate_limited", "paced", "budget_reserved"})
_PREFERENCES = frozenset({"busy", "not_responding"})
_BUDGETS = frozenset({"budget_reserved", "budget_spent"})
# Seconds; three years. A cooldown can be any number, and rounded waits must stay finite.
LONGEST_WAIT = 1e8


class CandidateInfo(msgspec.Struct, frozen=True, gc=False):
    """The facts about a candidate that a plan decides by.

    Attributes:
        provider: The name of its provider.
        window: How many tokens of prompt and response the model takes, if that is known.
        resumes: True if the model continues a prefilled response.
        name: `provider/model`.
        only_after: The failure class after which alone it is tried (`Policy.fallbacks`); "" if it is one of the
            models of the request.
    """

    provider: str
    window: int | None = None
    resumes: bool = False
    name: str = ""
    only_after: str = ""


class Blocked(msgspec.Struct, frozen=True, gc=False):
    """The reason why a candidate may not get an attempt now, or why another is better.

    Attributes:
        reason: A limit: "at_capacity" (attempts in flight), "rate_limited" (configured requests or tokens a minute),
            "paced" (its provider said when it takes requests again, or how many), or "budget_reserved" (attempts in
            flight may give back what it needs). "budget_spent": no wait within the period helps. A rest: "cooldown",
            "breaker_open" (it failed), or "probe_in_flight" (the probe of another call has no result yet). Or a
            preference for others: "busy" (more attempts than it serves quickly) or "not_responding" (its newest
            attempts get no content).
        wait: Seconds until the reason passes; infinity if only an event can end it.
        again: Seconds after which it is worth looking again, although an event may end it sooner.
        limit: The name of the limit, if it is one.
        load: For a preference, the seconds that one more attempt probably waits for its first token; infinity if nobody
            knows. The least is used if all are so.
        cause: For a rest, the class of the failure that it follows; "" if that is not known.
        advice: True if the limit is only what response headers reported: no call fails because of it.
    """

    reason: BlockedReason
    wait: float
    limit: str | None = None
    load: float = 0.0
    advice: bool = False
    cause: str = ""
    again: float = math.inf

    @property
    def is_limit(self) -> bool:
        return self.reason in _LIMITS

    @property
    def is_budget(self) -> bool:
        """True if the money of a budget is missing."""
        return self.reason in _BUDGETS

    def rounded(self) -> Blocked:
        """Round the wait as a trace does, so that a replay uses the same value; upwards, so that it is long enough."""
        if self.wait == math.inf:
            return self
        return msgspec.structs.replace(self, wait=math.ceil(min(self.wait, LONGEST_WAIT) * 1e6 + 1) / 1e6)

    @property
    def is_preference(self) -> bool:
        """True if the candidate may be used if no other is better."""
        return self.reason in _PREFERENCES


class TryCandidate(msgspec.Struct, frozen=True, gc=False):
    """Start an attempt on this candidate now. `forced` if it should rest, but no other is left."""

    index: int
    forced: bool = False


class WaitUntil(msgspec.Struct, frozen=True, gc=False):
    """No candidate is available. Wait until `until` (infinity: until the scheduler wakes the call)."""

    until: float
    reason: str


class Retry(msgspec.Struct, frozen=True, gc=False):
    """Try the same candidate again after `wait` seconds. `new_connection`: its kept-alive ones may be dead."""

    wait: float
    reason: str
    new_connection: bool = False


class Fallback(msgspec.Struct, frozen=True, gc=False):
    """Choose a candidate again now.

    Attributes:
        reason: For people.
        excluded: Other candidates that would fail for the same reason.
        keep: True if the failed candidate stays among the choices: a limit blocks it for now, or others are first.
        new_connection: True if its kept-alive connections may be dead.
    """

    reason: str
    excluded: tuple[int, ...] = ()
    keep: bool = False
    new_connection: bool = False


class FailureFacts(msgspec.Struct, frozen=True, gc=False):
    """The facts about a failed attempt by which a plan decides.

    Attributes:
        index: Of its candidate.
        kind: The class of the failure.
        retry_after: The wait in the response of the provider, in seconds.
        phase: How far the attempt got.
        at: Seconds from the start of the call.
        other_free: True if another candidate can be used at once.
        throttled: True if so few requests succeed lately that this call may not repeat one.
        reused: True if a kept-alive connection was silent before the first byte of the response.
    """

    index: int
    kind: FailureClass
    retry_after: float | None
    phase: Phase
    at: float
    other_free: bool = False
    throttled: bool = False
    reused: bool = False


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """Make no other attempt.

    Attributes:
        reason: For people.
        final: True if the last error is the error of the call; False if all errors are.
        limited: True if limits blocked the candidates.
        queue: The number of calls in the queue, if the queue is full.
        available_in: Seconds until the first candidate is available, if that is known.
        paced: True if the limits are those of providers, not of the policy.
        over_budget: True if only the money of budgets is missing.
        late: True if the call may wait, but its deadline is sooner.
    """

    reason: str
    final: bool = False
    limited: bool = False
    queue: int | None = None
    available_in: float | None = None
    paced: bool = False
    over_budget: bool = False
    late: bool = False


Choice: TypeAlias = TryCandidate | WaitUntil | GiveUp
Decision: TypeAlias = Retry | Fallback | GiveUp
