"""From what a provider says about a failure to the typed error: one place for every dialect.

`read_error_body` takes the body of an error status and `facts_of` a JSON value (an error inside a 200): both give
`ErrorDetails`, whatever shape the error has. `to_error` makes the typed error of them. The class is decided by the
provider's own code first, then by the status; texts only tell apart what a status leaves open (a 400 may be about the
context length, a 403 about content, a 429 about a daily quota), and never outrank one that is plain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

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
from turnout.providers.decoding.error_bodies import ErrorDetails, aws_error_type, parse_error, read_error_body
from turnout.providers.decoding.response_headers import is_daily_quota, request_id, retry_after

__all__ = [
    "ErrorClass",
    "ErrorCodes",
    "ErrorDetails",
    "classify_error",
    "error_reader",
    "parse_error",
    "read_error_body",
    "redact",
    "to_error",
]

ErrorClass = type[ProviderError]
ErrorCodes = Mapping[str, ErrorClass]
"""A provider's codes and types, in lower case, and what each means: they come before everything else. A bare status
("498") says what that status means with this provider, where its codes say nothing."""

MESSAGE_LIMIT = 2_000
BODY_LIMIT = 2_000
CODE_LIMIT = 200
# A secret shorter than this is no real key, and would be found inside ordinary words.
_SECRET_BEGINS = 6


def _codes(*groups: tuple[ErrorClass, str]) -> ErrorCodes:
    return MappingProxyType({code: kind for kind, codes in groups for code in codes.split()})


# Shared by many vendors, or so telling that no other could mean something else by them.
_CODES = _codes(
    (ContentFiltered, "content_filter content_policy_violation responsibleaipolicyviolation cyber_policy"),
    (ContentFiltered, "data_inspection_failed datainspectionfailed bio_policy misalignment_policy_violation"),
    (ContentFiltered, "image_content_policy_violation"),
    (ContextLengthExceeded, "context_length_exceeded exceed_context_size_error too_many_tokens token_limit_reached"),
    (ContextLengthExceeded, "tokens_limit_reached model_max_prompt_tokens_exceeded"),
    (AuthenticationFailed, "invalid_api_key wrong_api_key api_key_invalid authentication_error authentication"),
    (AuthenticationFailed, "invalidsignatureexception unrecognizedclientexception expiredtokenexception"),
    (AuthenticationFailed, "missingauthenticationtokenexception incompletesignatureexception"),
    (QuotaExceeded, "insufficient_quota billing_hard_limit_reached billing_not_active billing_error"),
    (QuotaExceeded, "payment_required openrouter_credits openrouter_key_limit servicequotaexceededexception"),
    (QuotaExceeded, "exceeded_current_quota_error arrearage"),
    (NotFound, "model_not_found not_found_error invalid_model deploymentnotfound model_decommissioned"),
    (NotFound, "resourcenotfoundexception unknown_model model_not_supported"),
    (PermissionDenied, "permission_error permission_denied accessdeniedexception failed_precondition"),
    (PermissionDenied, "data_residency_mismatch"),
    (InvalidRequest, "empty_image_file failed_to_download_image image_file_too_large image_parse_error"),
    (InvalidRequest, "image_too_large image_too_small"),
    (Overloaded, "overloaded_error queue_exceeded provider_overloaded"),
    (Overloaded, "modelnotreadyexception serviceunavailableexception"),
    # OpenRouter's budget of requests under way frees itself; its credits do not.
    (RateLimited, "rate_limit_error openrouter_in_flight_budget"),
)

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
    r"|violating our usage policy|failed check: safety_check|blocked by content filtering policy"
    r"|may contain inappropriate content"
    r"|content exists risk"  # DeepSeek
)
_CONTEXT_TEXTS = re.compile(
    r"maximum (?:context|prompt) length|max(?:imum)? context (?:length|limit)|context window|exceed context limit"
    r"|prompt is too long|prompt too long|input is too long|input too long|too many (?:input )?tokens"
    r"|(?:longer|greater) than the (?:model's )?context length|input tokens exceed the configured limit"
    r"|exceeds the available context size"
    r"|exceeds the context length|exceeds the maximum number of tokens allowed|current length is .{1,40} while limit is"
    r"|must be less than max_seq_len|maximum input length|input length .{1,20} exceeds the maximum"
    r"|token count .{1,20} (?:but model only supports up to|exceeds the limit)|range of input length should be"
    r"|`inputs` tokens \+ `max_new_tokens` must be|inputs?`? must have less than|exceeded model token limit"
    r"|when context the overflows"  # LM Studio, word for word
)
# ModelScope answers 401 to a good key whose account lacks something.
_UNBOUND_TEXTS = re.compile(r"bind your alibaba cloud account")
# Anthropic answers 400 where others answer 402: its credit is used up, or a limit that its owner set; and where the
# whole account was closed.
_CREDIT_TEXTS = re.compile(
    r"credit balance is too low|reached your specified (?:workspace )?api usage limits"
    r"|insufficient (?:account )?balance|balance is insufficient"  # MiniMax, in a 200
)
_CLOSED_TEXTS = re.compile(r"\borganization has been disabled\b")
_KEY_TEXTS = re.compile(
    r"incorrect api key|invalid api key|api key not valid|api key is invalid|missing authentication"
    r"|make sure your api key is valid"
)
_MODEL_TEXTS = re.compile(
    r"model identifier is invalid|could not resolve the foundation model|is not a valid model id|model not found"
    r"|invalid model\b|no provider supported"
    r"|on-demand throughput isn.t supported"  # Bedrock: the model is reached by an inference profile alone
    r"|supported api model names are|model not exist\b|\bmodel\b.{0,120}\b(?:does not exist|not found)"
)
_DAILY_TEXTS = re.compile(r"(?:\bper[- ]|/ ?)(?:day|week|month)\b|\b(?:daily|weekly|monthly)\b|\b[rti]pd\b|\btoday's\b")


def classify_error(status: int | None, facts: ErrorDetails, own: ErrorCodes | None = None) -> ErrorClass:
    """The class of a failure by status, the provider's codes, and last its text."""
    names = [name.lower() for name in facts.codes]
    for table in (own or {}, _CODES):
        for name in names:
            if name in table:
                return table[name]
    if own is not None and str(status) in own:
        return own[str(status)]
    if status == 400 and "throttlingexception" in names:
        status = 429  # as Amazon's list of common errors has it
    text = facts.text.lower()
    plainly_invalid = any(_PLAINLY_INVALID.search(name) for name in names)
    if not plainly_invalid:
        if (status in _OPEN or status == 403) and _CONTENT_TEXTS.search(text):
            return ContentFiltered
        # Together reports an overflow as 403.
        if (status in _OPEN or status == 403) and _CONTEXT_TEXTS.search(text):
            return ContextLengthExceeded
        # Bedrock answers 403 to a key that it does not know.
        if (status in _OPEN or status == 403) and _KEY_TEXTS.search(text):
            return AuthenticationFailed
        if status in _OPEN and _CREDIT_TEXTS.search(text):
            return QuotaExceeded
        if status in _OPEN and _CLOSED_TEXTS.search(text):
            return PermissionDenied
    if status == 401 and _UNBOUND_TEXTS.search(text):
        return PermissionDenied
    if status == 429:
        # Groq and OpenRouter tell of a day's allowance as of any other limit, and so does this.
        plainly_a_rate = "rate limit exceeded" in text or any("rate_limit" in name for name in names)
        daily = any("perday" in name for name in names) or (not plainly_a_rate and _DAILY_TEXTS.search(text))
        return QuotaExceeded if daily else RateLimited
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


def to_error(
    facts: ErrorDetails,
    *,
    status: int | None,
    headers: Headers,
    provider: str,
    own: ErrorCodes | None = None,
    body: bytes = b"",
    secrets: Iterable[str] = (),
) -> ProviderError:
    """The typed error of these facts. `secrets` are blotted out wherever the provider repeats them.

    status  of the response; of an error inside a 200, the status that its body implies counts
    """
    if status is None or status < 300:
        status = facts.status
    secrets = tuple(secrets)
    if facts.headers:
        headers = Headers((*headers, *facts.headers))
    if (kind := headers.get("x-amzn-errortype")) is not None:
        facts = attrs.evolve(facts, codes=(aws_error_type(kind), *facts.codes))
    told = facts.text or (f"an error with status {status} and no message" if status else "an error with no message")
    meaning = classify_error(status, facts, own)
    if meaning is RateLimited and is_daily_quota(headers):
        meaning = QuotaExceeded
    return meaning(
        redact(told, secrets)[:MESSAGE_LIMIT],
        status=status,
        code=redact(facts.codes[0], secrets)[:CODE_LIMIT] if facts.codes else None,
        provider=provider,
        retry_after=retry_after(headers, status=status, details=facts.details, message=facts.message),
        request_id=request_id(headers) or facts.request_id,
        body=redact(body.decode("utf-8", "replace"), secrets)[:BODY_LIMIT],
    )


def error_reader(
    provider: str,
    own: ErrorCodes | None = None,
    secrets: tuple[str, ...] = (),
    facts: Callable[[bytes], ErrorDetails] = read_error_body,
) -> Callable[[int, Headers, bytes], ProviderError]:
    """The `read_error` of an exchange with this provider."""

    def read(status: int, headers: Headers, body: bytes) -> ProviderError:
        if status == 407:  # a provider never says this
            return AuthenticationFailed(
                "a proxy on the way wants a user name and password: give them in its URL, "
                "http://user:password@host:port",
                status=status,
                provider=provider,
            )
        if 300 <= status < 400:
            # Without its query, which may hold what was meant for the other place alone.
            where = (headers.get("location") or "").partition("?")[0] or "an address that it does not name"
            return NotFound(
                f"the endpoint redirects to {redact(where, secrets)}; set that as the endpoint, for redirects are "
                "not followed",
                status=status,
                provider=provider,
                request_id=request_id(headers),
            )
        return to_error(
            facts(body), status=status, headers=headers, provider=provider, own=own, body=body, secrets=secrets
        )

    return read


def redact(text: str, secrets: Iterable[str]) -> str:
    """Without the secrets: some servers echo the key that they were sent."""
    for secret in secrets:
        if len(secret) >= _SECRET_BEGINS:
            text = text.replace(secret, "***")
    return text


def _by_status(status: int) -> ErrorClass:
    if status in _STATUSES:
        return _STATUSES[status]
    return InvalidRequest if 400 <= status < 500 else ServerError
