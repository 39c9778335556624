"""The shapes of Responses answers and stream events. Every field is optional, for each of them is missing somewhere.

Items are kept raw beside what is read of them, because the next turn has to hold them unchanged.
"""

from __future__ import annotations

from typing import Any

import msgspec

from turnout.chat import Usage
from turnout.providers.json_codec import NULL

__all__ = ["CALLS", "WORDS", "Content", "Item", "StreamEvent", "UsageWire", "WholeResponse", "usage_of"]


# The parts of a message that are its words, and the field that holds them.
WORDS = {"output_text": "text", "refusal": "refusal"}
# The items that are calls of the caller's tools, and the field that holds what the tool gets.
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


class WriteDetails(msgspec.Struct, gc=False):
    ttl_12h_tokens: int | None = None


class InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_tokens_details: WriteDetails | None = None


class OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class UsageWire(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Content(msgspec.Struct, gc=False):
    """A part of a message, or of reasoning."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class Item(msgspec.Struct, gc=False):
    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None  # text; an object from some servers
    input: str | None = None  # of a tool that takes free text
    content: list[Content] | None = None
    summary: list[Content] | None = None


class Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class WholeResponse(msgspec.Struct, gc=False):
    """An unstreamed answer, and what the events of its life hold."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: UsageWire | None = None
    service_tier: str | None = None
    error: Any = None
    incomplete_details: Incomplete | None = None


class StreamEvent(msgspec.Struct, gc=False):
    type: str | None = None
    delta: str | None = None
    output_index: int | None = None
    item_id: str | None = None
    content_index: int | None = None
    summary_index: int | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: Any = None
    input: str | None = None
    logprobs: list[Any] | None = None
    annotation: Any = None
    item: msgspec.Raw = NULL
    part: Content | None = None
    response: WholeResponse | None = None
    error: Any = None


def usage_of(wire: UsageWire, service_tier: str | None = None) -> Usage:
    given, spent = wire.input_tokens_details, wire.output_tokens_details
    written = given.cache_write_tokens_details if given is not None else None
    return Usage(
        prompt_tokens=wire.input_tokens,
        completion_tokens=wire.output_tokens,
        cached_tokens=given.cached_tokens if given is not None else None,
        cache_write_tokens=given.cache_write_tokens if given is not None else None,
        reasoning_tokens=spent.reasoning_tokens if spent is not None else None,
        cache_write_1h_tokens=written.ttl_12h_tokens if written is not None else None,
        service_tier=service_tier,
    )
