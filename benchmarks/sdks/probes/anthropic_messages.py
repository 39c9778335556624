"""Anthropic's client."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any


def operations(site: Mapping[str, Any]) -> Mapping[str, Callable[[], None]]:
    """Return the operations of the client."""
    client = importlib.import_module("anthropic").Anthropic(max_retries=0)
    messages = [{"role": "user", "content": site["prompt"]}]
    asked = {"role": "user", "content": site["tool_prompt"]}
    settings = {"model": site["model"], "max_tokens": 500}
    tool = {"name": site["tool"]["name"], "input_schema": site["tool"]["parameters"]}

    def chat() -> None:
        reply = client.messages.create(messages=messages, **settings)
        assert reply.content[0].text
        assert reply.stop_reason == "end_turn"
        assert reply.usage.output_tokens > 0

    def stream() -> None:
        with client.messages.stream(messages=messages, **settings) as streamed:
            text = "".join(streamed.text_stream)
            assert text
            assert text == streamed.get_final_text()

    def tools() -> None:
        reply = client.messages.create(messages=[asked], tools=[tool], **settings)
        (call,) = reply.content
        assert (call.type, call.name, reply.stop_reason) == ("tool_use", tool["name"], "tool_use")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "12 degrees"}
        told = [asked, {"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
        with client.messages.stream(messages=told, tools=[tool], **settings) as streamed:
            assert "12 degrees" in streamed.get_final_text()
        with client.messages.stream(messages=[asked], tools=[tool], **settings) as streamed:
            assert isinstance(streamed.get_final_message().content[0].input, dict)

    def structured() -> None:
        wanted = {"format": {"type": "json_schema", "schema": site["schema"]}}
        reply = client.messages.create(messages=messages, output_config=wanted, **settings)
        assert set(json.loads(reply.content[0].text)) == set(site["schema"]["required"])

    def models() -> None:
        assert site["model"] in [model.id for model in client.models.list()]
        assert client.models.retrieve(site["model"]).id == site["model"]

    def count_tokens() -> None:
        counted = client.messages.count_tokens(messages=messages, model=site["model"], tools=[tool])
        assert counted.input_tokens > 0

    return {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "structured output": structured,
        "models": models,
        "count tokens": count_tokens,
    }
