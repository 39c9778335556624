"""Answers, events and errors of a router as those of Pydantic AI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pydantic_ai.exceptions import (  # pyright: ignore[reportMissingImports]
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelTimeoutError,
)
from pydantic_ai.messages import (  # pyright: ignore[reportMissingImports]
    BinaryContent,
    FilePart,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.usage import RequestUsage  # pyright: ignore[reportMissingImports]

from turnout import errors
from turnout.chat import ChatResponse, FinishReason, Usage
from turnout.messages import Audio, Image, Refusal, Text, Thinking
from turnout_io.pydantic_ai.requests import STORED

__all__ = ["details_of", "file_of", "finish_reason_of", "mapped_errors", "response_of", "usage_of"]

_FINISH: Final = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_call",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.ERROR: "error",
}
_CATEGORIES: Final = (
    (errors.RateLimited, ModelRateLimitError, 429),
    (errors.QuotaExceeded, ModelQuotaExceededError, 402),
    (errors.Overloaded, ModelOverloadedError, 529),
    (errors.ServerError, ModelServerError, 500),
    (errors.ContextLengthExceeded, ModelContextWindowExceededError, 400),
    (errors.AuthenticationFailed, ModelAuthenticationError, 401),
    (errors.PermissionDenied, ModelAuthenticationError, 403),
    (errors.NotFound, ModelNotFoundError, 404),
    (errors.InvalidRequest, ModelRequestRejectedError, 400),
    (errors.NotSupported, ModelRequestRejectedError, 400),
)


def response_of(answer: ChatResponse) -> Any:
    """Return an answer as a `ModelResponse`."""
    provider = answer.model.provider
    parts: list[Any] = []
    for part in answer.message.content:
        match part:
            case Text(text=text) | Refusal(text=text) if text:
                parts.append(TextPart(text))
            case Thinking(text=text, signature=signature):
                parts.append(ThinkingPart(text, signature=signature, provider_name=provider))
            case Image() | Audio():
                parts += filter(None, [file_of(part, provider)])
            case _:
                pass  # only in `provider_details`, for the next request
    for call in answer.tool_calls:
        parts.append(ToolCallPart(call.name, call.arguments, call.id))
    return ModelResponse(
        parts=parts,
        usage=usage_of(answer.usage),
        model_name=answer.served_model or answer.model.model_id,
        provider_name=provider,
        provider_response_id=answer.response_id,
        provider_details=details_of(answer),
        finish_reason=finish_reason_of(answer.finish_reason),
    )


def file_of(part: Image | Audio, provider: str) -> Any:
    """Return an image or sound that a model made as a `FilePart`; None if only its URL is known."""
    if part.data is None:
        return None
    return FilePart(BinaryContent(part.data, media_type=part.media_type or ""), provider_name=provider)


def finish_reason_of(reason: FinishReason) -> str | None:
    """Return the finish reason in the words of Pydantic AI; None if it is not known."""
    return _FINISH.get(reason)


def usage_of(usage: Usage) -> Any:
    """Return the token counts as a `RequestUsage`."""
    if usage.total_tokens is None:
        return RequestUsage(unmeasured_requests=1)
    return RequestUsage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cache_read_tokens=usage.cached_tokens or 0,
        cache_write_tokens=usage.cache_write_tokens or 0,
        output_reasoning_tokens=usage.reasoning_tokens or 0,
        input_audio_tokens=usage.audio_prompt_tokens or 0,
        output_audio_tokens=usage.audio_completion_tokens or 0,
    )


def details_of(answer: ChatResponse) -> dict[str, Any]:
    """Return what `provider_details` keeps: the candidate, the cost, and the message for the next request."""
    details: dict[str, Any] = {
        "turnout_model": str(answer.model),
        "finish_reason": answer.raw_finish_reason,
        "attempts": answer.trace.attempts,
        "cost": answer.usage.cost,
    }
    return {**{name: value for name, value in details.items() if value is not None}, STORED: answer.message.to_dict()}


@contextmanager
def mapped_errors(model: str) -> Iterator[None]:
    """Raise the errors of providers and of the network as those of Pydantic AI. The cause has the trace."""
    try:
        yield
    except errors.TurnoutError as error:
        mapped = _mapped(error, model)
        if mapped is None:
            raise
        raise mapped from error


def _mapped(error: errors.TurnoutError, model: str) -> Any:
    """Return the error of Pydantic AI; None for an error of the program, which no other model can avoid."""
    reason: BaseException | None = error
    while isinstance(reason, errors.AllAttemptsFailed | errors.StreamInterrupted) and reason.__cause__ is not None:
        reason = reason.__cause__
    message = str(error)
    if isinstance(reason, errors.ContentFiltered):
        return ContentFilterError(message)
    for kind, category, status in _CATEGORIES:
        if isinstance(reason, kind):
            assert isinstance(reason, errors.ProviderError)
            code = {"provider_error_code": reason.code, "retry_after": reason.retry_after}
            return ModelHTTPError.for_category(
                category, status_code=reason.status or status, model_name=model, body=message, **code
            )
    if isinstance(reason, errors.ProviderError) and reason.status is not None:
        return ModelHTTPError(reason.status, model, message)
    if isinstance(reason, errors.TimedOut | errors.DeadlineExceeded):
        return ModelTimeoutError(model_name=model, message=message)
    if isinstance(reason, errors.TransportError):
        return ModelConnectionError(model_name=model, message=message)
    if isinstance(reason, errors.LocalProtocolError | errors.ProviderNotRegistered | errors.MissingCredentials):
        return None
    return ModelAPIError(model_name=model, message=message)
