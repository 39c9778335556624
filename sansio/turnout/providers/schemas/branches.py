"""Whether the branches of a `oneOf` exclude each other, so that `anyOf` means the same; and the kinds of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

__all__ = ["exclusive", "kind_of", "merged_enum_type"]


def kind_of(value: Any) -> str:
    """The type of a JSON value, in the words of JSON Schema."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list | tuple) else "object"


def merged_enum_type(values: Sequence[Any]) -> str | list[str]:
    """The type of all these values."""
    kinds = list(dict.fromkeys(kind_of(value) for value in values))
    return kinds[0] if len(kinds) == 1 else kinds


def exclusive(branches: Sequence[Any]) -> bool:
    """Whether it is plain that no value matches two of these schemas."""
    return all(_apart(one, other) for one, other in combinations(branches, 2))


def _apart(one: Any, other: Any) -> bool:
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return one is False or other is False
    types, others = _types(one), _types(other)
    if types is not None and others is not None and not types & others:
        return True
    values, other_values = _values(one), _values(other)
    if values is not None and other_values is not None and not values & other_values:
        return True
    # Objects that must have the same property with different values (a tagged union).
    if types != {"object"} or others != {"object"}:
        return False
    return any(_apart_by(name, one, other) for name in set(one.get("required", ())) & set(other.get("required", ())))


def _apart_by(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    tags = [_values(schema.get("properties", {}).get(name)) for schema in (one, other)]
    return tags[0] is not None and tags[1] is not None and not tags[0] & tags[1]


def _types(schema: Mapping[str, Any]) -> set[str] | None:
    types = schema.get("type")
    if types is None:
        return None
    # An integer is a number too.
    return {"number" if one == "integer" else one for one in ([types] if isinstance(types, str) else types)}


def _values(schema: Any) -> set[tuple[str, Any]] | None:
    """Return the only values that match, if they are few and plain."""
    if not isinstance(schema, Mapping):
        return None
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list) or any(kind_of(value) in ("array", "object") for value in values):
        return None
    return {(kind_of(value), value) for value in values}
