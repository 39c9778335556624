"""Vectors 76 to 83: errors of single vendors, by their own codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.vectors.chunks import DONE, choice, delta
from tests.sansio.vectors.exchanges import chat, failed, refused, stream
from turnout.chat import Usage
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
from turnout.events import Token

Kind = type[ProviderError]


def openai_error(code: str | None, type: str, message: str = "No.") -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (openai_error("insufficient_quota", "insufficient_quota"), QuotaExceeded),
        (openai_error("rate_limit_exceeded", "tokens"), RateLimited),
        (b"", RateLimited),
    ],
)
def test_vector_76_openai_s_429_is_a_quota_or_a_rate(body: Any, kind: Kind) -> None:
    assert type(refused("openai", 429, body)) is kind


@pytest.mark.parametrize(
    ("code", "kind"), [(1113, QuotaExceeded), (1302, RateLimited), (1305, Overloaded), (1308, QuotaExceeded)]
)
def test_vector_77_glm_s_429_by_its_code(code: int, kind: Kind) -> None:
    for told in (code, str(code)):
        error = refused("glm4", 429, {"error": {"code": told, "message": "…"}})
        assert type(error) is kind
        assert error.code == str(code)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "Invalid token", AuthenticationFailed),
        (401, "Api key is invalid", AuthenticationFailed),
        (
            400,
            {"code": 20015, "message": "length of prompt_tokens (9001) must be less than max_seq_len (8192)."},
            ContextLengthExceeded,
        ),
        (400, {"code": 20015, "message": "Field required", "data": None}, InvalidRequest),
        (400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}, NotFound),
        (403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}, QuotaExceeded),
        (429, {"message": "Rejected due to rate limiting. Details:TPM limit reached.", "data": None}, RateLimited),
        (429, {"message": "Rejected due to rate limiting. Details:RPD limit reached.", "data": None}, QuotaExceeded),
        (404, "404 page not found", NotFound),
        (503, {"code": 50505, "message": "Model service overloaded.", "data": None}, Overloaded),
    ],
)  # fmt: skip
def test_vector_78_siliconflow_s_bare_and_flat_errors(status: int, body: Any, kind: Kind) -> None:
    error = refused("siliconflow", status, body)
    assert type(error) is kind
    assert error.message.startswith(body if isinstance(body, str) else body["message"])


@pytest.mark.parametrize(
    ("provider", "error"),
    [
        (
            "groq",
            {
                "message": "Rate limit reached for model `m` on tokens per day (TPD): Limit 500000, Used 499999. "
                "Please try again in 7m31.5s.",
                "type": "tokens",
                "code": "rate_limit_exceeded",
            },
        ),
        ("openrouter", {"message": "Rate limit exceeded: free-models-per-day. Add 10 credits", "code": 429}),
    ],
)
def test_a_daily_limit_that_is_told_as_a_rate_is_one(provider: str, error: dict[str, Any]) -> None:
    assert type(refused(provider, 429, error)) is RateLimited


@pytest.mark.parametrize(
    ("code", "type_", "message", "kind"),
    [
        ("queue_exceeded", "too_many_requests_error", "We're experiencing high traffic right now!", Overloaded),
        ("token_quota_exceeded", "too_many_tokens_error", "Tokens per day limit exceeded.", QuotaExceeded),
        ("request_quota_exceeded", "too_many_requests_error", "Requests per minute limit exceeded.", RateLimited),
    ],
)
def test_vector_79_cerebras_s_429_is_a_queue_a_minute_or_a_day(code: str, type_: str, message: str, kind: Kind) -> None:
    error = refused("cerebras", 429, {"message": message, "type": type_, "param": "quota", "code": code})
    assert type(error) is kind
    assert (error.message, error.code) == (message, code)


def test_vector_79_groq_s_498_is_a_lack_of_capacity() -> None:
    assert (
        type(refused("groq", 498, {"error": {"message": "Flex capacity exceeded.", "type": "capacity"}})) is Overloaded
    )


def test_vector_79_groq_s_failed_tool_call_tells_what_was_made() -> None:
    told: dict[str, Any] = {
        "message": "Failed to call a function.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
    }
    told |= {"failed_generation": "<function=f>{}</function>", "status_code": 400}
    seen = stream("groq", sse(delta(content="Hm")) + sse({"error": told}, event="error"))
    assert seen.events == (Token("Hm"),)
    error = failed(seen)
    assert type(error) is InvalidRequest
    assert (error.status, error.code) == (400, "tool_use_failed")
    assert "<function=f>" in error.body


def test_vector_80_openrouter_s_402_frees_itself_or_does_not() -> None:
    def told(source: str) -> dict[str, Any]:
        return {"error": {"code": 402, "message": "Insufficient.", "metadata": {"limit_source": source}}}

    passing = refused("openrouter", 402, told("openrouter_in_flight_budget"), [("Retry-After", "7")])
    assert (type(passing), passing.retry_after) == (RateLimited, 7.0)
    for source in ("openrouter_credits", "openrouter_key_limit"):
        assert type(refused("openrouter", 402, told(source))) is QuotaExceeded


def test_vector_80_openrouter_hands_on_the_error_behind_it() -> None:
    raw = json.dumps({"error": {"message": "tokens per day", "code": "insufficient_quota"}})
    metadata = {"provider_name": "X", "raw": raw}
    error = refused(
        "openrouter", 429, {"error": {"code": 429, "message": "Provider returned error", "metadata": metadata}}
    )
    assert type(error) is QuotaExceeded
    plain = {"provider_name": "X", "raw": "google/gemini is temporarily rate-limited upstream. Please retry shortly."}
    error = refused(
        "openrouter", 429, {"error": {"code": 429, "message": "Provider returned error", "metadata": plain}}
    )
    assert type(error) is RateLimited
    assert "rate-limited upstream" in error.message


@pytest.mark.parametrize("choices", [{}, {"choices": []}, {"choices": None}])
def test_vector_80_an_error_under_a_good_status(choices: Any) -> None:
    document = {"id": None, "error": {"code": 502, "message": "No instances available"}, **choices}
    for seen in (chat("openrouter", document), stream("openrouter", sse(document, DONE))):
        error = failed(seen)
        assert (type(error), error.status, error.message) == (ServerError, 502, "No instances available")
        assert seen.events == ()


def test_vector_80_an_error_inside_a_choice_keeps_the_text_before_it() -> None:
    wrong = {"code": 429, "message": "Upstream is busy"}
    last = choice(delta={"content": "lo"}, finish_reason="error", error=wrong) | {"usage": {"prompt_tokens": 3}}
    seen = stream("openrouter", sse(delta(content="Hel"), last, DONE))
    assert seen.events == (Token("Hel"), Token("lo"))
    assert type(failed(seen)) is RateLimited
    assert (seen.result.text, seen.result.usage) == ("Hello", Usage(prompt_tokens=3))


def test_vector_80_an_error_s_code_as_a_string() -> None:
    told = {"error": {"code": "server_error", "message": "Upstream broke"}}
    error = failed(stream("openrouter", sse(delta(content="Hel"), told)))
    assert (type(error), error.code) == (ServerError, "server_error")
    error = failed(stream("openrouter", sse({"error": {"code": "429", "message": "Busy"}})))
    assert (type(error), error.status) == (RateLimited, 429)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"code": "permission-denied", "error": "Content violates usage guidelines. Team: x"}, ContentFiltered),
        ({"error": {"message": "Content violates usage guidelines.", "code": "permission-denied"}}, ContentFiltered),
        ({"error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}, ContentFiltered),
        ({"code": "permission-denied", "error": "Your team has no access to this model."}, PermissionDenied),
        ({"error": "Your team has no access to this model."}, PermissionDenied),
    ],
)  # fmt: skip
def test_vector_81_xai_s_403_is_about_content_or_access(body: Any, kind: Kind) -> None:
    assert type(refused("xai", 403, body)) is kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"errors": {"message": "Authentication failed."}, "request_id": "r-9"}, AuthenticationFailed),
        ({"error": {"message": "Authentication failed.", "request_id": "r-9"}}, AuthenticationFailed),
        ({"errors": {"message": "Please bind your Alibaba Cloud account."}, "request_id": "r-9"}, PermissionDenied),
    ],
)  # fmt: skip
def test_vector_82_modelscope_s_401_is_about_the_key_or_the_account(body: Any, kind: Kind) -> None:
    error = refused("modelscope", 401, body)
    assert type(error) is kind
    assert error.request_id == "r-9"


def test_vector_83_together_s_403_is_an_overflow() -> None:
    text = "The input is too long: this model's maximum context length is 8193 tokens."
    assert type(refused("together", 403, openai_error(None, "invalid_request_error", text))) is ContextLengthExceeded


def test_a_proxy_that_wants_a_password_says_what_to_do() -> None:
    error = refused("ollama", 407, "<html>Proxy Authentication Required</html>")
    assert type(error) is AuthenticationFailed
    assert "a proxy on the way wants a user name and password" in str(error)
