"""The shapes of OpenAI's chat-completions responses, whole and in chunks, as servers really send them.

Every field is optional, because each of them is missing somewhere. Unknown fields are skipped.
"""

from __future__ import annotations

from typing import Any

import msgspec

from turnout.providers.json_codec import NULL

__all__ = [
    "Choice",
    "Chunk",
    "Embedding",
    "EmbeddingList",
    "Message",
    "ModelList",
    "PackedEmbedding",
    "PackedEmbeddingList",
    "ToolCallFragment",
    "UsageWire",
]


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None  # text; an object from some servers
    parameters: Any = None  # the same, from models that write the word of the schema
    provider_specific_fields: Any = None  # LiteLLM


class Custom(msgspec.Struct, gc=False):
    name: str | None = None
    input: str | None = None


class ToolCallFragment(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None  # the call of a tool that takes free text
    name: str | None = None  # of a function without its envelope, and its arguments
    arguments: Any = None
    extra_content: Any = None
    provider_specific_fields: Any = None  # LiteLLM
    thought_signature: str | None = None  # gateways to Gemini
    namespace: Any = None
    caller: Any = None
    toolset_name: Any = None


class Message(msgspec.Struct, gc=False):
    """A delta of a stream, or the whole message."""

    content: str | list[Any] | dict[str, Any] | None = None
    reasoning_content: str | list[Any] | None = None
    reasoning: str | list[Any] | dict[str, Any] | None = None
    reasoning_text: str | None = None  # Copilot's names for it
    cot_summary: str | None = None
    thinking: str | list[Any] | dict[str, Any] | None = None  # gateways to Claude
    reasoning_opaque: str | None = None  # the proofs of Copilot
    cot_id: str | None = None
    reasoning_signature: str | None = None  # those of gateways to Claude
    signature: str | None = None
    encrypted_content: str | None = None  # those of gateways to Responses
    reasoning_items: list[Any] | None = None
    reasoning_details: list[Any] | None = None  # OpenRouter
    thinking_blocks: list[Any] | None = None  # LiteLLM, in Anthropic's shape
    provider_specific_fields: Any = None  # LiteLLM
    refusal: str | None = None
    tool_calls: list[ToolCallFragment] | None = None
    function_call: Function | None = None  # the one call, before there were tools
    annotations: list[Any] | None = None
    images: list[Any] | None = None  # OpenRouter, LiteLLM
    image: Any = None  # LiteLLM before that
    audio: Any = None
    extra_content: Any = None  # Gemini's skin
    executed_tools: list[Any] | None = None  # Groq
    phase: str | None = None
    index: int | None = None  # Mistral: of the message that a delta is for, if a choice has several
    tool_call_id: str | None = None  # and the call that a message is the result of


class CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class PromptDetails(msgspec.Struct, gc=False):
    audio_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_creation_tokens: int | None = None  # LiteLLM
    cache_creation_input_tokens: int | None = None  # DashScope
    cache_creation: CacheCreation | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None
    video_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    audio_tokens: int | None = None
    image_tokens: int | None = None
    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None


class UsageWire(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None  # mlx-vlm and others, in place of the first two
    output_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    input_tokens_details: PromptDetails | None = None
    output_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    num_cached_tokens: int | None = None
    cache_read_input_tokens: int | None = None  # Anthropic's names, from gateways
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    reasoning_tokens: int | None = None
    num_search_queries: int | None = None  # Perplexity
    service_tier: str | None = None  # Mistral


class Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: Message | None = None
    message: Message | None = None
    messages: list[msgspec.Raw] | None = None  # Mistral: its use of connectors, and then the answer
    finish_reason: str | int | None = None
    logprobs: Any = None
    usage: UsageWire | None = None  # Moonshot's place for it
    error: Any = None


class XGroq(msgspec.Struct, gc=False):
    usage: UsageWire | None = None
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One chunk of a stream, or the whole response."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: UsageWire | None = None
    error: Any = None
    errors: Any = None
    x_groq: XGroq | None = None
    citations: list[Any] | None = None  # Perplexity
    search_results: list[Any] | None = None  # Perplexity
    service_tier: str | None = None
    code: Any = None
    modality: str | None = None  # vLLM-Omni: of what stands in place of the text


class Embedding(msgspec.Struct, gc=False):
    embedding: msgspec.Raw = NULL  # decoded one by one: the numbers of all vectors would take eight times their memory
    index: int | None = None


class PackedEmbedding(msgspec.Struct, gc=False):
    embedding: bytes  # msgspec reads base64, at a third of what binascii needs
    index: int | None = None


class PackedEmbeddingList(msgspec.Struct, gc=False):
    """A list of vectors in base64."""

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
        """The context window, by the names of Groq, of OpenRouter and Together, of Mistral, and of vLLM."""
        return self.context_window or self.context_length or self.max_context_length or self.max_model_len


class ModelList(msgspec.Struct, gc=False):
    object: str | None = None
    data: list[ModelEntry] | None = None
    error: Any = None
