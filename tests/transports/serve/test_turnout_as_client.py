"""Turnout's own router as the client of a gateway over the sandbox: what arrives is what a direct call gives.

The sandbox plays each vendor by code of its own. So an answer passes three authors: the sandbox, the client's machine
and the server's machine, and then the client's machine again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.events import End, Reasoning, Token
from turnout.messages import Message, Tool
from turnout.providers import create
from turnout_io.sandbox import Sandbox, ScriptedAnswer
from turnout_io.serve import Gateway, read_gateway_settings, record_trace, scopes_of
from turnout_io.trio import Router
from turnout_sandbox.answers import ScriptedCall

pytestmark = pytest.mark.full

BACK_ENDS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "groq": "llama-3.3-70b-versatile",
    "mistral": "mistral-small-latest",
    "deepseek": "deepseek-chat",
    "ollama": "llama3.2",
    "cohere": "command-r7b-12-2024",
}
CLIENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("openai-compatible", {}),
    "responses": ("openai", {"api": "responses"}),
    "messages": ("anthropic", {}),
}
TOOLS = [Tool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})]
ANSWERS = {
    "text": ScriptedAnswer(text='All of it arrives: Zoë\'s 🚂, "quotes" and\nlines.'),
    "calls": ScriptedAnswer(
        text="I look.",
        tool_calls=(ScriptedCall("weather", {"city": "Paris"}), ScriptedCall("weather", {"city": "Rome"})),
    ),
    "a call without arguments": ScriptedAnswer(tool_calls=(ScriptedCall("weather"),)),
}


@asynccontextmanager
async def gateway_over(sandbox: Sandbox) -> AsyncIterator[str]:
    environ = sandbox.environ()
    providers = [
        create(name, api_key=sandbox.key(name), base_url=environ[f"{name.upper()}_ENDPOINT"], unsupported="drop")
        for name in BACK_ENDS
    ]
    async with Router(providers, on_trace=record_trace) as router, trio.open_nursery() as nursery:
        settings = read_gateway_settings({"listen": "127.0.0.1:0"})
        (address,) = await nursery.start(Gateway(router, settings, scopes=scopes_of(providers)).serve)
        yield address
        nursery.cancel_scope.cancel()


def essence(response: ChatResponse) -> Any:
    calls = [(call.name, json.loads(call.arguments)) for call in response.tool_calls]
    usage = response.usage
    return response.text, calls, response.finish_reason, usage.prompt_tokens, usage.completion_tokens


async def asked(router: Router, model: ModelConfig, *, stream: bool) -> ChatResponse:
    request = ChatRequest(attrs.evolve(model, max_tokens=500), [Message.user("The weather?")], tools=TOOLS)
    if not stream:
        return await router.chat(request)
    async with router.stream(request) as events:
        pieces = [event async for event in events]
        assert isinstance(pieces[-1], End)
        assert "".join(event.delta for event in pieces if isinstance(event, Token)) == events.response.text
        assert "".join(event.delta for event in pieces if isinstance(event, Reasoning)) == events.response.reasoning
        return events.response


@pytest.mark.parametrize("name", BACK_ENDS)
def test_an_answer_passes_unchanged(name: str) -> None:
    async def main() -> None:
        with Sandbox() as sandbox:
            direct = create(
                name,
                api_key=sandbox.key(name),
                base_url=sandbox.environ()[f"{name.upper()}_ENDPOINT"],
                unsupported="drop",
            )
            async with gateway_over(sandbox) as address, Router([direct]) as router:
                for client, (kind, settings) in CLIENTS.items():
                    base = address if client == "messages" else f"{address}/v1"
                    router.register(create(kind, name=client, api_key="k", base_url=base, **settings))
                for answer in ANSWERS.values():
                    sandbox.answer(name, answer)
                    for stream in (True, False):
                        expected = essence(await asked(router, ModelConfig(name, BACK_ENDS[name]), stream=stream))
                        for client in CLIENTS:
                            model = ModelConfig(client, f"{name}/{BACK_ENDS[name]}")
                            assert essence(await asked(router, model, stream=stream)) == expected, (client, stream)

    trio.run(main)
