"""The shapes of Cohere's answers and stream events. Every field is optional, for each of them is missing somewhere.

Counts are declared as numbers by Cohere, and come as whole ones.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Answer", "Content", "Embeddings", "Models", "StreamEvent", "ToolCallWire", "UsageWire"]


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
    """An unstreamed answer."""

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
    floats: list[list[float]] | None = msgspec.field(default=None, name="float")
    int8: list[list[float]] | None = None
    uint8: list[list[float]] | None = None
    base64: list[str] | None = None


class Meta(msgspec.Struct, gc=False):
    billed_units: Tokens | None = None


class Embeddings(msgspec.Struct, gc=False):
    embeddings: ByType | list[list[float]] | None = None
    meta: Meta | None = None
    error: Any = None


class Model(msgspec.Struct, gc=False):
    name: str | None = None
    context_length: int | None = None


class Models(msgspec.Struct, gc=False):
    models: list[Model] | None = None
    next_page_token: str | None = None
    error: Any = None
