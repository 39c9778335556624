"""Turnout's own router against the sandbox: two readings of the same protocols, written apart, must agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from turnout.chat import Capability, ChatRequest, ChatResponse, FinishReason, ModelConfig, ResponseFormat
from turnout.embeddings import EmbeddingRequest
from turnout.errors import (
    AuthenticationFailed,
    ContextLengthExceeded,
    Disconnected,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    ServerError,
    StreamFailed,
    StreamTruncated,
    TransportError,
    TurnoutError,
)
from turnout.messages import Message, Tool
from turnout.providers import CATALOG
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import ChatStream, Router

MODELS = {
    "cohere": "command-a-reasoning-08-2025",
    "bedrock": "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
    "openai": "gpt-4o-mini",
    "gemini": "gemini-2.5-flash",
    "glm4": "glm-4.6",
    "openrouter": "openai/gpt-4o-mini",
    "siliconflow": "Qwen/Qwen3-8B",
    "cerebras": "gpt-oss-120b",
    "modelscope": "Qwen/Qwen2.5-72B-Instruct",
    "groq": "llama-3.3-70b-versatile",
    "mistral": "mistral-small-latest",
    "deepseek": "deepseek-v4-flash",
    "azure": "gpt-4o-mini",
    "xai": "grok-4.3",
    "together": "openai/gpt-oss-120b",
    "zai": "glm-4.6",
    "dashscope": "qwen-plus",
    "deepinfra": "openai/gpt-oss-120b",
    "fireworks": "accounts/fireworks/models/gpt-oss-120b",
    "github": "claude-sonnet-4.6",
    "huggingface": "openai/gpt-oss-120b",
    "llama-cpp": "gpt-oss-20b-mxfp4.gguf",
    "lm-studio": "openai/gpt-oss-20b",
    "minimax": "MiniMax-M3",
    "moonshot": "kimi-k2.6",
    "nebius": "openai/gpt-oss-120b",
    "nvidia": "openai/gpt-oss-120b",
    "perplexity": "sonar",
    "sambanova": "gpt-oss-120b",
    "vercel": "anthropic/claude-sonnet-4.6",
    "vllm": "Qwen/Qwen3-8B",
    "ollama": "llama3.2",
    "anthropic": "claude-haiku-4-5",
    "openai-compatible": "local-model",
}
# The models that show their reasoning, and their effort, if they differ from MODELS.
REASONING_MODELS = {
    "groq": ("openai/gpt-oss-120b", "low"),
    "mistral": ("mistral-small-latest", "high"),
    "perplexity": ("sonar-reasoning-pro", "low"),
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = (Tool("get_weather", "The weather", SCHEMA), Tool("get_stock", "A price", SCHEMA))
PROMPT = "Tell me of railways"


def offering(capability: Capability) -> list[str]:
    return [name for name in MODELS if capability in CATALOG[name].capabilities]


@pytest.fixture
def router(sandbox: Sandbox) -> Iterator[Router]:
    with Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0, timeout=20) as made:
        yield made


def asking(provider: str, text: str = PROMPT, model: str = "", **more: Any) -> ChatRequest:
    return ChatRequest(ModelConfig(provider, model or MODELS[provider]), (Message.user(text),), **more)


def so_far(stream: ChatStream) -> ChatResponse:
    return stream.response


def test_every_provider_of_the_catalog_is_played(sandbox: Sandbox, router: Router) -> None:
    assert set(MODELS) == set(CATALOG) == set(sandbox.providers)
    assert {status.provider for status in router.statuses() if status.status == "available"} == set(MODELS)
    for entry in (CATALOG[name] for name in MODELS):
        assert set(sandbox.environ()) & set(entry.key_env)
        assert set(sandbox.environ()) & set(entry.base_url_env)


@pytest.mark.parametrize("provider", MODELS)
def test_whole_and_streamed_answers_are_equal(router: Router, provider: str) -> None:
    whole = router.chat(asking(provider))
    with router.stream(asking(provider)) as stream:
        text = "".join(event.delta for event in stream if event.type == "token")
    streamed = so_far(stream)
    assert text == streamed.text == whole.text
    assert "railways" in text
    assert whole.finish_reason is streamed.finish_reason is FinishReason.STOP
    assert whole.usage == streamed.usage
    assert whole.usage.completion_tokens
    # Cohere and Bedrock do not name the model that answered.
    served = None if provider in ("cohere", "bedrock") else MODELS[provider]
    assert whole.served_model == streamed.served_model == served


@pytest.mark.parametrize("provider", offering(Capability.TOOLS))
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_round_of_tools(router: Router, provider: str, streamed: bool) -> None:
    request = asking(provider, "The weather and a stock in Oslo", tools=TOOLS)
    if streamed:
        with router.stream(request) as stream:
            for _ in stream:
                pass
        reply = so_far(stream)
    else:
        reply = router.chat(request)
    assert [(call.name, call.parsed()) for call in reply.tool_calls] == [
        ("get_weather", {"city": "Oslo"}),
        ("get_stock", {"city": "Oslo"}),
    ]
    assert reply.finish_reason is FinishReason.TOOL_CALLS
    results = [Message.tool(call, f"result of {call.name}") for call in reply.tool_calls]
    again = ChatRequest(request.model, (*request.messages, reply.message, *results), tools=TOOLS)
    said = router.chat(again).text
    assert "result of get_weather; result of get_stock" in said


@pytest.mark.parametrize("provider", sorted(set(MODELS) - {"openai", "azure"}))  # these never show their reasoning here
def test_reasoning_is_read(router: Router, provider: str) -> None:
    model, effort = REASONING_MODELS.get(provider, (MODELS[provider], "low"))
    request = ChatRequest(ModelConfig(provider, model, reasoning_effort=effort), (Message.user(PROMPT),))
    with router.stream(request) as stream:
        told = "".join(event.delta for event in stream if event.type == "reasoning")
    if provider == "perplexity":  # it writes its reasoning into the text
        told, _, _ = so_far(stream).text.removeprefix("<think>").partition("</think>")
    assert "railways" in told
    assert "railways" in so_far(stream).text


@pytest.mark.parametrize("provider", MODELS)
def test_a_structured_answer(router: Router, provider: str) -> None:
    habits = CATALOG[provider].openai_compat
    wanted = ResponseFormat(SCHEMA) if habits.json_schema else ResponseFormat.json()
    reply = router.chat(asking(provider, "Name a city, as JSON", response_format=wanted))
    value = json.loads(reply.text)
    assert set(value) == ({"city"} if habits.json_schema else {"answer"})


EMBEDDERS = {
    "cohere": "embed-v4.0",
    "openai": "text-embedding-3-small",
    "gemini": "gemini-embedding-001",
    "glm4": "embedding-3",
    "openrouter": "openai/text-embedding-3-small",
    "siliconflow": "BAAI/bge-m3",
    "zai": "embedding-3",
    "mistral": "mistral-embed",
    "azure": "text-embedding-3-small",
    "together": "BAAI/bge-large-en-v1.5",
    "dashscope": "text-embedding-v4",
    "deepinfra": "BAAI/bge-m3",
    "fireworks": "accounts/fireworks/models/qwen3-embedding-8b",
    "github": "text-embedding-3-small",
    "llama-cpp": "nomic-embed-text-v1.5.Q8_0.gguf",
    "lm-studio": "text-embedding-nomic-embed-text-v1.5",
    "nebius": "Qwen/Qwen3-Embedding-8B",
    "nvidia": "nvidia/llama-nemotron-embed-1b-v2",
    "sambanova": "E5-Mistral-7B-Instruct",
    "vercel": "openai/text-embedding-3-small",
    "vllm": "BAAI/bge-m3",
    "ollama": "nomic-embed-text",
    "openai-compatible": "local-embedding-model",
}


def test_embeddings_are_played_for_all_that_offer_them() -> None:
    assert set(EMBEDDERS) == set(offering(Capability.EMBEDDINGS))


@pytest.mark.full
@pytest.mark.parametrize("provider", EMBEDDERS)
def test_embeddings_over_the_limit_of_a_request_are_in_order(sandbox: Sandbox, router: Router, provider: str) -> None:
    cap = CATALOG[provider].embedding_batch
    texts = [f"text {number}" for number in range(150 if cap is None or cap > 149 else cap + 1)]
    config = ModelConfig(provider, EMBEDDERS[provider])
    answer = router.embed(EmbeddingRequest(config, texts))
    alone = router.embed(EmbeddingRequest(config, [texts[-1]]))
    assert len(answer.vectors) == len(texts)
    assert list(answer.vectors[-1]) == list(alone.vectors[0])
    assert list(answer.vectors[0]) != list(alone.vectors[0])
    sent = len(sandbox.requests_to(provider)) - 1
    assert sent == (1 if cap is None or len(texts) <= cap else 2)


@pytest.mark.parametrize("provider", offering(Capability.MODELS))
def test_models_are_listed(sandbox: Sandbox, router: Router, provider: str) -> None:
    assert MODELS[provider].partition(":")[0] in " ".join(model.id for model in router.models(provider))


ERRORS: dict[str, type[TurnoutError]] = {
    "auth": AuthenticationFailed,
    "permission": PermissionDenied,
    "no-such-model": NotFound,
    "invalid": InvalidRequest,
    "context-length": ContextLengthExceeded,
    "rate-limit": RateLimited,
    "quota": QuotaExceeded,
    "overloaded": Overloaded,
    "server": ServerError,
}
# Providers whose error body is the same for two kinds of errors.
SAID_OTHERWISE: dict[tuple[str, str], tuple[type[TurnoutError], ...]] = {
    ("modelscope", "overloaded"): (Overloaded, ServerError),
    ("groq", "quota"): (QuotaExceeded, RateLimited),  # both are rate_limit_exceeded; "per day" stands in the text
    ("ollama", "quota"): (QuotaExceeded, RateLimited),  # both are a 429 with one sentence
    ("openrouter", "server"): (ServerError, Overloaded),
    ("deepinfra", "overloaded"): (Overloaded, RateLimited),  # both are a 429, and only the text says "busy"
    ("fireworks", "quota"): (QuotaExceeded, InvalidRequest),  # a 412, and only the text says "spending limit"
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("provider", MODELS)
def test_the_kind_of_an_error_is_understood(sandbox: Sandbox, router: Router, provider: str, error: str) -> None:
    sandbox.script(provider, Fault(error=error))
    with pytest.raises(TurnoutError) as caught:
        router.chat(asking(provider))
    assert isinstance(caught.value, SAID_OTHERWISE.get((provider, error), (ERRORS[error],))), repr(caught.value)


@pytest.mark.parametrize("provider", MODELS)
def test_an_error_inside_a_stream_is_no_success(sandbox: Sandbox, router: Router, provider: str) -> None:
    sandbox.answer(provider, "one two three")
    sandbox.script(
        provider, Fault(abort="error", error="overloaded", after_tokens=2), Fault(abort="error", error="overloaded")
    )
    # One read may have the first content and the error: then it is raised when the stream is entered.
    with pytest.raises(StreamFailed) as caught, router.stream(asking(provider)) as stream:
        list(stream)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "one two"
    assert isinstance(caught.value.__cause__, ProviderError)
    with pytest.raises(ProviderError), router.stream(asking(provider)) as stream:
        list(stream)


@pytest.mark.parametrize("provider", MODELS)
def test_a_truncated_stream_is_no_success(sandbox: Sandbox, router: Router, provider: str) -> None:
    sandbox.answer(provider, "one two three")
    sandbox.script(
        provider,
        Fault(abort="end", after_tokens=2),
        Fault(abort="end", after_tokens=2, partial=True),
        Fault(abort="close", after_tokens=2),
    )
    for _ in range(3):
        with router.stream(asking(provider)) as stream, pytest.raises((StreamTruncated, StreamFailed)) as caught:
            list(stream)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "one two"
    sandbox.script(provider, Fault(abort="end"))
    with pytest.raises(TurnoutError), router.stream(asking(provider)) as stream:
        list(stream)


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize(
    "fault",
    [
        Fault(corruption="json", after_tokens=1),
        Fault(fragment=7),
        Fault(gzip=True),
        Fault(usage=False),
        Fault(done=False),
    ],
)
def test_an_unusual_but_complete_answer_is_read_to_its_end(
    sandbox: Sandbox, router: Router, provider: str, fault: Fault
) -> None:
    sandbox.answer(provider, "one two three ✓")
    sandbox.script(provider, fault)
    with router.stream(asking(provider)) as stream:
        text = "".join(event.delta for event in stream if event.type == "token")
    assert text == "one two three ✓"
    assert stream.response.finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(abort="close"), Disconnected),
        (Fault(abort="reset"), Disconnected),
        (Fault(corruption="chunk", after_tokens=0), (RemoteProtocolError, TransportError)),
        (Fault.gateway_page(), ServerError),
        (Fault(status=500, body=""), ServerError),
        (Fault(abort="end"), TurnoutError),
    ],
    ids=["close", "reset", "chunk", "page", "empty-500", "empty-200"],
)
def test_faults_of_the_network(sandbox: Sandbox, router: Router, fault: Fault, error: Any) -> None:
    sandbox.script("openai", fault)
    with pytest.raises(error):
        router.chat(asking("openai"))
