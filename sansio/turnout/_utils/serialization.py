"""Values of the vocabulary as plain ones for JSON, and back."""

from __future__ import annotations

import base64
import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import attrs

from turnout._utils.hints.keywords import advice_for_field
from turnout._utils.validation import deep_copy


class Plain:
    """A value of the vocabulary that can be given to a JSON encoder: `to_dict()`, or `dict(value)`."""

    __slots__ = ()

    _items = ""  # where the items are that a caller may look for in this value

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON. Fields that are not set are left out; bytes become base64."""
        plain: dict[str, Any] = {}
        for name in self._plain_names():
            value = getattr(self, name)
            if value is not None and value != () and value != {}:
                plain[name] = str(value) if name == "model" else plain_value(value)
        return plain

    def _plain_names(self) -> list[str]:
        # `repr=False` marks large or secret fields: the raw bytes of a response, its trace.
        return [field.name for field in attrs.fields(type(self)) if field.repr is not False]  # type: ignore[arg-type]

    def keys(self) -> Iterable[str]:
        """Return the names of `to_dict()`, so that `dict(value)` gives the same."""
        return self.to_dict().keys()

    def __getitem__(self, name: object) -> Any:
        if not isinstance(name, str):
            fields = ", ".join(self._plain_names()[:3])
            raise TypeError(f"{type(self).__name__} has fields such as {fields}, and no item {name!r}{self._items}")
        try:
            return self.to_dict()[name]
        except KeyError:
            return getattr(self, name)


def plain_value(value: Any) -> Any:
    """Return a value of the vocabulary as JSON has it."""
    if isinstance(value, enum.Enum):
        return value.value
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [plain_value(item) for item in value]
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict):
        return to_dict()
    if attrs.has(type(value)):
        return to_plain(value)
    return value.tolist() if hasattr(value, "tolist") else str(value)


T = TypeVar("T", bound=attrs.AttrsInstance)


def to_plain(value: attrs.AttrsInstance) -> dict[str, Any]:
    """Return the fields of a value, bytes as base64.

    Fields with their default value are omitted, so that later versions with more fields can read stored values.
    """
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
    """Return an instance of this class from the result of `to_plain`.

    Args:
        where: The path of the value, for errors.

    Raises:
        ValueError: If a field is not known or does not fit.
    """
    types = {field.name: str(field.type) for field in attrs.fields(kind)}
    if unknown := plain.keys() - types.keys():
        raise ValueError(
            f"{where} has fields that {kind.__name__} does not know: {', '.join(sorted(map(str, unknown)))}"
            f"{advice_for_field(kind.__name__, min(map(str, unknown)), types)}"
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
    """Return a copy of a JSON object.

    Raises:
        ValueError: If the value is not an object.
    """
    if not isinstance(told, Mapping):
        raise ValueError(f"{where} must be an object, not {type(told).__name__}")
    return dict(told)


def each(plain: Mapping[str, Any], name: str, prefix: str = "") -> Iterator[tuple[Any, str]]:
    """Return the items of a list, which may be absent, and the path of each.

    Raises:
        ValueError: If the value is not a list.
    """
    given = plain.get(name)
    path = f"{prefix}.{name}" if prefix else name
    if not isinstance(given, list | tuple | None):
        kind = "a text or a list of parts" if name == "content" else "a list"
        raise ValueError(f"{path} must be {kind}, not {type(given).__name__}")
    for place, item in enumerate(given or ()):
        yield item, f"{path}[{place}]"
