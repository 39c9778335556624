"""A client of chat completions that returns standard fields alone: the provider still gets its reasoning back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio

from turnout.providers import create
from turnout_io.sandbox import Sandbox, ScriptedAnswer
from turnout_io.serve import Gateway, read_gateway_settings, record_trace, scopes_of
from turnout_io.trio import Router
from turnout_sandbox.answers import ScriptedCall

pytestmark = pytest.mark.slow

CALL = ScriptedAnswer(reasoning="Let me think.", tool_calls=(ScriptedCall("weather", {"city": "Paris"}),))
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


async def ask(client: httpx.AsyncClient, model: str, messages: list[Any], *, stream: bool) -> dict[str, Any]:
    """Return the assistant's message with its standard fields."""
    body = {"model": model, "messages": messages, "tools": TOOLS, "reasoning_effort": "low", "stream": stream}
    response = await client.post("/chat/completions", json={**body, "max_tokens": 4000})
    assert response.status_code == 200, response.text
    if not stream:
        message = response.json()["choices"][0]["message"]
        return {name: message[name] for name in ("role", "content", "tool_calls") if message.get(name)}
    call: dict[str, Any] = {"type": "function", "function": {"name": "", "arguments": ""}}
    for line in response.text.splitlines():
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            for delta in choice["delta"].get("tool_calls", ()):
                call["id"] = delta.get("id") or call["id"]
                for name, value in delta["function"].items():
                    call["function"][name] += value
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of the assistant's turn in the request of a provider."""
    if "contents" in body:
        return [part for turn in body["contents"] if turn["role"] == "model" for part in turn["parts"]]
    if "input" in body:
        return [item for item in body["input"] if item.get("type") in ("reasoning", "function_call")]
    return [block for turn in body["messages"] if turn["role"] == "assistant" for block in turn["content"]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "model", "settings"),
    [
        ("anthropic", "claude-sonnet-4-5", {}),
        ("gemini", "gemini-3-flash-preview", {}),
        ("openai", "gpt-5", {"api": "responses"}),
    ],
)
def test_reasoning_comes_back(name: str, model: str, settings: dict[str, Any], stream: bool) -> None:
    async def main() -> None:
        with Sandbox() as sandbox:
            sandbox.answer(name, CALL)
            base_url = sandbox.environ()[f"{name.upper()}_ENDPOINT"]
            provider = create(name, api_key=sandbox.key(name), base_url=base_url, unsupported="drop", **settings)
            async with Router([provider], on_trace=record_trace) as router, trio.open_nursery() as nursery:
                gateway = Gateway(
                    router, read_gateway_settings({"listen": "127.0.0.1:0"}), scopes=scopes_of([provider])
                )
                (address,) = await nursery.start(gateway.serve)
                async with httpx.AsyncClient(base_url=f"{address}/v1") as client:
                    question = {"role": "user", "content": "The weather in Paris?"}
                    turn = await ask(client, f"{name}/{model}", [question], stream=stream)
                    result = {"role": "tool", "tool_call_id": turn["tool_calls"][0]["id"], "content": "12 degrees"}
                    await ask(client, f"{name}/{model}", [question, turn, result], stream=False)
                nursery.cancel_scope.cancel()
            sent = blocks(sandbox.requests_to(name)[-1].body)
            if name == "gemini":
                assert sent[-1]["thoughtSignature"].startswith("c2FuZGJveC")  # the sandbox's own
            else:
                reasoning, call = sent
                assert reasoning["type"] in ("thinking", "reasoning")
                assert reasoning.get("signature") or reasoning["encrypted_content"]
                assert reasoning.get("thinking", "Let me think.") == "Let me think."
                assert call["type"] in ("tool_use", "function_call")

    trio.run(main)
