"""Make the typed error of a provider's error: one place for every dialect.

`read_error_body` reads the body of an error status and `parse_error` a JSON value (an error inside a 200); `to_error`
makes the typed error. `turnout.providers.decoding.error_classes` decides its class. Every text of the server passes the
redaction of the account's secrets, and is made safe to print.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import attrs

from turnout.errors import AuthenticationFailed, NotFound, ProviderError, QuotaExceeded, RateLimited
from turnout.http import Headers, shown_url
from turnout.providers.decoding.error_bodies import ErrorDetails, aws_error_type, parse_error, read_error_body
from turnout.providers.decoding.error_classes import ErrorClass, ErrorCodes, classify_error, is_batch_too_large
from turnout.providers.decoding.error_pages import is_page
from turnout.providers.decoding.response_headers import is_daily_quota, request_id, requested_wait
from turnout.redaction import Redactor, escape_controls

__all__ = [
    "ErrorClass",
    "ErrorCodes",
    "ErrorDetails",
    "classify_error",
    "error_reader",
    "parse_error",
    "read_error_body",
    "to_error",
]

MESSAGE_LIMIT = 2_000
BODY_LIMIT = 2_000
CODE_LIMIT = 200

ReadErrorBody = Callable[[int, Headers, bytes], ProviderError]

_NO_SECRETS = Redactor()
# Things of the provider that a 404 may name; one about the path has other words.
_NAMES_A_THING = re.compile(r"\b(?:models?|deployments?|engines?|files?|batch(?:es)?|responses?|threads?)\b")
_BARE = frozenset({"", "not found", "method not allowed", "page not found", "resource not found", "404 page not found"})


def to_error(
    details: ErrorDetails,
    *,
    status: int | None,
    headers: Headers,
    provider: str,
    provider_codes: ErrorCodes | None = None,
    body: bytes = b"",
    redact: Redactor = _NO_SECRETS,
    url: str = "",
) -> ProviderError:
    """Return the typed error of an error response.

    Args:
        details: The contents of the body.
        status: Of the response. Of an error inside a 200, the status that its body implies counts.
        headers: Of the response.
        provider: The provider's name.
        provider_codes: The classes of this provider's codes.
        body: The body, for `ProviderError.body`.
        redact: Removes the account's secrets, which some servers repeat.
        url: Of the request. A 404 that blames the path names it.
    """
    if status is None or status < 300:
        status = details.status
    if details.headers:
        headers = Headers((*headers, *details.headers))
    if (kind := headers.get("x-amzn-errortype")) is not None:
        details = attrs.evolve(details, codes=(aws_error_type(kind), *details.codes))
    page = _page_kind(body, headers)
    message = f"{page}: {details.text}" if page and details.text else details.text or page
    message = message or f"an error with {f'status {status} and ' if status else ''}no message"
    error_class = classify_error(status, details, provider_codes)
    if error_class is RateLimited and is_daily_quota(headers):
        error_class = QuotaExceeded
    if url and status in (404, 405) and _blames_path(details):
        message = f"{message}; {_about_url(status or 404, url)}"
    wait = requested_wait(
        headers, status=status, details=details.details, fields=details.waits, message=details.message
    )

    found_id = request_id(headers) or details.request_id
    return error_class(
        _shown(message, MESSAGE_LIMIT, redact),
        status=status,
        code=_shown(details.codes[0], CODE_LIMIT, redact) if details.codes else None,
        provider=provider,
        retry_after=wait.seconds,
        retry_at=wait.at,
        unread_wait=_shown(wait.unread, CODE_LIMIT, redact),
        should_retry=_should_retry(headers),
        batch_too_large=is_batch_too_large(error_class, status, details),
        request_id=_shown(found_id, CODE_LIMIT, redact) if found_id else None,
        body=_shown_body(body, redact),
    )


def error_reader(
    provider: str,
    provider_codes: ErrorCodes | None = None,
    redact: Redactor = _NO_SECRETS,
    url: str = "",
    read_body: Callable[[bytes], ErrorDetails] = read_error_body,
) -> ReadErrorBody:
    """Return the `read_error` of an exchange with this provider."""

    def read(status: int, headers: Headers, body: bytes) -> ProviderError:
        if status == 407:  # no provider sends this
            return AuthenticationFailed(
                "a proxy on the way wants a user name and password: give them in its URL, "
                "http://user:password@host:port",
                status=status,
                provider=provider,
            )
        if 300 <= status < 400:
            # Without its query, which may hold secrets for the other place alone.
            target = (headers.get("location") or "").partition("?")[0] or "an address that it does not name"
            return NotFound(
                f"the base URL redirects to {_shown(target, MESSAGE_LIMIT, redact)}; set that as the base URL, because "
                "redirects are not followed",
                status=status,
                provider=provider,
                request_id=_shown(found_id, CODE_LIMIT, redact) if (found_id := request_id(headers)) else None,
            )
        return to_error(
            read_body(body),
            status=status,
            headers=headers,
            provider=provider,
            provider_codes=provider_codes,
            body=body,
            redact=redact,
            url=url,
        )

    return read


def _page_kind(body: bytes, headers: Headers) -> str:
    """Return a name for an HTML page, with its content type; "" for any other body.

    No API sends one: it is of a proxy, of a load balancer, or of a website with a similar address.
    """
    if not is_page(body):
        return ""
    kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    return f"an HTML page ({escape_controls(kind)[:CODE_LIMIT]})" if kind else "an HTML page (no content type)"


def _should_retry(headers: Headers) -> bool | None:
    """Return whether the provider wants a retry, from the field of the SDKs that Stainless makes."""
    return {"true": True, "false": False}.get((headers.get("x-should-retry") or "").strip().lower())


def _shown(text: str, limit: int, redact: Redactor) -> str:
    """Return the beginning of a text of a server. A secret is removed before the cut, which could pass through it."""
    return escape_controls(redact(text)[:limit])[:limit]


def _shown_body(body: bytes, redact: Redactor) -> str:
    """Return the beginning of the body as text. Its lines stay lines."""
    text = redact(body.decode("utf-8", "replace"))
    return "\n".join(map(escape_controls, text[:BODY_LIMIT].split("\n")))[:BODY_LIMIT]


def _blames_path(details: ErrorDetails) -> bool:
    """Return whether the error is about the URL's path, and not about a model or another thing of the provider's."""
    text = details.text.lower().strip(" .!")
    return text in _BARE or (not details.codes and _NAMES_A_THING.search(text) is None)


def _about_url(status: int, url: str) -> str:
    """Return the URL that was not found, and its probable fault."""
    path = urlsplit(url).path
    steps = [step for step in path.split("/") if step]
    repeated = next((f"/{step}" for step, following in itertools.pairwise(steps) if step == following), None)
    if repeated is not None:
        cause = f"it has {repeated} twice: leave it out of the base URL"
    elif steps and steps.count(steps[-1]) > 1:
        cause = "the base URL already has the path of the operation: leave that out of it"
    elif not any(re.fullmatch(r"(?:v|api)\d*(?:alpha|beta)?\d*", step) for step in steps):
        cause = "the base URL probably lacks a path such as /v1"
    elif status == 405:
        cause = "the base URL is probably that of a website or of another API"
    else:
        cause = "the base URL is probably wrong, or this server has no such operation"
    return f"{shown_url(url).partition('?')[0]} was not found; {cause}"
