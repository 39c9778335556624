"""Reads the text of an answer as a value of a class."""

from __future__ import annotations

from typing import Any

import msgspec

from turnout.chat import ChatResponse
from turnout.typed.schema import is_pydantic
from turnout.types.response import FinishReason

__all__ = ["parse_answer", "parse_text"]


def parse_answer(response: ChatResponse, kind: Any) -> Any:
    """Return the text of an answer as a value of `kind`.

    Raises:
        ValueError: If it is not one.
    """
    try:
        return parse_text(response.text, kind)
    except ValueError as error:
        raise ValueError(
            f"the answer of {response.model} is not a {_name(kind)}: {_reason(response, error)}"
        ) from error


def parse_text(text: str, kind: Any) -> Any:
    """Return JSON as a value of `kind`. Models write line breaks into texts and fences around JSON: both are read.

    Raises:
        ValueError: If it is not one.
    """
    text = _without_fence(text)
    if is_pydantic(kind):
        return kind.model_validate_json(text)
    return msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=kind)


def _without_fence(text: str) -> str:
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") : -3].strip()
    return text


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _reason(response: ChatResponse, error: ValueError) -> str:
    if response.refusal is not None:
        return f"the model refused: {response.refusal}"
    if response.finish_reason is FinishReason.LENGTH:
        return f"it was cut, so give more max_tokens ({error})"
    if not response.text:
        return f"it has no text (finish reason {response.finish_reason.value})"
    return str(error)
