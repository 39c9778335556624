"""A server that was written elsewhere: llmock plays OpenAI, Gemini and Groq, and both drivers talk to it.

It is looked for in TURNOUT_LLMOCK, then on the path; `pip install llmock==0.2.2` brings it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from tests.peers.neighbours import free_port, running
from turnout import ChatRequest, EmbeddingRequest, Message, ModelConfig, Tool
from turnout.providers import Provider, create
from turnout_io import sync
from turnout_io.trio import Router as TrioRouter

LLMOCK = os.environ.get("TURNOUT_LLMOCK") or shutil.which("llmock")

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(LLMOCK is None, reason="llmock is not installed: pip install llmock==0.2.2, or TURNOUT_LLMOCK"),
]

MODELS = [
    ModelConfig("openai", "gpt-4o-mini"),
    ModelConfig("gemini", "gemini-2.5-flash"),
    ModelConfig("groq", "llama-3.3-70b-versatile"),
]
TOOLS = [Tool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert LLMOCK is not None
    port = free_port()
    command = [LLMOCK, "serve", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    with running(command, port, tmp_path_factory.mktemp("llmock")):
        yield f"http://127.0.0.1:{port}"


def providers(server: str) -> list[Provider]:
    return [
        create("openai", api_key="key", base_url=f"{server}/v1"),
        create("gemini", api_key="key", base_url=f"{server}/gemini"),
        create("groq", api_key="key", base_url=f"{server}/groq/openai/v1"),
    ]


def check(answers: list[Any]) -> None:
    whole, events, stream, called, after = answers
    assert whole.text
    assert whole.usage.completion_tokens
    assert stream.text
    assert "".join(event.delta for event in events if event.type == "token") == stream.text
    assert events[-1].finish_reason == "stop"
    assert [call.name for call in called.tool_calls] == ["weather"]
    assert set(called.tool_calls[0].parsed()) == {"city"}
    assert after.text


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_chat_stream_and_tools_when_blocking(server: str, model: ModelConfig) -> None:
    hello = ChatRequest(model, [Message.user("hello there")])
    question = Message.user("What is the weather in Oslo?")
    with sync.Router(providers(server)) as router:
        whole = router.chat(hello)
        with router.stream(hello) as stream:
            events = list(stream)
        called = router.chat(ChatRequest(model, [question], tools=TOOLS), collect=True)
        results = [Message.tool(call, "12 degrees") for call in called.tool_calls]
        after = router.chat(ChatRequest(model, [question, called.message, *results], tools=TOOLS))
    check([whole, events, stream.response, called, after])


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_chat_stream_and_tools_on_trio(server: str, model: ModelConfig) -> None:
    hello = ChatRequest(model, [Message.user("hello there")])
    question = Message.user("What is the weather in Oslo?")

    async def main() -> list[Any]:
        async with TrioRouter(providers(server)) as router:
            whole = await router.chat(hello)
            async with router.stream(hello) as stream:
                events = [event async for event in stream]
            called = await router.chat(ChatRequest(model, [question], tools=TOOLS), collect=True)
            results = [Message.tool(call, "12 degrees") for call in called.tool_calls]
            after = await router.chat(ChatRequest(model, [question, called.message, *results], tools=TOOLS))
            return [whole, events, stream.response, called, after]

    check(trio.run(main))


def test_embeddings_and_models(server: str) -> None:
    request = EmbeddingRequest(ModelConfig("openai", "text-embedding-3-small"), ["one", "two"])
    with sync.Router(providers(server)) as router:
        vectors = router.embed(request).vectors
        models = router.models("openai")

    async def main() -> Any:
        async with TrioRouter(providers(server)) as router:
            return (await router.embed(request)).vectors, await router.models("openai")

    assert (len(vectors), vectors.dimensions) == (2, 1536)
    assert models
    assert trio.run(main) == (vectors, models)
