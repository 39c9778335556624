"""What an answer's header fields, and an error's body, say about waiting: retry hints, rate limits, request ids.

All times come out as seconds from now. Servers write them in five ways: bare numbers (seconds), Go durations
(`2m59.56s`, `12ms`), HTTP dates, RFC 3339 instants, and epoch seconds or milliseconds. An instant is compared with the
server's own `Date`, for this side's clock may be wrong and is not known here anyway.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from turnout.chat import RateLimit, RateWindow
from turnout.http import Headers

__all__ = ["duration_of", "is_daily_quota", "rate_limit", "request_id", "retry_after", "server_time"]

# Go's time.Duration text; "ms" must be tried before "m". Python's `\d` knows other scripts' digits: not meant here.
_PIECE = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|us|µs|ns|h|m|s)")
_DURATION = re.compile(rf"(?:{_PIECE.pattern})+\Z")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

# RFC 9110 section 5.6.7: the date that is sent today, and the two obsolete ones that a recipient must read too.
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: at for at, name in enumerate(_NAMES, 1)}
_FIXDATE = re.compile(r"(?:[a-z]+, *)?(\d{1,2})[ -]([a-z]{3})[ -](\d{4}|\d{2}) (\d\d):(\d\d):(\d\d)(?: (?:gmt|utc))?\Z")
_ASCTIME = re.compile(r"[a-z]{3} ([a-z]{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\Z")
_EPOCH_BEGINS = 1e9  # 2001: no duration is that long, and no instant that early
_EPOCH_IN_MS = 1e12

# In the order of worth; all of them seen, or documented for their vendors.
_REQUEST_IDS = (
    "x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "x-siliconcloud-trace-id", "x-ds-trace-id",
    "x-generation-id", "mistral-correlation-id", "x-kong-request-id", "x-debug-trace-id", "cf-ray",
)  # fmt: skip

_LIMIT_FIELD = re.compile(
    r"x-ratelimit-(?P<what>limit|remaining|reset)(?:-(?P<of>[a-z0-9_-]+))?\Z"
    r"|(?:anthropic|modelscope)-(?:priority-|fast-)?ratelimit-(?P<of2>[a-z-]+)-(?P<what2>limit|remaining|reset)\Z"
    # Cohere's trial keys: requests of one endpoint in a minute.
    r"|x-trial-endpoint-call-(?P<what3>limit|remaining)\Z"
    # Anthropic's OpenAI-shaped endpoint leaves the word "limit" out.
    r"|x-ratelimit-(?P<of4>requests|tokens)\Z"
)
# ModelScope's limits are of a day: of the account, and of one model.
_OF_A_DAY = re.compile(r"modelscope-ratelimit-(?:model-)?requests-remaining\Z")
_REQUESTS = re.compile(r"(?:model-)?req(?:uests)?\b")
_TOKENS = re.compile(r"(?:input-|output-)?tokens\b")

_IN_TEXT = re.compile(
    r"(?:try again|retry|wait)(?: again)?(?: in| after| for)? (?:about |approximately )?"
    r"(?:(?P<go>(?:[0-9.]+(?:ms|h|m|s))+)\b|"
    r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>milliseconds?|seconds?|minutes?|hours?))",
    re.IGNORECASE,
)
_WORDS = {"millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0}
# A wait in an error's text is believed only where the status speaks of waiting at all.
_WAITING = frozenset({408, 425, 429, 498, 500, 502, 503, 504, 529, None})


def duration_of(text: str) -> float | None:
    """Seconds of a Go duration, or of a bare number; None for anything else."""
    if text.isdecimal() and text.isascii() and len(text) < 300:
        return float(text)
    text = text.strip()
    if _NUMBER.match(text):
        return _finite(float(text))
    return _go_duration(text)


# The same few come with every response: "6ms", "1s".
@functools.lru_cache(maxsize=512)
def _go_duration(text: str) -> float | None:
    if not _DURATION.match(text):
        return None
    return _finite(sum(float(number) * _SECONDS[unit] for number, unit in _PIECE.findall(text)))


def server_time(headers: Headers) -> float | None:
    """The server's clock in epoch seconds, by its Date field."""
    date = headers.get("date")
    return None if date is None else _epoch_of_http_date(date)


def retry_after(
    headers: Headers, *, status: int | None = None, details: Iterable[object] = (), message: str = ""
) -> float | None:
    """Seconds that the provider asks to wait, more than 0, or None.

    `retry-after-ms`, else `retry-after`, else a google.rpc.RetryInfo among the body's `details`; else a wait that the
    message tells; on a 429 else the reset of a limit that is used up, which comes last because it says when the whole
    limit is there again (OpenAI). 0 and less are placeholders (Azure).
    """
    milliseconds = _positive(duration_of(headers.get("retry-after-ms") or ""))
    if milliseconds is not None:
        return milliseconds / 1000
    given = _positive(_seconds_until(headers.get("retry-after") or "", headers))
    if given is not None:
        return given
    for detail in details:
        delay = detail.get("retryDelay") if isinstance(detail, Mapping) else None
        told = _positive(duration_of(delay)) if isinstance(delay, str) else None
        if told is not None:
            return told
    told = _retry_in_text(message) if status in _WAITING else None
    if told is not None or status != 429:
        return told
    resets = [
        window.reset
        for _, window in _windows(headers)
        if window.remaining is not None and window.remaining <= 0 and window.reset is not None
    ]
    if resets:
        return max(resets)
    return _positive(_seconds_until(headers.get("x-ratelimit-reset") or "", headers))


def rate_limit(headers: Headers) -> RateLimit | None:
    """What the fields say about limits; of several limits on one thing, the one that is nearest to its end."""
    tightest: dict[str, tuple[float, RateWindow]] = {}
    for kind, window in _windows(headers):
        left = window.remaining / window.limit if window.remaining is not None and window.limit else 1.0
        if kind not in tightest or left < tightest[kind][0]:
            tightest[kind] = left, window
    if not tightest:
        return None
    windows = {kind: window for kind, (_, window) in tightest.items()}
    return RateLimit(requests=windows.get("requests"), tokens=windows.get("tokens"))


def is_daily_quota(headers: Headers) -> bool:
    """Whether the fields say that nothing is left of a day's allowance."""
    return any(_OF_A_DAY.match(name.lower()) and duration_of(value) == 0 for name, value in headers)


def request_id(headers: Headers) -> str | None:
    """The provider's id for this request, for its support."""
    return next((value for name in _REQUEST_IDS if (value := headers.get(name))), None)


def _windows(headers: Headers) -> list[tuple[str, RateWindow]]:
    found: dict[str, dict[str, float]] = {}
    for name, value in headers:
        limit = _limit_of(name)
        if limit is None:
            continue
        of, what = limit
        told = _seconds_until(value, headers) if what == "reset" else duration_of(value)
        # -1 stands for "not said" (Azure), and so does a reset of 0; nothing left at all is a true 0.
        if told is not None and (told > 0 or (told == 0 and what == "remaining")):
            found.setdefault(of, {})[what] = told
    return [(kind, RateWindow(**said)) for of, said in found.items() if (kind := _kind_of(of)) is not None]


# Every response is searched for such fields, and the names are always the same.
@functools.lru_cache(maxsize=512)
def _limit_of(name: str) -> tuple[str, str] | None:
    """What the field of this name is about, and which number of that it has; None if it is about no limit."""
    match = _LIMIT_FIELD.match(name.lower())
    if match is None:
        return None
    of = match["of"] or match["of2"] or match["of4"] or ""
    return of, match["what"] or match["what2"] or match["what3"] or "limit"


@functools.lru_cache(maxsize=512)
def _kind_of(of: str) -> str | None:
    """Images, seconds of audio and the like are limits that the vocabulary has no word for."""
    if not of or _REQUESTS.match(of):
        return "requests"
    return "tokens" if _TOKENS.match(of.replace("_", "-")) else None


def _seconds_until(text: str, headers: Headers) -> float | None:
    """A duration as it is, or an instant less the server's time by its Date field."""
    told = duration_of(text)
    if told is None:
        text = text.strip()
        if not text:
            return None
        told = _epoch_of_http_date(text) or _epoch_of_rfc_3339(text)
    elif told < _EPOCH_BEGINS:
        return told
    elif told >= _EPOCH_IN_MS:
        told /= 1000
    now = server_time(headers) if told is not None else None
    return None if told is None or now is None else told - now


def _epoch_of_http_date(text: str) -> float | None:
    text = text.strip().lower()
    if match := _FIXDATE.match(text):
        day, month, year, hour, minute, second = match.groups()
    elif match := _ASCTIME.match(text):
        month, day, hour, minute, second, year = match.groups()
    else:
        return None
    years = int(year)
    if len(year) == 2:  # RFC 850; a sender of those is older than 2070
        years += 1900 if years >= 70 else 2000
    try:
        moment = datetime(
            years, _MONTHS.get(month, 0), int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC
        )
    except ValueError:
        return None
    return moment.timestamp()


def _epoch_of_rfc_3339(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo is not None else moment.replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _retry_in_text(message: str) -> float | None:
    match = _IN_TEXT.search(message)
    if match is None:
        return None
    if match["go"]:
        return _positive(duration_of(match["go"]))
    return _positive(float(match["number"]) * _WORDS[match["unit"].lower().removesuffix("s")])


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _positive(number: float | None) -> float | None:
    return number if number is not None and number > 0 else None
