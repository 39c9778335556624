"""How long a provider asks to wait, in the forms in which servers write it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proportion import assert_linear
from tests.sansio.providers.playing import read
from turnout.errors import ProviderError
from turnout.providers.decoding.waits import NO_WAIT, Wait, parse_wait, wait_in_words

DATE = "Wed, 18 Feb 2026 22:00:00 GMT"
EPOCH = 1_771_452_000.0

SENTENCES: list[tuple[str, float]] = [
    ("[a/b] [429]: usage limit (reset after 2m 13s)", 133),
    ("Rate limit resets in 30 seconds", 30),
    ("Rate limit reached. Please try again in 2m 13s", 133),
    ("Please try again in 2m59.56s.", 179.56),
    ("Please try again in 577.5ms.", 0.5775),
    ("Please retry after 45 sec", 45),
    ("Retry-After: 30", 30),
    ('{"retry_after": 12}', 12),
    ("Please wait 2 hours and 5 minutes before trying again.", 7_500),
    ("Your quota resets in 1 day, 2 hours", 93_600),
    ("available again in ~5 mins", 300),
    ("cooling down for 90-seconds", 90),
    ("Wait at least 1 week", 604_800),
    ("Retry your request after 3 secs", 3),
    ("resets at 2026-02-18T22:01:00Z", 60),
    ("Try again at 2026-02-18 22:00:10 UTC.", 10),
    ("reset after 1:30:00", 5_400),
    ("Please retry in 34.4s. Quota exceeded for metric: x, limit: 5", 34.4),
    ('429 {"@type": "RetryInfo", "retryDelay": "31s"}', 31),
    ("429 Quota exceeded. [violations { x: 1 } , retry_delay {\n  seconds: 31\n}\n]", 31),
]


@pytest.mark.parametrize(("sentence", "seconds"), SENTENCES)
def test_a_sentence_that_announces_a_wait(sentence: str, seconds: float) -> None:
    assert wait_in_words(sentence, DATE).seconds == pytest.approx(seconds)
    with pytest.raises(ProviderError) as caught:
        read("openai-compatible", {"error": {"message": sentence}}, 429, (("Date", DATE),))
    assert caught.value.retry_after == pytest.approx(seconds)


@pytest.mark.parametrize(
    "sentence",
    [
        "Please try again later. Limit 30000 tokens",
        "You may retry 5 times",
        "retry after 20 requests",
        "Limit: 60 requests per 1 minute",
        "the reset of 3 models",
        "wait 0s",
        "try again in 5 weekdays",
    ],
)
def test_a_sentence_that_announces_none(sentence: str) -> None:
    assert wait_in_words(sentence) == NO_WAIT


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("12", Wait(seconds=12)),
        ("1.5", Wait(seconds=1.5)),
        (12, Wait(seconds=12)),
        ("2, 2", Wait(seconds=2)),
        ("2, 30", Wait(seconds=30)),
        ("5;reason=load", Wait(seconds=5)),
        ("2 minutes", Wait(seconds=120)),
        ("PT2M13S", Wait(seconds=133)),
        ("00:02:13", Wait(seconds=133)),
        ("Wed, 18 Feb 2026 22:00:20 GMT", Wait(seconds=20)),
        ("2026-02-18T22:00:20Z", Wait(seconds=20)),
        (EPOCH + 20, Wait(seconds=20)),
        (str(int((EPOCH + 20) * 1000)), Wait(seconds=20)),
        ("Wed, 18 Feb 2026 21:00:00 GMT", NO_WAIT),  # it is over
        ("0", NO_WAIT),
        ("-1", NO_WAIT),
        ("", NO_WAIT),
        (None, NO_WAIT),
        (True, NO_WAIT),
        ("soon", Wait(unread="soon")),
        ("2, soon", Wait(unread="2, soon")),
    ],
)
def test_the_values_of_fields(value: object, wait: Wait) -> None:
    assert parse_wait(value, DATE) == wait


@pytest.mark.parametrize("value", ["Wed, 18 Feb 2026 22:00:20 GMT", "2026-02-18T22:00:20Z", EPOCH + 20])
def test_an_instant_without_a_date_stays_an_instant(value: object) -> None:
    assert parse_wait(value) == Wait(at=EPOCH + 20)


def test_milliseconds() -> None:
    assert parse_wait("1500", scale=1e-3) == parse_wait(1500, scale=1e-3) == Wait(seconds=1.5)
    assert parse_wait("1.5s", scale=1e-3) == Wait(seconds=1.5)  # it has a unit of its own


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"retry_after": 12}, 12),
        ({"retry_after": "12s"}, 12),
        ({"retryAfter": 3.5}, 3.5),
        ({"retry_after_ms": 2500}, 2.5),
        ({"retryAfterMs": "2500"}, 2.5),
        ({"resets_in_seconds": 568}, 568),
        ({"reset_seconds": 8}, 8),
        ({"reset_after_seconds": 8}, 8),
        ({"cooldown_seconds": 8}, 8),
        ({"retryDelay": "9s"}, 9),
        ({"retry_delay": 9}, 9),
        ({"data": {"retry_after": 7}}, 7),
        ({"resets_at": EPOCH + 60}, 60),
        ({"reset_time": "2026-02-18T22:01:00Z"}, 60),
        ({"metadata": {"retry_after": 7}}, 7),
    ],
)
def test_fields_of_the_body(fields: dict[str, object], seconds: float) -> None:
    for body in ({"error": {"message": "slow down", **fields}}, {"message": "slow down", **fields}):
        if "metadata" in fields and "error" not in body:
            continue
        with pytest.raises(ProviderError) as caught:
            read("openai-compatible", body, 429, (("Date", DATE),))
        assert caught.value.retry_after == pytest.approx(seconds)


def test_the_error_has_the_instant_and_what_could_not_be_read() -> None:
    def refused(*fields: tuple[str, str]) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            read("openai", {"error": {"message": "slow down"}}, 429, fields)
        return caught.value

    error = refused(("Retry-After", "Wed, 18 Feb 2026 22:00:20 GMT"))
    assert (error.retry_after, error.retry_at, error.unread_wait) == (None, EPOCH + 20, "")
    error = refused(("Retry-After", "next tuesday"))
    assert (error.retry_after, error.retry_at, error.unread_wait) == (None, None, "next tuesday")
    error = refused(("Retry-After-Ms", "?"), ("Retry-After", "3"))
    assert (error.retry_after, error.unread_wait) == (3, "?")
    # The longest of repeated lines.
    assert refused(("Retry-After", "3"), ("Retry-After", "9")).retry_after == 9


@given(
    st.text(max_size=60) | st.floats() | st.integers() | st.none() | st.booleans(), st.sampled_from([DATE, None, "x"])
)
def test_no_value_makes_an_absurd_wait(value: object, date: str | None) -> None:
    wait = parse_wait(value, date)
    for number in (wait.seconds, wait.at):
        assert number is None or (math.isfinite(number) and number > 0)
    if isinstance(value, str):
        assert wait_in_words(value).seconds is None or wait_in_words(value).seconds != 0


@pytest.mark.parametrize(
    "piece", ["retry after 1 ", "wait ", "1m", "in 1 hour and ", "try again in 1.1.1", "9" * 50, "retry-after:"]
)
def test_the_time_to_search_is_linear(piece: str) -> None:
    def read(size: int) -> Callable[[], object]:
        text = (piece * (size // len(piece) + 1))[:size]
        return lambda: wait_in_words(text)

    assert_linear(read, 64 * 1024)


@pytest.mark.parametrize(
    "details",
    [{"retry_after": 12}, {"retry_after_ms": 12_000}, [{"@type": "x", "metadata": {"quotaResetDelay": "12s"}}]],
)
def test_a_wait_among_the_details_of_an_error(details: object) -> None:
    with pytest.raises(ProviderError) as caught:
        read("openai-compatible", {"error": {"message": "slow down", "details": details}}, 429)
    assert caught.value.retry_after == 12
