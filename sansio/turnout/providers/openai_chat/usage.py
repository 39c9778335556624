"""The usage of chat-completions responses, under all the names that servers give it."""

from __future__ import annotations

from turnout.chat import Usage
from turnout.providers.openai_chat.wire import CacheCreation, CompletionDetails, PromptDetails, UsageWire

__all__ = ["usage_of"]

_NO_PROMPT_DETAILS = PromptDetails()
_NO_COMPLETION_DETAILS = CompletionDetails()


def usage_of(wire: UsageWire, service_tier: str | None = None) -> Usage:
    """Return the usage in Turnout's words; absent if it counts neither the prompt nor the completion.

    `total_tokens` decides two doubts: whether the completion leaves out reasoning (xAI), and whether the prompt leaves
    out the tokens that a cache read and wrote, which Anthropic's `input_tokens` do.
    """
    prompt = wire.prompt_tokens if wire.prompt_tokens is not None else wire.input_tokens
    completion = wire.completion_tokens if wire.completion_tokens is not None else wire.output_tokens
    if prompt is None and completion is None:
        return Usage(source="absent")
    details = wire.prompt_tokens_details or wire.input_tokens_details or _NO_PROMPT_DETAILS
    spent = wire.completion_tokens_details or wire.output_tokens_details or _NO_COMPLETION_DETAILS
    reasoning = spent.reasoning_tokens if spent.reasoning_tokens is not None else wire.reasoning_tokens
    total = wire.total_tokens
    if reasoning and completion is not None and total == (prompt or 0) + completion + reasoning:
        completion += reasoning
    read, written = wire.cache_read_input_tokens, wire.cache_creation_input_tokens
    if (read or written) and prompt is not None:
        beside = (read or 0) + (written or 0)
        excluded = wire.prompt_tokens is None if total is None else total == prompt + (completion or 0) + beside
        prompt += beside if excluded else 0
    lifetimes = wire.cache_creation or details.cache_creation
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=_first(
            details.cached_tokens, wire.prompt_cache_hit_tokens, wire.cached_tokens, wire.num_cached_tokens, read
        ),
        cache_write_tokens=_first(
            details.cache_write_tokens,
            details.cache_creation_tokens,
            details.cache_creation_input_tokens,
            written,
            _sum_of(lifetimes),
        ),
        cache_write_1h_tokens=lifetimes.ephemeral_1h_input_tokens if lifetimes is not None else None,
        reasoning_tokens=reasoning,
        audio_prompt_tokens=details.audio_tokens,
        audio_completion_tokens=spent.audio_tokens,
        image_completion_tokens=spent.image_tokens,
        web_searches=wire.num_search_queries,
        service_tier=wire.service_tier or service_tier,
        details=_details(details, spent),
    )


def _details(given: PromptDetails, spent: CompletionDetails) -> dict[str, int]:
    if not (
        spent.accepted_prediction_tokens or spent.rejected_prediction_tokens or given.image_tokens or given.video_tokens
    ):
        return {}
    counts = {
        "accepted_prediction_tokens": spent.accepted_prediction_tokens,
        "rejected_prediction_tokens": spent.rejected_prediction_tokens,
        "image_prompt_tokens": given.image_tokens,
        "video_prompt_tokens": given.video_tokens,
    }
    return {name: count for name, count in counts.items() if count}


def _sum_of(lifetimes: CacheCreation | None) -> int | None:
    if lifetimes is None:
        return None
    counts = (lifetimes.ephemeral_5m_input_tokens, lifetimes.ephemeral_1h_input_tokens)
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _first(*counts: int | None) -> int | None:
    """Return the first count that is reported; 0 is a count."""
    for count in counts:
        if count is not None:
            return count
    return None
