"""Reads the format of an answer from a class, or from a dict in the form of OpenAI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_origin

from turnout._utils.names import did_you_mean
from turnout._utils.serialization import as_mapping
from turnout.types.response_format import ResponseFormat

__all__ = ["response_format_of"]

_FIELD = "ChatRequest.response_format"
_SCHEMA_FIELDS = ("schema", "name", "description", "strict")


def response_format_of(value: Any) -> Any:
    """Return the format of a class or a dict. Any other value is returned as it is.

    Raises:
        ValueError: If the dict has another form.
    """
    if isinstance(value, Mapping):
        return _of_dict(value)
    if value in ("json", "json_object", dict):
        raise TypeError("ChatRequest.response_format must be a ResponseFormat or a class: write ResponseFormat.json()")
    if value is None or isinstance(value, ResponseFormat):
        return value
    form = f"{_FIELD} must be a ResponseFormat, a class or a dict"
    if get_origin(value) is not None:
        raise TypeError(f"{form}: for {value} write ResponseFormat.of({value})")
    if not isinstance(value, type):
        kind = type(value)
        advice = "" if kind.__module__ == "builtins" else f": write the class {kind.__name__}, not a value of it"
        raise TypeError(f"{form}, not {kind.__name__}{advice}")
    return ResponseFormat.of(value)


def _of_dict(plain: Mapping[str, Any]) -> ResponseFormat | None:
    kind = plain.get("type")
    if kind in ("text", "json_object"):
        _check_fields(plain, ("type",), _FIELD)
        return ResponseFormat.json() if kind == "json_object" else None
    if kind != "json_schema":
        raise ValueError(
            f"{_FIELD} must be a ResponseFormat, a class, or a dict whose type is "
            f"json_schema or json_object, not {kind!r}: for a JSON Schema write ResponseFormat(schema)"
        )
    where = _FIELD
    if "json_schema" in plain:
        _check_fields(plain, ("type", "json_schema"), where)
        where += ".json_schema"
        plain = as_mapping(plain["json_schema"], where)
        _check_fields(plain, _SCHEMA_FIELDS, where)
    else:
        _check_fields(plain, ("type", *_SCHEMA_FIELDS), where)
    if plain.get("schema") is None:
        raise ValueError(f"{where}.schema is missing: for JSON without a schema write {{'type': 'json_object'}}")
    return ResponseFormat(**{name: plain[name] for name in _SCHEMA_FIELDS if plain.get(name) is not None})


def _check_fields(plain: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raise ValueError for a field that is not known: without it the answer would have another form."""
    for name, value in plain.items():
        if name not in known and value is not None:
            schema = isinstance(value, Mapping) and known == ("type",)
            advice = ": for a JSON Schema write ResponseFormat(schema)" if schema else did_you_mean(str(name), known)
            raise ValueError(f"{where} has no {name!r}{advice}")
