"""How one call was decided: every fact that came in, and every decision that was made of them.

A trace holds no prompt, no answer, no key and no message of a provider, so it can be logged and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import attrs

from turnout.errors import Phase
from turnout.routing.classify import FailureClass

__all__ = [
    "Answered",
    "Content",
    "Ended",
    "Entry",
    "Failed",
    "Finished",
    "Head",
    "MovedOn",
    "Retrying",
    "Skipped",
    "Started",
    "Trace",
    "Waiting",
]

VERSION = 1


@attrs.frozen
class Skipped:
    """A candidate that is not tried at all."""

    kind: ClassVar[str] = "skipped"
    at: float
    candidate: str
    reason: str


@attrs.frozen
class Waiting:
    """The router is full: the call waits for a place."""

    kind: ClassVar[str] = "waiting"
    at: float
    candidate: str
    reason: str


@attrs.frozen
class Started:
    """An attempt began. `dropped` names settings that this model refuses and that were left out as asked."""

    kind: ClassVar[str] = "started"
    at: float
    attempt: int
    candidate: str
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
    """An attempt failed."""

    kind: ClassVar[str] = "failed"
    at: float
    attempt: int
    failure: FailureClass
    phase: Phase | None = None
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
class Ended:
    """An attempt brought its part of the answer whole; `skipped` events of it could not be read."""

    kind: ClassVar[str] = "ended"
    at: float
    attempt: int
    skipped: int = 0


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
    Skipped | Waiting | Started | Head | Content | Failed | Retrying | MovedOn | Ended | Answered | Finished
)


@attrs.define(eq=False)
class Trace:
    """The entries of one call in their order; `at` is in seconds from the call's start.

    operation   chat, stream, embed or models
    started_at  wall-clock time of the start in seconds since 1970, or None where the driver gave none
    metadata    the caller's own labels from the request
    """

    operation: str
    candidates: tuple[str, ...]
    started_at: float | None = None
    seed: int = 0
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    entries: list[Entry] = attrs.field(factory=list)

    @property
    def attempts(self) -> int:
        """How many requests were begun."""
        return sum(isinstance(entry, Started) for entry in self.entries)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON. The shape is stable for one `version`."""
        return {
            "version": VERSION,
            "operation": self.operation,
            "candidates": list(self.candidates),
            "started_at": self.started_at,
            "seed": self.seed,
            "metadata": dict(self.metadata),
            "entries": [{"kind": entry.kind, **attrs.asdict(entry)} for entry in self.entries],
        }

    def explain(self) -> str:
        """The same for a person: one line an entry, with seconds from the start."""
        lines = [f"{self.operation} over {', '.join(self.candidates)}"]
        lines += [f"{entry.at:8.3f} s  {_told(entry)}" for entry in self.entries]
        return "\n".join(lines)


def _told(entry: Entry) -> str:
    match entry:
        case Skipped():
            return f"{entry.candidate} is skipped: {entry.reason}"
        case Waiting():
            return f"{entry.candidate} waits: {entry.reason}"
        case Started():
            dropped = f", without {', '.join(entry.dropped)}" if entry.dropped else ""
            return f"attempt {entry.attempt}: {entry.candidate} is asked{dropped}"
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
        case Ended():
            skipped = f", {entry.skipped} unreadable events skipped" if entry.skipped else ""
            return f"attempt {entry.attempt}: complete{skipped}"
        case Answered():
            return f"answered by {entry.candidate}"
        case Finished():
            return f"finished: {entry.reason}"


def _failure(entry: Failed) -> str:
    told = [entry.failure.value]
    if entry.status is not None:
        told.append(f"status {entry.status}")
    if entry.code:
        told.append(f"code {entry.code}")
    if entry.phase is not None and entry.status is None:
        told.append(f"phase {entry.phase.value}")
    if entry.retry_after is not None:
        told.append(f"asks to wait {entry.retry_after:g} s")
    return ", ".join(told)
