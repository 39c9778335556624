"""A success that is an HTML page, of a portal or of a website in place of the API, is named in every dialect."""

from __future__ import annotations

import gzip
import itertools
from typing import Any

import pytest
from hypothesis import given

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.playing import CUTS, exchange_of
from turnout.chat import Capability, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import RemoteProtocolError
from turnout.events import Token
from turnout.providers import create
from turnout.providers.exchange import HttpExchange
from turnout.providers.limits import ResponseLimits

DIALECTS = ("openai", "azure", "gemini", "ollama", "anthropic", "cohere", "bedrock", "mistral")
PAGE = b"\xef\xbb\xbf \r\n<!DOCTYPE html><html><head><title>Sign in</title></head><body>Wi-Fi</body></html>"
KIND = (("content-type", "text/html; charset=utf-8"),)
MESSAGE = "the response is an HTML page (text/html): Sign in; check the base URL, and what is between you and it"
SETTINGS: dict[str, dict[str, Any]] = {
    "azure": {"base_url": "https://x.openai.azure.com"},
    "bedrock": {"region": "us-east-1"},
    "mistral": {"api": "responses"},
}


def fed(
    exchange: HttpExchange[Any], body: bytes, cuts: tuple[int, ...] = (), headers: tuple[tuple[str, str], ...] = KIND
) -> list[Any]:
    exchange.receive_head(200, headers)
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    events = [event for start, end in itertools.pairwise(edges) for event in exchange.receive_data(body[start:end])]
    return [*events, *exchange.receive_end()]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", DIALECTS)
@given(CUTS)
def test_a_page_in_place_of_a_response_is_named_by_its_content_type(
    name: str, stream: bool, cuts: tuple[int, ...]
) -> None:
    exchange = exchange_of(name, stream=stream, **SETTINGS.get(name, {}))
    assert fed(exchange, PAGE, cuts) == []
    assert isinstance(exchange.failure, RemoteProtocolError)
    assert str(exchange.failure) == f"{name}: {MESSAGE}"


@pytest.mark.parametrize("name", ["openai", "gemini", "ollama", "cohere"])
def test_a_page_in_place_of_vectors_or_models_is_named(name: str) -> None:
    provider = create(name, api_key="k")
    assert Capability.EMBEDDINGS in provider.capabilities
    for exchange in (provider.embed(EmbeddingRequest(ModelConfig(name, "m"), ["x"])), provider.models()):
        assert isinstance(exchange, HttpExchange)
        fed(exchange, PAGE)
        assert str(exchange.failure) == f"{name}: {MESSAGE}"


@given(CUTS)
def test_a_compressed_page_is_named(cuts: tuple[int, ...]) -> None:
    exchange = exchange_of("openai", stream=True)
    fed(exchange, gzip.compress(PAGE, mtime=0), cuts, (*KIND, ("content-encoding", "gzip")))
    assert str(exchange.failure) == f"openai: {MESSAGE}"


def test_a_page_is_kept_up_to_the_limit_of_an_error() -> None:
    exchange = exchange_of("openai", stream=False, limits=ResponseLimits(error_body=100))
    fed(exchange, PAGE + b"x" * 1_000_000, (200, 300, 900_000))
    assert str(exchange.failure) == f"openai: {MESSAGE}"
    assert len(exchange._error_body) == 100


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@given(CUTS)
def test_a_stream_that_a_server_labels_as_a_page_is_read(encoding: str, cuts: tuple[int, ...]) -> None:
    chunk = {"choices": [{"delta": {"content": "hello"}, "finish_reason": "stop"}]}
    body = b"\n\n" + sse(chunk, "[DONE]")
    exchange = exchange_of("openai", stream=True)
    sent = gzip.compress(body, mtime=0) if encoding == "gzip" else body
    events = fed(exchange, sent, cuts, (*KIND, ("content-encoding", encoding)))
    assert exchange.failure is None
    assert [event for event in events if not event.done] == [Token("hello")]


@pytest.mark.parametrize("body", [b"", b" \n", b" " * 2000])
def test_nothing_is_no_page(body: bytes) -> None:
    exchange = exchange_of("openai", stream=False)
    fed(exchange, body)
    assert "no JSON object" in str(exchange.failure)
