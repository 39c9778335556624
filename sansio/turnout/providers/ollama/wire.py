"""The shapes of Ollama's responses. Every field is optional, because each is missing somewhere."""

from __future__ import annotations

from typing import Any

import msgspec

from turnout.providers.json_codec import NULL

__all__ = ["Answer", "Embeddings", "Models", "ToolCallWire"]


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: msgspec.Raw = NULL


class ToolCallWire(msgspec.Struct, gc=False):
    id: str | None = None
    function: Function | None = None


class Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[ToolCallWire] | None = None
    images: list[str] | None = None


class Answer(msgspec.Struct, gc=False):
    """A line of a stream, or a whole response."""

    model: str | None = None
    message: Message | None = None
    response: str | None = None  # /api/generate
    thinking: str | None = None
    image: str | None = None  # /api/generate of a model that makes images
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    logprobs: Any = None
    error: Any = None


class Embeddings(msgspec.Struct, gc=False):
    embeddings: msgspec.Raw = NULL  # a list of lists of numbers
    embedding: msgspec.Raw = NULL  # of the old /api/embeddings, one list
    model: str | None = None
    prompt_eval_count: int | None = None
    error: Any = None


class Model(msgspec.Struct, gc=False):
    name: str | None = None
    model: str | None = None


class Models(msgspec.Struct, gc=False):
    models: list[Model] | None = None
    error: Any = None
