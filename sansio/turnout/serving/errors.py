"""The errors of a gateway: one table from the errors of Turnout to the errors that a client receives.

Two rules explain most rows.

- A client must never blame itself for a fault of the gateway. A wrong key for a provider is therefore 502, not 401.
- A client must not repeat a request that the router has already repeated. `retryable` is true only if waiting can help.

A message for a client names no address and quotes no key: only errors that the client can mend carry the provider's
own words. The full text belongs in the log of the gateway.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from turnout.errors import (
    AllAttemptsFailed,
    AuthenticationFailed,
    BudgetExceeded,
    CapabilityUnsupported,
    ConcurrencyExceeded,
    ContentFiltered,
    ContextLengthExceeded,
    DeadlineExceeded,
    DemandUnmet,
    InvalidRequest,
    LocalProtocolError,
    MissingCredentials,
    NotFound,
    NotSupported,
    Overloaded,
    PermissionDenied,
    ProviderError,
    ProviderNotRegistered,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    RequestTooLarge,
    ServerError,
    StreamInterrupted,
    TimedOut,
    TransportError,
    TurnoutError,
)

__all__ = [
    "INTERNAL_ERROR",
    "RequestRejected",
    "ServedError",
    "invalid_request",
    "restart_not_possible",
    "served_error",
]

_LONGEST: Final = 1000
"""Characters of a text of an error."""


def _shortened(text: str) -> str:
    """Return a text of a client's error, which may quote a value of the request, such as an image."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


@attrs.frozen(kw_only=True)
class ServedError:
    """An error as a client of the gateway receives it.

    Args:
        status: HTTP status.
        type: The error type in chat completions, Responses and embeddings.
        code: The error code in the same dialects.
        messages_type: The error type in Messages.
        message: The failure, and a remedy for the client.
        param: The path of the field that is wrong, such as `messages[2].content`.
        retry_after: Seconds to wait before the next attempt. None if unknown.
        retryable: True if the client can send the request again later.
        bound: The setting whose bound is reached, such as `requestsPerMinute`, for the log.
    """

    status: int
    type: str
    code: str
    messages_type: str
    message: str = attrs.field(converter=_shortened)
    param: str | None = attrs.field(default=None, converter=attrs.converters.optional(_shortened))
    retry_after: float | None = None
    retryable: bool = False
    bound: str = ""

    @property
    def messages_status(self) -> int:
        """The status in Messages. Its SDKs have a separate error class for an overload."""
        return 529 if self.messages_type == "overloaded_error" else self.status


class RequestRejected(TurnoutError):
    """The gateway rejects a request itself. Nothing was sent to a provider."""

    def __init__(self, error: ServedError) -> None:
        super().__init__(error.message)
        self.error = error

    def __reduce__(self) -> tuple[type[RequestRejected], tuple[ServedError]]:
        return (RequestRejected, (self.error,))


INTERNAL_ERROR: Final = ServedError(
    status=500,
    type="server_error",
    code="internal_error",
    messages_type="api_error",
    message="The gateway failed. Its log has the details under this request's id.",
)


def invalid_request(message: str, param: str | None = None, code: str = "invalid_value") -> RequestRejected:
    """Return the error for a request that the client must change."""
    return RequestRejected(_caller_fault(message, code, param))


def restart_not_possible() -> LocalProtocolError:
    """Return the error for a `Restarted` event: no protocol can retract received content."""
    return LocalProtocolError("a served stream cannot restart; use on_interrupt `raise` or `resume`")


def _caller_fault(message: str, code: str, param: str | None = None, *, status: int = 400) -> ServedError:
    return ServedError(
        status=status,
        type="invalid_request_error",
        code=code,
        messages_type="invalid_request_error",
        message=message,
        param=param,
    )


def _gateway_fault(message: str, code: str, *, status: int = 502) -> ServedError:
    return ServedError(status=status, type="server_error", code=code, messages_type="api_error", message=message)


def _overloaded(message: str, retry_after: float | None) -> ServedError:
    return ServedError(
        status=503,
        type="server_error",
        code="overloaded",
        messages_type="overloaded_error",
        message=message,
        retry_after=retry_after,
        retryable=True,
    )


def _timed_out(message: str, code: str) -> ServedError:
    return ServedError(status=504, type="server_error", code=code, messages_type="timeout_error", message=message)


def _used_up(message: str) -> ServedError:
    return ServedError(
        status=429,
        type="insufficient_quota",
        code="insufficient_quota",
        messages_type="rate_limit_error",
        message=message,
    )


def _not_found(message: str) -> ServedError:
    return ServedError(
        status=404,
        type="invalid_request_error",
        code="model_not_found",
        messages_type="not_found_error",
        message=message,
        param="model",
    )


def served_error(error: BaseException) -> ServedError:
    """Return the error that a client receives for an error of a call."""
    match error:
        case RequestRejected():
            return error.error
        case AllAttemptsFailed():
            return _of_several([served_error(one) for one in error.errors])
        case ProviderError():
            return _of_provider(error)
        case StreamInterrupted():
            cause = error.__cause__
            if isinstance(cause, TurnoutError) and not isinstance(cause, StreamInterrupted):
                return served_error(cause)
            return _gateway_fault("The provider's stream ended before the answer was complete.", "stream_interrupted")
        case CapabilityUnsupported():
            return _caller_fault(error.message, "unsupported_parameter")
        case ProviderNotRegistered():
            return _not_found(error.message)
        case BudgetExceeded():
            return _used_up(error.message)
        case MissingCredentials():
            return _gateway_fault("The gateway has no key for this model.", "not_configured", status=503)
        case ConcurrencyExceeded():
            return _overloaded("The gateway is at its limit for this model. Try again later.", None)
        case ProviderUnavailable():
            return _overloaded("No provider of this model is available now. Try again later.", None)
        case DeadlineExceeded():
            return _timed_out("The deadline of this request passed before an answer arrived.", "deadline_exceeded")
        case TimedOut():
            return _timed_out("The provider did not answer in time.", "upstream_timeout")
        case TransportError():
            return _gateway_fault("The provider could not be reached, or the connection broke.", "upstream_unreachable")
        case DemandUnmet():
            demands = " and ".join(error.demands)
            return _gateway_fault(f"The model's answer does not meet {demands} of the request.", "unmet_demand")
        case RemoteProtocolError():
            return _gateway_fault("The provider's answer could not be read.", "upstream_error")
        case _:
            return INTERNAL_ERROR


def _of_provider(error: ProviderError) -> ServedError:
    name = error.provider or "the provider"
    match error:
        case ContextLengthExceeded():
            # Clients of Messages look for these words.
            return _caller_fault(f"prompt is too long: {error.message}", "context_length_exceeded", "messages")
        case RequestTooLarge():
            fault = _caller_fault(f"{name}: {error.message}", "request_too_large", status=413)
            return attrs.evolve(fault, messages_type="request_too_large")
        case NotSupported():
            return _caller_fault(f"{name} does not offer what this request needs.", "unsupported_parameter")
        case InvalidRequest():
            return _caller_fault(f"{name}: {error.message}", error.code or "invalid_request")
        case ContentFiltered():
            return _caller_fault(f"{name}: {error.message}", "content_filter")
        case AuthenticationFailed():
            return _gateway_fault(f"{name} rejects the key of the gateway.", "upstream_authentication_failed")
        case PermissionDenied():
            return ServedError(
                status=403,
                type="permission_error",
                code="upstream_permission_denied",
                messages_type="permission_error",
                message=f"{name}: the key of the gateway may not use this model.",
            )
        case NotFound():
            return _not_found(f"{name} does not have this model.")
        case QuotaExceeded():
            return _used_up(f"{name}: the quota or credit of the gateway's account is used up.")
        case RateLimited():
            return ServedError(
                status=429,
                type="rate_limit_error",
                code="rate_limit_exceeded",
                messages_type="rate_limit_error",
                message=f"{name}: the rate limit of the gateway's account is reached. Try again later.",
                retry_after=error.retry_after,
                retryable=True,
            )
        case Overloaded():
            return _overloaded(f"{name} has no capacity now. Try again later.", error.retry_after)
        case ServerError():
            return _gateway_fault(f"{name} failed to answer.", "upstream_error")
        case _:
            return _gateway_fault(f"{name} returned an error.", "upstream_error")


def _of_several(errors: Iterable[ServedError]) -> ServedError:
    """Combine the errors of several attempts.

    It is the client's fault only if every attempt failed for that reason. If all other attempts met a limit, the client
    can wait for the shortest of them. Otherwise the last attempt decides.
    """
    all_errors = list(errors)
    if not all_errors:
        return INTERNAL_ERROR
    others = [error for error in all_errors if error.status not in (400, 404, 413)]
    if not others:
        return all_errors[-1]
    limits = [error for error in others if error.retryable]
    if not limits or any(not error.retryable and error.code != "insufficient_quota" for error in others):
        return others[-1]
    waits = [error.retry_after for error in limits if error.retry_after is not None]
    soonest = min(limits, key=lambda error: float("inf") if error.retry_after is None else error.retry_after)
    return attrs.evolve(soonest, retry_after=min(waits, default=None))
