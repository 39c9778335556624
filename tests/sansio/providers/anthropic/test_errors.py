"""What Anthropic's errors mean, what its headers say about waiting and limits, and its model list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig, ModelInfo, RateWindow
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
    RemoteProtocolError,
    RequestTooLarge,
    ServerError,
)
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.protocol import ModelPage

REQUEST = ChatRequest(ModelConfig("anthropic", "m"), [Message.user("x")])
DATE = ("date", "Wed, 19 Aug 2026 14:34:00 GMT")


def refused(
    status: int, type: str, message: str = "no", *headers: tuple[str, str], stream: bool = True
) -> ProviderError:
    provider = create("anthropic", api_key="sk-ant-secret")
    exchange = (provider.stream if stream else provider.chat)(REQUEST)
    exchange.receive_head(status, headers)
    body = {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_body"}
    exchange.receive_data(json.dumps(body).encode())
    exchange.receive_end()
    assert isinstance(exchange.failure, ProviderError)
    return exchange.failure


@pytest.mark.parametrize(
    ("status", "type", "message", "kind"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", InvalidRequest),
        (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum", ContextLengthExceeded),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            ContextLengthExceeded,
        ),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", QuotaExceeded),
        (
            400,
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on 2026-11-01 at 00:00 UTC.",
            QuotaExceeded,
        ),
        (400, "invalid_request_error", "This organization has been disabled.", PermissionDenied),
        (400, "invalid_request_error", "Output blocked by content filtering policy", ContentFiltered),
        (401, "authentication_error", "invalid x-api-key", AuthenticationFailed),
        (402, "billing_error", "payment", QuotaExceeded),
        (403, "permission_error", "no access", PermissionDenied),
        (404, "not_found_error", "model: claude-none", NotFound),
        (413, "request_too_large", "Request exceeds the maximum size", RequestTooLarge),
        (429, "rate_limit_error", "This request would exceed your rate limit", RateLimited),
        (500, "api_error", "Internal server error", ServerError),
        (504, "timeout_error", "Request timed out", ServerError),
        (529, "overloaded_error", "Overloaded", Overloaded),
    ],
)
def test_the_kind_of_an_error(status: int, type: str, message: str, kind: Any) -> None:
    for stream in (False, True):
        failure = refused(status, type, message, stream=stream)
        assert failure.__class__ is kind
        assert (failure.status, failure.code, failure.message) == (status, type, message)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("retry-after", "31")], 31.0),
        ([("retry-after", "Wed, 19 Aug 2026 14:34:19 GMT"), DATE], 19.0),
        (
            [
                DATE,
                ("anthropic-ratelimit-requests-remaining", "5"),
                ("anthropic-ratelimit-requests-reset", "2026-08-19T14:34:01Z"),
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                ("anthropic-ratelimit-input-tokens-reset", "2026-08-19T14:34:42Z"),
            ],
            42.0,
        ),
        # Without the server's clock an instant says nothing.
        (
            [
                ("anthropic-ratelimit-requests-remaining", "0"),
                ("anthropic-ratelimit-requests-reset", "2026-08-19T14:34:01Z"),
            ],
            None,
        ),
    ],
)
def test_how_long_to_wait(headers: list[tuple[str, str]], seconds: float | None) -> None:
    assert refused(429, "rate_limit_error", "slow down", *headers).retry_after == seconds


def test_limits_are_told_with_the_answer() -> None:
    exchange = create("anthropic", api_key="k").chat(REQUEST)
    headers = [DATE, ("request-id", "req_head")]
    for what, limit, left in (("requests", 50, 49), ("input-tokens", 1000, 900), ("output-tokens", 100, 20)):
        headers += [
            (f"anthropic-ratelimit-{what}-limit", str(limit)),
            (f"anthropic-ratelimit-{what}-remaining", str(left)),
            (f"anthropic-ratelimit-{what}-reset", "2026-08-19T14:34:30Z"),
        ]
    exchange.receive_head(200, headers)
    exchange.receive_data(b'{"type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"}')
    exchange.receive_end()
    assert exchange.failure is None
    assert exchange.result.request_id == "req_head"
    limits = exchange.result.rate_limit
    assert limits is not None
    assert limits.requests == RateWindow(limit=50, remaining=49, reset=30)
    assert limits.input_tokens == RateWindow(limit=1000, remaining=900, reset=30)
    assert limits.output_tokens == RateWindow(limit=100, remaining=20, reset=30)
    assert limits.tokens is None


def test_an_error_names_its_request_and_no_key() -> None:
    failure = refused(401, "authentication_error", "invalid x-api-key: sk-ant-secret")
    assert failure.request_id == "req_body"
    assert "sk-ant-secret" not in f"{failure} {failure!r} {failure.body}"
    assert refused(401, "authentication_error", "no", ("request-id", "req_head")).request_id == "req_head"


def listed(document: Any, page: str | None = None) -> tuple[str, ModelPage]:
    exchange = create("anthropic", api_key="k").models(page)
    exchange.receive_head(200, [])
    exchange.receive_data(json.dumps(document).encode())
    exchange.receive_end()
    if exchange.failure is not None:
        raise exchange.failure
    return exchange.request.url, exchange.result


def test_models_come_in_pages() -> None:
    models = [
        {"type": "model", "id": "claude-a", "display_name": "A", "max_input_tokens": 200_000, "max_tokens": 64_000},
        {"type": "model", "id": "claude-b", "display_name": "B", "max_input_tokens": None},
        {"type": "model"},
    ]
    url, page = listed({"data": models, "has_more": True, "first_id": "claude-a", "last_id": "claude/b"})
    assert url == "https://api.anthropic.com/v1/models?limit=1000"
    assert page.models == (
        ModelInfo("claude-a", "anthropic", context_window=200_000, max_output_tokens=64_000, owned_by="anthropic"),
        ModelInfo("claude-b", "anthropic", owned_by="anthropic"),
    )
    assert page.next_page == "claude/b"
    url, page = listed({"data": [], "has_more": False, "last_id": "claude-c"}, page.next_page)
    assert url.endswith("/v1/models?limit=1000&after_id=claude%2Fb")
    assert page == ModelPage(())
    with pytest.raises(RemoteProtocolError):
        listed({})
    with pytest.raises(Overloaded):
        listed({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
