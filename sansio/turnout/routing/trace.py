"""How one call was decided: every fact that came in, and every decision that was made of them.

A trace holds no prompt, no answer, no key and no message of a provider, so it can be logged and kept. With its facts
the same decisions can be made again (`turnout.routing.replay`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import attrs

from turnout.errors import Phase
from turnout.routing.classify import FailureClass

__all__ = [
    "Answered",
    "Arranged",
    "Broken",
    "Content",
    "Dropped",
    "Ended",
    "Entry",
    "Failed",
    "Finished",
    "Head",
    "MovedOn",
    "Passed",
    "QueueFull",
    "Retrying",
    "Skipped",
    "Started",
    "Trace",
    "Waiting",
]

VERSION = 2

# Why a candidate is left out after another's context overflow.
NO_LARGER = "its context window is no larger"


@attrs.frozen
class Arranged:
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
class Passed:
    """A candidate was passed over for now: what stood in its way, and for how many seconds more (None: unknown)."""

    kind: ClassVar[str] = "passed"
    at: float
    place: int
    candidate: str
    state: str
    wait: float | None


@attrs.frozen
class Waiting:
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
class Head:
    """The head of an answer came."""

    kind: ClassVar[str] = "head"
    at: float
    attempt: int
    status: int


@attrs.frozen
class Content:
    """The first content of an attempt came."""

    kind: ClassVar[str] = "content"
    at: float
    attempt: int


@attrs.frozen
class Failed:
    """An attempt failed. `phase` is how far it had come: what may have been processed."""

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
class MovedOn:
    """The candidate is left for good in this call."""

    kind: ClassVar[str] = "moved-on"
    at: float
    candidate: str
    reason: str


@attrs.frozen
class Broken:
    """The answer broke after content had reached the caller, and the call goes on: it is to `restart` or `resume`.

    deadline  until when the next content must have come
    """

    kind: ClassVar[str] = "broken"
    at: float
    attempt: int
    mode: str
    deadline: float


@attrs.frozen
class Ended:
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
class Dropped:
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
class Finished:
    """The call is over without an answer."""

    kind: ClassVar[str] = "finished"
    at: float
    reason: str


Entry: TypeAlias = (
    Arranged
    | Skipped
    | Passed
    | Waiting
    | QueueFull
    | Started
    | Head
    | Content
    | Failed
    | Retrying
    | MovedOn
    | Broken
    | Ended
    | Dropped
    | Answered
    | Finished
)


@attrs.define(eq=False)
class Trace:
    """The entries of one call in their order; `at` is in seconds from the call's start.

    operation   chat, stream, embed or models
    candidates  every model that the request names, in its order
    started_at  wall-clock time of the start in seconds since 1970, or None where the driver gave none
    seed        of the call's jitter
    deadline    seconds from the start
    metadata    the caller's own labels from the request
    rules       what the decisions were made by: the fields of the policy that differ from the usual, and the usable
                candidates' providers and windows
    """

    operation: str
    candidates: tuple[str, ...]
    started_at: float | None = None
    seed: int = 0
    deadline: float = math.inf
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    rules: Mapping[str, Any] = attrs.field(factory=dict)
    entries: list[Entry] = attrs.field(factory=list)

    @property
    def attempts(self) -> int:
        """How many requests were begun."""
        return sum(isinstance(entry, Started) for entry in self.entries)

    @property
    def cost(self) -> float | None:
        """What all attempts came to together; None where no price is known."""
        known = [entry.cost for entry in self.entries if isinstance(entry, Ended) and entry.cost is not None]
        return sum(known) if known else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON. The shape is stable for one `version`; None stands for what has no bound."""
        return {
            "version": VERSION,
            "operation": self.operation,
            "candidates": list(self.candidates),
            "started_at": self.started_at,
            "seed": self.seed,
            "deadline": self.deadline if math.isfinite(self.deadline) else None,
            "metadata": dict(self.metadata),
            "rules": dict(self.rules),
            "entries": [{"kind": entry.kind, **attrs.asdict(entry)} for entry in self.entries],
        }

    def explain(self) -> str:
        """The same for a person: one line an entry, with seconds from the start."""
        lines = [f"{self.operation} over {', '.join(self.candidates)}"]
        lines += [f"{entry.at:8.3f} s  {told(entry)}" for entry in self.entries]
        return "\n".join(lines)


def told(entry: Entry) -> str:
    """One entry as a sentence."""
    match entry:
        case Arranged():
            return f"route {entry.route}, {entry.strategy}: {', '.join(entry.order)}"
        case Skipped():
            return f"{entry.candidate} is skipped: {entry.reason}"
        case Passed():
            for_so_long = f" for {entry.wait:.3g} s more" if entry.wait is not None else ""
            return f"{entry.candidate} is passed over: {entry.state}{for_so_long}"
        case Waiting():
            until = f", at most until {entry.until:.3f} s" if entry.until is not None else ""
            return f"waits: {entry.reason}{until}"
        case QueueFull():
            return f"is not to wait: {entry.waiting} calls wait already"
        case Started():
            how = "".join(
                word
                for word, holds in (
                    (", for there is no other", entry.forced),
                    (", as a probe", entry.probe),
                    (", beside the slow one", entry.hedge),
                )
                if holds
            )
            dropped = f", without {', '.join(entry.dropped)}" if entry.dropped else ""
            return f"attempt {entry.attempt}: {entry.candidate} is asked{how}{dropped}"
        case Head():
            return f"attempt {entry.attempt}: status {entry.status}"
        case Content():
            return f"attempt {entry.attempt}: first content"
        case Failed():
            return f"attempt {entry.attempt}: failed, {_failure(entry)}"
        case Retrying():
            return f"{entry.candidate} is tried again in {entry.wait:.3f} s: {entry.reason}"
        case MovedOn():
            return f"{entry.candidate} is left: {entry.reason}"
        case Broken():
            how = "begins again" if entry.mode == "restart" else "is gone on with"
            return f"attempt {entry.attempt}: broke after content; the answer {how}"
        case Ended():
            cost = f", cost {entry.cost:.6g}" if entry.cost is not None else ""
            tokens = f", {entry.tokens} tokens" if entry.tokens is not None else ""
            skipped = f", {entry.skipped} unreadable events skipped" if entry.skipped else ""
            return f"attempt {entry.attempt}: complete{tokens}{cost}{skipped}"
        case Dropped():
            return f"attempt {entry.attempt}: dropped, {entry.reason}"
        case Answered():
            return f"answered by {entry.candidate}"
        case Finished():
            return f"finished: {entry.reason}"


def _failure(entry: Failed) -> str:
    words = [entry.failure.value]
    if entry.status is not None:
        words.append(f"status {entry.status}")
    if entry.code:
        words.append(f"code {entry.code}")
    if entry.status is None:
        words.append(f"phase {entry.phase.value}")
    if entry.retry_after is not None:
        words.append(f"asks to wait {entry.retry_after:g} s")
    return ", ".join(words)
