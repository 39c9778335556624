"""The error bodies of the OpenAI-shaped providers: status, envelope and codes by kind of error.

Shapes and codes are the providers' (recorded, or as their clients know them); the sentences are this sandbox's, but
for the marks that clients have to look for, such as the words of a context overflow.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from turnout_sandbox.dialect import token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected

__all__ = [
    "ErrorFormatter",
    "ErrorResponse",
    "cerebras_errors",
    "glm_errors",
    "groq_errors",
    "modelscope_errors",
    "openai_errors",
]
__all__ += ["openrouter_errors", "siliconflow_errors"]


@attrs.frozen
class ErrorResponse:
    """One error as a provider sends it. `event` is its form inside a stream, if that differs from `body`.

    A `plain` body is text, and is sent as it is.
    """

    status: int
    body: Any
    headers: tuple[tuple[str, str], ...] = ()
    event: Any = None
    plain: bool = False

    @property
    def in_stream(self) -> Any:
        return self.body if self.event is None else self.event


ErrorFormatter: TypeAlias = Callable[[RequestRejected, random.Random], ErrorResponse]

_TEXTS = {
    ErrorKind.INVALID: "The request is not valid.",
    ErrorKind.AUTH: "Incorrect API key provided.",
    ErrorKind.PERMISSION: "This key may not do that in this region or project.",
    ErrorKind.NO_SUCH_MODEL: "The model `{model}` does not exist or you do not have access to it.",
    ErrorKind.NO_SUCH_PATH: "There is nothing at this path.",
    ErrorKind.CONTEXT_LENGTH: "This model's maximum context length is 128000 tokens. Please reduce the length.",
    ErrorKind.CONTENT_FILTER: "The request was rejected as a result of the safety system.",
    ErrorKind.RATE_LIMIT: "Rate limit reached for `{model}`. Please try again in 2s.",
    ErrorKind.QUOTA: "You exceeded your current quota, please check your plan and billing details.",
    ErrorKind.OVERLOADED: "The engine is currently overloaded, please try again later.",
    ErrorKind.SERVER: "The server had an error while answering the request.",
    ErrorKind.TIMEOUT: "The request took too long.",
}


def text_of(refused: RequestRejected) -> str:
    return refused.message or _TEXTS[refused.kind].format(model=refused.model or "this-model")


_OPENAI = {
    ErrorKind.INVALID: (400, "invalid_request_error", None),
    ErrorKind.AUTH: (401, "invalid_request_error", "invalid_api_key"),
    ErrorKind.PERMISSION: (403, "request_forbidden", "unsupported_country_region_territory"),
    ErrorKind.NO_SUCH_MODEL: (404, "invalid_request_error", "model_not_found"),
    ErrorKind.NO_SUCH_PATH: (404, "invalid_request_error", None),
    ErrorKind.CONTEXT_LENGTH: (400, "invalid_request_error", "context_length_exceeded"),
    ErrorKind.CONTENT_FILTER: (400, "invalid_request_error", "content_policy_violation"),
    ErrorKind.RATE_LIMIT: (429, "tokens", "rate_limit_exceeded"),
    ErrorKind.QUOTA: (429, "insufficient_quota", "insufficient_quota"),
    ErrorKind.OVERLOADED: (503, "server_error", "service_unavailable"),
    ErrorKind.SERVER: (500, "server_error", None),
    ErrorKind.TIMEOUT: (504, "server_error", "timeout"),
}


def openai_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    status, kind, code = _OPENAI[refused.kind]
    error = {"message": text_of(refused), "type": kind, "param": refused.param, "code": refused.code or code}
    headers = (("retry-after", "2"), ("retry-after-ms", "2000")) if refused.kind is ErrorKind.RATE_LIMIT else ()
    return ErrorResponse(refused.status or status, {"error": error}, headers)


def groq_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    status, kind, code = _OPENAI[refused.kind]
    if refused.kind is ErrorKind.QUOTA:  # a daily quota has the code of a rate limit, and only the text has "per day"
        status, kind, code = 429, "requests", "rate_limit_exceeded"
        text = f"Rate limit reached for model `{refused.model or 'this-model'}` on requests per day (RPD): Limit 1000, "
        text += "Used 1000, Requested 1. Please try again in 14m24s."
    else:
        text = text_of(refused)
    if refused.kind is ErrorKind.NO_SUCH_PATH:
        code = "unknown_url"
    error: dict[str, Any] = {"message": text, "type": kind}
    if refused.code or code:
        error["code"] = refused.code or code
    wait = {ErrorKind.RATE_LIMIT: "2", ErrorKind.QUOTA: "864"}.get(refused.kind)
    status = refused.status or status
    event = {"error": {**error, "status_code": status}}
    return ErrorResponse(status, {"error": error}, (("retry-after", wait),) if wait else (), event)


_GLM = {
    ErrorKind.INVALID: (400, "1214"),
    ErrorKind.AUTH: (401, "1000"),
    ErrorKind.PERMISSION: (403, "1220"),
    ErrorKind.NO_SUCH_MODEL: (400, "1211"),
    ErrorKind.NO_SUCH_PATH: (404, "404"),
    ErrorKind.CONTEXT_LENGTH: (400, "1261"),
    ErrorKind.CONTENT_FILTER: (400, "1301"),
    ErrorKind.RATE_LIMIT: (429, "1302"),
    ErrorKind.QUOTA: (429, "1113"),
    ErrorKind.OVERLOADED: (429, "1305"),
    ErrorKind.SERVER: (500, "1200"),
    ErrorKind.TIMEOUT: (500, "1234"),
}


def glm_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    status, code = _GLM[refused.kind]
    error = {"code": refused.code if refused.code and refused.code.isdigit() else code, "message": text_of(refused)}
    return ErrorResponse(refused.status or status, {"error": error})


_OPENROUTER = {
    ErrorKind.INVALID: (400, "invalid_request"),
    ErrorKind.AUTH: (401, "authentication"),
    ErrorKind.PERMISSION: (403, "permission_denied"),
    ErrorKind.NO_SUCH_MODEL: (400, "invalid_request"),
    ErrorKind.NO_SUCH_PATH: (404, "not_found"),
    ErrorKind.CONTEXT_LENGTH: (400, "context_length_exceeded"),
    ErrorKind.CONTENT_FILTER: (403, "content_policy_violation"),
    ErrorKind.RATE_LIMIT: (429, "rate_limit_exceeded"),
    ErrorKind.QUOTA: (402, "payment_required"),
    ErrorKind.OVERLOADED: (503, "provider_overloaded"),
    ErrorKind.SERVER: (502, "provider_unavailable"),
    ErrorKind.TIMEOUT: (504, "timeout"),
}


def openrouter_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    status, kind = _OPENROUTER[refused.kind]
    status = refused.status or status
    text = text_of(refused)
    if refused.kind is ErrorKind.NO_SUCH_MODEL and not refused.message:
        text = f"{refused.model or 'this-model'} is not a valid model ID"
    error: dict[str, Any] = {"message": text, "code": status}
    headers: tuple[tuple[str, str], ...] = ()
    match refused.kind:
        case ErrorKind.RATE_LIMIT:
            limits = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1767225600000"}
            error["metadata"] = {"headers": limits, "provider_name": None}
            headers = (("retry-after", "2"), *limits.items())
        case ErrorKind.OVERLOADED | ErrorKind.SERVER | ErrorKind.TIMEOUT | ErrorKind.CONTENT_FILTER:
            raw = '{"error":{"message":"' + text + '"}}'
            error["message"] = "Provider returned error"
            error["metadata"] = {"provider_name": "Sandbox", "raw": raw, "error_type": kind}
        case ErrorKind.QUOTA | ErrorKind.CONTEXT_LENGTH:
            error["metadata"] = {"provider_name": None, "error_type": kind}
        case _:
            pass
    user = {} if refused.kind is ErrorKind.AUTH else {"user_id": f"user_{token_of(rng, 27)}"}
    return ErrorResponse(status, {"error": error, **user}, headers)


_SILICONFLOW: dict[ErrorKind, tuple[int, int | None]] = {
    ErrorKind.INVALID: (400, 20015),
    ErrorKind.PERMISSION: (403, 30003),
    ErrorKind.NO_SUCH_MODEL: (400, 20012),
    ErrorKind.CONTEXT_LENGTH: (400, 20015),
    ErrorKind.CONTENT_FILTER: (451, 20052),
    ErrorKind.RATE_LIMIT: (429, None),
    ErrorKind.QUOTA: (403, 30001),
    ErrorKind.OVERLOADED: (503, 50505),
    ErrorKind.SERVER: (500, 50507),
}


def siliconflow_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    """Flat, without an envelope; some are a bare JSON string."""
    match refused.kind:
        case ErrorKind.AUTH:
            return ErrorResponse(refused.status or 401, "Invalid token")
        case ErrorKind.NO_SUCH_PATH:
            return ErrorResponse(refused.status or 404, "404 page not found")
        case ErrorKind.TIMEOUT:
            return ErrorResponse(refused.status or 504, "Gateway timeout")
        case _:
            status, code = _SILICONFLOW[refused.kind]
    text = {
        ErrorKind.NO_SUCH_MODEL: "Model does not exist. Please check it carefully.",
        ErrorKind.CONTEXT_LENGTH: "length of prompt_tokens (200000) must be less than max_seq_len (131072).",
        ErrorKind.RATE_LIMIT: "Request was rejected due to rate limiting. Details:TPM limit reached.",
        ErrorKind.QUOTA: "Sorry, your account balance is insufficient",
        ErrorKind.OVERLOADED: "Model service overloaded. Please try again later.",
    }.get(refused.kind, text_of(refused))
    body: dict[str, Any] = {} if code is None else {"code": code}
    return ErrorResponse(refused.status or status, {**body, "message": text, "data": None})


_CEREBRAS = {
    ErrorKind.INVALID: (400, "invalid_request_error", "wrong_request_format", None),
    ErrorKind.AUTH: (401, "invalid_request_error", "wrong_api_key", "api_key"),
    ErrorKind.PERMISSION: (403, "permission_denied_error", "permission_denied", None),
    ErrorKind.NO_SUCH_MODEL: (404, "not_found_error", "model_not_found", "model"),
    ErrorKind.NO_SUCH_PATH: (404, "not_found_error", "route_not_found", None),
    ErrorKind.CONTEXT_LENGTH: (400, "invalid_request_error", "context_length_exceeded", "messages"),
    ErrorKind.CONTENT_FILTER: (400, "invalid_request_error", "content_filter", "messages"),
    ErrorKind.RATE_LIMIT: (429, "too_many_requests_error", "request_quota_exceeded", "quota"),
    ErrorKind.QUOTA: (402, "payment_required_error", "payment_required", None),
    ErrorKind.OVERLOADED: (429, "too_many_requests_error", "queue_exceeded", "queue"),
    ErrorKind.SERVER: (500, "server_error", "server_error", None),
    ErrorKind.TIMEOUT: (504, "server_error", "timeout", None),
}


def cerebras_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    """Flat too; inside a stream the SDK knows an object with `error` and `status_code`."""
    status, kind, code, param = _CEREBRAS[refused.kind]
    status = refused.status or status
    text = (
        {
            ErrorKind.CONTEXT_LENGTH: "Please reduce the messages. Current length is 200000 while limit is 131072.",
            ErrorKind.RATE_LIMIT: "Requests per minute limit exceeded - too many requests sent.",
        }.get(refused.kind, text_of(refused))
        if not refused.message
        else refused.message
    )
    body = {"message": text, "type": kind, "param": refused.param or param, "code": refused.code or code}
    event = {"error": {"id": token_of(rng, 16), **body}, "status_code": status}
    return ErrorResponse(status, body, (), event)


_MODELSCOPE = {
    ErrorKind.INVALID: 400,
    ErrorKind.AUTH: 401,
    ErrorKind.PERMISSION: 401,
    ErrorKind.NO_SUCH_MODEL: 400,
    ErrorKind.NO_SUCH_PATH: 404,
    ErrorKind.CONTEXT_LENGTH: 400,
    ErrorKind.CONTENT_FILTER: 400,
    ErrorKind.RATE_LIMIT: 429,
    ErrorKind.QUOTA: 429,
    ErrorKind.OVERLOADED: 503,
    ErrorKind.SERVER: 500,
    ErrorKind.TIMEOUT: 504,
}


def modelscope_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    """Three shapes are about: `errors` (plural) from the gateway, `error`, and DashScope's flat one."""
    status = refused.status or _MODELSCOPE[refused.kind]
    request_id = token_of(rng, 32, "0123456789abcdef")
    left = ("modelscope-ratelimit-model-requests-remaining", "0" if refused.kind is ErrorKind.QUOTA else "120")
    match refused.kind:
        case ErrorKind.AUTH:
            text = "Authentication failed, please make sure that a valid ModelScope token is supplied."
            return ErrorResponse(status, {"errors": {"message": text}, "request_id": request_id})
        case ErrorKind.PERMISSION:
            text = "Please bind your Alibaba Cloud account before use."
            return ErrorResponse(status, {"errors": {"message": text}, "request_id": request_id})
        case ErrorKind.NO_SUCH_MODEL:
            text = f"Model id : {refused.model or 'this-model'} , has no provider supported"
            return ErrorResponse(status, {"error": {"message": text, "request_id": request_id}})
        case ErrorKind.INVALID | ErrorKind.CONTEXT_LENGTH:
            flat = {"code": "InvalidParameter", "message": text_of(refused), "request_id": request_id}
            return ErrorResponse(status, flat)
        case ErrorKind.RATE_LIMIT | ErrorKind.QUOTA:
            code = "insufficient_quota" if refused.kind is ErrorKind.QUOTA else "rate_limit_exceeded"
            error = {"message": text_of(refused), "type": code, "code": code}
            return ErrorResponse(status, {"error": error, "request_id": request_id}, (left,))
        case _:
            return ErrorResponse(status, {"error": {"message": text_of(refused), "request_id": request_id}})
