"""Maps the error of a call to an action for its row: wait and send it again, send it in a later run, or never."""

from __future__ import annotations

import attrs

from turnout.batch.output import RowFailure
from turnout.errors import (
    AllAttemptsFailed,
    AuthenticationFailed,
    BudgetExceeded,
    CapabilityUnsupported,
    ConcurrencyExceeded,
    ContentFiltered,
    DeadlineExceeded,
    InvalidRequest,
    MissingCredentials,
    NotFound,
    Overloaded,
    PermissionDenied,
    Phase,
    ProviderError,
    ProviderNotRegistered,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    StreamInterrupted,
    TurnoutError,
)
from turnout.routing.policy.classify import classify

__all__ = ["Problem", "problem_of"]

# The row itself is wrong for its model: sending it again gives the same.
_FINAL = (InvalidRequest, ContentFiltered, CapabilityUnsupported)
# Nothing is wrong with the row: the account, the key or the model's name has to be mended first.
_SETUP = (AuthenticationFailed, PermissionDenied, NotFound, QuotaExceeded, MissingCredentials, ProviderNotRegistered)
# It is only too early.
_LIMITS = (RateLimited, Overloaded, ConcurrencyExceeded, ProviderUnavailable)


@attrs.frozen(kw_only=True)
class Problem:
    """Why a row has no answer yet.

    Attributes:
        failure: The outcome for the output, if the row is given up.
        limited: True if only limits prevented an answer, so that the row waits for another turn in this run.
        setup: True if the fault is not the row's: if the first rows all fail so, the run stops.
        retry_after: Seconds to wait, from the provider's response.
    """

    failure: RowFailure
    limited: bool = False
    setup: bool = False
    retry_after: float | None = None


def problem_of(error: TurnoutError, *, model: str = "", seconds: float = 0.0) -> Problem:
    """Return the action for the row of an error.

    Args:
        error: The error of the call.
        model: The candidate of the last attempt.
        seconds: How long the call took.
    """
    single = _single(error)
    errors = error.errors if isinstance(error, AllAttemptsFailed) else (single,)
    limited = all(isinstance(one, _LIMITS) or _never_sent(one) for one in errors)
    setup = not limited and all(isinstance(one, (*_SETUP, *_LIMITS)) for one in errors)
    final = not limited and all(isinstance(one, _FINAL) for one in errors)
    waits = [one.retry_after for one in errors if isinstance(one, ProviderError) and one.retry_after is not None]
    trace = error.trace
    return Problem(
        failure=RowFailure(
            code=_code(single),
            message=single.message or type(single).__name__,
            temporary=not final,
            status=single.status if isinstance(single, ProviderError) else None,
            request_id=(single.request_id or "") if isinstance(single, ProviderError) else "",
            model=model,
            cost=trace.cost,
            attempts=trace.attempts,
            seconds=seconds,
        ),
        limited=limited,
        setup=setup,
        retry_after=min(waits, default=None),
    )


def _single(error: TurnoutError) -> TurnoutError:
    """Return the most specific error: the last one of several attempts, or the cause of a broken stream."""
    if isinstance(error, AllAttemptsFailed):
        last = error.last
        return error if last is None else _single(last)
    if isinstance(error, StreamInterrupted) and isinstance(error.__cause__, TurnoutError):
        return _single(error.__cause__)
    return error


def _never_sent(error: TurnoutError) -> bool:
    return isinstance(error, DeadlineExceeded) and error.phase is Phase.NOT_SENT


def _code(error: TurnoutError) -> str:
    match error:
        case BudgetExceeded():
            return "budget"
        case MissingCredentials() | ProviderNotRegistered():
            return "not-configured"
        case ConcurrencyExceeded() | ProviderUnavailable():
            return "unavailable"
        case DeadlineExceeded():
            return "deadline"
        case _:
            return classify(error).value
