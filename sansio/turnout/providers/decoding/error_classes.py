"""The class of a provider's error: by its code first, then by its status, and last by its words.

A code decides wherever it is in the tables. A plain status decides whatever the words are. Words only tell apart what a
status leaves open: a 400 can be about the context length, the account or the server; a 429 about a daily quota. They
are a table of rows; the first row that matches decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import attrs

from turnout.errors import (
    AuthenticationFailed,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    NotSupported,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    RequestTooLarge,
    ServerError,
)
from turnout.providers.decoding.error_bodies import ErrorDetails

__all__ = ["ErrorClass", "ErrorCodes", "classify_error", "is_batch_too_large"]

ErrorClass = type[ProviderError]
ErrorCodes = Mapping[str, ErrorClass]
"""A provider's codes and types, in lower case, and what each means: they come before everything else. A bare status
("498") says what that status means with this provider, if its codes say nothing."""


def _codes(*groups: tuple[ErrorClass, str]) -> ErrorCodes:
    return MappingProxyType({code: kind for kind, codes in groups for code in codes.split()})


# Shared by many vendors, or so clear that no other vendor can mean something else by them.
_CODES = _codes(
    (ContentFiltered, "content_filter content_policy_violation responsibleaipolicyviolation cyber_policy"),
    (ContentFiltered, "data_inspection_failed datainspectionfailed bio_policy misalignment_policy_violation"),
    (ContentFiltered, "image_content_policy_violation"),
    (ContextLengthExceeded, "context_length_exceeded exceed_context_size_error too_many_tokens token_limit_reached"),
    (ContextLengthExceeded, "tokens_limit_reached model_max_prompt_tokens_exceeded context_window_exceeded"),
    (ContextLengthExceeded, "token_limit_exceeded"),
    (AuthenticationFailed, "invalid_api_key wrong_api_key api_key_invalid authentication_error authentication"),
    (AuthenticationFailed, "invalidsignatureexception unrecognizedclientexception expiredtokenexception"),
    (AuthenticationFailed, "missingauthenticationtokenexception incompletesignatureexception"),
    (AuthenticationFailed, "no_db_connection"),  # LiteLLM: a key that is not its own, without a database of keys
    (QuotaExceeded, "insufficient_quota billing_hard_limit_reached billing_not_active billing_error"),
    (QuotaExceeded, "payment_required openrouter_credits openrouter_key_limit servicequotaexceededexception"),
    (QuotaExceeded, "exceeded_current_quota_error arrearage budget_exceeded"),
    (NotFound, "model_not_found not_found_error invalid_model deploymentnotfound model_decommissioned"),
    (NotFound, "resourcenotfoundexception unknown_model model_not_supported model_deprecated"),
    (PermissionDenied, "permission_error permission_denied accessdeniedexception failed_precondition"),
    (PermissionDenied, "data_residency_mismatch unsupported_country_region_territory account_deactivated"),
    (PermissionDenied, "model_terms_required key_model_access_denied team_model_access_denied"),
    (InvalidRequest, "empty_image_file failed_to_download_image image_file_too_large image_parse_error"),
    (InvalidRequest, "image_too_large image_too_small"),
    (RequestTooLarge, "request_too_large payload_too_large request_entity_too_large"),
    (NotSupported, "not_supported_error not_implemented"),
    (Overloaded, "overloaded_error queue_exceeded provider_overloaded"),
    (Overloaded, "modelnotreadyexception serviceunavailableexception"),
    # OpenRouter's budget of requests under way frees itself; its credits do not.
    (RateLimited, "rate_limit_error openrouter_in_flight_budget"),
)

# The classes of an in-band error that has no status. Beside a status, these parts of codes decide nothing.
_PARTS_OF_CODES: tuple[tuple[tuple[str, ...], ErrorClass], ...] = (
    (("insufficient_quota",), QuotaExceeded),
    (("rate_limit", "too_many_requests", "throttl", "resource_exhausted"), RateLimited),
    (("content_policy", "_policy"), ContentFiltered),
    (("image_",), InvalidRequest),
    (("authentication", "unauthenticated"), AuthenticationFailed),
    (("permission",), PermissionDenied),
    (("not_found",), NotFound),
    (("context_length",), ContextLengthExceeded),
    (("invalid", "bad_request", "badrequest", "unsupported", "validation"), InvalidRequest),
    (("overload", "unavailable"), Overloaded),
)
# Codes about the account, beside a status that leaves it open (Anthropic adds such codes from time to time).
_ACCOUNT_CODES: tuple[tuple[str, frozenset[int | None], ErrorClass], ...] = (
    (r"spend_limit|credit_balance|spending_limit", frozenset({None, 200, 400, 403, 429}), QuotaExceeded),
    (r"cmek_|(?:\A|_)organization_|(?:\A|_)access_denied", frozenset({None, 200, 400, 403}), PermissionDenied),
)
# Codes that name the exact fault of a request: a sentence about lengths beside them was echoed, or is about a
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
        **dict.fromkeys((404, 405, 410), NotFound),
        # The official SDKs repeat these three: a request that timed out, met a lock, or was too early.
        **dict.fromkeys((408, 409, 425), ServerError),
        **dict.fromkeys((413, 414, 431), RequestTooLarge),
        **dict.fromkeys((421, 423, 424), ServerError),  # a wrong connection, a lock, a server behind this one
        426: NotSupported,
        429: RateLimited,
        451: PermissionDenied,
        498: Overloaded,  # Groq: no capacity in the flexible tier
        499: ServerError,  # cancelled on their side
        **dict.fromkeys((501, 505), NotSupported),
        503: Overloaded,
        529: Overloaded,
    }
)

# -- words ----------------------------------------------------------------------------------------------------------

_REQUEST = frozenset({None, 200, 400, 413, 422})
"""Statuses that leave open what is wrong."""
_BAD_REQUEST = frozenset({None, 200, 400})
_SERVER: frozenset[int | None] = frozenset(range(500, 600))
"""Statuses with which some servers also answer a request that they understood and refuse."""

_CONTENT = (
    r"content violates usage guidelines|content management policy|rejected as a result of (?:the|our) safety system"
    r"|violating our usage policy|failed check: safety_check|blocked by content filtering policy"
    r"|may contain inappropriate content"
    r"|content exists risk"  # DeepSeek
)
_CONTEXT = (
    r"max(?:imum)? (?:context|prompt|sequence|model)[ -](?:length|size|window)|context window|configured context size"
    r"|maximum (?:allowed |input |number of (?:input |allowed )?)tokens|maximum input length"
    r"|max(?:imum)? (?:context|model) (?:length|len|limit|size|tokens)|max[_-]?(?:model|seq|sequence|input)[_-]len"
    r"|exceeds? (?:the )?(?:model'?s? |configured |available |maximum |max )?context|exceed context limit"
    r"|(?:prompt|input|conversation|context) is too long|prompt too long|input too long|input is longer than"
    r"|too many (?:input |prompt )?tokens|prompt (?:contains|has) too many tokens"
    r"|(?:longer|greater|larger) than the (?:model's |maximum )?(?:context|model)\b"
    r"|input tokens exceed the configured limit|exceeds the maximum number of tokens allowed"
    r"|current length is .{1,40} while limit is|input length .{1,20} exceeds the maximum"
    r"|token count .{1,20} (?:but model only supports up to|exceeds the limit)|range of input length should be"
    r"|`inputs` tokens \+ `max_new_tokens` must be|inputs?`? must have less than|exceeded model token limit"
    r"|context[ _](?:size|limit|length)[ _](?:has been |was |is )?(?:exceeded|reached)|\btoken limit exceeded"
    r"|(?:max_tokens|max_completion_tokens|max_new_tokens) must be at least 1, got -"
    r"|reduce the length of the (?:messages|prompt|input|conversation)|requested tokens .{1,20} exceed"
    r"|too large to process|tokens? .{1,40} exceeds? (?:the )?(?:context|n_ctx|model limit)"
    r"|prompt exceeds (?:the )?max(?:imum)? length|length of all messages is too long|too long to fit into the model"
    r"|when context the overflows"  # LM Studio, word for word
    r"|上下文长度|超过最大长度|超过最大上下文|prompt ?超长"
)
# The words of servers that answer an overflow with a status of their own faults. A longer list would also find what a
# server echoes while it fails.
_CONTEXT_OF_SERVER = (
    r"too large to process|exceeds? the (?:available |configured |model's |maximum )?context"
    r"|context (?:size|length|window|limit) (?:has been |was |is )?exceeded|configured context size"
    r"|(?:prompt|input) (?:is )?too long|longer than the (?:model's )?context"
)
_KEY = (
    r"incorrect api key|invalid api key|api key not valid|api key is invalid|missing authentication"
    r"|make sure your api key is valid|invalid (?:proxy server )?token passed|no api key (?:passed|provided)"
    r"|\bapi key (?:has |is )?(?:expired|not found)"
)
# Anthropic answers 400 where others answer 402: its credit is used up, or a limit that its owner set is reached.
_CREDIT = (
    r"credit balance is too low|reached your specified (?:workspace )?api usage limits"
    r"|insufficient (?:account )?(?:balance|credits?|funds)|balance is insufficient"  # MiniMax, in a 200
    r"|(?:valid )?payment (?:instrument|method) (?:must be provided|is required)|enable billing"
    r"|credits? (?:have|has) been exhausted|top up your (?:credits?|balance|account)|billing hard limit"
    r"|payment required|余额不足|额度不足|已欠费"
)
# Faults of an account or of its country: another provider can accept the same request.
_ACCOUNT = (
    r"\borganization has been disabled\b|\b(?:organization|account) must be (?:verified|activated)"
    r"|\baccount (?:has been |is |was )?(?:suspended|deactivated|disabled|locked|blocked|not (?:active|authorized))"
    r"|operation not allowed|data retention (?:mode|policy)|zero data retention"
    r"|(?:user location|country, region, or territory|country|region|location) (?:is |are )?not (?:supported|available)"
    r"|not (?:yet )?(?:available|enabled|supported|allowed|offered|permitted) (?:in|for|to|on) (?:your|this|the"
    r" current) (?:account|organization|project|region|country|location|subscription|plan|tier|workspace|team|key)"
    r"|(?:do|does) not have (?:access|permission)|don't have (?:access|permission)|no access to (?:the |this )?model"
    r"|not authorized to (?:access|invoke|use)|requires? (?:terms|accepting)|terms (?:of service )?must be accepted"
    r"|use case details have not been submitted|model access is denied|marked by provider as legacy"
    r"|\b(?:plan|subscription|tier) does not include|only available (?:to|for) (?:paid|paying|verified|enterprise)\b"
    r"|\b(?:you|team|user|key|organization|project)(?: is| are)? not allowed to (?:use|access|call|sample from)"
    r"|accept the (?:terms|license)\b|access to (?:the |this )?model (?:is |was )?denied"
    r"|(?:api|service) has not been used in project|is not whitelisted|not on the allow ?list"
)
_MODEL = (
    r"model identifier is invalid|could not resolve the foundation model|is not a valid model id|model not found"
    r"|invalid model\b|no provider supported|unknown model\b|no such model|unsupported model\b|is not a chat model"
    r"|on-demand throughput isn.t supported"  # Bedrock: the model is reached by an inference profile alone
    r"|supported api model names are|model not exist\b|\bmodel\b.{0,120}\b(?:does not exist|not found)"
    r"|\bmodel\b.{0,120}\b(?:deprecated|decommissioned|discontinued|retired|sunset|removed|end of life)\b"
    r"|\bmodel\b.{0,120}\bno longer (?:available|supported|served)|no (?:endpoints|deployments?|healthy deployments?)"
    r" (?:found|available)|\bdeployment\b.{0,120}\b(?:does not exist|not found|not available)"
    r"|\bmodel[ :]{0,2}[\"'`]?[\w./:@-]{0,80}[\"'`]? is not (?:available|served|hosted|deployed|supported)\b"
    r"|no model named|could not find (?:the )?model\b|模型不存在"
)
_NOT_READY = (
    r"(?:model|server) is (?:still |currently )?(?:loading|starting|warming up|not ready|initiali[sz]ing)"
    r"|loading (?:the )?model\b|still loading|cold start"
    r"|\b(?:model|server|deployment|endpoint)\b.{0,120}\bnot (?:yet )?ready\b(?!-)"
    r"|no (?:instances?|workers?|replicas?) (?:are |is )?(?:available|ready)|no available (?:instance|worker|replica)s?"
    r"|(?:server|service|system|model) is (?:too |currently |temporarily )?busy"
    r"|\b(?:currently|temporarily) overloaded|\b(?:model|engine|servers?|service|system) (?:is|are) overloaded"
    r"|experiencing high (?:demand|load|traffic)|no healthy upstream|\bunder maintenance|访问量过大"
    r"|\b(?:model|server|deployment|endpoint)\b.{0,120}\b(?:is )?temporarily unavailable"
)
_UPSTREAM = (
    r"upstream (?:connect|request|server|provider|service)?[ _]?(?:error|timeout|failed|timed out)"
    r"|disconnect/reset before headers|connection (?:reset|refused|closed|error|timed out)|bad gateway"
    r"|received server error|internal server error|service (?:temporarily )?unavailable|gateway time-?out"
    r"|server disconnected|peer closed connection|incomplete chunked read|network connection lost|\beconnreset\b"
    r"|socket hang up|upstream idle timeout|\bprovider timed out|\A(?:provider returned error: )?fetch failed[.]?\Z"
    r"|\Aprovider returned error[.:]?\Z"  # OpenRouter, if it passes on no word of the provider's
)
_FEATURE = (
    r"does(?:n't| not) support (?:tools?\b|tool (?:use|call)|functions?\b|function call|images?\b|image input|vision"
    r"|audio|video|files?\b|documents?\b|thinking|reasoning|embeddings?\b|chat\b|stream|multimodal"
    r"|system (?:messages|prompt))"
    r"|(?:tools?|tool calling|function calling|images?|image input|vision|audio|streaming) (?:is|are) not supported"
    r" (?:by|for|with|on) (?:this|the) (?:model|server)"
    r"|this server does not support|image input is not supported"
)
_RATE = r"\brate limit (?:is |was |has been )?(?:exceeded|reached)|\brate limit of|too many requests|wait before trying"
_DAILY = r"(?:\bper[- ]|/ ?)(?:day|week|month)\b|\b(?:daily|weekly|monthly)\b|\b[rti]pd\b|\btoday's\b"
# A limit and the amount that one request needs, in either order.
_NUMBER = r"([0-9][0-9,]{0,15})"
_LIMIT_AND_NEED = (
    re.compile(rf"\blimit:? {_NUMBER}[^0-9]{{1,40}}(?:used:? [0-9][0-9,]{{0,15}}[^0-9]{{1,40}})?requested:? {_NUMBER}"),
    re.compile(rf"\brequested(?: tokens)?:? {_NUMBER}[^0-9]{{1,60}}\blimit(?: of| is)?:? {_NUMBER}"),
)


@attrs.frozen
class _Row:
    """The class of an error with one of these statuses and these words.

    Attributes:
        error: The class.
        statuses: The statuses that leave it open.
        words: A regular expression, searched in the text in lower case.
        also_plain: Whether the words decide even beside a code that names the fault of the request.
    """

    error: ErrorClass
    statuses: frozenset[int | None]
    words: str
    also_plain: bool = False
    _search: Callable[[str], object] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_search", re.compile(self.words).search)

    def matches(self, text: str, plain: bool) -> bool:
        """Return whether an error with one of the statuses is of this row."""
        return (self.also_plain or not plain) and self._search(text) is not None


_ROWS = (
    _Row(PermissionDenied, _BAD_REQUEST | {422}, r"\borganization must be verified", also_plain=True),
    _Row(ContentFiltered, _REQUEST | {403}, _CONTENT),
    _Row(RateLimited, frozenset({None, 200}), _RATE),
    _Row(ContextLengthExceeded, _REQUEST | {403}, _CONTEXT),  # 403: Together
    _Row(ContextLengthExceeded, _SERVER, _CONTEXT_OF_SERVER),  # 500: llama.cpp
    _Row(AuthenticationFailed, _REQUEST | {403}, _KEY),  # Bedrock answers 403 to a key that it does not know
    _Row(QuotaExceeded, _REQUEST, _CREDIT),
    _Row(PermissionDenied, frozenset({401}), r"bind your alibaba cloud account"),  # ModelScope, to a good key
    _Row(PermissionDenied, _REQUEST, _ACCOUNT),
    _Row(Overloaded, _BAD_REQUEST | {422, 500}, _NOT_READY),
    _Row(NotFound, _BAD_REQUEST | {422}, _MODEL),
    _Row(NotSupported, _BAD_REQUEST | _SERVER | {422}, _FEATURE),
    _Row(ServerError, frozenset({400}), _UPSTREAM),
    _Row(QuotaExceeded, frozenset({429}), r"\blimit: 0\b"),  # Google: this plan has none of it
)
_ROWS_OF = {
    status: tuple(row for row in _ROWS if status in row.statuses)
    for status in frozenset[int | None]().union(*(row.statuses for row in _ROWS))
}


def classify_error(status: int | None, details: ErrorDetails, provider_codes: ErrorCodes | None = None) -> ErrorClass:
    """Return the class of an error.

    Args:
        status: The HTTP status; None for an error inside a stream.
        details: The contents of its body.
        provider_codes: The classes of this provider's codes.
    """
    names = [name.lower() for name in details.codes]
    known = _known_code(names, provider_codes or {}) or _account_code(names, status) or _known_code(names, _CODES)
    if known is not None:
        return known
    if provider_codes is not None and str(status) in provider_codes:
        return provider_codes[str(status)]
    if status == 400 and "throttlingexception" in names:
        status = 429  # as Amazon's list of common errors has it
    text = details.text.lower()
    plain = any(_PLAINLY_INVALID.search(name) for name in names)
    for row in _ROWS_OF.get(status, ()):
        if row.matches(text, plain):
            return _limit_class(text, names) if row.error is RateLimited else row.error
    if status == 429:
        return _limit_class(text, names)
    if status == 413 and "rate_limit_exceeded" in names:
        return QuotaExceeded  # Groq: one request above the plan's tokens a minute; no wait makes it fit
    if status is not None and status >= 300:
        return _by_status(status)
    kind = next(
        (kind for parts, kind in _PARTS_OF_CODES if any(part in name for part in parts for name in names)),
        ServerError,
    )
    return _limit_class(text, names) if kind is RateLimited else kind


def _known_code(names: list[str], table: ErrorCodes) -> ErrorClass | None:
    return next((table[name] for name in names if name in table), None)


def _account_code(names: list[str], status: int | None) -> ErrorClass | None:
    for parts, statuses, kind in _ACCOUNT_CODES:
        if status in statuses and any(re.search(parts, name) for name in names):
            return kind
    return None


_ITEMS = r"(?:texts?|inputs?|documents?|instances?|items|elements|strings|prompts|requests)\b"
_BATCH = re.compile(
    r"\bbatch(?:es)?\b|\bper (?:request|call|prediction|submission)\b|\b(?:array|list) (?:is )?too long"
    rf"|\btoo many {_ITEMS}|\b(?:number|count) of (?:input |embedding )?{_ITEMS}|\bat most [0-9]{{1,9}} {_ITEMS}"
    rf"|\bmax(?:imum)? (?:of )?[0-9]{{1,9}} {_ITEMS}"
    r"|\b(?:contents?|inputs?|texts?)\b.{0,60}should not be (?:larger|greater|more) than|\bmaximum item count\b"
)
_BATCH_CODES = frozenset({"max_tokens_per_request", "array_above_max_length", "batch_too_large"})


def is_batch_too_large(error: ErrorClass, status: int | None, details: ErrorDetails) -> bool:
    """Return whether the same texts would be accepted in smaller requests.

    Args:
        error: The class of the error.
        status: The HTTP status; None for an error inside a stream.
        details: The contents of its body.
    """
    if status == 413 or (status == 429 and error is ContextLengthExceeded):
        return True
    if not issubclass(error, InvalidRequest | ContextLengthExceeded):
        return False
    text = details.text.lower()
    if "physical batch" in text:
        return False  # llama.cpp: one text alone is too long
    return any(name.lower() in _BATCH_CODES for name in details.codes) or _BATCH.search(text) is not None


_DAILY_WORDS = re.compile(_DAILY)


def _limit_class(text: str, names: list[str]) -> ErrorClass:
    """Return the class of a limit: a rate, or a quota that no short wait brings back."""
    for order, pattern in zip((1, -1), _LIMIT_AND_NEED, strict=True):
        if found := pattern.search(text):
            limit, need = [int(number.replace(",", "")) for number in found.groups()][::order]
            if need > limit:
                return ContextLengthExceeded  # one request is above the whole limit: no wait makes it fit
    # Groq and OpenRouter report a daily allowance as any other limit, and others name it.
    plainly_a_rate = "rate limit exceeded" in text or any("rate_limit" in name for name in names)
    daily = any("perday" in name for name in names) or (not plainly_a_rate and _DAILY_WORDS.search(text) is not None)
    return QuotaExceeded if daily else RateLimited


def _by_status(status: int) -> ErrorClass:
    if status in _STATUSES:
        return _STATUSES[status]
    return InvalidRequest if 400 <= status < 500 else ServerError
