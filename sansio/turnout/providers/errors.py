"""From what a provider says about a failure to the typed error: one place for every dialect.

`read_error_body` takes the body of an error status and `told_by` a JSON value (an error inside a 200): both give
`Told`, whatever shape the error has. `provider_error` makes the typed error of it. The class is decided by the
provider's own code first, then by the status; texts only tell apart what a status leaves open (a 400 may be about the
context length, a 403 about content, a 429 about a daily quota), and never outrank one that is plain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final


from turnout.errors import (
    AuthenticationFailed,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from turnout.http import Headers
from turnout.providers import hints
from turnout.providers.error_bodies import Told, read_error_body, told_by

__all__ = [
    "ErrorClass",
    "ErrorCodes",
    "Told",
    "classify",
    "provider_error",
    "read_error_body",
    "redact",
    "told_by",
]

ErrorClass = type[ProviderError]
ErrorCodes = Mapping[str, ErrorClass]
"""A provider's codes and types, in lower case, and what each means. They come before everything else."""

NO_CODES: Final[ErrorCodes] = MappingProxyType({})

MESSAGE_LIMIT = 2_000
BODY_LIMIT = 8_000
# A secret shorter than this is no real key, and would be found inside ordinary words.
_SECRET_BEGINS = 6

_CODES: ErrorCodes = MappingProxyType(
    {
        **dict.fromkeys(
            ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "cyber_policy"),
            ContentFiltered,
        ),
        **dict.fromkeys(
            ("context_length_exceeded", "exceed_context_size_error", "too_many_tokens", "token_limit_reached"),
            ContextLengthExceeded,
        ),
        **dict.fromkeys(
            (
                "invalid_api_key", "wrong_api_key", "api_key_invalid", "authentication_error", "authentication",
                "invalidsignatureexception", "unrecognizedclientexception", "expiredtokenexception",
                "missingauthenticationtokenexception", "incompletesignatureexception", "invalidclienttokenid",
            ),
            AuthenticationFailed,
        ),
        **dict.fromkeys(
            ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "payment_required",
             "servicequotaexceededexception"),
            QuotaExceeded,
        ),
        **dict.fromkeys(
            ("model_not_found", "not_found_error", "invalid_model", "deploymentnotfound",
             "resourcenotfoundexception", "model_decommissioned"),
            NotFound,
        ),
        **dict.fromkeys(("permission_error", "permission_denied", "accessdeniedexception"), PermissionDenied),
        **dict.fromkeys(
            ("overloaded_error", "queue_exceeded", "provider_overloaded", "modelnotreadyexception",
             "serviceunavailableexception"),
            Overloaded,
        ),
        **dict.fromkeys(("throttlingexception", "rate_limit_error"), RateLimited),
    }
)  # fmt: skip

# What these say about an in-band error that has no status; beside a status they say nothing that it does not.
_PARTS_OF_CODES: tuple[tuple[tuple[str, ...], ErrorClass], ...] = (
    (("insufficient_quota",), QuotaExceeded),
    (("rate_limit", "too_many_requests", "throttl", "resource_exhausted"), RateLimited),
    (("authentication", "unauthenticated"), AuthenticationFailed),
    (("permission",), PermissionDenied),
    (("not_found",), NotFound),
    (("context_length",), ContextLengthExceeded),
    (("invalid", "bad_request", "badrequest", "unsupported", "validation"), InvalidRequest),
    (("overload", "unavailable"), Overloaded),
)
# Codes that say just what is wrong with a request: a sentence about lengths beside them was echoed, or is about a
# parameter.
_PLAINLY_INVALID = re.compile(
    r"unsupported_|invalid_value|invalid_type|invalid_image|invalid_json|missing_required|unknown_parameter"
    r"|string_above_max_length|string_below_min_length|array_above_max_length|(?:decimal|integer)_(?:above|below)_"
    r"|tool_use_failed|json_validate_failed"
)

_STATUSES: Mapping[int, ErrorClass] = MappingProxyType(
    {
        401: AuthenticationFailed,
        402: QuotaExceeded,
        403: PermissionDenied,
        404: NotFound,
        # The official SDKs repeat these three: a request that timed out, met a lock, or came too early.
        **dict.fromkeys((408, 409, 425), ServerError),
        429: RateLimited,
        451: PermissionDenied,
        498: Overloaded,  # Groq: no capacity in the flexible tier
        499: ServerError,  # cancelled on their side
        503: Overloaded,
        529: Overloaded,
    }
)

_OPEN = frozenset({None, 200, 400, 413, 422})
_CONTENT_TEXTS = re.compile(
    r"content violates usage guidelines|content management policy|rejected as a result of (?:the|our) safety system"
    r"|violating our usage policy|failed check: safety_check"
)
_CONTEXT_TEXTS = re.compile(
    r"maximum context length|max(?:imum)? context (?:length|limit)|context window|exceed context limit"
    r"|prompt is too long|prompt too long|input is too long|input too long|too many tokens"
    r"|longer than the model's context length|input tokens exceed the configured limit|exceeds the available context size"
    r"|exceeds the context length|exceeds the maximum number of tokens allowed|current length is .{1,40} while limit is"
    r"|must be less than max_seq_len|maximum input length"
)
_KEY_TEXTS = re.compile(
    r"incorrect api key|invalid api key|api key not valid|api key is invalid|missing authentication"
)
_MODEL_TEXTS = re.compile(
    r"model identifier is invalid|is not a valid model id|model not found|invalid model\b|no provider supported"
    r"|supported api model names are|\bmodel\b.{0,120}\b(?:does not exist|not found)"
)
_DAILY_TEXTS = re.compile(r"\bper[- ](?:day|week|month)\b|\bdaily\b|\b[rti]pd\b")


def classify(status: int | None, told: Told, codes: ErrorCodes = NO_CODES) -> ErrorClass:
    """The class of a failure by status, the provider's codes, and last its text."""
    names = [name.lower() for name in told.codes]
    for table in (codes, _CODES):
        for name in names:
            if name in table:
                return table[name]
    text = told.text.lower()
    plainly_invalid = any(_PLAINLY_INVALID.search(name) for name in names)
    if not plainly_invalid:
        if (status in _OPEN or status == 403) and _CONTENT_TEXTS.search(text):
            return ContentFiltered
        # Together reports an overflow as 403.
        if (status in _OPEN or status == 403) and _CONTEXT_TEXTS.search(text):
            return ContextLengthExceeded
        if status in _OPEN and _KEY_TEXTS.search(text):
            return AuthenticationFailed
    if status == 429 and (any("perday" in name for name in names) or _DAILY_TEXTS.search(text)):
        return QuotaExceeded
    if status == 413 and "rate_limit_exceeded" in names:
        return QuotaExceeded  # Groq: one request above the plan's tokens a minute; no wait makes it fit
    if not plainly_invalid and status in (None, 200, 400) and _MODEL_TEXTS.search(text):
        return NotFound
    if status is not None and status >= 300:
        return _by_status(status)
    return next(
        (kind for parts, kind in _PARTS_OF_CODES if any(part in name for part in parts for name in names)),
        ServerError,
    )


def provider_error(
    told: Told,
    *,
    status: int | None,
    provider: str,
    headers: Headers = Headers(),  # noqa: B008  (immutable)
    codes: ErrorCodes = NO_CODES,
    secrets: Iterable[str] = (),
) -> ProviderError:
    """The typed error. `status` is the response's; of an error inside a 200, the status that its body implies counts."""
    if status is None or status < 300:
        status = told.status
    secrets = tuple(secrets)
    message = redact(told.text, secrets)[:MESSAGE_LIMIT] or _said_nothing(status, headers)
    if told.headers:
        headers = Headers((*headers, *told.headers))
    return classify(status, told, codes)(
        message,
        status=status,
        code=redact(told.codes[0], secrets)[:200] if told.codes else None,
        provider=provider,
        retry_after=hints.retry_after(headers, status=status, details=told.details, message=told.message),
        request_id=hints.request_id(headers) or told.request_id,
        body=redact(told.body, secrets)[:BODY_LIMIT],
    )


def redact(text: str, secrets: Iterable[str]) -> str:
    """Without the secrets: some servers echo the key that they were sent."""
    for secret in secrets:
        if len(secret) >= _SECRET_BEGINS:
            text = text.replace(secret, "***")
    return text


def _by_status(status: int) -> ErrorClass:
    if status < 400:
        return NotFound  # a redirect, which is not followed: the endpoint is somewhere else
    if status in _STATUSES:
        return _STATUSES[status]
    return ServerError if status >= 500 else InvalidRequest


def _said_nothing(status: int | None, headers: Headers) -> str:
    if status is not None and 300 <= status < 400:
        where = headers.get("location")
        return f"the endpoint redirects{f' to {where.partition("?")[0]}' if where else ''}; set the endpoint to where the API is"
    return "the provider gave no reason"
