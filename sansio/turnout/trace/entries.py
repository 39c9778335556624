"""The entries of a trace: facts from outside, and the decisions that followed from them.

They are structs of msgspec, because every call makes six and more of them: one takes 0.1 µs, and of attrs 0.5.

`at` is in seconds from the start of the call. No entry holds a prompt, a response, a key or a message of a provider.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import msgspec

from turnout.failures import FailureClass, Phase, Timer

__all__ = [
    "CANCELLED",
    "NO_LARGER",
    "SPENDING",
    "Answered",
    "AttemptCancelled",
    "AttemptCompleted",
    "CacheHit",
    "CallFailed",
    "CandidateBlocked",
    "Entry",
    "Failed",
    "FellBack",
    "FirstContent",
    "QueueFull",
    "Queued",
    "ResponseStarted",
    "Retrying",
    "RouteOrdered",
    "Skipped",
    "Started",
    "StreamBroke",
    "Throttled",
]

# Why a call failed that its caller ended.
CANCELLED = "cancelled by the caller"
# Why a candidate is excluded after the context overflow of another.
NO_LARGER = "its context window is no larger"


class RouteOrdered(msgspec.Struct, frozen=True, gc=False):
    """A route put its candidates in order.

    Attributes:
        order: The candidates, first to last.
        scores: The value by which the strategy ordered each choice, in the order of the route.
    """

    kind: ClassVar[str] = "route-ordered"
    at: float
    route: str
    strategy: str
    order: tuple[str, ...]
    scores: tuple[float | None, ...] = ()


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """A candidate is not tried at all. `index` is set if it was among the usable candidates."""

    kind: ClassVar[str] = "skipped"
    at: float
    candidate: str
    reason: str
    index: int | None = None


class CandidateBlocked(msgspec.Struct, frozen=True, gc=False):
    """A candidate was skipped for now.

    Attributes:
        reason: See `turnout.routing.policy.decisions.Blocked`, also for `load` and `advice`.
        wait: Seconds until the reason ends; None if it ends with an event.
        limit: The name of the limit, if it is one.
        cause: For a cooldown or an open breaker, the class of the failure that it follows.
    """

    kind: ClassVar[str] = "candidate-blocked"
    at: float
    index: int
    candidate: str
    reason: str
    wait: float | None
    limit: str | None = None
    load: float = 0.0
    advice: bool = False
    cause: str = ""


class Queued(msgspec.Struct, frozen=True, gc=False):
    """No candidate is available. The call waits, at most until `until` (None: until the scheduler admits it)."""

    kind: ClassVar[str] = "queued"
    at: float
    until: float | None
    reason: str


class Throttled(msgspec.Struct, frozen=True, gc=False):
    """So few requests of the router succeed lately that no candidate is tried while it should rest."""

    kind: ClassVar[str] = "throttled"
    at: float


class QueueFull(msgspec.Struct, frozen=True, gc=False):
    """The call would have waited, but the queue held as many calls as it may."""

    kind: ClassVar[str] = "queue-full"
    at: float
    waiting: int


class Started(msgspec.Struct, frozen=True, gc=False):
    """An attempt started.

    Attributes:
        forced: The candidate should not be used now, but no other one was available.
        probe: It is the one attempt that a half-open breaker lets through.
        hedge: It runs beside another attempt that is slow.
        replaces: It does the work of an attempt that failed or has used its share of the time.
        omitted_settings: Settings that this model refuses, and that were omitted because the policy allows it.
    """

    kind: ClassVar[str] = "started"
    at: float
    attempt: int
    index: int
    candidate: str
    forced: bool = False
    probe: bool = False
    hedge: bool = False
    omitted_settings: tuple[str, ...] = ()
    replaces: bool = False


class ResponseStarted(msgspec.Struct, frozen=True, gc=False):
    """The head of a response arrived."""

    kind: ClassVar[str] = "response-started"
    at: float
    attempt: int
    status: int


class FirstContent(msgspec.Struct, frozen=True, gc=False):
    """The first content of an attempt arrived."""

    kind: ClassVar[str] = "first-content"
    at: float
    attempt: int


class Failed(msgspec.Struct, frozen=True, gc=False):
    """An attempt failed.

    Attributes:
        phase: The progress of the attempt. It decides whether the provider may have processed the request.
        code: The provider's own code, or why there was no connection (`turnout.errors.ConnectFailed.reason`).
        error: The name of the error's class.
        other_free: Another candidate could be used at once.
        throttled: So few requests of the router succeed lately that this one may not be repeated.
        timer: The timer that ran out; "deadline" if the call's own deadline passed.
        seconds: The time that it was set to.
        reused: A kept-alive connection was silent before the first byte of the response.
        tokens: Of prompt and response, as far as the provider probably counts them.
        cost: Of these tokens, if there is a price.
        estimated: The tokens are an estimate.
    """

    kind: ClassVar[str] = "failed"
    at: float
    attempt: int
    failure: FailureClass
    phase: Phase
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    error: str = ""
    other_free: bool = False
    throttled: bool = False
    timer: Timer | None = None
    seconds: float | None = None
    reused: bool = False
    tokens: int | None = None
    cost: float | None = None
    estimated: bool = False


class Retrying(msgspec.Struct, frozen=True, gc=False):
    """The call tries the same candidate again, after a wait in seconds.

    Attributes:
        beside: Another attempt still runs. If it answers first, there is no retry.
    """

    kind: ClassVar[str] = "retrying"
    at: float
    candidate: str
    wait: float
    reason: str
    beside: bool = False


class FellBack(msgspec.Struct, frozen=True, gc=False):
    """The call turned to another candidate. `kept`: the failed one may still be used when its limit allows it."""

    kind: ClassVar[str] = "fell-back"
    at: float
    candidate: str
    reason: str
    kept: bool = False


class StreamBroke(msgspec.Struct, frozen=True, gc=False):
    """The response broke after the caller had received content, and the call continues.

    Attributes:
        mode: "restart" or "resume".
        deadline: The time by which the next content must arrive.
    """

    kind: ClassVar[str] = "stream-broke"
    at: float
    attempt: int
    mode: str
    deadline: float


class AttemptCompleted(msgspec.Struct, frozen=True, gc=False):
    """An attempt returned its part of the response, complete.

    Attributes:
        tokens: Of prompt and response.
        cost: Of these tokens, if there is a price.
        skipped: How many events of it could not be read.
        estimated: The tokens are an estimate, because the response has no usage.
    """

    kind: ClassVar[str] = "completed"
    at: float
    attempt: int
    tokens: int | None = None
    cost: float | None = None
    skipped: int = 0
    estimated: bool = False


class AttemptCancelled(msgspec.Struct, frozen=True, gc=False):
    """An attempt was closed before it had a result. For `tokens`, `cost` and `estimated` see `Failed`."""

    kind: ClassVar[str] = "cancelled"
    at: float
    attempt: int
    reason: str
    tokens: int | None = None
    cost: float | None = None
    estimated: bool = False


class Answered(msgspec.Struct, frozen=True, gc=False):
    """The call has its response.

    Attributes:
        unmet: The demands of the request that the response does not meet (see `ChatResponse.unmet`).
    """

    kind: ClassVar[str] = "answered"
    at: float
    candidate: str
    unmet: tuple[str, ...] = ()


class CacheHit(msgspec.Struct, frozen=True, gc=False):
    """The call was answered from the router's cache. No request was sent.

    Attributes:
        candidate: The model that gave the answer when it was stored.
    """

    kind: ClassVar[str] = "cache-hit"
    at: float
    candidate: str


class CallFailed(msgspec.Struct, frozen=True, gc=False):
    """The call ended without a response."""

    kind: ClassVar[str] = "call-failed"
    at: float
    reason: str


# The entries that end an attempt, with what it took.
SPENDING = (AttemptCompleted, AttemptCancelled, Failed)

Entry: TypeAlias = (
    RouteOrdered
    | Skipped
    | CandidateBlocked
    | Queued
    | Throttled
    | QueueFull
    | Started
    | ResponseStarted
    | FirstContent
    | Failed
    | Retrying
    | FellBack
    | StreamBroke
    | AttemptCompleted
    | AttemptCancelled
    | Answered
    | CacheHit
    | CallFailed
)
