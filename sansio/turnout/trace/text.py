"""The entries of a trace as sentences for people."""

from __future__ import annotations

from turnout.trace.entries import (
    Answered,
    AttemptCancelled,
    AttemptCompleted,
    CacheHit,
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
    Throttled,
)

__all__ = ["describe", "duration"]


def describe(entry: Entry) -> str:
    """Return one entry as a sentence."""
    match entry:
        case RouteOrdered():
            return f"route {entry.route}, {entry.strategy}: {', '.join(entry.order)}"
        case Skipped():
            return f"{entry.candidate} is excluded: {entry.reason}"
        case CandidateBlocked():
            return f"{entry.candidate} skipped: {_blocked(entry)}"
        case Queued():
            until = f", until {duration(entry.until)} at the latest" if entry.until is not None else ""
            return f"queued: {entry.reason}{until}"
        case Throttled():
            return "too few requests succeed lately: no candidate that should rest is tried"
        case QueueFull():
            return f"queue full: {entry.waiting} calls wait already"
        case Started():
            how = "".join(
                word
                for word, holds in (
                    (", because no other is left", entry.forced),
                    (", as a probe", entry.probe),
                    (", beside the other one", entry.hedge and entry.replaces),
                    (", beside the slow one", entry.hedge and not entry.replaces),
                )
                if holds
            )
            omitted = f", without {', '.join(entry.omitted_settings)}" if entry.omitted_settings else ""
            return f"attempt {entry.attempt}: {entry.candidate} started{how}{omitted}"
        case ResponseStarted():
            return f"attempt {entry.attempt}: status {entry.status}"
        case FirstContent():
            return f"attempt {entry.attempt}: first content"
        case Failed():
            return f"attempt {entry.attempt}: failed, {_failure(entry)}{_spent(entry)}"
        case Retrying():
            unless = " unless the other attempt answers first" if entry.beside else ""
            return f"retrying {entry.candidate} in {duration(entry.wait)}{unless}: {entry.reason}"
        case FellBack():
            how = "turning from" if entry.kept else "giving up on"
            return f"{how} {entry.candidate}: {entry.reason}"
        case StreamBroke():
            how = "restarting" if entry.mode == "restart" else "resuming"
            return f"attempt {entry.attempt}: broke after content; {how} the response"
        case AttemptCompleted():
            skipped = f", {entry.skipped} unreadable events skipped" if entry.skipped else ""
            return f"attempt {entry.attempt}: complete{_spent(entry)}{skipped}"
        case AttemptCancelled():
            return f"attempt {entry.attempt}: cancelled, {entry.reason}{_spent(entry)}"
        case Answered():
            unmet = f", but it does not meet {' and '.join(entry.unmet)}" if entry.unmet else ""
            return f"answered by {entry.candidate}{unmet}"
        case CacheHit():
            return f"answered from the cache; the answer is of {entry.candidate}"
        case CallFailed():
            return f"failed: {entry.reason}"


def duration(seconds: float) -> str:
    """Return seconds as a person writes them: 35 s, 2 min 5 s, 2 h."""
    if seconds < 99.95:
        return f"{seconds:.3g} s" if seconds >= 0.001 or not seconds else "less than 1 ms"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24)} days"


def _blocked(entry: CandidateBlocked) -> str:
    words = [entry.reason.replace("_", " ")]
    if entry.limit is not None:
        words.append(f" (limit of {entry.limit})")
    if entry.cause:
        words.append(f" after {entry.cause}")
    if entry.wait is not None:
        words.append(f", for {duration(entry.wait)}")
    return "".join(words)


def _spent(entry: AttemptCompleted | AttemptCancelled | Failed) -> str:
    about = "about " if entry.estimated else ""
    tokens = f", {about}{entry.tokens} tokens" if entry.tokens is not None else ""
    return tokens + (f", cost {about}{entry.cost:.6g}" if entry.cost is not None else "")


def _failure(entry: Failed) -> str:
    words = [entry.failure.value]
    if entry.status is not None:
        words.append(f"status {entry.status}")
    if entry.code:
        words.append(f"code {entry.code}")
    if entry.timer is not None:
        after = f" of {duration(entry.seconds)}" if entry.seconds is not None else ""
        if entry.timer.value == entry.failure.value:  # the deadline
            words[0] += after
        else:
            words.append(f"timer {entry.timer.value}{after}")
    if entry.reused:
        words.append("on a reused connection")
    if entry.status is None:
        words.append(f"phase {entry.phase.value}")
    if entry.retry_after is not None:
        words.append(f"retry after {duration(entry.retry_after)}")
    return ", ".join(words)
