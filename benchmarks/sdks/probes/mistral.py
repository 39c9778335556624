"""Mistral's client."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any


def operations(site: Mapping[str, Any]) -> Mapping[str, Callable[[], None]]:
    """Return the operations of the client."""
    url = site["url"].removesuffix("/v1")
    client = importlib.import_module("mistralai.client").Mistral(api_key=site["key"], server_url=url)
    model = site["model"]
    messages = [{"role": "user", "content": site["prompt"]}]
    asked = {"role": "user", "content": site["tool_prompt"]}
    function = {"type": "function", "function": site["tool"]}

    def chat() -> None:
        reply = client.chat.complete(model=model, messages=messages)
        assert reply.choices[0].message.content
        assert reply.choices[0].finish_reason == "stop"
        assert reply.usage.total_tokens > 0

    def stream() -> None:
        events = client.chat.stream(model=model, messages=messages)
        choices = [choice for event in events for choice in event.data.choices]
        assert "".join(choice.delta.content or "" for choice in choices)
        assert choices[-1].finish_reason == "stop"

    def tools() -> None:
        reply = client.chat.complete(model=model, messages=[asked], tools=[function])
        message = reply.choices[0].message
        (call,) = message.tool_calls
        assert call.function.name == site["tool"]["name"]
        result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}
        events = client.chat.stream(model=model, messages=[asked, message, result], tools=[function])
        text = "".join(choice.delta.content or "" for event in events for choice in event.data.choices)
        assert "12 degrees" in text

    def structured() -> None:
        wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": site["schema"]}}
        reply = client.chat.complete(model=model, messages=messages, response_format=wanted)
        assert set(json.loads(reply.choices[0].message.content)) == set(site["schema"]["required"])

    def several() -> None:
        reply = client.chat.complete(model=model, messages=messages, n=3)
        assert [choice.index for choice in reply.choices] == [0, 1, 2]

    def embeddings() -> None:
        reply = client.embeddings.create(model=site["embedding_model"], inputs=["one", "two"])
        assert [len(each.embedding) > 8 for each in reply.data] == [True, True]

    def models() -> None:
        assert model in [each.id for each in client.models.list().data]
        assert client.models.retrieve(model_id=model).id == model

    def responses() -> None:
        reply = client.responses.create(model=model, input=site["prompt"])
        assert reply.status == "completed"
        assert reply.usage.total_tokens > 0

    def responses_stream() -> None:
        with client.responses.create(model=model, input=site["prompt"], stream=True) as events:
            kinds = [event.data.type for event in events]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"

    def count_tokens() -> None:
        assert client.responses.count_input_tokens(model=model, input=site["prompt"]).input_tokens > 0

    return {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured output": structured,
        "several choices": several,
        "embeddings": embeddings,
        "models": models,
        "responses": responses,
        "responses stream": responses_stream,
        "count tokens": count_tokens,
    }
