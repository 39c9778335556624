"""The error of a call that may not wait while all its candidates are blocked."""

from __future__ import annotations

import pytest

from turnout.errors import (
    AllAttemptsFailed,
    ConcurrencyExceeded,
    Phase,
    ProviderUnavailable,
    RateLimited,
    ServerError,
    TransportError,
)
from turnout.failures import FailureClass
from turnout.routing.call.final_error import AttemptErrors, failure_entry
from turnout.routing.policy.decisions import GiveUp

FAILED = ServerError("openai: it failed", status=500, provider="openai")
OTHER = ServerError("gemini: it failed", status=500, provider="gemini")


def errors(*given: ServerError) -> AttemptErrors:
    return AttemptErrors(list(given), set(range(len(given))))


def blocked(*, limited: bool = False, paced: bool = False, available_in: float | None = 2.5) -> GiveUp:
    return GiveUp("every candidate is blocked: x", limited=limited, paced=paced, available_in=available_in)


def test_a_limit_of_the_user_is_named_with_its_wait_and_advice() -> None:
    error = errors().rejected(blocked(limited=True))
    assert type(error) is ConcurrencyExceeded
    assert str(error) == (
        "no candidate is available: every candidate is blocked: x; the first one is available in 2.5 s; "
        "raise max_concurrency or the limits, or let calls wait with when_at_capacity='wait'"
    )
    assert error.__cause__ is None


def test_advice_is_what_the_policy_does_not_do_already() -> None:
    late = "the first candidate is free again in 60 s, after the deadline"
    error = errors().rejected(GiveUp(late, limited=True, available_in=60.0, late=True))
    assert str(error) == f"no candidate is available: {late}; raise the limits or the timeout, or add a fallback"
    full = errors().rejected(GiveUp("0 calls wait already", limited=True, queue=0))
    assert str(full).endswith("0 calls wait already; raise max_pending, or call again when fewer calls wait")


def test_without_a_known_wait_none_is_named() -> None:
    assert "available in" not in str(errors().rejected(blocked(limited=True, available_in=None)))


def test_a_cooldown_is_no_limit() -> None:
    error = errors().rejected(blocked())
    assert type(error) is ProviderUnavailable
    assert "let calls wait with when_all_in_cooldown='wait', or add a fallback" in str(error)


def test_a_limit_of_the_provider_is_a_rate_limit_with_the_wait() -> None:
    error = errors().rejected(blocked(limited=True, paced=True))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 2.5
    assert str(error).startswith("no candidate takes requests now: every candidate is blocked: x; the first one is")


def test_a_call_that_failed_before_a_limit_of_the_user_has_that_failure_as_the_cause() -> None:
    error = errors(FAILED).rejected(blocked(limited=True))
    assert type(error) is ConcurrencyExceeded
    assert error.__cause__ is FAILED


@pytest.mark.parametrize(("limited", "paced"), [(False, False), (True, True)])
def test_a_call_that_failed_before_a_cooldown_or_a_pace_raises_that_failure(limited: bool, paced: bool) -> None:
    decision = blocked(limited=limited, paced=paced)
    assert errors(FAILED).rejected(decision) is FAILED
    assert isinstance(errors(FAILED, OTHER).rejected(decision), AllAttemptsFailed)


@pytest.mark.parametrize(("given", "kept"), [(0.0, None), (-1.0, None), (None, None), (3.0, 3.0), (1e9, 86_400.0)])
def test_a_wait_that_is_none_is_not_in_the_trace(given: float | None, kept: float | None) -> None:
    error = RateLimited("x", status=429, provider="openai", retry_after=given)
    assert failure_entry(0.0, 1, FailureClass.RATE_LIMIT, Phase.HEAD, error).retry_after == kept


def test_the_phase_of_a_failure_is_that_of_the_transport_or_of_the_signature() -> None:
    def phase(error: Exception, known: Phase = Phase.SENT) -> Phase:
        return failure_entry(0.0, 1, FailureClass.SERVER, known, error).phase  # type: ignore[arg-type]

    assert phase(TransportError("x", phase=Phase.NOT_SENT)) is Phase.NOT_SENT
    assert phase(TransportError("x", phase=Phase.NOT_SENT), Phase.BODY) is Phase.BODY
    assert phase(ServerError("x", provider="openai")) is Phase.NOT_SENT
    assert phase(ServerError("x", provider="openai", status=500)) is Phase.SENT
