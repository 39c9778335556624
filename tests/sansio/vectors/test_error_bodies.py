"""Vectors 84 to 87: bodies that are no error of the API's, texts that decide, and secrets that must not come out."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.vectors.chunks import delta
from tests.sansio.vectors.exchanges import KEY, failed, refused, stream
from turnout.errors import (
    AuthenticationFailed,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    ProviderError,
    ServerError,
)

CDN = (
    b"<!DOCTYPE html>\n<html><head><title>x.test | 502: Bad&nbsp;gateway</title></head><body><h1>Oh</h1></body></html>"
)


def test_vector_84_a_page_of_a_cdn() -> None:
    error = refused("openai", 502, CDN, [("Content-Type", "text/html"), ("CF-Ray", "8a-OSL")])
    assert (type(error), error.message, error.request_id) == (
        ServerError,
        "an HTML page (text/html): x.test | 502: Bad gateway",
        "8a-OSL",
    )


@pytest.mark.parametrize("name", ["openai", "gemini", "ollama", "anthropic", "cohere"])
def test_vector_84_nothing_and_half_a_body(name: str) -> None:
    empty = refused(name, 500, b"")
    assert type(empty) is ServerError
    assert "500" in empty.message
    half = refused(name, 500, b'{"error": {"message": "The serv')
    assert type(half) is ServerError
    assert "The serv" in half.message + half.body


def test_vector_84_three_megabytes_are_not_kept() -> None:
    text = "long " * 600_000
    for body in (text.encode(), json.dumps({"error": {"message": text, "code": "x" * 5000}}).encode()):
        error = refused("openai", 400, body)
        assert isinstance(error, InvalidRequest)
        assert len(pickle.dumps(error)) < 10_000


@pytest.mark.parametrize("inner", ["innererror", "inner_error"])
def test_vector_85_azure_s_filter(inner: str) -> None:
    cause = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}
    told: dict[str, Any] = {"code": "content_filter", "message": "Filtered.", "param": "prompt", "status": 400}
    assert type(refused("azure", 400, {"error": told | {inner: cause}})) is ContentFiltered
    del told["code"]
    assert type(refused("azure", 400, {"error": told | {inner: cause}})) is ContentFiltered


OVERFLOWS = [
    ("openai", 400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001."),
    ("anthropic", 400, "prompt is too long: 250001 tokens > 200000 maximum"),
    ("anthropic", 400, "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"),
    ("gemini", 400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    ("cerebras", 400, "Please reduce the length of the messages. Current length is 9001 while limit is 8192"),
    ("siliconflow", 400, "length of prompt_tokens (9001) must be less than max_seq_len (8192)."),
    ("ollama", 400, "the input length exceeds the context length"),
    ("bedrock", 400, "Input is too long for requested model."),
    ("bedrock", 400, "The model returned: input tokens exceed the configured limit"),
    ("openai-compatible", 400, "the request exceeds the available context size, try increasing it"),
    ("openai-compatible", 400, "You passed 9001 input tokens and requested 100 output tokens. However, the model's "
     "context length is only 8192 tokens, resulting in a maximum input length of 8092 tokens."),
    ("openai-compatible", 400, "Input is longer than the model's context length"),
    ("openai-compatible", 400, "input too long: 9001 input tokens, limit is 8192"),
    ("together", 403, "This model's maximum context length is 8193 tokens"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "status", "text"), OVERFLOWS)
def test_vector_86_each_one_s_words_for_too_long(name: str, status: int, text: str) -> None:
    body: Any = {"error": {"message": text, "type": "invalid_request_error"}}
    if name in ("siliconflow", "cerebras", "bedrock"):
        body = {"message": text}
    elif name == "ollama":
        body = {"error": text}
    error = refused(name, status, body)
    assert type(error) is ContextLengthExceeded
    assert error.message == text


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "Invalid 'user': string too long. This model's maximum context length is…",
                         "type": "invalid_request_error", "param": "user", "code": "string_above_max_length"}}),
        (400, {"error": {"message": "Invalid value: 'prompt is too long'. Supported values are: 'text'.",
                         "type": "invalid_request_error", "param": "messages[0].content", "code": "invalid_value"}}),
        (422, {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user'",
                           "input": "my maximum context length is 9 tokens"}]}),
    ],
)  # fmt: skip
def test_vector_86_an_echo_of_such_words_is_no_overflow(status: int, body: Any) -> None:
    assert type(refused("openai-compatible", status, body)) is InvalidRequest


def test_vector_86_a_status_that_is_plain_outranks_the_words() -> None:
    echoed = {"error": {"message": "Server error while reading: 'this model's maximum context length is 1'"}}
    assert type(refused("openai", 500, echoed)) is ServerError
    assert type(refused("openai", 401, echoed)) is AuthenticationFailed


def shown(error: ProviderError) -> str:
    return " ".join((str(error), repr(error), error.body, error.code or "", pickle.dumps(error).decode("latin-1")))


@pytest.mark.parametrize("name", ["openai", "gemini", "anthropic", "ollama", "cohere"])
def test_vector_87_a_key_that_is_echoed_does_not_come_out(name: str) -> None:
    text = f"Incorrect API key provided: {KEY}. You can find yours at https://x.test/?key={KEY}"
    bodies = (
        {"error": {"message": text, "code": KEY, "type": "invalid_request_error"}},
        {"error": text},
        {"message": text},
        text,
        f"<html><title>{text}</title></html>".encode(),
    )
    for body in bodies:
        error = refused(name, 401, body)
        assert type(error) is AuthenticationFailed
        assert KEY not in shown(error)
        assert "***" in error.message


def test_vector_87_nor_does_one_that_is_echoed_inside_a_stream() -> None:
    told = {"error": {"message": f"bad key {KEY}", "code": "invalid_api_key", "type": KEY}}
    error = failed(stream("openai", sse(delta(content="Hi"), told)))
    assert type(error) is AuthenticationFailed
    assert KEY not in shown(error)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"<html><body></body></html>", "text/html; charset=utf-8", "an HTML page (text/html)"),
        (b"<!doctype html><title>Sign in</title>", None, "an HTML page (no content type): Sign in"),
        (b'{"error": {"message": "use <html> tags"}}', "text/html", "use <html> tags"),
        (b"upstream timed out", "text/plain", "upstream timed out"),
    ],
)
def test_a_page_is_named_by_its_content_type(body: bytes, kind: str | None, message: str) -> None:
    assert refused("openai", 502, body, [("Content-Type", kind)] if kind else []).message == message
