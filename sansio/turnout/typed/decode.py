"""Reads the text of an answer as a value of a class."""

from __future__ import annotations

from typing import Any

import msgspec

from turnout._utils.json_text import without_fence
from turnout.typed.schema import is_pydantic

__all__ = ["parse_text"]


def parse_text(text: str, kind: Any) -> Any:
    """Return JSON as a value of `kind`. Models write line breaks into texts and fences around JSON: both are read.

    Raises:
        ValueError: If it is not one.
    """
    text = without_fence(text)
    if is_pydantic(kind):
        return kind.model_validate_json(text)
    try:
        return msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=kind)
    except msgspec.MsgspecError as error:  # a ValueError only since msgspec 0.21
        raise ValueError(str(error)) from error
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
