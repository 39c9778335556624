"""Read a response's header fields: how long to wait, the rate limits, and the request's id.

Times are seconds from now; `turnout.providers.decoding.waits` reads their forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from turnout._utils.caches import cached_if_short
from turnout.chat import RateLimit, RateWindow
from turnout.http import Headers
from turnout.providers.decoding.waits import NO_WAIT, Wait, duration_of, parse_wait, wait_in_words

__all__ = ["is_daily_quota", "rate_limit", "request_id", "requested_wait"]

# In the order of worth; all of them seen, or documented for their vendors.
_REQUEST_IDS = (
    "x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "x-siliconcloud-trace-id", "x-ds-trace-id",
    "x-generation-id", "mistral-correlation-id", "x-kong-request-id", "x-debug-trace-id", "cf-ray",
)  # fmt: skip

# The fields with a wait, and the seconds in a unit of a bare number. The more precise one goes first.
_WAIT_FIELDS = (("retry-after-ms", 1e-3), ("x-ms-retry-after-ms", 1e-3), ("retry-after", 1.0), ("x-retry-after", 1.0))
# The instant at which Anthropic accepts requests of a subscription again.
_UNIFIED_RESET = "anthropic-ratelimit-unified-reset"

_LIMIT_FIELD = re.compile(
    r"x-ratelimit-(?P<what>limit|remaining|reset)(?:-(?P<of>[a-z0-9_-]+))?\Z"
    r"|(?:anthropic|modelscope)-(?:priority-|fast-)?ratelimit-(?P<of2>[a-z0-9-]+)-(?P<what2>limit|remaining|reset)\Z"
    # Cohere's trial keys: requests of one endpoint in a minute.
    r"|x-trial-endpoint-call-(?P<what3>limit|remaining)\Z"
    # Anthropic's OpenAI-shaped endpoint leaves the word "limit" out.
    r"|x-ratelimit-(?P<of4>requests|tokens)\Z"
    # Up to the sixth draft of the IETF, a field for each number; from the seventh on, one field for all.
    r"|ratelimit-(?P<what5>limit|remaining|reset)\Z|(?P<structured>ratelimit|ratelimit-policy)\Z"
)
_LEADING_NUMBER = re.compile(r" *([0-9]+(?:\.[0-9]+)?)")
# Members and parameters of the structured fields, and the numbers that they are: `limit` and `q` the quota,
# `remaining` and `r` the rest of it, `reset` and `t` the seconds until it is full again.
_STRUCTURED = {
    "limit": "limit",
    "q": "limit",
    "remaining": "remaining",
    "r": "remaining",
    "reset": "reset",
    "t": "reset",
}
# ModelScope's limits are of a day: of the account, and of one model.
_OF_A_DAY = re.compile(r"modelscope-ratelimit-(?:model-)?requests-remaining\Z")
_REQUESTS = re.compile(r"(?:model-)?req(?:uests)?\b")
_TOKENS = re.compile(r"(?P<side>input|output)?-?tokens\b")

# A wait in an error's text is believed only if its status is about waiting.
_WAITING = frozenset({408, 425, 429, 498, 500, 502, 503, 504, 529, None})


def requested_wait(
    headers: Headers,
    *,
    status: int | None = None,
    details: Iterable[object] = (),
    fields: Mapping[str, object] | None = None,
    message: str = "",
) -> Wait:
    """Return the wait that the provider requires; its `unread` is the first value that could not be read.

    The header fields go first, then a google.rpc.RetryInfo among the body's `details`, then the body's own `fields`,
    then a wait that the message announces. On a 429 the reset of a limit that is used up is last, because it says when
    the whole limit is there again (OpenAI). 0 and less are placeholders (Azure).
    """
    unread = ""
    for wait in _waits(headers, status, details, fields or {}, message):
        if wait.is_known:
            return wait if not unread else Wait(seconds=wait.seconds, at=wait.at, unread=unread)
        unread = unread or wait.unread
    return Wait(unread=unread) if unread else NO_WAIT


def _waits(
    headers: Headers, status: int | None, details: Iterable[object], fields: Mapping[str, object], message: str
) -> Iterator[Wait]:
    date = headers.get("date")
    for name, scale in _WAIT_FIELDS:
        values = headers.get_all(name)
        if values:
            yield max((parse_wait(value, date, scale=scale) for value in values), key=_length)
    for detail in details:
        if isinstance(detail, Mapping) and "retryDelay" in detail:
            yield parse_wait(detail["retryDelay"], date)
    if status not in _WAITING:
        return
    for name, value in fields.items():
        yield parse_wait(value, date, scale=1e-3 if name.lower().endswith("ms") else 1.0)
    yield wait_in_words(message, date)
    if status != 429:
        return
    yield parse_wait(headers.get(_UNIFIED_RESET), date)
    resets = [
        window.reset
        for _, window in _windows(headers)
        if window.remaining is not None and window.remaining <= 0 and window.reset is not None
    ]
    if resets:
        yield Wait(seconds=max(resets))
    yield parse_wait(headers.get("x-ratelimit-reset"), date)


def _length(wait: Wait) -> tuple[float, float]:
    return wait.seconds or 0.0, wait.at or 0.0


def rate_limit(headers: Headers) -> RateLimit | None:
    """Return the limits that the fields report; of several limits on one thing, the one that is nearest to its end."""
    names = headers.names
    usual = _usual_limits(names)
    if usual is not None and len(names) == len(headers):
        if not usual:
            return None
        limit, remaining, reset, token_limit, remaining_tokens, token_reset = headers.values_of(usual)
        requests = _usual_window(limit, remaining, reset, headers)
        tokens = _usual_window(token_limit, remaining_tokens, token_reset, headers)
        return RateLimit(requests=requests, tokens=tokens) if requests is not None or tokens is not None else None
    tightest: dict[str, tuple[float, RateWindow]] = {}
    for kind, window in _windows(headers):
        left = window.remaining / window.limit if window.remaining is not None and window.limit else 1.0
        if kind not in tightest or left < tightest[kind][0]:
            tightest[kind] = left, window
    if not tightest:
        return None
    return RateLimit(**{kind: window for kind, (_, window) in tightest.items()})


# A server sends the same fields with every response, so their names are searched for limits once.
@cached_if_short(256, 8192, size=lambda names: sum(map(len, names)))
def _usual_limits(names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the fields of numbers about limits, if there is at most one limit on requests and one on tokens.

    Returns:
        The names of limit, remaining and reset for requests, and of those for tokens; "" for a field that is not there.
        Empty if there is none of them. None if the names need a closer look.
    """
    found: dict[tuple[str, str], str] = {}
    limits: dict[str, str] = {}
    for name, (of, what) in _limits_among(names).items():
        kind = _kind_of(of)
        if what == "structured" or of == "ietf" or kind in ("input_tokens", "output_tokens"):
            return None
        if kind is not None and limits.setdefault(kind, of) != of:
            return None
        if kind is not None:
            found[kind, what] = name
    numbers = ("limit", "remaining", "reset")
    return tuple(found.get((kind, what), "") for kind in ("requests", "tokens") for what in numbers) if found else ()


def _usual_window(limit: str | None, remaining: str | None, reset: str | None, headers: Headers) -> RateWindow | None:
    """Return the limit with these values of fields; None if none of them is a number that counts."""
    most, left, seconds = _number(limit) or None, _number(remaining), _number(reset) or None
    if reset is not None and (seconds is None or seconds >= 1e9):
        seconds = _seconds_until(reset, headers)
        seconds = seconds if seconds is not None and seconds > 0 else None
    if most is None and left is None and seconds is None:
        return None
    return RateWindow(limit=most, remaining=left, reset=seconds)


def _number(text: str | None) -> float | None:
    """Return a number of 0 or more. See `_add` for the numbers that count."""
    return _number_in(text) if text is not None else None


@cached_if_short(1024, 32)
def _number_in(text: str) -> float | None:
    number = duration_of(text)
    return number if number is not None and number >= 0 else None


def is_daily_quota(headers: Headers) -> bool:
    """Return whether the fields report that nothing is left of a day's allowance."""
    return any(_OF_A_DAY.match(name.lower()) and duration_of(value) == 0 for name, value in headers)


def request_id(headers: Headers) -> str | None:
    """Return the provider's id for this request, for its support."""
    return next(filter(None, headers.values_of(_REQUEST_IDS)), None)


def _windows(headers: Headers) -> list[tuple[str, RateWindow]]:
    names = headers.names
    limits = _limits_among(names)
    if not limits:
        return []
    if len(names) == len(headers):
        fields = [(limit, headers.get(name) or "") for name, limit in limits.items()]
    else:  # a repeated name
        fields = [(limits[name.lower()], value) for name, value in headers if name.lower() in limits]
    found: dict[str, dict[str, float]] = {}
    for (of, what), value in fields:
        if what == "structured":
            _add_structured(value, found)
            continue
        number = _seconds_until(value, headers) if what == "reset" else duration_of(value)
        if number is None and of == "ietf" and (leading := _LEADING_NUMBER.match(value)):
            number = duration_of(leading[1])  # "100, 100;w=60": the quota, and then its policies
        _add(found.setdefault(of, {}), what, number)
    return [
        (kind, RateWindow(**numbers)) for of, numbers in found.items() if numbers and (kind := _kind_of(of)) is not None
    ]


def _add(numbers: dict[str, float], what: str, number: float | None) -> None:
    # -1 means "not known" (Azure), and so does a reset of 0; a remaining of 0 is a true 0.
    if number is not None and (number > 0 or (number == 0 and what == "remaining")):
        numbers[what] = number


def _add_structured(value: str, found: dict[str, dict[str, float]]) -> None:
    """Add the limits of a structured field: `limit=9, remaining=1, reset=5`, or `"default";r=1;t=5`."""
    for member in value[:2_000].split(","):
        name, *parameters = member.split(";")
        key, equals, number = name.partition("=")
        of = "ietf" if equals else f"ietf {name.strip().strip(chr(34)).lower()}"
        if equals:
            parameters.append(f"{key}={number}")
        for parameter in parameters:
            key, _, text = parameter.strip().partition("=")
            what = _STRUCTURED.get(key.strip().lower())
            if what is not None:
                _add(found.setdefault(of, {}), what, duration_of(text.strip().strip('"')))


# A server sends the same fields with every response, so they are searched for limits once.
@cached_if_short(256, 8192, size=lambda names: sum(map(len, names)))
def _limits_among(names: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Return the names that are about limits, each with what `_limit_of` returns for it."""
    return {name: limit for name in names if (limit := _limit_of(name)) is not None}


def _limit_of(name: str) -> tuple[str, str] | None:
    """Return the limit that the field of this name is about, and which of its numbers the field has."""
    match = _LIMIT_FIELD.match(name.lower())
    if match is None:
        return None
    if match["structured"]:
        return "ietf", "structured"
    if match["what5"]:
        return "ietf", match["what5"]
    of = match["of"] or match["of2"] or match["of4"] or ""
    return of, match["what"] or match["what2"] or match["what3"] or "limit"


@cached_if_short(512, 64)
def _kind_of(of: str) -> str | None:
    """Return the unit of the limit. Images, seconds of audio and the like have no place in the vocabulary."""
    if of.startswith("ietf"):
        return "tokens" if "token" in of else "requests"
    if not of or _REQUESTS.match(of):
        return "requests"
    match = _TOKENS.match(of.replace("_", "-"))
    return None if match is None else f"{match['side']}_tokens" if match["side"] else "tokens"


def _seconds_until(text: str, headers: Headers) -> float | None:
    """Return the seconds of a duration, or until an instant by the server's `Date`; None without one."""
    seconds = duration_of(text)
    if seconds is not None and seconds < 1e9:
        return seconds
    return parse_wait(text, headers.get("date")).seconds
