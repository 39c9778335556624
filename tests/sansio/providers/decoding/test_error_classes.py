"""The class of an error: codes, then statuses, then the words that tell apart what a status leaves open."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.proportion import assert_linear
from tests.sansio.providers.playing import read
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
from turnout.http import Headers
from turnout.providers.decoding.error_bodies import ErrorDetails, read_error_body
from turnout.providers.decoding.error_classes import classify_error
from turnout.providers.decoding.error_mapping import to_error
from turnout.providers.decoding.error_pages import words_of_page, xml_fields

Kind = type[ProviderError]


def refused(
    status: int, body: Any, *fields: tuple[str, str], provider: str = "openai-compatible", **settings: Any
) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        read(provider, body, status, fields, **settings)
    return caught.value


def said(status: int, message: str, **fields: Any) -> Kind:
    return type(refused(status, {"error": {"message": message, **fields}}))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest), (401, AuthenticationFailed), (402, QuotaExceeded), (403, PermissionDenied),
        (404, NotFound), (405, NotFound), (406, InvalidRequest), (408, ServerError), (409, ServerError),
        (410, NotFound), (413, RequestTooLarge), (414, RequestTooLarge), (415, InvalidRequest), (421, ServerError),
        (422, InvalidRequest),
        (423, ServerError), (424, ServerError), (425, ServerError), (426, NotSupported), (429, RateLimited),
        (431, RequestTooLarge), (451, PermissionDenied), (498, Overloaded), (500, ServerError), (501, NotSupported),
        (502, ServerError), (503, Overloaded), (504, ServerError), (520, ServerError), (529, Overloaded),
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", ["", {"error": {"message": "no"}}, {"error": "no"}, "<html><title>no</title></html>"])
def test_a_status_decides(status: int, kind: Kind, body: Any) -> None:
    error = refused(status, body)
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        # about the length of the conversation
        ("Prompt has 256468 tokens, but the configured context size is 256000 tokens", ContextLengthExceeded),
        ("max_tokens must be at least 1, got -11843.", ContextLengthExceeded),
        ("This model's maximum context length is 8192 tokens. However, you requested 9000.", ContextLengthExceeded),
        ("The prompt (total length 9000) is too long and exceeds max_model_len", ContextLengthExceeded),
        ("Requested tokens (9000) exceed context window of 4096", ContextLengthExceeded),
        ("The input (33077 tokens) is longer than the model's context length (32768 tokens).", ContextLengthExceeded),
        ("Please reduce the length of the messages or completion.", ContextLengthExceeded),
        ("context length exceeded", ContextLengthExceeded),
        ("Prompt exceeds max length", ContextLengthExceeded),
        ("The total length of all messages is too long.", ContextLengthExceeded),
        (
            "The prompt (total length 9000) is too long to fit into the model (context length 8192)",
            ContextLengthExceeded,
        ),
        # about the account, and where it is
        ("Operation not allowed", PermissionDenied),
        ("data retention mode 'default' is not available for this model", PermissionDenied),
        ("Your organization must be verified to stream this model.", PermissionDenied),
        ("User location is not supported for the API use.", PermissionDenied),
        ("This feature is not available in your region", PermissionDenied),
        ("You don't have access to the model with the specified model ID.", PermissionDenied),
        ("The model `x` requires terms acceptance. Please have the org admin accept the terms", PermissionDenied),
        ("Model use case details have not been submitted for this account.", PermissionDenied),
        ("INVALID_PAYMENT_INSTRUMENT: A valid payment instrument must be provided.", QuotaExceeded),
        # about the model, or the deployment
        ("The model `x` has been deprecated, learn more here", NotFound),
        ("The model 'x' is no longer available.", NotFound),
        ("model x is not supported", NotFound),
        ("Unknown model: x", NotFound),
        ("No endpoints found for x/y", NotFound),
        ("The API deployment for this resource does not exist.", NotFound),
        ("invalid model `x`", NotFound),
        # about a server
        ("The model is currently loading, please retry", Overloaded),
        ("Loading model", Overloaded),
        ("Model x/y is not ready yet", Overloaded),
        ("The deployment is not ready", Overloaded),
        ("No available workers", Overloaded),
        ("Server is busy, please try again later", Overloaded),
        ("Provider returned error: upstream connect error or disconnect/reset before headers", ServerError),
        ("litellm.APIConnectionError: Connection error.", ServerError),
        ("Provider returned error", ServerError),
        # the words of gateways that pass on another server's text with a status of their own
        ("token limit exceeded by this conversation", ContextLengthExceeded),
        ("upstream said: context_length_exceeded", ContextLengthExceeded),
        ("当前请求的上下文长度太大", ContextLengthExceeded),
        ("文本超过最大长度限制", ContextLengthExceeded),
        ("The given API key expired", AuthenticationFailed),
        ("API key not found", AuthenticationFailed),
        ("All credits have been exhausted", QuotaExceeded),
        ("Please top up your balance first", QuotaExceeded),
        ("The billing hard limit was reached", QuotaExceeded),
        ("payment required for this call", QuotaExceeded),
        ("您的余额不足", QuotaExceeded),
        ("This beta is not yet available for this subscription", PermissionDenied),
        ("The current plan does not include this model", PermissionDenied),
        ("This team is not allowed to use the model", PermissionDenied),
        ("You are not allowed to sample from this model.", PermissionDenied),
        ("x/y is only available to paid accounts", PermissionDenied),
        ("First accept the terms of this model", PermissionDenied),
        ("Access to model was denied", PermissionDenied),
        ("no model named x is here", NotFound),
        ("could not find the model 'x'", NotFound),
        ("请求的模型不存在", NotFound),
        ("All servers are currently overloaded", Overloaded),
        ("That model is overloaded, try later", Overloaded),
        ("We are experiencing high demand", Overloaded),
        ("no healthy upstream", Overloaded),
        ("The model x is temporarily unavailable", Overloaded),
        ("This model is under maintenance", Overloaded),
        ("该模型访问量过大", Overloaded),
        ("Provider returned error: Server disconnected without an answer", ServerError),
        ("peer closed connection (incomplete chunked read)", ServerError),
        ("Network connection lost.", ServerError),
        ("read ECONNRESET", ServerError),
        ("socket hang up", ServerError),
        ("Provider returned error: fetch failed", ServerError),
        ("Upstream idle timeout", ServerError),
        ("The provider timed out", ServerError),
        # about what a model can do
        ('registry.ollama.ai/library/x:latest" does not support tools', NotSupported),
        (
            "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
            NotSupported,
        ),
        ("This model does not support function calling", NotSupported),
        # about the request
        ("temperature must be between 0 and 2", InvalidRequest),
        ("messages: at least one message is required", InvalidRequest),
        ("Invalid value for 'tool_choice'", InvalidRequest),
        ("Provider returned error: the tool has no schema", InvalidRequest),
        ("user: a field is not ready-made", InvalidRequest),
        ("image exceeds the maximum allowed size of 5 MB", InvalidRequest),
        ("image at https://x.test/a.png: fetch failed", InvalidRequest),
        ("the tool named x is not allowed to use a schema without a type", InvalidRequest),
        ("temporarily unavailable is no value of 'status'", InvalidRequest),
        ("rate limit must be a number", InvalidRequest),
        ("the string is longer than the maximum length of 64", InvalidRequest),
        ("Unsupported parameter: 'temperature' is not supported with this model.", InvalidRequest),
    ],
)
def test_the_words_of_a_bad_request(message: str, kind: Kind) -> None:
    assert said(400, message) is kind
    assert said(400, message.upper()) is kind


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (500, "input is too large to process. increase the physical batch size", ContextLengthExceeded),
        (500, "the request exceeds the available context size, try increasing it", ContextLengthExceeded),
        (500, "the input length exceeds the context length", ContextLengthExceeded),
        (502, "prompt is too long", ContextLengthExceeded),
        (500, "This server does not support embeddings. Start it with `--embeddings`", NotSupported),
        (500, "image input is not supported", NotSupported),
        (500, "something broke", ServerError),
        (500, "server error while reading: 'this model's maximum context length is 1'", ServerError),
        (503, "overloaded", Overloaded),
    ],
)
def test_the_words_of_a_server_s_error(status: int, message: str, kind: Kind) -> None:
    assert said(status, message) is kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("tokens per min (TPM): Limit 30000, Requested 45411. The input must be reduced", ContextLengthExceeded),
        ("Limit 6,000, Used 12, Requested 7,000", ContextLengthExceeded),
        ("Requested tokens: 45411 exceed the limit of 30000 tokens per minute", ContextLengthExceeded),
        ("Limit 30000, Used 29000, Requested 4500. Please try again in 7s.", RateLimited),
        ("Limit 30000, Requested 30000", RateLimited),
        ("Quota exceeded for metric: free_tier_requests, limit: 0", QuotaExceeded),
        ("Quota exceeded for metric: requests, limit: 50", RateLimited),
        ("Too many requests", RateLimited),
    ],
)
def test_a_limit_that_no_wait_makes_enough(message: str, kind: Kind) -> None:
    assert said(429, message, code="rate_limit_exceeded" if "Limit" in message else None) is kind


def test_a_limit_inside_a_stream() -> None:
    def of(text: str, *codes: str) -> Kind:
        return classify_error(None, ErrorDetails(text=text, codes=codes))

    assert of("Limit 30000, Requested 45411", "rate_limit_exceeded") is ContextLengthExceeded
    assert of("Limit 30000, Used 29000, Requested 4500", "rate_limit_exceeded") is RateLimited
    assert of("the daily limit is reached", "too_many_requests") is QuotaExceeded
    assert of("Too many tokens a minute: rate limit reached") is RateLimited
    assert of("too many requests") is of("You must wait before trying again") is RateLimited
    assert of("Rate limit of 50 requests per day") is QuotaExceeded
    assert of("rate limit reached: Limit 30000, Requested 45411") is ContextLengthExceeded


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("no_db_connection", AuthenticationFailed),
        ("request_too_large", RequestTooLarge),
        ("not_supported_error", NotSupported),
        ("image_file_too_large", InvalidRequest),
        ("some_new_policy", ContentFiltered),
        ("image_new_fault", InvalidRequest),
        ("image_new_not_found", InvalidRequest),
    ],
)
def test_codes_without_a_status(code: str, kind: Kind) -> None:
    assert classify_error(None, ErrorDetails(codes=(code,))) is kind


def test_a_code_of_the_account_in_the_details_of_anthropic() -> None:
    def of(code: str) -> Kind:
        body = {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "no", "details": {"error_code": code}},
        }
        return type(refused(400, body, provider="anthropic"))

    assert of("organization_on_hold") is of("cmek_key_disabled") is PermissionDenied
    assert of("enforced_spend_limit_reached") is QuotaExceeded


def test_the_provider_says_whether_to_retry() -> None:
    assert refused(500, "", ("x-should-retry", "false")).should_retry is False
    assert refused(400, "", ("X-Should-Retry", " TRUE ")).should_retry is True
    assert refused(400, "", ("x-should-retry", "maybe")).should_retry is None
    assert refused(400, "").should_retry is None


# -- a wrong base URL -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "status", "body", "words"),
    [
        ("http://localhost:8000", 404, {"detail": "Not Found"}, "http://localhost:8000/chat/completions was not found"),
        ("http://localhost:8000", 404, {"detail": "Not Found"}, "the base URL probably lacks a path such as /v1"),
        ("https://x.test/v1/v1", 404, "404 page not found", "it has /v1 twice"),
        ("https://x.test/v1/completions", 405, "", "already has the path of the operation"),
        ("https://x.test/v1", 405, {"detail": "Method Not Allowed"}, "that of a website or of another API"),
        ("https://x.test/v1", 404, "<html><title>404 Not Found</title></html>", "the base URL is probably wrong"),
        ("https://x.test/v1", 404, {"error": {"code": "404", "message": "Resource not found"}}, "probably wrong"),
    ],
)  # fmt: skip
def test_a_404_of_a_wrong_base_url_names_it_and_the_cause(base_url: str, status: int, body: Any, words: str) -> None:
    error = refused(status, body, base_url=base_url)
    assert type(error) is NotFound
    assert words in str(error)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}},
        {"error": 'model "x" not found, try pulling it first'},
        {"message": "deployment x is not there"},
    ],
)
def test_a_404_of_a_model_does_not_blame_the_url(body: Any) -> None:
    assert "base URL" not in str(refused(404, body))


def test_the_url_in_an_error_holds_no_secret() -> None:
    url = "https://x.test/openai/v1/chat/completions?api-key=pa55word"
    error = to_error(ErrorDetails(), status=404, headers=Headers(), provider="azure", url=url)
    assert "https://x.test/openai/v1/chat/completions was not found" in str(error)
    assert "pa55word" not in str(error)


# -- bodies of other shapes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ('data: {"error": {"message": "in an event", "code": "c"}}\n\n', "in an event", "c"),
        ('event: error\ndata: {"message": "in an event", "code": "c"}\n\n', "in an event", "c"),
        ('error: {"message": "in a field", "type": "t"}', "in a field", "t"),
        (
            '<?xml version="1.0"?><Error><Code>NoKey</Code><Message>No &lt;key&gt;</Message></Error>',
            "No <key>",
            "NoKey",
        ),
        ("<html><head><title>502 Bad\n Gateway</title></head></html>", "502 Bad Gateway", None),
        ("<html><body><script>var a = 1;</script><h1>Denied</h1><p>Ray 1</p></body></html>", "Denied Ray 1", None),
        ('{"detail": {"error": {"message": "inside", "code": "c"}}}', "inside", "c"),
        ('{"error": {"error": {"message": "inside", "code": "c"}}}', "inside", "c"),
        (
            '{"error": {"message": "{\\"error\\": {\\"message\\": \\"as text\\", \\"code\\": \\"c\\"}}"}}',
            "as text",
            "c",
        ),
        ('{"success": false, "errors": [{"code": 10000, "message": "no"}]}', "no", "10000"),
        ('{"fault": {"faultstring": "no"}}', "no", None),
        ('{"title": "Forbidden", "status": 403}', "Forbidden", None),
        ('{"outcome": {"why": "out of paper", "input": "my prompt"}}', "why: out of paper", None),
        ('{"errors": {"model": ["is not allowed"]}}', "model: is not allowed", None),
        ("plain  words\n", "plain words", None),
        ("", "", None),
    ],
)
def test_an_error_of_any_shape_has_words(body: str, message: str, code: str | None) -> None:
    details = read_error_body(body.encode())
    assert details.message == message
    assert details.codes[:1] == ((code,) if code else ())


def test_control_characters_of_a_server_are_spelled_out() -> None:
    error = refused(400, {"error": {"message": "a\n  0.1 s  answered by x\x1b[31m", "code": "c\r\nd"}})
    assert error.message == "a\\n  0.1 s  answered by x\\x1b[31m"
    assert error.code == "c\\r\\nd"


NESTED = '{"error":' * 200 + "1" + "}" * 200
PIECES = [
    *("<title", "<title>", "<", "<script>", "&#1", "&#9" + "9" * 50, "data: {", "</title>", "{", "[", "error:"),
    *("<Error><Message>", '{\\"error\\":', "exceeds the ", "model 'x' is ", "limit 1 requested ", "\n", " "),
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("before", ["", "<html>", "<?xml", 'data: {"message": "'])
def test_the_time_to_read_an_error_is_linear(piece: str, before: str) -> None:
    def read(size: int) -> Callable[[], object]:
        body = (before + piece * (size // len(piece) + 1))[:size].encode()
        return lambda: classify_error(400, read_error_body(body))

    assert_linear(read, 64 * 1024)


@pytest.mark.parametrize(
    "body",
    [
        NESTED,
        '{"message":' * 500 + '"x"' + "}" * 500,
        "<html>&#" + "9" * 5_000 + ";</html>",
        json.dumps({"error": {"code": 10**4000, "message": "big"}}),
        '{"error": {"code": 1e400}}',
        "\x00" * 100,
        "<Error>",
        "<title></title>",
    ],
)
def test_no_body_is_too_odd(body: str) -> None:
    details = read_error_body(body.encode())
    assert isinstance(classify_error(500, details)("x"), ProviderError)
    assert isinstance(words_of_page(body), str)
    assert isinstance(xml_fields(body), dict)
