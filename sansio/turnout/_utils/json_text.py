"""Finds the JSON in the text of an answer."""

from __future__ import annotations

import msgspec

__all__ = ["is_json", "without_fence"]


def without_fence(text: str) -> str:
    """Return the text without the blanks and the Markdown code fence around it: models write fences around JSON."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") : -3].strip()
    return text


def is_json(text: str) -> bool:
    """Return whether a text is one JSON document, perhaps in a fence: `reply.parsed` reads no other text."""
    try:
        msgspec.json.decode(without_fence(text).encode(), type=msgspec.Raw)  # which makes no values
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True
