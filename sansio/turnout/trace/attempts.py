"""The attempts of a call, summarised from the entries of its trace: when each one began and ended, and how."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from turnout.trace.entries import (
    AttemptCancelled,
    AttemptCompleted,
    Failed,
    FirstContent,
    ResponseStarted,
    Started,
    StreamBroke,
)
from turnout.trace.trace import Trace

__all__ = ["AttemptSummary", "summarize_attempts"]


@attrs.define(kw_only=True)
class AttemptSummary:
    """One attempt. Times are in seconds from the start of the call; None if the event did not happen.

    Attributes:
        number: From 1.
        candidate: The model, as provider/model.
        started: When the request was sent.
        response_started: When the head of the response arrived.
        first_content: When the first content arrived.
        ended: When the attempt had a result; None if the call ended before.
        outcome: `answered` if its response is complete, `broke` if it failed after the caller had received content,
            `open` if the trace ends before the attempt does.
        status: The HTTP status.
        reason: Why it failed or was cancelled.
        roles: The special roles of the attempt: `hedge`, `probe` or `forced`.
        tokens: Of prompt and response.
        cost: Of these tokens, if there is a price.
        estimated: True if the tokens are an estimate.
    """

    number: int
    candidate: str
    started: float
    response_started: float | None = None
    first_content: float | None = None
    ended: float | None = None
    outcome: Literal["answered", "failed", "broke", "cancelled", "open"] = "open"
    status: int | None = None
    reason: str = ""
    roles: tuple[str, ...] = ()
    tokens: int | None = None
    cost: float | None = None
    estimated: bool = False

    def take_spent(self, entry: AttemptCompleted | AttemptCancelled | Failed) -> None:
        """Take the tokens and the cost of the entry that ended the attempt."""
        self.tokens, self.cost, self.estimated = entry.tokens, entry.cost, entry.estimated

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**attrs.asdict(self), "roles": list(self.roles)}


def summarize_attempts(trace: Trace) -> tuple[AttemptSummary, ...]:
    """Return the attempts of a call in the order in which they started."""
    attempts: dict[int, AttemptSummary] = {}
    for entry in trace.entries:
        if isinstance(entry, Started):
            attempts[entry.attempt] = _started(entry)
            continue
        attempt = attempts.get(getattr(entry, "attempt", 0))
        if attempt is None:
            continue
        match entry:
            case ResponseStarted():
                attempt.response_started, attempt.status = entry.at, entry.status
            case FirstContent():
                attempt.first_content = entry.at
            case Failed():
                attempt.ended, attempt.outcome = entry.at, "failed"
                attempt.status = entry.status if entry.status is not None else attempt.status
                attempt.reason = ", ".join(filter(None, (entry.failure.value, entry.code)))
                attempt.take_spent(entry)
            case StreamBroke():
                attempt.ended, attempt.outcome = entry.at, "broke"
            case AttemptCompleted():
                attempt.ended, attempt.outcome = entry.at, "answered"
                attempt.take_spent(entry)
            case AttemptCancelled():
                attempt.ended, attempt.outcome, attempt.reason = entry.at, "cancelled", entry.reason
                attempt.take_spent(entry)
            case _:
                pass
    return tuple(attempts.values())


def _started(entry: Started) -> AttemptSummary:
    roles = tuple(name for name in ("hedge", "probe", "forced") if getattr(entry, name))
    return AttemptSummary(number=entry.attempt, candidate=entry.candidate, started=entry.at, roles=roles)
