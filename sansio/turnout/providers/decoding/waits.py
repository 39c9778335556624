"""Read how long to wait, in all the forms in which servers write that.

A wait is a number of seconds, or an instant: an instant becomes seconds by the server's own `Date`, because the clock
on this side may be wrong. Without a `Date` it stays an instant (`Wait.at`), which the router compares with its clock.

Forms: bare numbers (seconds), durations of Go (`2m59.56s`, `12ms`), durations in words (`2 hours and 5 min`), HTTP
dates (RFC 9110, section 5.6.7), instants of RFC 3339, durations of ISO 8601 (`PT2M13S`), clock times (`1:30:00`), and
seconds or milliseconds since 1970.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

import attrs

from turnout._utils.caches import cached_if_short

__all__ = ["NO_WAIT", "Wait", "duration_of", "parse_wait", "wait_in_words"]

# Go's time.Duration text; "ms" must be tried before "m". Python's `\d` knows other scripts' digits: not meant here.
_PIECE = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|us|µs|ns|d|h|m|s)")
_DURATION = re.compile(rf"(?:{_PIECE.pattern})+\Z")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z")
_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

# The date that is sent today, and the two obsolete ones that a recipient must read too.
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: at for at, name in enumerate(_NAMES, 1)}
_FIXDATE = re.compile(r"(?:[a-z]+, *)?(\d{1,2})[ -]([a-z]{3})[ -](\d{4}|\d{2}) (\d\d):(\d\d):(\d\d)(?: (?:gmt|utc))?\Z")
_ASCTIME = re.compile(r"[a-z]{3} ([a-z]{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\Z")
_EPOCH_BEGINS = 1e9  # 2001: no duration is that long, and no instant that early
_EPOCH_IN_MS = 1e12

_ISO_DURATION = re.compile(r"p(?:(\d{1,4})d)?(?:t(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?)?\Z")
_CLOCK = re.compile(r"(\d{1,4}):([0-5]\d):([0-5]\d)\Z")

# A duration in words: numbers with units, joined by spaces, commas or "and". Every repetition has a bound, so that the
# time to search a text is linear in its length.
_NUMERAL = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_UNIT = r"(?:milliseconds?|millis|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w)"
_AMOUNT = rf"{_NUMERAL}[ -]?{_UNIT}(?![a-z])"
_IN_WORDS = rf"{_AMOUNT}(?:,? ?(?:and )?{_AMOUNT}){{0,5}}"
_AMOUNT_PARTS = re.compile(rf"({_NUMERAL})[ -]?({_UNIT})(?![a-z])")
_UNIT_SECONDS = {"ms": 1e-3, "mil": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_INSTANT = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[t ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?: ?z| ?utc| ?gmt| ?[+-][0-9]{2}:?[0-9]{2})?"
)
# The words that announce a wait, and the few that may be between them and the number.
_CUE = (
    r"\b(?:try(?:ing)? (?:it |this |your request )?again|retry[ _-]?delay"
    r"|retry(?:ing)?(?: your request| the request| this request)?|wait(?:ing)?|resets?|cool(?:s|ing)? ?down"
    r"|available|back ?off|renews?|refresh(?:es)?|unblocked|come back|resumes?)\b"
)
_BETWEEN = (
    r"(?:[ :=~(\[\"'`_-]|again|in|after|for|about|approximately|around|at least|another|within|until|at|on|is|to|be"
    r"|time|the next){0,8}"
)
_WAIT = re.compile(
    rf"{_CUE}{_BETWEEN}(?:(?P<instant>{_INSTANT})|(?P<clock>[0-9]{{1,4}}:[0-9]{{2}}:[0-9]{{2}})(?![0-9:])|(?P<words>{_IN_WORDS}))"
    # "Retry-After: 30" without a unit is the field of that name; "retry_delay { seconds: 30 }" is one of gRPC.
    r"|\b(?:retry[ _-]?after[\"'`]?[ :=]{1,3}\"?|retry_delay ?\{\s{0,9}seconds: ?)"
    rf"(?P<bare>{_NUMERAL})(?![0-9.]| ?[a-z%])"
)


@attrs.frozen(kw_only=True)
class Wait:
    """The wait that a provider requires.

    Attributes:
        seconds: How long to wait, more than 0; None if it is not known.
        at: The instant to wait for, in seconds since 1970, if the server's clock is not known.
        unread: The value that is meant as a wait and could not be read; "" if there is none.
    """

    seconds: float | None = None
    at: float | None = None
    unread: str = ""

    @property
    def is_known(self) -> bool:
        """Return whether there is a wait."""
        return self.seconds is not None or self.at is not None


NO_WAIT = Wait()


def duration_of(text: str) -> float | None:
    """Return the seconds of a Go duration, or of a bare number; None for anything else."""
    if text.isdecimal() and text.isascii() and len(text) < 300:
        return float(text)
    text = text.strip()
    if _NUMBER.match(text):
        return _finite(float(text))
    return _go_duration(text)


def parse_wait(value: object, date: str | None = None, *, scale: float = 1.0) -> Wait:
    """Return the wait that one value of a field is.

    Args:
        value: Text, or a number of JSON. Of values that were merged into one line ("2, 2") the longest counts.
        date: The response's `Date` field, which is the server's clock.
        scale: The seconds in one unit of a bare number: 0.001 for a field of milliseconds.
    """
    if isinstance(value, bool) or value is None:
        return NO_WAIT
    if isinstance(value, int | float):
        return _of_number(float(value), date, scale) if abs(value) < _EPOCH_IN_MS * 1000 else NO_WAIT
    text = str(value).partition(";")[0].strip()  # parameters of a structured field are not about the wait
    if not text:
        return NO_WAIT
    number = duration_of(text)
    if number is not None:
        return _of_number(number, date, scale if _NUMBER.match(text) else 1.0)
    epoch = _epoch_of_http_date(text) or _epoch_of_rfc_3339(text)
    if epoch is not None:
        return _of_instant(epoch, date)
    words = _seconds_in_words(text.lower())
    if words is not None:
        return Wait(seconds=words) if words > 0 else NO_WAIT
    if "," in text:
        waits = [parse_wait(part, date, scale=scale) for part in text.split(",")[:16]]
        if not any(wait.unread for wait in waits):
            return max(waits, key=lambda wait: (wait.seconds or 0.0, wait.at or 0.0))
    return Wait(unread=text[:100])


def wait_in_words(message: str, date: str | None = None) -> Wait:
    """Return the wait that a sentence of a message announces, such as "try again in 2m 13s"."""
    found = _WAIT.search(message.lower())
    if found is None:
        return NO_WAIT
    if found["instant"] is not None:
        epoch = _epoch_of_rfc_3339(found["instant"])
        return _of_instant(epoch, date) if epoch is not None else Wait(unread=found["instant"])
    if found["bare"] is not None:
        seconds = float(found["bare"])
    else:
        seconds = _seconds_in_words(found["words"] or found["clock"]) or 0.0
    return Wait(seconds=seconds) if seconds > 0 else NO_WAIT


def _seconds_in_words(text: str) -> float | None:
    if re.fullmatch(_IN_WORDS, text):
        return _amount(text)
    if clock := _CLOCK.match(text):
        hours, minutes, seconds = map(int, clock.groups())
        return hours * 3600.0 + minutes * 60.0 + seconds
    if (iso := _ISO_DURATION.match(text)) and any(iso.groups()):
        return sum(float(part) * scale for part, scale in zip(iso.groups("0"), (86_400, 3600, 60, 1), strict=True))
    return None


def _amount(words: str) -> float:
    total = 0.0
    for number, unit in _AMOUNT_PARTS.findall(words):
        scale = _UNIT_SECONDS.get(unit[:3]) or (1e-3 if unit.startswith(("ms", "mil")) else _UNIT_SECONDS[unit[0]])
        total += float(number) * scale
    return total


# Every response has the same few: "6ms", "1s".
@cached_if_short(512, 32)
def _go_duration(text: str) -> float | None:
    if not _DURATION.match(text):
        return None
    return _finite(sum(float(number) * _SECONDS[unit] for number, unit in _PIECE.findall(text)))


def _of_number(number: float, date: str | None, scale: float) -> Wait:
    """A bare number is a duration, or too large for one: then it is an instant."""
    seconds = number * scale
    if seconds >= _EPOCH_BEGINS:
        return _of_instant(number / 1000 if number >= _EPOCH_IN_MS else number, date)
    return Wait(seconds=seconds) if seconds > 0 else NO_WAIT


def _of_instant(epoch: float, date: str | None) -> Wait:
    now = _epoch_of_http_date(date) if date is not None else None
    if now is None:
        return Wait(at=epoch)
    return Wait(seconds=epoch - now) if epoch > now else NO_WAIT


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
    if not text[:4].isdecimal():
        return None
    text = re.sub(r" ?(?:utc|gmt|z)\Z", "+00:00", text.strip().lower())
    try:
        moment = datetime.fromisoformat(text.replace(" +", "+"))
        return moment.timestamp() if moment.tzinfo is not None else moment.replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
