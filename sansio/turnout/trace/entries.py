"""The entries of a trace: facts that came in, and decisions that were made of them.

`at` is in seconds from the call's start. No entry holds a prompt, an answer, a key or a message of a provider.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import attrs

from turnout.failures import FailureClass, Phase

__all__ = [
    "NO_LARGER",
    "Answered",
    "AttemptCancelled",
    "AttemptCompleted",
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
]

# Why a candidate is left out after another's context overflow.
NO_LARGER = "its context window is no larger"


@attrs.frozen
class RouteOrdered:
    """A route put its candidates in order. `scores` is what its strategy went by, in the order of the route."""

    kind: ClassVar[str] = "arranged"
    at: float
    route: str
    strategy: str
    order: tuple[str, ...]
    scores: tuple[float | None, ...] = ()


@attrs.frozen
class Skipped:
    """A candidate that is not tried at all. `place` is set where it stood among those that could be."""

    kind: ClassVar[str] = "skipped"
    at: float
    candidate: str
    reason: str
    place: int | None = None


@attrs.frozen
class CandidateBlocked:
    """A candidate was passed over for now: what stood in its way, and for how many seconds more (None: unknown)."""

    kind: ClassVar[str] = "passed"
    at: float
    place: int
    candidate: str
    state: str
    wait: float | None


@attrs.frozen
class Queued:
    """Nobody can be asked now: the call waits, at most until `until` (None: until the router lets it in)."""

    kind: ClassVar[str] = "waiting"
    at: float
    until: float | None
    reason: str


@attrs.frozen
class QueueFull:
    """The call would have waited, but as many calls as may were waiting already."""

    kind: ClassVar[str] = "queue-full"
    at: float
    waiting: int


@attrs.frozen
class Started:
    """An attempt began.

    forced   although the candidate should have rested, for there was no other
    probe    as the one attempt that a half-open breaker lets through
    hedge    beside another attempt that is slow
    dropped  settings that this model refuses and that were left out as asked
    """

    kind: ClassVar[str] = "started"
    at: float
    attempt: int
    place: int
    candidate: str
    forced: bool = False
    probe: bool = False
    hedge: bool = False
    dropped: tuple[str, ...] = ()


@attrs.frozen
class ResponseStarted:
    """The head of an answer came."""

    kind: ClassVar[str] = "head"
    at: float
    attempt: int
    status: int


@attrs.frozen
class FirstContent:
    """The first content of an attempt came."""

    kind: ClassVar[str] = "content"
    at: float
    attempt: int


@attrs.frozen
class Failed:
    """An attempt failed.

    phase  how far it had come: what may have been processed
    code   the provider's own, or why there was no connection (`turnout.errors.ConnectFailed.reason`)
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


@attrs.frozen
class Retrying:
    """The same candidate again, after a wait in seconds."""

    kind: ClassVar[str] = "retrying"
    at: float
    candidate: str
    wait: float
    reason: str


@attrs.frozen
class FellBack:
    """The candidate is left for good in this call."""

    kind: ClassVar[str] = "moved-on"
    at: float
    candidate: str
    reason: str


@attrs.frozen
class StreamBroke:
    """The answer broke after content had reached the caller, and the call goes on: it is to `restart` or `resume`.

    deadline  until when the next content must have come
    """

    kind: ClassVar[str] = "broken"
    at: float
    attempt: int
    mode: str
    deadline: float


@attrs.frozen
class AttemptCompleted:
    """An attempt brought its part of the answer whole.

    tokens   prompt and answer, where the usage says so
    cost     of them, where there is a price
    skipped  events of it that could not be read
    """

    kind: ClassVar[str] = "ended"
    at: float
    attempt: int
    tokens: int | None = None
    cost: float | None = None
    skipped: int = 0


@attrs.frozen
class AttemptCancelled:
    """An attempt was dropped before it came to anything."""

    kind: ClassVar[str] = "dropped"
    at: float
    attempt: int
    reason: str


@attrs.frozen
class Answered:
    """The call has its answer."""

    kind: ClassVar[str] = "answered"
    at: float
    candidate: str


@attrs.frozen
class CallFailed:
    """The call is over without an answer."""

    kind: ClassVar[str] = "finished"
    at: float
    reason: str


Entry: TypeAlias = (
    RouteOrdered
    | Skipped
    | CandidateBlocked
    | Queued
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
    | CallFailed
)
