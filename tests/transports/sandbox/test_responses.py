"""The Responses API from end to end: the sandbox, read by the dialect through blocking and async routers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from turnout.chat import ChatRequest, ChatResponse, FinishReason, ResponseFormat
from turnout.errors import AuthenticationFailed, InvalidRequest, RateLimited, StreamFailed, StreamTruncated
from turnout.messages import Message, Tool
from turnout.providers import CATALOG, create
from turnout.providers.protocol import Provider
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import ChatStream, Router
from turnout_io.trio import Router as TrioRouter

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("get_weather", "The weather", SCHEMA)
OFFERED = {
    "openai": "gpt-4o-mini",
    "azure": "gpt-4o-mini",
    "xai": "grok-4.3",
    "deepseek": "deepseek-v4-flash",
    "groq": "openai/gpt-oss-120b",
    "openrouter": "openai/gpt-4o-mini",
    "mistral": "mistral-small-latest",
    "dashscope": "qwen-plus",
    "fireworks": "accounts/fireworks/models/gpt-oss-120b",
    "github": "gpt-5-mini",
    "huggingface": "openai/gpt-oss-120b",
    "llama-cpp": "gpt-oss-20b-mxfp4.gguf",
    "lm-studio": "openai/gpt-oss-20b",
    "minimax": "MiniMax-M3",
    "vercel": "openai/gpt-5.2",
    "vllm": "Qwen/Qwen3-8B",
    "openai-compatible": "local-model",
}
QUESTION = Message.user("How is the weather in Oslo?")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


def test_every_provider_that_offers_it_is_played() -> None:
    assert set(OFFERED) == {entry.name for entry in CATALOG.values() if "responses" in entry.apis}


def openai(sandbox: Sandbox, key: str | None = None, name: str = "openai") -> Provider:
    return create(name, api="responses", api_key=key or sandbox.key(name), base_url=sandbox.url(name))


@pytest.fixture
def router(sandbox: Sandbox) -> Iterator[Router]:
    with Router([openai(sandbox, name=name) for name in OFFERED]) as made:
        yield made


def read(stream: ChatStream) -> ChatResponse:
    with stream:
        for _ in stream:
            pass
    return stream.response


@pytest.mark.parametrize("provider", OFFERED)
def test_whole_and_streamed_answers_are_equal(router: Router, provider: str) -> None:
    request = ChatRequest(f"{provider}/{OFFERED[provider]}", "Tell me of railways")
    whole, streamed = router.chat(request), read(router.stream(request))
    assert whole.text == streamed.text
    assert "railways" in whole.text
    assert whole.finish_reason is streamed.finish_reason is FinishReason.STOP
    assert whole.usage == streamed.usage
    assert whole.served_model == streamed.served_model == OFFERED[provider]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_loop_that_thinks_gets_its_reasoning_back(sandbox: Sandbox, router: Router, stream: bool) -> None:
    def ask(request: ChatRequest) -> ChatResponse:
        return read(router.stream(request)) if stream else router.chat(request)

    reply = ask(ChatRequest("openai/gpt-5-mini", [QUESTION], tools=[WEATHER]))
    assert [call.name for call in reply.tool_calls] == ["get_weather"]
    assert reply.finish_reason is FinishReason.TOOL_CALLS
    assert reply.reasoning
    results = [Message.tool(call, "12 °C") for call in reply.tool_calls]
    again = ask(ChatRequest("openai/gpt-5-mini", [QUESTION, reply.message, *results], tools=[WEATHER]))
    assert "12 °C" in again.text
    body: Any = sandbox.requests_to("openai")[-1].body
    assert [item.get("type") for item in body["input"]] == [None, "reasoning", "function_call", "function_call_output"]
    assert body["input"][1]["encrypted_content"]


def test_a_structured_answer_matches_its_schema(router: Router) -> None:
    request = ChatRequest("openai/gpt-4o-mini", [QUESTION], response_format=ResponseFormat(SCHEMA))
    assert set(json.loads(router.chat(request).text)) == {"city"}


def test_on_trio_too(sandbox: Sandbox) -> None:
    async def main() -> str:
        request = ChatRequest("openai/gpt-4o-mini", "Tell me of railways")
        async with TrioRouter([openai(sandbox)]) as router, router.stream(request) as stream:
            return "".join([event.delta async for event in stream if event.type == "token"])

    assert "railways" in trio.run(main)


def test_errors_are_reported(sandbox: Sandbox) -> None:
    request = ChatRequest("openai/gpt-4o-mini", "x")
    with Router([openai(sandbox, key="wrong")]) as router, pytest.raises(AuthenticationFailed):
        router.chat(request)
    with Router([openai(sandbox)]) as router:
        stray = ChatRequest("openai/gpt-4o-mini", [QUESTION, Message.tool("call_none", "12")])
        with pytest.raises(InvalidRequest, match="tool"):
            router.chat(stray)
        sandbox.script("openai", Fault(status=429), forever=True)
        with pytest.raises(RateLimited):
            router.chat(request, timeout=1)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(abort="end", after_tokens=2), StreamTruncated),
        (Fault(error="server", abort="error", after_tokens=2), StreamFailed),
    ],
)
def test_a_stream_that_breaks_keeps_the_text_before(sandbox: Sandbox, router: Router, fault: Fault, error: Any) -> None:
    sandbox.script("openai", fault, forever=True)
    with pytest.raises(error) as caught:
        read(router.stream(ChatRequest("openai/gpt-4o-mini", "Tell me of railways")))
    assert caught.value.partial.text
