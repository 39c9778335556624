"""How one call was decided: every fact that came in, and every decision that was made of them.

A trace holds no prompt, no answer, no key and no message of a provider, so it can be logged and kept. With its facts
the same decisions can be made again (`turnout.routing.replay`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self, get_args

import attrs

from turnout.failures import FailureClass, Phase
from turnout.trace.entries import AttemptCompleted, Entry, Failed, Started
from turnout.trace.text import describe

__all__ = ["VERSION", "Trace", "TraceError"]

VERSION = 2


class TraceError(ValueError):
    """A recorded trace that cannot be read: of another version, or not whole."""


def check_version(recorded: Mapping[str, Any]) -> None:
    """Raise TraceError where the record is of another version than this release writes."""
    version = recorded.get("version") if isinstance(recorded, Mapping) else None
    if version != VERSION:
        raise TraceError(f"the trace is of version {version!r}; this release reads {VERSION}")


@attrs.define(eq=False)
class Trace:
    """The entries of one call in their order; `at` is in seconds from the call's start. `Trace()` is that of no call.

    operation   chat, stream, embed or models
    candidates  every model that the request names, in its order
    started_at  wall-clock time of the start in seconds since 1970, or None where the driver gave none
    seed        of the call's jitter
    deadline    seconds from the start
    metadata    the caller's own labels from the request
    rules       what the decisions were made by: the fields of the policy that differ from the usual, and the usable
                candidates' providers and windows
    """

    operation: str = ""
    candidates: tuple[str, ...] = ()
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
        known = [entry.cost for entry in self.entries if isinstance(entry, AttemptCompleted) and entry.cost is not None]
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

    @classmethod
    def from_dict(cls, recorded: Mapping[str, Any]) -> Self:
        """The trace that gave this `to_dict`, also by way of JSON. Raises TraceError."""
        check_version(recorded)
        try:
            deadline = recorded["deadline"]
            return cls(
                str(recorded["operation"]),
                tuple(map(str, recorded["candidates"])),
                recorded["started_at"],
                recorded["seed"],
                deadline if deadline is not None else math.inf,
                dict(recorded["metadata"]),
                dict(recorded["rules"]),
                [_entry(entry) for entry in recorded["entries"]],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TraceError(f"the trace is not whole: {type(error).__name__}: {error}") from error

    def explain(self) -> str:
        """The same for a person: one line an entry, with seconds from the start."""
        if not self.operation:
            return "nothing was tried"
        lines = [f"{self.operation} over {', '.join(self.candidates)}"]
        lines += [f"{entry.at:8.3f} s  {describe(entry)}" for entry in self.entries]
        return "\n".join(lines)


_KINDS: Mapping[str, type[Entry]] = {kind.kind: kind for kind in get_args(Entry)}


def _entry(recorded: Mapping[str, Any]) -> Entry:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in recorded.items()
    }
    kind = fields.pop("kind")
    if kind not in _KINDS:
        raise ValueError(f"no entry is of kind {kind!r}")
    if kind == Failed.kind:
        fields |= {"failure": FailureClass(fields["failure"]), "phase": Phase(fields["phase"])}
    return _KINDS[kind](**fields)
