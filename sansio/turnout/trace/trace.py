"""How one call was decided: every fact from outside, and every decision that followed.

A trace holds no prompt, no response, no key and no message of a provider, so it can be logged and stored. Its facts
lead to the same decisions again (`turnout.routing.replay`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args

import attrs
import msgspec

from turnout._utils.validation import quoted, shortened
from turnout.trace.entries import SPENDING, Answered, CacheHit, Entry, Started
from turnout.trace.text import describe

__all__ = ["VERSION", "Trace", "TraceError"]

# The version of the stored form. It changes when fields or kinds of entries change their names or meaning.
VERSION = 4


class TraceError(ValueError):
    """A stored trace cannot be read: it has another version, or is incomplete."""


def check_version(recorded: Mapping[str, Any]) -> None:
    """Raise TraceError if a stored trace has another version than this release writes."""
    version = recorded.get("version") if isinstance(recorded, Mapping) else None
    if version is None:
        raise TraceError("this is no trace: it has no version, which trace.to_dict() writes")
    if version != VERSION:
        raise TraceError(
            f"the trace has version {quoted(version)}, and this release reads version {VERSION}; "
            "read it with the release that wrote it"
        )


@attrs.define(eq=False)
class Trace:
    """The entries of one call in their order. `Trace()` belongs to no call.

    Attributes:
        operation: chat, stream, embed, models, count_tokens or rerank.
        candidates: Every model that the request names, in its order.
        started_at: The wall-clock time of the start in seconds since 1970; None if the driver gave none.
        seed: The seed of the call's jitter.
        deadline: Seconds from the start.
        metadata: The caller's own labels from the request.
        rules: The settings behind the decisions: the fields of the policy that differ from the defaults, and the
            usable candidates that were looked at.
        priority: Of the call: 0 is served first while calls wait, "batch" is 6.
        entries: Facts and decisions; their `at` is in seconds from the start.
        outcome: The metadata of the response, for `on_trace`: `finish_reason`, `response_id`, `served_model`, the token
            counts, `settings` of the model, `server_address` and `server_port`. It is empty before the call has ended,
            and it is not stored. An answer from the cache has no token counts.
    """

    operation: str = ""
    candidates: tuple[str, ...] = ()
    started_at: float | None = None
    seed: int = 0
    deadline: float = math.inf
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    rules: dict[str, Any] = attrs.field(factory=dict)
    entries: list[Entry] = attrs.field(factory=list)
    priority: float = 0.0
    outcome: dict[str, Any] = attrs.field(factory=dict, init=False)

    @property
    def attempts(self) -> int:
        """How many attempts were started."""
        return sum(isinstance(entry, Started) for entry in self.entries)

    @property
    def candidate(self) -> str:
        """The candidate that answered, else the first that was tried, else the first that the request names."""
        answered = [entry.candidate for entry in self.entries if isinstance(entry, Answered | CacheHit)]
        started = [entry.candidate for entry in self.entries if isinstance(entry, Started)]
        return (*answered[-1:], *started, *self.candidates, "")[0]

    @property
    def from_cache(self) -> bool:
        """Whether the answer is from the router's cache."""
        return any(isinstance(entry, CacheHit) for entry in self.entries)

    @property
    def cost(self) -> float | None:
        """The cost of all attempts together, as far as it is known or can be estimated; None if no price is known."""
        known = [entry.cost for entry in self.entries if isinstance(entry, SPENDING) and entry.cost is not None]
        return sum(known) if known else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON. The shape is stable for one `version`; None means without bound."""
        return {
            "version": VERSION,
            "operation": self.operation,
            "candidates": list(self.candidates),
            "started_at": self.started_at,
            "seed": self.seed,
            "deadline": self.deadline if math.isfinite(self.deadline) else None,
            "priority": self.priority,
            "metadata": dict(self.metadata),
            "rules": dict(self.rules),
            "entries": [{"kind": entry.kind, **msgspec.structs.asdict(entry)} for entry in self.entries],
        }

    @classmethod
    def from_dict(cls, recorded: Mapping[str, Any]) -> Self:
        """Return the trace of which this is the `to_dict`, also after a way through JSON.

        Raises:
            TraceError: If it has another version, or is incomplete.
        """
        check_version(recorded)
        try:
            stored = msgspec.convert(recorded, _Stored)
            entries = [_entry(number, entry) for number, entry in enumerate(stored.entries)]
        except (msgspec.ValidationError, RecursionError, OverflowError) as error:
            raise TraceError(f"the trace cannot be read: {shortened(str(error))}") from error
        return cls(
            stored.operation,
            stored.candidates,
            stored.started_at,
            stored.seed,
            stored.deadline if stored.deadline is not None else math.inf,
            stored.metadata,
            stored.rules,
            entries,
            stored.priority,
        )

    def explain(self) -> str:
        """Return the trace as text: one line for each entry, with seconds from the start."""
        if not self.operation:
            return "no attempt was made"
        priority = f", with priority {self.priority:g}" if self.priority else ""
        lines = [f"{self.operation} over {', '.join(self.candidates)}{priority}"]
        lines += [f"{entry.at:8.3f} s  {describe(entry)}" for entry in self.entries]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.explain()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)

        def __getitem__(self, name: object) -> Any:
            raise TypeError(f"a Trace has no item {name!r}: write trace.to_dict(), or iterate over trace.entries")


_KINDS: Mapping[str, type[Entry]] = {kind.kind: kind for kind in get_args(Entry)}


class _Stored(msgspec.Struct):
    """The result of `to_dict`."""

    operation: str
    candidates: tuple[str, ...]
    # The years that a calendar has: 1 to 9999.
    started_at: Annotated[float, msgspec.Meta(ge=-62_135_596_800, lt=253_402_300_800)] | None
    seed: int
    deadline: float | None
    metadata: dict[Any, Any]
    rules: dict[str, Any]
    entries: list[dict[str, Any]]
    priority: float = 0.0


def _entry(number: int, recorded: Mapping[str, Any]) -> Entry:
    fields = dict(recorded)
    kind = _KINDS.get(str(fields.pop("kind", None)))
    if kind is None:
        raise TraceError(f"entries[{number}]: no entry has the kind {quoted(recorded.get('kind'))}")
    unknown = sorted(set(fields) - set(kind.__struct_fields__))
    if unknown:
        raise TraceError(f"entries[{number}]: an entry of the kind {kind.kind!r} has no {unknown[0]!r}")
    try:
        entry = msgspec.convert(fields, kind)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise TraceError(f"entries[{number}]: {shortened(str(error))}") from error
    for name in kind.__struct_fields__:
        value = getattr(entry, name)
        # A stream that goes on may have no deadline.
        if isinstance(value, float) and not math.isfinite(value) and name != "deadline":
            raise TraceError(f"entries[{number}]: {name} must be a finite number, not {value}")
    return entry
