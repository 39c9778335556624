"""Vectors 73 to 75: what headers say about waiting, in every way that servers write it."""

from __future__ import annotations

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.vectors.chunks import DONE, delta, finish
from tests.sansio.vectors.exchanges import refused, stream
from turnout.chat import RateWindow
from turnout.providers.decoding.waits import duration_of

NOW = ("Date", "Wed, 18 Feb 2026 22:00:00 GMT")
BUSY = {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}


def wait(*headers: tuple[str, str]) -> float | None:
    return refused("openai", 429, BUSY, headers).retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12.0),
        ("1.5", 1.5),
        ("Wed, 18 Feb 2026 22:00:30 GMT", 30.0),
        ("Wednesday, 18-Feb-26 22:00:30 GMT", 30.0),
        ("Wed Feb 18 22:00:30 2026", 30.0),
        ("Wed, 18 Feb 2026 21:59:00 GMT", None),
        ("soon", None),
        ("-3", None),
        ("0", None),
        ("", None),
        # What is too long to wait for is the caller's to judge, who has a deadline: nothing is cut here.
        ("86400", 86400.0),
    ],
)
def test_vector_73_retry_after(text: str, seconds: float | None) -> None:
    assert wait(("Retry-After", text), NOW) == seconds


def test_vector_73_milliseconds_are_the_better_word() -> None:
    assert wait(("retry-after-ms", "1234")) == 1.234
    assert wait(("retry-after", "2"), ("retry-after-ms", "1234")) == 1.234
    assert wait(("retry-after", "2"), ("retry-after-ms", "later")) == 2.0


def test_vector_73_a_date_without_the_server_s_clock_says_nothing() -> None:
    assert wait(("Retry-After", "Wed, 18 Feb 2026 22:00:30 GMT")) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7.66s", 7.66),
        ("2m59.56s", 179.56),
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("1h2m3s", 3723.0),
        ("577.5ms", 0.5775),
        ("0s", 0.0),
        ("-1", -1.0),
        ("12.3", 12.3),
        ("", None),
        ("5 apples", None),
        ("1m2", None),
    ],
)
def test_vector_74_durations(text: str, seconds: float | None) -> None:
    assert duration_of(text) == pytest.approx(seconds)
    # As the reset of a limit, nothing and less is a placeholder.
    limits = [("x-ratelimit-limit-requests", "10"), ("x-ratelimit-reset-requests", text)]
    told = stream("groq", sse(delta(content="Hi"), finish(), DONE), limits).result.rate_limit
    assert told is not None
    assert told.requests == RateWindow(limit=10.0, reset=duration_of(text) if seconds and seconds > 0 else None)


@pytest.mark.parametrize(
    "text",
    ["2026-02-18T22:00:30Z", "2026-02-18T23:00:30+01:00", "2026-02-18T22:00:30.000Z", "2026-02-18T22:00:30+00:00"],
)
def test_vector_75_instants_of_rfc_3339(text: str) -> None:
    headers = (("anthropic-ratelimit-requests-remaining", "0"), ("anthropic-ratelimit-requests-reset", text), NOW)
    error = refused("anthropic", 429, {"error": {"type": "rate_limit_error", "message": "Slow down."}}, headers)
    assert error.retry_after == 30.0


def test_vector_75_a_fraction_of_a_second_counts() -> None:
    headers = (
        ("anthropic-ratelimit-tokens-remaining", "0"),
        ("anthropic-ratelimit-tokens-reset", "2026-02-18T22:00:30.25Z"),
        NOW,
    )
    assert wait(*headers) == pytest.approx(30.25)


@pytest.mark.parametrize("text", ["1771452030", "1771452030000"])
def test_vector_75_an_epoch_in_seconds_or_milliseconds(text: str) -> None:
    assert wait(("X-RateLimit-Reset", text), ("X-RateLimit-Remaining", "0"), NOW) == 30.0
    assert wait(("X-RateLimit-Reset", text), NOW) == 30.0
