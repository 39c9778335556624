"""Makes the JSON Schema of a class."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

__all__ = ["is_pydantic", "last_line", "require_all", "schema_of"]

_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def is_pydantic(kind: Any) -> bool:
    """True if `kind` is a class of pydantic. pydantic itself is not imported."""
    return isinstance(kind, type) and hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate_json")


def schema_of(kind: Any) -> tuple[dict[str, Any], str, str | None]:
    """Return the JSON Schema of a class, a name for it, and its description.

    Names of definitions stay inside the schema. A class that is not an object, such as `list[int]`, is allowed: some
    providers refuse it.

    Raises:
        TypeError: If a field has a type that JSON Schema has no form for.
    """
    name = _NAME.sub("_", getattr(kind, "__name__", str(kind))).strip("_")[:64] or "answer"
    if is_pydantic(kind):
        schema: dict[str, Any] = kind.model_json_schema()
        return require_all(schema), name, schema.get("description")
    try:
        schema = msgspec.json.schema(kind)
    except TypeError as error:
        raise TypeError(f"{name} has no JSON Schema: {last_line(error)}") from None
    except RecursionError:
        raise TypeError(f"{name} has no JSON Schema: its types are nested too deeply") from None
    return require_all(_top_level(schema)), name, _description(kind)


def last_line(error: Exception) -> str:
    """Return the part of an error of msgspec that names the type. The lines before it are about hooks."""
    return str(error).rpartition("\n")[2]


def require_all(schema: Any) -> Any:
    """Return a schema in which every property is required, also those with a default.

    The strict modes of several providers demand that, and the other providers accept it.
    """
    if isinstance(schema, list):
        return [require_all(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: require_all(value) for name, value in schema.items() if name not in ("properties", "$defs")}
    for name in ("properties", "$defs"):
        if name in schema:
            made[name] = {key: require_all(value) for key, value in schema[name].items()}
    properties = made.get("properties")
    if properties:
        made["required"] = list(properties)
        made["properties"] = {name: _without_default(value) for name, value in properties.items()}
    return made


def _without_default(schema: Any) -> Any:
    return {key: value for key, value in schema.items() if key != "default"} if isinstance(schema, dict) else schema


def _top_level(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with the definition in place of a reference at its top: some providers refuse one there."""
    reference = schema.get("$ref", "")
    definitions = schema.get("$defs", {})
    name = reference.removeprefix("#/$defs/")
    if not reference or name not in definitions:
        return schema
    others = {other: given for other, given in definitions.items() if other != name}
    top: dict[str, Any] = definitions[name]
    if f"'{reference}'" in repr(definitions):  # the class refers to itself
        others = definitions
    return {**top, "$defs": others} if others else top


def _description(kind: Any) -> str | None:
    # Dataclasses and attrs write a signature as the docstring of a class without one.
    text = inspect.getdoc(kind) if isinstance(kind, type) and kind.__dict__.get("__doc__") else None
    return None if text is None or text.startswith(f"{kind.__name__}(") else text
