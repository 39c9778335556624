"""The shapes of Bedrock's responses and stream events. Every field is optional, because each is missing somewhere.

Blocks of an unknown kind are kept raw, because they go back to the provider unchanged.
"""

from __future__ import annotations

from typing import Any

import msgspec

from turnout.providers.json_codec import NULL

__all__ = ["Answer", "Block", "CacheDetail", "Delta", "FoundationModels", "InferenceProfiles", "StreamEvent"]


class ToolUse(msgspec.Struct, gc=False, rename="camel"):
    """`input` is any JSON in a whole response, and a piece of its text in a delta."""

    tool_use_id: str | None = None
    name: str | None = None
    type: str | None = None
    input: msgspec.Raw = NULL


class ReasoningText(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    signature: str | None = None


class Reasoning(msgspec.Struct, gc=False, rename="camel"):
    """In a whole response `reasoningText` or `redactedContent`, in a delta the fields of its text."""

    reasoning_text: ReasoningText | None = None
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Cited(msgspec.Struct, gc=False, rename="camel"):
    content: list[ReasoningText] | None = None
    citations: list[Any] | None = None


class Block(msgspec.Struct, gc=False, rename="camel"):
    """A block of a whole response."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citations_content: Cited | None = None


class Delta(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citation: Any = None


class CacheDetail(msgspec.Struct, gc=False, rename="camel"):
    ttl: str | None = None
    input_tokens: int | None = None


class ServiceTier(msgspec.Struct, gc=False):
    type: str | None = None


class UsageWire(msgspec.Struct, gc=False, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[CacheDetail] | None = None


class Message(msgspec.Struct, gc=False, rename="camel"):
    content: list[msgspec.Raw] | None = None


class Output(msgspec.Struct, gc=False, rename="camel"):
    message: Message | None = None


class Answer(msgspec.Struct, gc=False, rename="camel"):
    output: Output | None = None
    stop_reason: str | None = None
    usage: UsageWire | None = None
    service_tier: ServiceTier | None = None
    trace: dict[str, Any] | None = None
    additional_model_response_fields: Any = None


class StreamEvent(msgspec.Struct, gc=False, rename="camel"):
    """The fields of events of all types."""

    content_block_index: int | None = None
    start: dict[str, Any] | None = None
    delta: Delta | None = None
    stop_reason: str | None = None
    usage: UsageWire | None = None
    service_tier: ServiceTier | None = None
    trace: dict[str, Any] | None = None
    additional_model_response_fields: Any = None


class FoundationModel(msgspec.Struct, gc=False, rename="camel"):
    model_id: str | None = None
    provider_name: str | None = None


class FoundationModels(msgspec.Struct, gc=False, rename="camel"):
    model_summaries: list[FoundationModel] | None = None


class InferenceProfile(msgspec.Struct, gc=False, rename="camel"):
    inference_profile_id: str | None = None


class InferenceProfiles(msgspec.Struct, gc=False, rename="camel"):
    inference_profile_summaries: list[InferenceProfile] | None = None
    next_token: str | None = None
