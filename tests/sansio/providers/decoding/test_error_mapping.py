"""What errors mean that no vendor of the catalog sends, but servers and gateways that speak their dialects do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sansio.providers.playing import read
from turnout.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExceeded,
    RateLimited,
)


def refused(status: int, message: str, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        read("openai-compatible", {"error": {"message": message, **fields}}, status)
    return raised.value


@pytest.mark.parametrize(
    ("status", "message"),
    [
        # Text Generation Inference, and who runs it
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 and 20"),
        (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 3000"),
        # Vertex AI
        (400, "Unable to submit request because the input token count is 38000 but model only supports up to 32768."),
        # Amazon's own models
        (400, "Too many input tokens. Max input tokens: 8192, request input token count: 9000"),
        # Moonshot, Alibaba, Volcano
        (400, "Invalid request: Your request exceeded model token limit: 8192"),
        (400, "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]"),
        (400, "Input length 203743 exceeds the maximum length 202752"),
        # LM Studio, GitHub's Copilot
        (400, "The number of tokens to keep from the initial prompt is greater than the context length."),
        (400, "prompt token count of 70000 exceeds the limit of 64000"),
        (400, "Trying to keep the first 9000 tokens when context the overflows. It is loaded with only 4096 tokens."),
        # SiliconFlow's embeddings
        (413, "input must have less than 512 tokens"),
    ],
)
def test_too_much_text_in_many_words(status: int, message: str) -> None:
    assert type(refused(status, message)) is ContextLengthExceeded
    # A code that says what is wrong is believed, and so is a status.
    assert isinstance(refused(status, message, code="invalid_value"), InvalidRequest)
    assert type(refused(status, message, code="invalid_value")) is not ContextLengthExceeded
    assert type(refused(500, message)) is not ContextLengthExceeded


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (413, "tokens_limit_reached", ContextLengthExceeded),
        (400, "model_max_prompt_tokens_exceeded", ContextLengthExceeded),
        (400, "data_inspection_failed", ContentFiltered),
        (400, "DataInspectionFailed", ContentFiltered),
        (400, "unknown_model", NotFound),
        (400, "model_not_supported", NotFound),
        (429, "exceeded_current_quota_error", QuotaExceeded),
        (400, "Arrearage", QuotaExceeded),
        (400, "bio_policy", ContentFiltered),
        (400, "image_too_small", InvalidRequest),
        (400, "data_residency_mismatch", PermissionDenied),
    ],
)
def test_codes_of_gateways(status: int, code: str, kind: type[ProviderError]) -> None:
    assert type(refused(status, "no", code=code)) is kind
    assert type(refused(status, "no", type=code)) is kind


def test_content_that_was_inspected() -> None:
    told = "<400> InternalError.Algo.DataInspectionFailed: Input text data may contain inappropriate content."
    assert type(refused(400, told, code="invalid_parameter_error")) is ContentFiltered


@pytest.mark.parametrize("used_up", ["today's quota", "your weekly usage limit", "the monthly allowance"])
def test_an_allowance_that_no_short_wait_brings_back(used_up: str) -> None:
    assert type(refused(429, f"You have exceeded {used_up}.")) is QuotaExceeded


def test_deepseek_says_so_of_content_that_it_refuses() -> None:
    assert type(refused(400, "Content Exists Risk", type="invalid_request_error")) is ContentFiltered


def test_no_money_left_told_beside_no_answer() -> None:
    told = {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
    with pytest.raises(QuotaExceeded) as raised:
        read("openai-compatible", told)
    assert raised.value.code == "1008"


def throttled(status: int, message: str) -> ProviderError:
    fields = (("x-amzn-errortype", "ThrottlingException:http://internal.amazon.com/coral/"),)
    with pytest.raises(ProviderError) as raised:
        read("bedrock", {"message": message}, status, fields, region="us-east-1")
    return raised.value


@pytest.mark.parametrize("status", [400, 429])
def test_amazon_throttles_with_either_status(status: int) -> None:
    assert type(throttled(status, "Rate exceeded")) is RateLimited
    assert type(throttled(status, "Too many tokens per day, please wait before trying again.")) is QuotaExceeded


def test_a_model_that_amazon_does_not_know() -> None:
    told = "Could not resolve the foundation model from the provided model identifier."
    assert type(refused(400, told)) is NotFound


@pytest.mark.parametrize(
    ("status", "type_", "code", "kind"),
    [
        (429, "rate_limit_error", "ramp_limit_exceeded", RateLimited),
        (429, "rate_limit_error", "enforced_spend_limit_reached", QuotaExceeded),
        (402, "billing_error", "linked_organization_billing_unavailable", QuotaExceeded),
        (400, "invalid_request_error", "organization_on_hold", PermissionDenied),
        (400, "invalid_request_error", "cmek_key_disabled", PermissionDenied),
        (503, "api_error", "cmek_key_unreachable", Overloaded),
        (400, "invalid_request_error", "image_dimensions_too_large", InvalidRequest),
        (400, "invalid_request_error", "a_code_of_tomorrow", InvalidRequest),
        (400, "invalid_request_error", "cmek_of_tomorrow", PermissionDenied),
        (400, "invalid_request_error", "organization_of_tomorrow", PermissionDenied),
        (403, "permission_error", "workspace_spend_limit_of_tomorrow", QuotaExceeded),
        (429, "rate_limit_error", "team_spend_limit_of_tomorrow", QuotaExceeded),
    ],
)
def test_the_details_of_an_anthropic_error_say_more_than_its_type(
    status: int, type_: str, code: str, kind: type[ProviderError]
) -> None:
    error = {"type": type_, "message": "no", "details": {"error_code": code}}
    with pytest.raises(ProviderError) as raised:
        read("anthropic", {"type": "error", "error": error}, status)
    assert (type(raised.value), raised.value.code) == (kind, code)


@pytest.mark.parametrize("code", ["", "error", "None", "NULL", "400", "429", 400, 429.0, None, True])
def test_a_word_for_nothing_and_the_number_of_a_status_are_no_code(code: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read("openai", {"error": {"message": "m", "code": code}}, 400)
    assert caught.value.code is None


@pytest.mark.parametrize(("code", "shown"), [("4000", "4000"), ("99", "99"), (1214, "1214"), (20012.0, "20012")])
def test_a_number_of_the_provider_is_a_code(code: object, shown: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read("openai", {"error": {"message": "m", "code": code}}, 400)
    assert caught.value.code == shown
