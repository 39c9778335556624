"""The error that ends a call, made of the errors of its attempts."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse
from turnout.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    ConcurrencyExceeded,
    ConnectFailed,
    DeadlineExceeded,
    Phase,
    ProviderError,
    ProviderUnavailable,
    StreamFailed,
    StreamInterrupted,
    TransportError,
    TurnoutError,
)
from turnout.failures import FailureClass
from turnout.routing.policy.plan import GiveUp
from turnout.trace.entries import Failed

__all__ = ["AttemptErrors", "failed_entry", "interrupted"]

LONGEST_RETRY_AFTER = 86_400.0


@attrs.define(eq=False)
class AttemptErrors:
    """What failed in one call so far.

    errors  of its attempts, and of candidates that could not be asked, in order
    tried   the places of the candidates that were asked
    """

    errors: list[TurnoutError] = attrs.field(factory=list)
    tried: set[int] = attrs.field(factory=set)

    @property
    def last(self) -> TurnoutError | None:
        return self.errors[-1] if self.errors else None

    def all_failed(self) -> TurnoutError:
        """With one candidate its own last error; of several, all."""
        last = self.errors[-1]
        if len(self.tried) <= 1:
            return last
        told = "; ".join(dict.fromkeys(str(error) for error in self.errors))
        error = AllAttemptsFailed(f"all {len(self.tried)} candidates failed: {told}", errors=tuple(self.errors))
        error.__cause__ = last
        return error

    def nobody_left(self) -> TurnoutError:
        """No candidate may be tried any more."""
        if self.errors and all(isinstance(error, BudgetExceeded) for error in self.errors):
            told = "; ".join(str(error) for error in self.errors)
            return BudgetExceeded(f"no candidate is sure to stay within max_cost: {told}")
        return self.all_failed()

    def turned_away(self, decision: GiveUp) -> TurnoutError:
        """Every candidate is at a limit or resting, and the call is not to wait for them."""
        if not decision.full and self.errors:
            return self.all_failed()
        kind = ConcurrencyExceeded if decision.full else ProviderUnavailable
        advice = (
            "raise max_concurrency or the limits, or let calls wait with when_at_capacity='wait'"
            if decision.full
            else "let calls wait with when_all_in_cooldown='wait', or add a fallback"
        )
        error = kind(f"no candidate may be asked now: {decision.reason}; {advice}")
        error.__cause__ = self.last
        return error

    def deadline_exceeded(self, seconds: float, phase: Phase, awaited: str) -> DeadlineExceeded:
        """The caller's deadline passed; what failed before it is the cause."""
        error = DeadlineExceeded(f"the deadline of {seconds:.3g} s passed {awaited}", phase=phase)
        error.__cause__ = self.last
        return error


def interrupted(error: TurnoutError, partial: ChatResponse | None, candidate: str) -> StreamInterrupted:
    """The error of a stream that broke after content had come, with the answer as far as it came."""
    if isinstance(error, StreamInterrupted):
        error.partial = partial if partial is not None else error.partial
        return error
    failed = StreamFailed(f"{candidate}: the stream broke after content had come: {error}", partial=partial)
    failed.__cause__ = error
    return failed


def failed_entry(at: float, attempt: int, failure: FailureClass, phase: Phase, error: TurnoutError | None) -> Failed:
    """What the trace keeps of a failure: no message, for it may quote the prompt."""
    if isinstance(error, TransportError) and phase is Phase.SENT:
        phase = error.phase  # it alone knows whether the request had left; a head that came, came
    if isinstance(error, ProviderError) and error.status is None and phase is Phase.SENT:
        phase = Phase.NOT_SENT  # before a head, only what should have signed the request can say no
    told = error if isinstance(error, ProviderError) else ProviderError()
    name = type(error).__name__ if error is not None else DeadlineExceeded.__name__
    code = error.reason or None if isinstance(error, ConnectFailed) else told.code
    return Failed(at, attempt, failure, phase, told.status, code, _believed(told.retry_after), name)


def _believed(retry_after: float | None) -> float | None:
    """What a provider asks for, as long as that is a time at all; beyond a day it is an instant, or a slip."""
    if retry_after is None or not retry_after > 0:
        return None
    return min(retry_after, LONGEST_RETRY_AFTER)
