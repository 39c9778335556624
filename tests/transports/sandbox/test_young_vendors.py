"""Mistral, DeepSeek, Azure, xAI and Together check requests in the sandbox as strictly as their documentation."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import InvalidRequest, NotFound
from turnout.messages import Message, Tool, ToolCall
from turnout.providers import create
from turnout_io.sandbox import Sandbox
from turnout_io.sync import Router

Ask = Callable[..., tuple[int, dict[str, str], bytes]]
HELLO = [{"role": "user", "content": "Hello, railways."}]
FOREIGN = ToolCall("call_of_another_vendor", "weather", '{"city": "Oslo"}')
MODELS = {
    "mistral": "mistral-small-latest",
    "deepseek": "deepseek-v4-flash",
    "xai": "grok-4",
    "azure": "gpt-4o",
    "zai": "glm-4.6",
    "together": "openai/gpt-oss-120b",
}


def called(id: str) -> list[dict[str, Any]]:
    call = {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": id, "content": "12 degrees"}
    return [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}, result]


def chat(ask: Ask, provider: str, path: str = "/chat/completions", **body: Any) -> tuple[int, Any]:
    status, _, data = ask(provider, path, {"model": MODELS[provider], "messages": HELLO, **body})
    return status, json.loads(data)


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"seed": 7}, 422, "extra_forbidden"),
        ({"random_seed": 7}, 200, ""),
        ({"stream_options": {"include_usage": True}, "stream": True}, 422, "extra_forbidden"),
        ({"messages": [{"role": "user", "content": "x", "name": "ada"}]}, 422, "extra_forbidden"),
        ({"messages": [*called("D681PevKs"), {"role": "user", "content": "x"}]}, 400, "Unexpected role"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "One"}]}, 400, "prefix True"),
        ({"messages": [*HELLO, {"role": "assistant", "content": ""}]}, 400, "either content or tool_calls"),
        ({"messages": called("call_D681PevKs")}, 400, "length of 9"),
        ({"messages": called("D681PevKs")}, 200, ""),
    ],
)
def test_mistral(ask: Ask, body: dict[str, Any], status: int, told: str) -> None:
    got, answer = chat(ask, "mistral", **body)
    assert got == status
    assert told in json.dumps(answer)


def test_mistral_repeats_a_prefix_and_others_do_not(sandbox: Sandbox, ask: Ask) -> None:
    begun = [*HELLO, {"role": "assistant", "content": "One, two", "prefix": True}]
    for provider in ("mistral", "deepseek"):
        sandbox.answer(provider, "One, two, three")
    _, answer = chat(ask, "mistral", messages=begun)
    assert answer["choices"][0]["message"]["content"] == "One, two, three"
    status, answer = chat(ask, "deepseek", messages=begun)
    assert (status, "beta" in answer["error"]["message"]) == (400, True)
    _, answer = chat(ask, "deepseek", "/beta/chat/completions", messages=begun)
    assert answer["choices"][0]["message"]["content"] == ", three"


def test_deepseek_needs_its_reasoning_back_with_tool_calls(ask: Ask) -> None:
    messages = called("c1")
    status, answer = chat(ask, "deepseek", messages=messages)
    assert (status, "must be passed back" in answer["error"]["message"]) == (400, True)
    assert chat(ask, "deepseek", messages=messages, thinking={"type": "disabled"})[0] == 200
    with_it = [{**one, "reasoning_content": ""} if one["role"] == "assistant" else one for one in messages]
    assert chat(ask, "deepseek", messages=with_it)[0] == 200


@pytest.mark.parametrize("setting", [{"stop": ["x"]}, {"presence_penalty": 1}, {"reasoning_effort": "low"}])
def test_grok_refuses_settings(ask: Ask, setting: dict[str, Any]) -> None:
    status, answer = chat(ask, "xai", **setting)
    assert status == 400
    assert "does not support parameter" in answer["error"]


def test_together_lists_its_models_without_an_object(ask: Ask) -> None:
    status, _, data = ask("together", "/models")
    assert status == 200
    assert {"id", "context_length"} <= set(json.loads(data)[0])


@pytest.mark.parametrize("version", [None, "2024-10-21", "2025-04-01-preview"])
def test_both_surfaces_of_azure_answer(sandbox: Sandbox, version: str | None) -> None:
    provider = create("azure", base_url=sandbox.url("azure"), api_key=sandbox.key("azure"), api_version=version)
    with Router() as router:
        router.register(provider)
        answer = router.chat(ChatRequest("azure/gpt-4o-mini", "Tell me of railways"))
        assert "railways" in answer.text
        assert answer.served_model == "gpt-4o-mini"
        assert len(router.embed(EmbeddingRequest(ModelConfig("azure", "text-embedding-3-small"), ["a"])).vectors) == 1
        assert router.models("azure")
        with pytest.raises(NotFound):
            router.chat(ChatRequest("azure/no-such-deployment", "hi"))
    paths = {request.path for request in sandbox.requests_to("azure")}
    assert ("/openai/deployments/gpt-4o-mini/chat/completions" in paths) == (version is not None)


def test_a_version_that_is_none_is_refused_by_azure(sandbox: Sandbox) -> None:
    with Router() as router:
        key = sandbox.key("azure")
        router.register(create("azure", base_url=sandbox.url("azure"), api_key=key, api_version="newest"))
        with pytest.raises((NotFound, InvalidRequest)):
            router.chat(ChatRequest("azure/gpt-4o-mini", "hi"))


@pytest.mark.parametrize("provider", MODELS)
def test_a_conversation_of_another_vendor_is_taken_over(sandbox: Sandbox, provider: str) -> None:
    """Ids and reasoning of another vendor are written in a form that this one accepts."""
    weather = Tool("weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
    messages = [
        Message.user("The weather in Oslo?"),
        Message.assistant("I look.", tool_calls=[FOREIGN]),
        Message.tool(FOREIGN, "12 degrees"),
    ]
    with Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0) as router:
        request = ChatRequest(ModelConfig(provider, MODELS[provider]), messages, tools=[weather])
        assert "12 degrees" in router.chat(request).text
