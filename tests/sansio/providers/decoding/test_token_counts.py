"""Token counting: what each provider gets, and the one number that it returns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import Capability, ChatRequest, ModelConfig
from turnout.errors import CapabilityUnsupported, ContextLengthExceeded, RemoteProtocolError
from turnout.messages import Message, Tool
from turnout.providers import CATALOG, create
from turnout.providers.protocol import Exchange, Reranker, TokenCounter
from turnout.token_counting import TokenCount

TOOL = Tool("weather", "Tell the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
MODELS = {
    "openai": "gpt-5.4",
    "mistral": "mistral-large-4",
    "anthropic": "claude-opus-5",
    "gemini": "gemini-4-argon",
    "bedrock": "anthropic.claude-opus-5",
}


def _counter(provider: str, **settings: Any) -> TokenCounter:
    region: dict[str, Any] = {"region": "eu-west-1"} if provider == "bedrock" else {}
    made = create(provider, api_key="test-key-0000", **region, **settings)
    assert Capability.COUNT_TOKENS in made.capabilities
    assert isinstance(made, TokenCounter)
    return made


def _request(provider: str, **settings: Any) -> ChatRequest:
    model = ModelConfig(provider, MODELS[provider], **settings)
    return ChatRequest(model, [Message.system("Be brief."), Message.user("Hello")], tools=[TOOL])


def _asked(provider: str, **settings: Any) -> tuple[str, dict[str, Any]]:
    asked = _counter(provider).count_tokens(_request(provider, **settings)).request
    assert asked.method == "POST"
    body: dict[str, Any] = json.loads(asked.body)
    return asked.url, body


def _read(exchange: Exchange[TokenCount], body: bytes, status: int = 200) -> TokenCount:
    exchange.receive_head(status, [("x-request-id", "req-1")])
    exchange.receive_data(body)
    exchange.receive_end()
    if exchange.failure is not None:
        raise exchange.failure
    return exchange.result


@pytest.mark.parametrize("provider", ["openai", "mistral"])
def test_openai_and_mistral_count_the_prompt_of_responses(provider: str) -> None:
    url, body = _asked(provider, temperature=0.5, max_tokens=100, seed=7, stop=("x",))
    assert url.endswith("/v1/responses/input_tokens")
    assert body["input"] == [{"role": "user", "content": "Hello"}]
    assert body["instructions"] == "Be brief."
    assert body["tools"][0]["name"] == "weather"
    assert set(body) <= {"model", "input", "instructions", "tools"}


def test_anthropic_counts_a_message_without_its_answer() -> None:
    url, body = _asked("anthropic", max_tokens=100, stop=("x",), reasoning_effort="high")
    assert url == "https://api.anthropic.com/v1/messages/count_tokens"
    assert set(body) == {"model", "messages", "system", "tools", "thinking", "output_config"}


def test_gemini_counts_the_whole_request() -> None:
    url, body = _asked("gemini", temperature=0.5)
    assert url.endswith("/v1beta/models/gemini-4-argon:countTokens")
    [(name, counted)] = body.items()
    assert name == "generateContentRequest"
    assert counted["model"] == "models/gemini-4-argon"
    assert {"contents", "systemInstruction", "tools"} <= set(counted)


def test_vertex_takes_the_request_as_it_is() -> None:
    vertex = _counter("gemini", vertex_project="p", access_token="t")
    asked = vertex.count_tokens(_request("gemini")).request
    assert asked.url.endswith("/publishers/google/models/gemini-4-argon:countTokens")
    assert {"contents", "systemInstruction", "tools"} <= set(json.loads(asked.body))


def test_bedrock_counts_what_converse_would_send() -> None:
    url, body = _asked("bedrock", max_tokens=100)
    assert url == "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-opus-5/count-tokens"
    assert set(body["input"]["converse"]) == {"messages", "system", "toolConfig"}


@pytest.mark.parametrize(
    ("provider", "body", "cached"),
    [
        ("openai", {"object": "response.input_tokens", "input_tokens": 17}, None),
        ("mistral", {"input_tokens": 17}, None),
        ("anthropic", {"input_tokens": 17, "context_management": None}, None),
        ("gemini", {"totalTokens": 17, "cachedContentTokenCount": 5, "promptTokensDetails": []}, 5),
        ("bedrock", {"inputTokens": 17}, None),
    ],
)
def test_the_count_is_read(provider: str, body: dict[str, Any], cached: int | None) -> None:
    exchange = _counter(provider).count_tokens(_request(provider))
    count = _read(exchange, json.dumps(body).encode())
    assert (count.prompt_tokens, count.cached_tokens) == (17, cached)
    assert str(count.model) == f"{provider}/{MODELS[provider]}"
    assert count.request_id == "req-1"


def test_an_error_has_its_class() -> None:
    exchange = _counter("anthropic").count_tokens(_request("anthropic"))
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"}}
    with pytest.raises(ContextLengthExceeded):
        _read(exchange, json.dumps(body).encode(), 400)


@pytest.mark.parametrize("provider", MODELS)
@given(body=st.one_of(st.binary(min_size=1, max_size=40), st.just(b'{"input_tokens": "many"}'), st.just(b"{}")))
def test_anything_gives_a_count_or_a_protocol_error(provider: str, body: bytes) -> None:
    exchange = _counter(provider).count_tokens(_request(provider))
    try:
        count = _read(exchange, body)
    except RemoteProtocolError:
        return
    assert isinstance(count.prompt_tokens, int)


def test_a_provider_without_an_operation_refuses_it() -> None:
    groq = create("groq", api_key="k")
    assert isinstance(groq, TokenCounter)
    assert isinstance(groq, Reranker)
    request = ChatRequest("groq/llama-3.3-70b-versatile", "Hello")
    with pytest.raises(CapabilityUnsupported, match="counts no tokens"):
        groq.count_tokens(request)


@pytest.mark.parametrize("name", CATALOG)
def test_who_offers_an_operation_has_it(name: str) -> None:
    made = create(name, api_key="k", base_url=None if CATALOG[name].base_url else "http://x.example")
    for capability, protocol in ((Capability.COUNT_TOKENS, TokenCounter), (Capability.RERANK, Reranker)):
        if capability in made.capabilities:
            assert isinstance(made, protocol)
