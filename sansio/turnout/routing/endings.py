"""The errors that end a call: made of the errors of its attempts, with everything that was received."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from turnout.chat import ChatResponse
from turnout.errors import (
    AllAttemptsFailed,
    DeadlineExceeded,
    LocalProtocolError,
    Phase,
    StreamFailed,
    StreamInterrupted,
    TurnoutError,
)
from turnout.providers.protocol import Exchange
from turnout.routing.trace import Trace

__all__ = ["all_failed", "deadline_passed", "interrupted", "partial_answer", "with_trace"]


def partial_answer(exchange: Exchange[Any]) -> ChatResponse | None:
    """What a broken or unfinished exchange holds of an answer."""
    try:
        result = exchange.result
    except LocalProtocolError:
        return None
    return result if isinstance(result, ChatResponse) else None


def interrupted(error: TurnoutError, partial: ChatResponse | None, candidate: str) -> StreamInterrupted:
    """The error of a stream that broke after content had come, with the answer as far as it came."""
    if isinstance(error, StreamInterrupted):
        error.partial = partial if partial is not None else error.partial
        return error
    failed = StreamFailed(f"{candidate}: the stream broke after content had come: {error}", partial=partial)
    failed.__cause__ = error
    return failed


def all_failed(errors: Sequence[TurnoutError], candidates: int) -> TurnoutError:
    """The error of a call whose attempts failed: of a lone candidate its last, else all of them together."""
    last = errors[-1]
    if candidates <= 1:
        return last
    told = "; ".join(dict.fromkeys(str(error) for error in errors))
    error = AllAttemptsFailed(f"all {candidates} candidates failed: {told}", errors=tuple(errors))
    error.__cause__ = last
    return error


def deadline_passed(seconds: float, during: str, phase: Phase, errors: Sequence[TurnoutError]) -> DeadlineExceeded:
    """The error of a call whose deadline passed; the error of the attempt before it is its cause."""
    error = DeadlineExceeded(f"the deadline of {seconds:.3g} s passed {during}", phase=phase)
    error.__cause__ = errors[-1] if errors else None
    return error


def with_trace(error: TurnoutError, trace: Trace) -> TurnoutError:
    error.trace = trace
    if isinstance(error, StreamInterrupted) and error.partial is not None:
        error.partial = attrs.evolve(error.partial, trace=trace)
    return error
