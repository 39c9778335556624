"""Fields of one vendor in the `extra` of a model, message, part or tool.

A field that only one vendor understands names that vendor: `extra={"anthropic": {"cache_control": {…}}}`. The fields
under a name in `SCOPES` reach that vendor only, so that a fallback never sends them to another one. A scope is the name
of a dialect, for every provider that speaks it, or of a provider in the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

__all__ = ["SCOPES", "merge_extra", "scoped_fields"]

_DIALECTS = frozenset({"anthropic", "bedrock", "cohere", "gemini", "ollama", "openai-chat", "openai-responses"})
_VENDORS = frozenset(
    "azure cerebras dashscope deepinfra deepseek fireworks github glm4 groq huggingface llama-cpp lm-studio "
    "minimax mistral modelscope moonshot nebius nvidia openai openai-compatible openrouter perplexity "
    "sambanova siliconflow together vercel vllm xai zai".split()
)
SCOPES = _DIALECTS | _VENDORS
"""The names whose fields reach one vendor or one dialect only."""

# Fields that belong to known vendors even if the caller does not name one: no other vendor receives them.
_OWNERS: Mapping[str, frozenset[str]] = {
    "cache_control": frozenset({"anthropic", "bedrock", "openrouter", "openai-compatible"}),
    "cachePoint": frozenset({"bedrock"}),
    "citations": frozenset({"anthropic", "bedrock"}),
    "mediaResolution": frozenset({"gemini"}),
    "systemTool": frozenset({"bedrock"}),
    "thoughtSignature": frozenset({"gemini"}),
    "videoMetadata": frozenset({"gemini"}),
}


def scoped_fields(
    extra: Mapping[str, Any], scopes: tuple[str, ...], *, flat: Literal["all", "owned", "none"] = "all"
) -> dict[str, Any]:
    """Return the fields that a provider with these scopes receives.

    Args:
        extra: The caller's fields, those of a scope under its name.
        scopes: The provider's scopes. The fields of a later one replace those of an earlier one.
        flat: Which fields outside every scope are for this provider, too: all, those that no other vendor owns, or
            none.
    """
    fields: dict[str, Any] = {}
    for name, value in extra.items() if flat != "none" else ():
        if name in SCOPES or name in scopes:
            continue
        owners = _OWNERS.get(name) if flat == "owned" else None
        if owners is None or not owners.isdisjoint(scopes):
            fields[name] = value
    for scope in scopes:
        own = extra.get(scope)
        if isinstance(own, Mapping):
            fields |= own
    return fields


def merge_extra(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both; a field of `over` replaces the same field of `under`, also inside a scope."""
    merged = {**under, **over}
    for name, value in over.items():
        below = under.get(name)
        if name in SCOPES and isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[name] = {**below, **value}
    return merged
