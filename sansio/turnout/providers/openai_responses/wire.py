"""The shapes of Responses bodies and stream events. Every field is optional, because each is missing somewhere.

Items are kept raw beside the fields that are read, because the next turn has to hold them unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from turnout.chat import Usage
from turnout.providers.json_codec import NULL

__all__ = ["CALLS", "WORDS", "Content", "Item", "StreamEvent", "UsageWire", "WholeResponse", "usage_of"]


# The parts of a message that are its words, and the field that holds them. `text` is the type from some servers.
WORDS = {"output_text": "text", "text": "text", "refusal": "refusal"}
# The items that are calls of the caller's tools, and the field that holds the arguments.
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


class WriteDetails(msgspec.Struct, gc=False):
    ttl_12h_tokens: int | None = None


class InputDetails(msgspec.Struct, gc=False):
    audio_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_tokens_details: WriteDetails | None = None
    image_tokens: int | None = None


class OutputDetails(msgspec.Struct, gc=False):
    audio_tokens: int | None = None
    image_tokens: int | None = None
    reasoning_tokens: int | None = None


class UsageWire(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    prompt_tokens: int | None = None  # the names of chat completions, from gateways
    completion_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    num_server_side_tools_used: int | None = None  # xAI


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
    item_id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None  # text; an object from some servers
    input: str | None = None  # of a tool that takes free text
    content: list[Content] | str | None = None  # a text from some servers
    summary: list[Content] | None = None
    encrypted_content: str | None = None
    status: str | None = None
    phase: str | None = None
    execution: str | None = None  # of a tool search: `client` or `server` runs it
    namespace: str | None = None
    caller: Any = None
    result: Any = None  # of an image generation, the image in base64
    output_format: str | None = None

    @property
    def parts(self) -> Sequence[Content]:
        """The parts of the content."""
        content = self.content
        return (Content("output_text", content),) if isinstance(content, str) else content or ()


class Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class WholeResponse(msgspec.Struct, gc=False):
    """A response that is no stream, and the response in the events of its life."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: UsageWire | None = None
    service_tier: str | None = None
    error: Any = None
    incomplete_details: Incomplete | None = None
    max_output_tokens: int | None = None


class StreamEvent(msgspec.Struct, gc=False):
    type: str | None = None
    delta: str | None = None
    output_index: int | None = None
    item_id: str | None = None
    id: str | None = None  # the item's, from some servers
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
    """Return the usage in Turnout's words; absent if it counts neither the prompt nor the completion."""
    given = wire.input_tokens_details or wire.prompt_tokens_details
    spent = wire.output_tokens_details or wire.completion_tokens_details
    written = given.cache_write_tokens_details if given is not None else None
    prompt = wire.input_tokens if wire.input_tokens is not None else wire.prompt_tokens
    completion = wire.output_tokens if wire.output_tokens is not None else wire.completion_tokens
    if prompt is None and completion is None:
        return Usage(source="absent")
    beside = (wire.cache_read_input_tokens or 0) + (wire.cache_creation_input_tokens or 0)
    if beside and prompt is not None and wire.total_tokens == prompt + (completion or 0) + beside:
        prompt += beside  # the total counts what a cache read and wrote, and the prompt does not
    cached = given.cached_tokens if given is not None else None
    written_tokens = given.cache_write_tokens if given is not None else None
    details = {
        "image_prompt_tokens": given.image_tokens if given is not None else None,
        "server_side_tools": wire.num_server_side_tools_used,
    }
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached if cached is not None else wire.cache_read_input_tokens,
        cache_write_tokens=written_tokens if written_tokens is not None else wire.cache_creation_input_tokens,
        reasoning_tokens=spent.reasoning_tokens if spent is not None else None,
        cache_write_1h_tokens=written.ttl_12h_tokens if written is not None else None,
        audio_prompt_tokens=given.audio_tokens if given is not None else None,
        audio_completion_tokens=spent.audio_tokens if spent is not None else None,
        image_completion_tokens=spent.image_tokens if spent is not None else None,
        service_tier=service_tier,
        details={name: count for name, count in details.items() if count},
    )
