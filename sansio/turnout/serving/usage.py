"""Usage as each dialect reports it."""

from __future__ import annotations

from typing import Any

from turnout.chat import Usage

__all__ = ["chat_usage", "messages_usage", "responses_usage"]


def chat_usage(usage: Usage) -> dict[str, Any] | None:
    """Return the usage in chat completions, None if nothing is known.

    `cost` is OpenRouter's name for the price of the answer.
    """
    if usage.source == "absent":
        return None
    wire: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens or 0,
        "completion_tokens": usage.completion_tokens or 0,
        "total_tokens": usage.total_tokens or 0,
    }
    prompt = _known(cached_tokens=usage.cached_tokens, cache_write_tokens=usage.cache_write_tokens)
    if prompt:
        wire["prompt_tokens_details"] = prompt
    if usage.reasoning_tokens is not None:
        wire["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.cost is not None:
        wire["cost"] = usage.cost
    return wire


def responses_usage(usage: Usage) -> dict[str, Any] | None:
    """Return the usage in Responses, None if nothing is known."""
    if usage.source == "absent":
        return None
    wire: dict[str, Any] = {
        "input_tokens": usage.prompt_tokens or 0,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            **_known(cache_write_tokens=usage.cache_write_tokens),
        },
        "output_tokens": usage.completion_tokens or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens or 0,
    }
    if usage.cost is not None:
        wire["cost"] = usage.cost
    return wire


def messages_usage(usage: Usage) -> dict[str, Any]:
    """Return the usage in Messages, in which `input_tokens` leaves out the tokens that the cache read and wrote."""
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    wire: dict[str, Any] = {
        "input_tokens": max(0, (usage.prompt_tokens or 0) - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.completion_tokens or 0,
    }
    if usage.cost is not None:
        wire["cost"] = usage.cost
    return wire


def _known(**counts: int | None) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count is not None}
