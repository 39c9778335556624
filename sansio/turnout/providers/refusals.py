"""From the many shapes of error bodies to one family of errors.

The status and the provider's own code decide; the text of a message is the last resort and never outranks them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

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
from turnout.providers.hints import request_id, retry_after
from turnout.providers.wire import decode_any

__all__ = ["ErrorFacts", "classify_error", "error_reader", "facts_of", "read_error_body", "to_error"]

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
SHOWN = 2000  # characters of a body that are kept on the error


@attrs.frozen(kw_only=True)
class ErrorFacts:
    """What an error says, wherever it says it.

    status   told by the body, else None (the HTTP status is not in here)
    codes    every code, type, status word and reason, as text, the most specific first
    text     message and whatever quotes an upstream's words, in lower case, for the last resort
    error    the error object itself, for hints
    """

    message: str
    status: int | None = None
    codes: tuple[str, ...] = ()
    text: str = ""
    error: Mapping[str, Any] = attrs.field(factory=dict)


def read_error_body(body: bytes) -> ErrorFacts:
    """The facts of an error body: JSON of any vendor's shape, HTML, or plain text."""
    text = body.decode("utf-8", "replace").strip()
    try:
        return facts_of(decode_any(body))
    except ValueError:
        title = _TITLE.search(text)
        message = " ".join((title[1] if title else text[:300]).split())
        return ErrorFacts(message=message, text=message.lower())


def facts_of(document: object) -> ErrorFacts:
    """The facts of a decoded error: `{"error": {…}}`, `{"error": "…"}`, flat, in a list, or a bare string."""
    if isinstance(document, list) and document:
        document = document[0]
    if isinstance(document, str):
        return ErrorFacts(message=document, text=document.lower())
    if not isinstance(document, dict):
        return ErrorFacts(message="")
    inner = document.get("error") or document.get("errors")
    error = inner if isinstance(inner, dict) else document
    message = _message(error) or (inner if isinstance(inner, str) else "") or _message(document)
    told = [message]
    metadata = error.get("metadata")
    codes: list[object] = []
    if isinstance(metadata, dict):
        codes += [metadata.get("error_type"), metadata.get("provider_code"), metadata.get("limit_source")]
        told.append(str(metadata.get("raw") or ""))
    innererror = error.get("innererror")
    if isinstance(innererror, dict):
        codes.append(innererror.get("code"))
    codes += [error.get("code"), error.get("type"), error.get("error_type"), error.get("status"), document.get("code")]
    for detail in _details(error):
        if isinstance(detail, dict):
            codes.append(detail.get("reason"))
            if isinstance(violations := detail.get("violations"), list):
                codes += [violation.get("quotaId") for violation in violations if isinstance(violation, dict)]
    return ErrorFacts(
        message=message,
        status=_status(error.get("status_code"), error.get("code"), error.get("status"), document.get("status_code")),
        codes=tuple(dict.fromkeys(str(code) for code in codes if isinstance(code, str | int) and code != "")),
        text=" ".join(told).lower(),
        error=error,
    )


def _details(error: Mapping[str, Any]) -> list[object]:
    details = error.get("details")
    return details if isinstance(details, list) else []


def _message(error: Mapping[str, Any]) -> str:
    for key in ("message", "Message", "detail"):
        value = error.get(key)
        if isinstance(value, str) and value:
            return value
        if value and not isinstance(value, str):
            return json.dumps(value)
    return ""


def _status(*values: object) -> int | None:
    for value in values:
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            return value
    return None


_CODES: Mapping[str, type[ProviderError]] = {
    "content_filter": ContentFiltered,
    "content_policy_violation": ContentFiltered,
    "responsibleaipolicyviolation": ContentFiltered,
    "context_length_exceeded": ContextLengthExceeded,
    "exceed_context_size_error": ContextLengthExceeded,
    "too_many_tokens": ContextLengthExceeded,
    "api_key_invalid": AuthenticationFailed,
    "authentication_error": AuthenticationFailed,
    "authentication": AuthenticationFailed,
    "invalid_api_key": AuthenticationFailed,
    "wrong_api_key": AuthenticationFailed,
    "invalidsignatureexception": AuthenticationFailed,
    "unrecognizedclientexception": AuthenticationFailed,
    "expiredtokenexception": AuthenticationFailed,
    "insufficient_quota": QuotaExceeded,
    "billing_error": QuotaExceeded,
    "payment_required": QuotaExceeded,
    "openrouter_credits": QuotaExceeded,
    "openrouter_key_limit": QuotaExceeded,
    "model_not_found": NotFound,
    "not_found_error": NotFound,
    "invalid_model": NotFound,
    "failed_precondition": PermissionDenied,
    "permission_error": PermissionDenied,
    "overloaded_error": Overloaded,
    "provider_overloaded": Overloaded,
    "queue_exceeded": Overloaded,
}
_STATUSES: Mapping[int, type[ProviderError]] = {
    401: AuthenticationFailed,
    402: QuotaExceeded,
    403: PermissionDenied,
    404: NotFound,
    408: ServerError,
    429: RateLimited,
    498: Overloaded,
    499: ServerError,
    503: Overloaded,
    529: Overloaded,
}
_CONTEXT = (
    "maximum context length",
    "max context length",
    "model's context length",
    "context window",
    "context limit",
    "context size",
    "prompt is too long",
    "prompt too long",
    "exceeds the maximum number of tokens allowed",
    "too many tokens",
    "input is too long",
    "input too long",
    "must be less than max_seq_len",
    "maximum input length",
    "exceeds the context length",
    "input tokens exceed",
)
_CONTENT = (
    "content violates usage guidelines",
    "content management policy",
    "rejected as a result of the safety system",
    "violating our usage policy",
)
_KEY = (
    "incorrect api key",
    "invalid api key",
    "api key not valid",
    "api key is invalid",
    "missing authentication",
)
_MODEL = (
    "model identifier is invalid",
    "is not a valid model id",
    "model not found",
    "invalid model",
    "no provider supported",
    "supported api model names are",
)
_ABSENT_MODEL = re.compile(r"model\b.{0,200}\b(?:does not exist|not found)")


def classify_error(
    status: int | None, facts: ErrorFacts, own: Mapping[str, type[ProviderError]] | None = None
) -> type[ProviderError]:
    """The class of an error. `own` is the provider's table of codes, which comes before what vendors share."""
    for code in facts.codes:
        if own and code in own:
            return own[code]
    known = [_CODES[code.lower()] for code in facts.codes if code.lower() in _CODES]
    # Several codes may speak at once (Azure: invalid_request_error and content_filter): the telling ones first.
    for kind in (ContentFiltered, ContextLengthExceeded, AuthenticationFailed):
        if kind in known:
            return kind
    text = facts.text
    if status == 401:
        return PermissionDenied if "bind your alibaba cloud account" in text else AuthenticationFailed
    if status in (None, 400, 403, 413, 422):
        if any(words in text for words in _CONTENT):
            return ContentFiltered
        overflow = any(words in text for words in _CONTEXT)
        overflow = overflow or ("current length is" in text and "while limit is" in text)
        if overflow and "string_above_max_length" not in facts.codes:  # that one is about a parameter
            return ContextLengthExceeded
        if any(words in text for words in _KEY):
            return AuthenticationFailed
    if QuotaExceeded in known or (status == 429 and any("PerDay" in code for code in facts.codes)):
        return QuotaExceeded
    if status == 429 and any(code in ("request_quota_exceeded", "token_quota_exceeded") for code in facts.codes):
        return QuotaExceeded if "day" in text else RateLimited
    if NotFound in known or (status in (None, 400) and (any(w in text for w in _MODEL) or _ABSENT_MODEL.search(text))):
        return NotFound
    if known:
        return known[0]
    if status is None:
        return ServerError
    if status in _STATUSES:
        return _STATUSES[status]
    return ServerError if status >= 500 or status < 400 else InvalidRequest


def to_error(
    facts: ErrorFacts,
    *,
    status: int | None,
    headers: Headers,
    provider: str,
    own: Mapping[str, type[ProviderError]] | None = None,
    body: bytes = b"",
    secrets: tuple[str, ...] = (),
) -> ProviderError:
    """The typed error of these facts. `secrets` are blotted out wherever the provider repeats them."""
    status = status if status is not None else facts.status
    kind = classify_error(status, facts, own)
    message = facts.message or (
        f"an error with status {status} and no message" if status else "an error with no message"
    )
    return kind(
        _blot(message, secrets),
        status=status,
        code=facts.codes[0] if facts.codes else None,
        provider=provider,
        retry_after=retry_after(headers, status=status, details=_details(facts.error), message=facts.message),
        request_id=request_id(headers),
        body=_blot(body[:SHOWN].decode("utf-8", "replace"), secrets),
    )


def error_reader(
    provider: str,
    own: Mapping[str, type[ProviderError]] | None = None,
    secrets: tuple[str, ...] = (),
    facts: Callable[[bytes], ErrorFacts] = read_error_body,
) -> Callable[[int, Headers, bytes], ProviderError]:
    """The `read_error` of an exchange with this provider."""

    def read(status: int, headers: Headers, body: bytes) -> ProviderError:
        if 300 <= status < 400:
            where = headers.get("location") or "an address that it does not name"
            return NotFound(
                f"the endpoint redirects to {where}; set that as the endpoint, for redirects are not followed",
                status=status,
                provider=provider,
            )
        return to_error(
            facts(body), status=status, headers=headers, provider=provider, own=own, body=body, secrets=secrets
        )

    return read


def _blot(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, "***")
    return text
