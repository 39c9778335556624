"""What each provider's headers say of its limits, in one type: how much, how much is left, and when it is full again.

The fields are as they were seen in answers of each provider, or as its reference shows them; the values are changed.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ChatRequest, RateLimit, RateWindow
from turnout.errors import ProviderError, QuotaExceeded, RateLimited
from turnout.http import Headers
from turnout.providers import create
from turnout.providers.decoding.response_headers import rate_limit, requested_wait

NOW = "Wed, 18 Feb 2026 22:00:00 GMT"
Window = tuple[float | None, float | None, float | None]

# provider, its fields, (limit, remaining, reset) of requests and of tokens
TABLE: list[tuple[str, dict[str, str], Window | None, Window | None]] = [
    (
        "openai",
        {
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-remaining-tokens": "1999989",
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": "1m0.5s",
            # A limit of another kind, for which there is no word.
            "x-ratelimit-limit-input-images": "50000",
            "x-ratelimit-remaining-input-images": "0",
            "x-ratelimit-reset-input-images": "1ms",
        },
        (10000, 9999, 0.006),
        (2000000, 1999989, 60.5),
    ),
    (
        "openai",
        # Whatever is nearest to its end is told.
        {
            "x-ratelimit-limit-tokens": "1000",
            "x-ratelimit-remaining-tokens": "900",
            "x-ratelimit-limit-tokens_usage_based": "500",
            "x-ratelimit-remaining-tokens_usage_based": "5",
            "x-ratelimit-reset-tokens_usage_based": "2s",
        },
        None,
        (500, 5, 2.0),
    ),
    (
        "groq",  # requests in a day, tokens in a minute
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "14397",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-tokens": "29987",
            "x-ratelimit-reset-tokens": "7.66s",
        },
        (14400, 14397, 179.56),
        (30000, 29987, 7.66),
    ),
    (
        "cerebras",
        {
            "x-ratelimit-limit-requests-day": "1440000",
            "x-ratelimit-remaining-requests-day": "1439998",
            "x-ratelimit-reset-requests-day": "24482.894107818604",
            "x-ratelimit-limit-tokens-minute": "1000000",
            "x-ratelimit-remaining-tokens-minute": "999583",
            "x-ratelimit-reset-tokens-minute": "2.8941078186035156",
        },
        (1440000, 1439998, 24482.894107818604),
        (1000000, 999583, 2.8941078186035156),
    ),
    (
        "openrouter",
        {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1771452026000"},
        (20, 0, 26.0),
        None,
    ),
    (
        "anthropic",
        {
            "anthropic-ratelimit-requests-limit": "1000",
            "anthropic-ratelimit-requests-remaining": "999",
            "anthropic-ratelimit-requests-reset": "2026-02-18T22:00:01Z",
            "anthropic-ratelimit-tokens-limit": "540000",
            "anthropic-ratelimit-tokens-remaining": "500000",
            "anthropic-ratelimit-tokens-reset": "2026-02-18T22:00:09Z",
            "anthropic-ratelimit-input-tokens-limit": "450000",
            "anthropic-ratelimit-input-tokens-remaining": "1000",
            "anthropic-ratelimit-input-tokens-reset": "2026-02-18T22:00:59Z",
            "anthropic-ratelimit-output-tokens-limit": "90000",
            "anthropic-ratelimit-output-tokens-remaining": "90000",
            "anthropic-ratelimit-output-tokens-reset": "2026-02-18T22:00:00Z",
        },
        (1000, 999, 1.0),
        (540000, 500000, 9.0),
    ),
    (
        "anthropic",  # at its OpenAI-shaped endpoint
        {
            "x-ratelimit-requests": "4000",
            "x-ratelimit-remaining-requests": "3999",
            "x-ratelimit-reset-requests": "0s",
            "x-ratelimit-tokens": "2400000",
            "x-ratelimit-remaining-tokens": "2400000",
        },
        (4000, 3999, None),
        (2400000, 2400000, None),
    ),
    (
        "azure",
        {
            "x-ratelimit-key": "gpt-5-nano",
            "x-ratelimit-abusepenalty-active": "False",
            "x-ratelimit-limit-requests": "250",
            "x-ratelimit-remaining-requests": "249",
            "x-ratelimit-reset-requests": "0",
            "x-ratelimit-renewalperiod-requests": "60",
            "x-ratelimit-limit-tokens": "250000",
            "x-ratelimit-remaining-tokens": "249861",
            "x-ratelimit-reset-tokens": "6",
            "x-ratelimit-renewalperiod-tokens": "60",
        },
        (250, 249, None),
        (250000, 249861, 6.0),
    ),
    (
        "azure",  # placeholders
        {"x-ratelimit-limit-tokens": "-1", "x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"},
        None,
        None,
    ),
    (
        "mistral",
        {
            "x-ratelimit-limit-req-10-second": "60",
            "x-ratelimit-remaining-req-10-second": "50",
            "x-ratelimit-limit-tokens-minute": "20000000",
            "x-ratelimit-remaining-tokens-minute": "19999990",
            "x-ratelimit-limit-tokens-month": "200000000000",
            "x-ratelimit-remaining-tokens-month": "199999999990",
            "x-ratelimit-tokens-query-cost": "10",
            "x-ratelimit-limit-audio-seconds-minute": "2000",
            "x-ratelimit-remaining-audio-seconds-minute": "0",
            "x-ratelimit-audio-seconds-query-cost": "4",
        },
        (60, 50, None),
        (20000000, 19999990, None),
    ),
    (
        "together",
        {
            "x-ratelimit": "false",
            "x-ratelimit-limit": "10",
            "x-ratelimit-remaining": "9",
            "x-ratelimit-reset": "2",
            "x-ratelimit-limit-tokens": "3000",
            "x-ratelimit-remaining-tokens": "2000",
        },
        (10, 9, 2.0),
        (3000, 2000, None),
    ),
    (
        "xai",
        {
            "x-ratelimit-limit-requests": "1800",
            "x-ratelimit-remaining-requests": "1800",
            "x-ratelimit-limit-tokens": "10000000",
            "x-ratelimit-remaining-tokens": "0",
        },
        (1800, 1800, None),
        (10000000, 0, None),
    ),
    (
        "modelscope",
        {
            "modelscope-ratelimit-requests-limit": "2000",
            "modelscope-ratelimit-requests-remaining": "1500",
            "modelscope-ratelimit-model-requests-limit": "200",
            "modelscope-ratelimit-model-requests-remaining": "20",
        },
        (200, 20, None),
        None,
    ),
    (
        "cohere",
        {"x-trial-endpoint-call-limit": "20", "x-trial-endpoint-call-remaining": "4"},
        (20, 4, None),
        None,
    ),
    ("deepseek", {}, None, None),
    # The drafts of the IETF, "RateLimit header fields for HTTP": the sixth, the seventh and the tenth.
    (
        "openai-compatible",
        {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "0", "RateLimit-Reset": "30"},
        (100, 0, 30.0),
        None,
    ),
    ("openai-compatible", {"RateLimit": "limit=100, remaining=50, reset=30"}, (100, 50, 30.0), None),
    (
        "openai-compatible",
        {"RateLimit-Policy": '"default";q=100;w=60', "RateLimit": '"default";r=50;t=30'},
        (100, 50, 30.0),
        None,
    ),
    (
        "openai-compatible",
        {
            "RateLimit-Policy": '"requests";q=100;w=60,"tokens-per-minute";q=9000;w=60',
            "RateLimit": '"requests";r=9;t=3, "tokens-per-minute";r=0;t=45',
        },
        (100, 9, 3.0),
        (9000, 0, 45.0),
    ),
]
ANSWERS: dict[str, Any] = {
    "anthropic": {"type": "message", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"},
    "cohere": {"message": {"content": [{"type": "text", "text": "hi"}]}, "finish_reason": "COMPLETE"},
}
OPENAI_SHAPED = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}


def window(told: Window | None) -> RateWindow | None:
    return None if told is None else RateWindow(limit=told[0], remaining=told[1], reset=told[2])


def answered(provider: str, status: int, fields: dict[str, str], body: Any) -> Any:
    settings: dict[str, Any] = {"base_url": "https://x.test"} if provider in ("azure", "openai-compatible") else {}
    exchange = create(provider, api_key="k", **settings).chat(ChatRequest(f"{provider}/m", "hi"))
    exchange.receive_head(status, [("Date", NOW), *fields.items()])
    exchange.receive_data(json.dumps(body).encode())
    exchange.receive_end()
    return exchange


@pytest.mark.parametrize(("provider", "fields", "requests", "tokens"), TABLE, ids=[row[0] for row in TABLE])
def test_limits_of_every_provider_are_of_one_type(
    provider: str, fields: dict[str, str], requests: Window | None, tokens: Window | None
) -> None:
    exchange = answered(provider, 200, fields, ANSWERS.get(provider, OPENAI_SHAPED))
    assert exchange.failure is None
    limits = exchange.result.rate_limit
    if requests is None and tokens is None:
        assert limits is None
        return
    assert limits is not None
    for got, want in ((limits.requests, window(requests)), (limits.tokens, window(tokens))):
        assert (got is None) == (want is None)
        if got is not None and want is not None:
            assert (got.limit, got.remaining) == (want.limit, want.remaining)
            assert got.reset == (None if want.reset is None else pytest.approx(want.reset))


@pytest.mark.parametrize(
    ("provider", "fields", "seconds"),
    [
        ("groq", {"retry-after": "2", "x-ratelimit-reset-requests": "864s"}, 2.0),
        ("groq", {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.66s"}, 7.66),
        ("azure", {"retry-after": "1", "retry-after-ms": "0"}, 1.0),
        ("azure", {"retry-after": "30", "retry-after-ms": "29500"}, 29.5),
        ("openrouter", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1771452026000"}, 26.0),
        ("cerebras", {"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "2.5"}, 2.5),
        ("together", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"}, 2.0),
        ("openai-compatible", {"RateLimit": '"default";r=0;t=30'}, 30.0),
        ("azure", {"x-ms-retry-after-ms": "1500"}, 1.5),
        ("openai-compatible", {"retry-after": "2, 2"}, 2.0),
        ("anthropic", {"anthropic-ratelimit-unified-reset": "1771452030"}, 30.0),
        # Nobody says when: the back-off is the router's.
        ("mistral", {"x-ratelimit-remaining-req-minute": "0"}, None),
        ("azure", {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "0"}, None),
        # Of two that are used up, the later one; what is left over of others does not matter.
        (
            "openai",
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            360.0,
        ),
        (
            "openai",
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "5",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            1.0,
        ),
    ],
)
def test_a_429_waits_for_what_is_used_up(provider: str, fields: dict[str, str], seconds: float | None) -> None:
    failure = answered(provider, 429, fields, {"error": {"message": "slow down"}}).failure
    assert isinstance(failure, RateLimited)
    assert failure.retry_after == (None if seconds is None else pytest.approx(seconds))


def test_the_wait_that_a_refusal_tells_is_nearer_than_that_of_a_limit_as_a_whole() -> None:
    # OpenAI's resets say when a limit is whole again; one request fits long before.
    fields = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "58.9s"}
    told = {"error": {"message": "Limit 3, Used 3, Requested 1. Please try again in 20s."}}
    failure = answered("openai", 429, fields, told).failure
    assert isinstance(failure, RateLimited)
    assert failure.retry_after == 20.0


@pytest.mark.parametrize("of", ["", "model-"])
def test_modelscope_counts_days(of: str) -> None:
    def refused(left: str) -> object:
        fields = {"modelscope-ratelimit-requests-remaining": "9", f"modelscope-ratelimit-{of}requests-remaining": left}
        return type(answered("modelscope", 429, fields, {"errors": {"message": "slow down"}}).failure)

    assert refused("0") is QuotaExceeded
    assert refused("3") is RateLimited  # too many at once


def test_other_failures_do_not_wait_for_limits() -> None:
    fields = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "60s"}
    failure = answered("openai", 500, fields, {"error": {"message": "oh"}}).failure
    assert isinstance(failure, ProviderError)
    assert failure.retry_after is None


NAMES = st.sampled_from(sorted({name for _, fields, _, _ in TABLE for name in fields} | {"date", "retry-after"}))
VALUES = st.one_of(
    st.sampled_from(
        ["", "-1", "0", "nan", "inf", "1e400", "9" * 400, NOW, "2026-02-30T00:00:00Z", "99999-01-01T00:00:00Z"]
    ),
    st.sampled_from(["1m2", "5 apples", "٣s", "1771452026000", "-0.0", "7.66s", "2026-02-18T22:00:01Z"]),
    st.text(max_size=12),
    st.floats().map(str),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_whatever_the_fields_hold_no_limit_is_absurd(fields: list[tuple[str, str]]) -> None:
    headers = Headers(fields)
    limits = rate_limit(headers)
    for one in (limits.requests, limits.tokens) if isinstance(limits, RateLimit) else ():
        for number in (one.limit, one.remaining, one.reset) if one is not None else ():
            assert number is None or (math.isfinite(number) and number >= 0)
        assert one is None or one.reset is None or one.reset > 0
    wait = requested_wait(headers, status=429)
    for number in (wait.seconds, wait.at):
        assert number is None or (math.isfinite(number) and number > 0)
