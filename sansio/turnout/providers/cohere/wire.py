"""The shapes of Cohere's responses and stream events. Every field is optional, because each is missing somewhere.

Cohere declares counts as numbers, and sends whole ones.
"""

from __future__ import annotations

from typing import Any

import msgspec

from turnout.providers.json_codec import NULL

__all__ = ["Answer", "ByType", "Content", "Embeddings", "Models", "StreamEvent", "ToolCallWire", "UsageWire"]


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class ToolCallWire(msgspec.Struct, gc=False):
    id: str | None = None
    function: Function | None = None


class Tokens(msgspec.Struct, gc=False):
    search_units: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None


class UsageWire(msgspec.Struct, gc=False):
    billed_units: Tokens | None = None
    tokens: Tokens | None = None
    cached_tokens: int | None = None


class Content(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class Message(msgspec.Struct, gc=False):
    content: list[msgspec.Raw] | None = None
    tool_plan: str | None = None
    tool_calls: list[ToolCallWire] | None = None
    citations: list[Any] | None = None


class Answer(msgspec.Struct, gc=False):
    """A response that is no stream."""

    id: str | None = None
    message: Message | None = None
    finish_reason: str | None = None
    usage: UsageWire | None = None
    logprobs: Any = None
    error: Any = None


class DeltaMessage(msgspec.Struct, gc=False):
    content: Content | None = None
    tool_plan: str | None = None
    tool_calls: ToolCallWire | None = None
    citations: Any = None


class Delta(msgspec.Struct, gc=False):
    message: DeltaMessage | None = None
    finish_reason: str | None = None
    usage: UsageWire | None = None
    error: Any = None


class StreamEvent(msgspec.Struct, gc=False):
    type: str | None = None
    id: str | None = None
    index: int | None = None
    delta: Delta | None = None
    logprobs: Any = None
    error: Any = None


class ByType(msgspec.Struct, gc=False):
    floats: msgspec.Raw = msgspec.field(default=NULL, name="float")
    int8: msgspec.Raw = NULL
    uint8: msgspec.Raw = NULL
    base64: list[str] | None = None


class Meta(msgspec.Struct, gc=False):
    billed_units: Tokens | None = None


class Embeddings(msgspec.Struct, gc=False):
    embeddings: msgspec.Raw = NULL  # `ByType`, or a list of lists in version 1
    meta: Meta | None = None
    error: Any = None


class Model(msgspec.Struct, gc=False):
    name: str | None = None
    context_length: int | None = None


class Models(msgspec.Struct, gc=False):
    models: list[Model] | None = None
    next_page_token: str | None = None
    error: Any = None
