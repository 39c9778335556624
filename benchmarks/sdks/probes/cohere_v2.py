"""Cohere's client, version 2 of its API."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any


def operations(site: Mapping[str, Any]) -> Mapping[str, Callable[[], None]]:
    """Return the operations of the client."""
    client = importlib.import_module("cohere").ClientV2()
    model = site["model"]
    messages = [{"role": "user", "content": site["prompt"]}]
    asked = {"role": "user", "content": site["tool_prompt"]}
    function = {"type": "function", "function": site["tool"]}

    def chat() -> None:
        reply = client.chat(model=model, messages=messages)
        assert reply.message.content[0].text
        assert reply.finish_reason == "COMPLETE"
        assert reply.usage.tokens.output_tokens > 0

    def stream() -> None:
        events = list(client.chat_stream(model=model, messages=messages))
        assert "".join(each.delta.message.content.text for each in events if each.type == "content-delta")
        assert events[-1].delta.finish_reason == "COMPLETE"

    def tools() -> None:
        reply = client.chat(model=model, messages=[asked], tools=[function])
        (call,) = reply.message.tool_calls
        assert call.function.name == site["tool"]["name"]
        result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}
        events = client.chat_stream(model=model, messages=[asked, reply.message, result], tools=[function])
        text = "".join(each.delta.message.content.text for each in events if each.type == "content-delta")
        assert "12 degrees" in text
        kinds = [each.type for each in client.chat_stream(model=model, messages=[asked], tools=[function])]
        assert {"tool-call-start", "tool-call-delta", "tool-call-end"} <= set(kinds)

    def structured() -> None:
        wanted = {"type": "json_object", "json_schema": site["schema"]}
        reply = client.chat(model=model, messages=messages, response_format=wanted)
        assert set(json.loads(reply.message.content[0].text)) == set(site["schema"]["required"])

    def embeddings() -> None:
        reply = client.embed(
            model=site["embedding_model"],
            texts=["one", "two"],
            input_type="search_document",
            embedding_types=["float", "base64"],
        )
        assert [len(vector) > 8 for vector in reply.embeddings.float_] == [True, True]
        assert len(reply.embeddings.base64) == 2

    def models() -> None:
        assert model in [each.name for each in client.models.list().models]
        assert client.models.get(model).name == model

    def count_tokens() -> None:
        reply = client.tokenize(text=site["prompt"], model=model, offline=False)
        assert len(reply.tokens) == len(reply.token_strings) > 0

    def rerank() -> None:
        reply = client.rerank(model=site["rerank_model"], query=site["query"], documents=site["documents"], top_n=2)
        assert reply.results[0].index == 1
        assert len(reply.results) == 2
        assert reply.meta.billed_units.search_units == 1

    return {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured output": structured,
        "embeddings": embeddings,
        "models": models,
        "count tokens": count_tokens,
        "rerank": rerank,
    }
