"""Values of the vocabulary as plain ones for JSON, and back."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

from turnout._validation import deep_copy

T = TypeVar("T", bound=attrs.AttrsInstance)


def to_plain(value: attrs.AttrsInstance) -> dict[str, Any]:
    """The fields of a value, bytes as base64. One that has its default is left out: when there are more fields one
    day, what was stored before can still be read."""
    plain: dict[str, Any] = {}
    for field in attrs.fields(type(value)):
        told = getattr(value, field.name)
        if isinstance(told, Mapping):
            told = deep_copy(told)
        made: Any = field.default
        if told != (made.factory() if hasattr(made, "factory") else made):
            plain[field.name] = base64.b64encode(told).decode() if isinstance(told, bytes) else told
    return plain


def from_plain(kind: type[T], plain: Mapping[str, Any], where: str) -> T:
    """The value of this kind. Raises ValueError, which says `where` it stands."""
    types = {field.name: str(field.type) for field in attrs.fields(kind)}
    if unknown := plain.keys() - types.keys():
        raise ValueError(
            f"{where} has fields that {kind.__name__} does not know: {', '.join(sorted(map(str, unknown)))}"
        )
    try:
        fields = {
            name: base64.b64decode(told, validate=True) if "bytes" in types[name] and told is not None else told
            for name, told in plain.items()
        }
        return kind(**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} is no {kind.__name__}: {error}") from None


def as_mapping(told: object, where: str) -> dict[str, Any]:
    """A copy of a JSON object. Raises ValueError."""
    if not isinstance(told, Mapping):
        raise ValueError(f"{where} must be an object, not {type(told).__name__}")
    return dict(told)


def each(plain: Mapping[str, Any], name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects of a list, which may be absent, and where each stands. Raises ValueError."""
    told = plain.get(name)
    if not isinstance(told, list | tuple | None):
        raise ValueError(f"{name} must be a list, not {type(told).__name__}")
    for place, item in enumerate(told or ()):
        where = f"{name}[{place}]"
        yield as_mapping(item, where), where
