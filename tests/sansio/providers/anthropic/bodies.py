"""Requests to Anthropic and the bodies that are sent for them, held against the types of Anthropic's own SDK."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import TypeAdapter

from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message, Tool, ToolCall
from turnout.providers import create

HAIKU, OPUS, NEWEST = "claude-haiku-4-5", "claude-opus-4-6", "claude-opus-5-5"
CACHED = {"cache_control": {"type": "ephemeral"}}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = (Tool("weather", "The weather.", SCHEMA, strict=True, extra=CACHED), Tool("clock"))
CALLS = (ToolCall("call_1_0", "weather", '{"city": "Oslo"}'), ToolCall("srv-2", "clock", ""))
SDK: dict[bool, TypeAdapter[Any]] = {
    True: TypeAdapter(MessageCreateParamsStreaming),
    False: TypeAdapter(MessageCreateParamsNonStreaming),
}
# The newest models take none of these, so the SDK's newest types have no place for them.
SAMPLING = ("temperature", "top_p", "top_k")


def plain(value: Any) -> Any:
    """The value with every iterator in it run: pydantic looks at an `Iterable` only as it is read."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return value
    return [plain(item) for item in value]


def sent(
    request: ChatRequest, *, stream: bool = False, known: bool = True, unsupported: Literal["raise", "drop"] = "raise"
) -> Any:
    """The body; `known` says that the SDK's types have a place for all of it: what they do not know, they lose."""
    provider = create("anthropic", api_key="k", unsupported=unsupported)
    asked = (provider.stream if stream else provider.chat)(request).request
    body = json.loads(asked.body)
    if known:
        told = {name: value for name, value in body.items() if name not in SAMPLING}
        assert plain(SDK[stream].validate_python(told)) == told
    return body


def asking(
    *messages: Message, model_id: str = HAIKU, model: Mapping[str, Any] | None = None, **more: Any
) -> ChatRequest:
    config = ModelConfig("anthropic", model_id, **(model or {}))
    return ChatRequest(config, messages or (Message.user("hi"),), **more)
