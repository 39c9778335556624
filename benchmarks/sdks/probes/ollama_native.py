"""Ollama's client."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any


def operations(site: Mapping[str, Any]) -> Mapping[str, Callable[[], None]]:
    """Return the operations of the client."""
    client = importlib.import_module("ollama").Client()
    model = site["model"]
    messages = [{"role": "user", "content": site["prompt"]}]
    asked = {"role": "user", "content": site["tool_prompt"]}
    function = {"type": "function", "function": site["tool"]}

    def chat() -> None:
        reply = client.chat(model, messages)
        assert reply.message.content
        assert (reply.done, reply.done_reason) == (True, "stop")
        assert reply.eval_count > 0

    def stream() -> None:
        chunks = list(client.chat(model, messages, stream=True))
        assert "".join(chunk.message.content or "" for chunk in chunks)
        assert chunks[-1].done

    def tools() -> None:
        reply = client.chat(model, [asked], tools=[function])
        (call,) = reply.message.tool_calls
        assert call.function.name == site["tool"]["name"]
        result = {"role": "tool", "tool_name": call.function.name, "content": "12 degrees"}
        chunks = client.chat(model, [asked, reply.message, result], tools=[function], stream=True)
        assert "12 degrees" in "".join(chunk.message.content or "" for chunk in chunks)

    def structured() -> None:
        reply = client.chat(model, messages, format=site["schema"])
        assert set(json.loads(reply.message.content)) == set(site["schema"]["required"])

    def generate() -> None:
        reply = client.generate(model, site["prompt"])
        assert reply.response
        assert reply.done_reason == "stop"
        chunks = list(client.generate(model, site["prompt"], stream=True))
        assert "".join(chunk.response for chunk in chunks)
        assert chunks[-1].done
        assert set(json.loads(client.generate(model, site["prompt"], format=site["schema"]).response)) == set(
            site["schema"]["required"]
        )

    def embeddings() -> None:
        reply = client.embed(site["embedding_model"], ["one", "two"])
        assert [len(vector) > 8 for vector in reply.embeddings] == [True, True]
        assert len(client.embeddings(site["embedding_model"], "one").embedding) > 8

    def models() -> None:
        assert model in [each.model for each in client.list().models]
        assert client.ps().models is not None
        shown = client.show(model)
        assert "completion" in shown.capabilities
        assert shown.modelinfo

    return {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured output": structured,
        "generate": generate,
        "embeddings": embeddings,
        "models": models,
    }
