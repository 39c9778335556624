"""The shapes of OpenAI's chat-completions answers, whole and in chunks, as they are met in the wild.

Every field is optional, for each of them is missing somewhere; unknown fields are passed over.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Chunk", "Embedding", "EmbeddingList", "Message", "ModelList", "ToolCallFragment", "UsageWire", "usage_of"]

from turnout.chat import Usage
from turnout.providers.json_codec import NULL


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None  # text; an object from some servers


class Custom(msgspec.Struct, gc=False):
    name: str | None = None
    input: str | None = None


class ToolCallFragment(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None  # the call of a tool that takes free text
    extra_content: Any = None


class Message(msgspec.Struct, gc=False):
    """A delta of a stream, or the whole message."""

    content: str | list[Any] | dict[str, Any] | None = None
    reasoning_content: str | list[Any] | None = None
    reasoning: str | list[Any] | None = None
    reasoning_details: list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallFragment] | None = None
    function_call: Function | None = None  # the one call of the time before tools
    annotations: list[Any] | None = None


class PromptDetails(msgspec.Struct, gc=False):
    audio_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    audio_tokens: int | None = None
    image_tokens: int | None = None
    reasoning_tokens: int | None = None


class UsageWire(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    num_cached_tokens: int | None = None
    num_search_queries: int | None = None  # Perplexity
    service_tier: str | None = None  # Mistral


class Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | int | None = None
    logprobs: Any = None
    usage: UsageWire | None = None  # Moonshot's place for it
    error: Any = None


class XGroq(msgspec.Struct, gc=False):
    usage: UsageWire | None = None
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One chunk of a stream, or the whole answer."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: UsageWire | None = None
    error: Any = None
    errors: Any = None
    x_groq: XGroq | None = None
    citations: list[Any] | None = None
    service_tier: str | None = None
    code: Any = None


class Embedding(msgspec.Struct, gc=False):
    embedding: msgspec.Raw = NULL  # decoded one by one: the numbers of all vectors would take eight times their memory
    index: int | None = None


class PackedEmbedding(msgspec.Struct, gc=False):
    embedding: bytes  # msgspec reads base64, at a third of what binascii needs
    index: int | None = None


class PackedEmbeddingList(msgspec.Struct, gc=False):
    """A list whose vectors are all base64."""

    data: list[PackedEmbedding]
    model: str | None = None
    usage: UsageWire | None = None


class EmbeddingList(msgspec.Struct, gc=False):
    data: list[Embedding] | None = None
    model: str | None = None
    usage: UsageWire | None = None
    error: Any = None


class ModelEntry(msgspec.Struct, gc=False):
    id: str | None = None
    owned_by: str | None = None
    context_window: int | None = None
    context_length: int | None = None
    max_context_length: int | None = None
    max_model_len: int | None = None
    max_completion_tokens: int | None = None

    @property
    def window(self) -> int | None:
        """By the names of Groq, of OpenRouter and Together, of Mistral, and of vLLM."""
        return self.context_window or self.context_length or self.max_context_length or self.max_model_len


class ModelList(msgspec.Struct, gc=False):
    object: str | None = None
    data: list[ModelEntry] | None = None
    error: Any = None


def usage_of(wire: UsageWire, service_tier: str | None = None) -> Usage:
    """The usage in our words; absent where it counts neither the prompt nor the completion.

    Where the total says that the completion leaves reasoning out (xAI), reasoning is added to it.
    """
    details, spent = wire.prompt_tokens_details, wire.completion_tokens_details
    reasoning = spent.reasoning_tokens if spent is not None else None
    completion = wire.completion_tokens
    if reasoning and completion is not None and wire.total_tokens == (wire.prompt_tokens or 0) + completion + reasoning:
        completion += reasoning
    if wire.prompt_tokens is None and completion is None:
        return Usage(source="absent")
    cached = details.cached_tokens if details is not None else None
    for other in (wire.prompt_cache_hit_tokens, wire.cached_tokens, wire.num_cached_tokens):
        cached = other if cached is None else cached
    return Usage(
        prompt_tokens=wire.prompt_tokens,
        completion_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=details.cache_write_tokens if details is not None else None,
        reasoning_tokens=reasoning,
        audio_prompt_tokens=details.audio_tokens if details is not None else None,
        audio_completion_tokens=spent.audio_tokens if spent is not None else None,
        image_completion_tokens=spent.image_tokens if spent is not None else None,
        web_searches=wire.num_search_queries,
        service_tier=wire.service_tier or service_tier,
    )
