"""The shapes of Anthropic's responses and stream events. Every field is optional, because each is missing somewhere.

Blocks are kept raw: fields that the vocabulary lacks go back to the provider unchanged.
"""

from __future__ import annotations

from typing import Any

import msgspec

from turnout.providers.json_codec import NULL

__all__ = ["Block", "Delta", "Models", "StreamEvent", "UsageWire", "WholeMessage"]


class OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class ServerToolUse(msgspec.Struct, gc=False):
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None
    code_execution_requests: int | None = None


class UsageWire(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerToolUse | None = None
    iterations: list[dict[str, Any]] | None = None
    service_tier: str | None = None
    speed: str | None = None


class Block(msgspec.Struct, gc=False):
    type: str | None = None
    id: str | None = None
    name: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    input: msgspec.Raw = NULL
    citations: list[Any] | None = None


class Delta(msgspec.Struct, gc=False):
    """The delta of `content_block_delta` and of `message_delta`."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Any = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    container: Any = None


class WholeMessage(msgspec.Struct, gc=False):
    """A response that is no stream, and the message in `message_start`."""

    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    container: Any = None  # where code ran at the provider: the next request may name it
    usage: UsageWire | None = None
    error: Any = None


class StreamEvent(msgspec.Struct, gc=False):
    type: str | None = None
    index: int | None = None
    delta: Delta | None = None
    content_block: msgspec.Raw = NULL
    message: WholeMessage | None = None
    usage: UsageWire | None = None
    error: Any = None


class Model(msgspec.Struct, gc=False):
    id: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class Models(msgspec.Struct, gc=False):
    data: list[Model] | None = None
    has_more: bool | None = None
    last_id: str | None = None
    error: Any = None
