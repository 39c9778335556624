"""Reads the format of an answer from a class, or from a dict in the form of OpenAI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout._utils.serialization import as_mapping
from turnout.types.response_format import ResponseFormat

__all__ = ["response_format_of"]


def response_format_of(value: Any) -> Any:
    """Return the format of a class or a dict. Any other value is returned as it is.

    Raises:
        ValueError: If the dict has another form.
    """
    if isinstance(value, Mapping):
        return _of_dict(value)
    if value in ("json", "json_object", dict):
        raise TypeError("ChatRequest.response_format must be a ResponseFormat or a class: write ResponseFormat.json()")
    if isinstance(value, ResponseFormat) or not isinstance(value, type):
        return value
    return ResponseFormat.of(value)


def _of_dict(plain: Mapping[str, Any]) -> ResponseFormat | None:
    kind = plain.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return ResponseFormat.json()
    if kind != "json_schema":
        raise ValueError(
            "ChatRequest.response_format must be a ResponseFormat, a class, or a dict whose type is "
            f"json_schema or json_object, not {kind!r}: for a JSON Schema write ResponseFormat(schema)"
        )
    given = as_mapping(plain.get("json_schema", plain), "ChatRequest.response_format.json_schema")
    known = {name: given[name] for name in ("schema", "name", "description", "strict") if given.get(name) is not None}
    return ResponseFormat(**known)
