"""The error that ends a call, made from the errors of its attempts."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from turnout.chat import ChatResponse
from turnout.errors import (
    AllAttemptsFailed,
    AllDemandsUnmet,
    AllRateLimited,
    BudgetExceeded,
    ConcurrencyExceeded,
    ConnectFailed,
    DeadlineExceeded,
    DemandUnmet,
    Phase,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    StreamFailed,
    StreamInterrupted,
    TimedOut,
    Timer,
    TransportError,
    TurnoutError,
)
from turnout.failures import FailureClass
from turnout.routing.policy.decisions import GiveUp
from turnout.trace.entries import Failed, Skipped
from turnout.trace.text import duration

__all__ = ["AttemptErrors", "as_interrupted", "failure_entry"]

# Seconds. A longer time is an instant taken for a duration, or a mistake.
LONGEST_RETRY_AFTER = 86_400.0
# A message lists so many errors at most.
MOST_MESSAGES = 10


@attrs.define(eq=False)
class AttemptErrors:
    """The errors of one call so far.

    Attributes:
        errors: Of its attempts, and of candidates that could not be tried, in order.
        tried: The indexes of the candidates that were tried.
        left: How many candidates were never tried.
        unusable: The models that could not be tried, such as those of a provider without a key.
    """

    errors: list[TurnoutError] = attrs.field(factory=list)
    tried: set[int] = attrs.field(factory=set)
    left: int = 0
    unusable: Sequence[Skipped] = ()
    _messages: list[str] = attrs.field(factory=list, init=False)

    def add(self, error: TurnoutError, candidate: str) -> None:
        """Add the error of an attempt, or of a candidate that could not be tried."""
        self.errors.append(error)
        text = str(error)
        if isinstance(error, ProviderError) and error.provider:
            text = text.removeprefix(f"{error.provider}: ")
        self._messages.append(text if text.startswith(candidate) else f"{candidate}: {text}")

    def _listed(self) -> str:
        """Return the messages, each with its model."""
        messages = list(dict.fromkeys(self._messages))
        more = f"; and {len(messages) - MOST_MESSAGES} more" if len(messages) > MOST_MESSAGES else ""
        unusable = [f"{each.candidate} was not tried: {each.reason}" for each in self.unusable[:MOST_MESSAGES]]
        return "; ".join([*messages[:MOST_MESSAGES], *unusable]) + more

    @property
    def last(self) -> TurnoutError | None:
        return self.errors[-1] if self.errors else None

    def all_failed(self) -> TurnoutError:
        """Return the error of a call after all its candidates failed: with one candidate, its last error."""
        last = self.errors[-1]
        if len(self.tried) <= 1:
            return last
        tried = len(self.tried)
        known = tried + self.left + len(self.unusable)
        count = f"all {tried} candidates failed"
        if known > tried:
            count = f"{tried} of {known} candidates tried, and each failed"
        error = self._kind_for_several()(f"{count}: {self._listed()}", errors=tuple(self.errors))
        error.__cause__ = last
        return error

    def _kind_for_several(self) -> type[AllAttemptsFailed]:
        if all(isinstance(error, RateLimited) for error in self.errors):
            return AllRateLimited
        return AllDemandsUnmet if all(isinstance(error, DemandUnmet) for error in self.errors) else AllAttemptsFailed

    def exhausted(self) -> TurnoutError:
        """Return the error of a call that has no candidate left."""
        if len(self.tried) > 1 or not isinstance(self.last, BudgetExceeded):
            return self.all_failed()
        which = "other candidate" if self.tried else "candidate"
        error = BudgetExceeded(f"no {which} is sure to stay within max_cost and the budgets: {self._listed()}")
        error.__cause__ = next((one for one in reversed(self.errors) if not isinstance(one, BudgetExceeded)), None)
        return error

    def rejected(self, decision: GiveUp) -> TurnoutError:
        """Return the error of a call that may not wait, while all its candidates are blocked."""
        if self.errors and not decision.over_budget and (decision.paced or not decision.limited):
            return self.all_failed()
        seconds = decision.available_in
        # The reason of a call that would wait beyond its deadline names the time already.
        until = "" if seconds is None or decision.late else f"; the first one is available in {duration(seconds)}"
        if decision.over_budget:
            over = BudgetExceeded(
                f"no candidate is within its budget: {decision.reason}{until}; raise the budget, or add a fallback"
            )
            over.__cause__ = self.last
            return over
        if decision.paced:
            message = f"no candidate takes requests now: {decision.reason}{until}"
            return RateLimited(message, retry_after=seconds)
        kind = ConcurrencyExceeded if decision.limited else ProviderUnavailable
        error = kind(f"no candidate is available: {decision.reason}{until}; {_advice(decision)}")
        error.__cause__ = self.last
        return error

    def deadline_exceeded(self, seconds: float, phase: Phase, activity: str) -> DeadlineExceeded:
        """Return the error of a call after its deadline. An earlier failure is its cause."""
        error = DeadlineExceeded(f"the deadline of {duration(seconds)} passed {activity}", phase=phase)
        error.__cause__ = self.last
        return error


def _advice(decision: GiveUp) -> str:
    """Return what the user can change, so that a call like this one is not rejected."""
    if decision.queue is not None:
        return "raise max_pending, or call again when fewer calls wait"
    if decision.late:
        return f"raise {'the limits or ' if decision.limited else ''}the timeout, or add a fallback"
    if decision.limited:
        return "raise max_concurrency or the limits, or let calls wait with when_at_capacity='wait'"
    return "let calls wait with when_all_in_cooldown='wait', or add a fallback"


def as_interrupted(error: TurnoutError, partial: ChatResponse | None, candidate: str) -> StreamInterrupted:
    """Return the error of a stream that broke after its first content, with the response as far as it arrived."""
    if isinstance(error, StreamInterrupted):
        error.partial = partial if partial is not None else error.partial
        return error
    reason = str(error).removeprefix(f"{candidate}: ")
    failed = StreamFailed(f"{candidate}: the stream broke after its first content: {reason}", partial=partial)
    failed.__cause__ = error
    return failed


def deadline_entry(at: float, attempt: int, phase: Phase, seconds: float) -> Failed:
    """Build the trace entry for an attempt that the deadline of the call ended."""
    timer, error = Timer.DEADLINE, DeadlineExceeded.__name__
    return Failed(at, attempt, FailureClass.DEADLINE, phase, error=error, timer=timer, seconds=round(seconds, 6))


def failure_entry(at: float, attempt: int, failure: FailureClass, phase: Phase, error: TurnoutError) -> Failed:
    """Build the trace entry for a failure. The error message is omitted because it can contain the prompt."""
    if isinstance(error, TransportError) and phase is Phase.SENT:
        phase = error.phase  # only the transport knows whether the request left
    if isinstance(error, ProviderError) and error.status is None and phase is Phase.SENT:
        phase = Phase.NOT_SENT  # before a head, such an error is of the code that signs the request
    returned = error if isinstance(error, ProviderError) else ProviderError()
    timer = error.timer if isinstance(error, TimedOut) else None
    seconds = error.seconds if isinstance(error, TimedOut) else None
    reused = isinstance(error, TimedOut) and error.reused
    name = type(error).__name__
    code = error.reason or None if isinstance(error, ConnectFailed) else returned.code
    retry_after = _clamped_retry_after(returned.retry_after)
    return Failed(
        at,
        attempt,
        failure,
        phase,
        returned.status,
        code,
        retry_after,
        name,
        timer=timer,
        seconds=round(seconds, 6) if seconds is not None else None,
        reused=reused,
    )


def _clamped_retry_after(retry_after: float | None) -> float | None:
    """Return the wait that a provider requested, in seconds, at most a day; None if it requested none."""
    if retry_after is None or not retry_after > 0:
        return None
    return min(retry_after, LONGEST_RETRY_AFTER)
