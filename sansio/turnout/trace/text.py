"""The entries of a trace as sentences for a person."""

from __future__ import annotations

from turnout.trace.entries import (
    Answered,
    AttemptCancelled,
    AttemptCompleted,
    CallFailed,
    CandidateBlocked,
    Entry,
    Failed,
    FellBack,
    FirstContent,
    Queued,
    QueueFull,
    ResponseStarted,
    Retrying,
    RouteOrdered,
    Skipped,
    Started,
    StreamBroke,
)

__all__ = ["describe"]


def describe(entry: Entry) -> str:
    """One entry as a sentence."""
    match entry:
        case RouteOrdered():
            return f"route {entry.route}, {entry.strategy}: {', '.join(entry.order)}"
        case Skipped():
            return f"{entry.candidate} is skipped: {entry.reason}"
        case CandidateBlocked():
            for_so_long = f" for {entry.wait:.3g} s more" if entry.wait is not None else ""
            return f"{entry.candidate} is passed over: {entry.state}{for_so_long}"
        case Queued():
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
        case ResponseStarted():
            return f"attempt {entry.attempt}: status {entry.status}"
        case FirstContent():
            return f"attempt {entry.attempt}: first content"
        case Failed():
            return f"attempt {entry.attempt}: failed, {_failure(entry)}"
        case Retrying():
            return f"{entry.candidate} is tried again in {entry.wait:.3f} s: {entry.reason}"
        case FellBack():
            return f"{entry.candidate} is left: {entry.reason}"
        case StreamBroke():
            how = "begins again" if entry.mode == "restart" else "is gone on with"
            return f"attempt {entry.attempt}: broke after content; the answer {how}"
        case AttemptCompleted():
            cost = f", cost {entry.cost:.6g}" if entry.cost is not None else ""
            tokens = f", {entry.tokens} tokens" if entry.tokens is not None else ""
            skipped = f", {entry.skipped} unreadable events skipped" if entry.skipped else ""
            return f"attempt {entry.attempt}: complete{tokens}{cost}{skipped}"
        case AttemptCancelled():
            return f"attempt {entry.attempt}: dropped, {entry.reason}"
        case Answered():
            return f"answered by {entry.candidate}"
        case CallFailed():
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
