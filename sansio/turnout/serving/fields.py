"""Typed access to the JSON objects of a request. Every error names the path of the field that is wrong."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, cast

from turnout.serving.errors import RequestRejected, invalid_request

__all__ = ["Fields"]

T = TypeVar("T")


class Fields:
    """One JSON object of a request.

    A field that is null counts as absent, because clients write null for "not given".

    Args:
        values: The object.
        parent: The object that holds this one. None for the request body.
        key: The position in the parent, such as `tools[1]`.
    """

    __slots__ = ("_key", "_parent", "values")

    def __init__(self, values: dict[str, Any], parent: Fields | None = None, key: str = "") -> None:
        self.values = values
        self._parent = parent
        self._key = key

    def path(self, name: str = "") -> str:
        """Return the path of a field from the request body, such as `messages[2].content`."""
        names = [name] if name else []
        fields: Fields | None = self
        while fields is not None:
            if fields._key:
                names.append(fields._key)
            fields = fields._parent
        return ".".join(reversed(names))

    def rejected(self, name: str, problem: str, code: str = "invalid_value") -> RequestRejected:
        """Return the error for a field that the client must change."""
        path = self.path(name)
        return invalid_request(f"{path}: {problem}", path, code)

    def get(self, name: str) -> Any:
        """Return a field of any type, None if it is absent."""
        return self.values.get(name)

    def has(self, name: str) -> bool:
        """Return True if a field is present and not null."""
        return self.values.get(name) is not None

    def says_something(self, name: str) -> bool:
        """Return True if a field is neither absent nor null, nor an empty text, array or object."""
        return self.values.get(name) not in (None, "", [], {})

    def unknown(self, known: Collection[str]) -> dict[str, Any]:
        """Return the fields that are present and not among `known`."""
        return {name: value for name, value in self.values.items() if name not in known and value is not None}

    def text(self, name: str) -> str | None:
        """Return a string, None if it is absent."""
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.rejected(name, f"must be a string, not {_kind(value)}", "invalid_type")

    def required_text(self, name: str) -> str:
        """Return a string that must not be empty."""
        value = self.text(name)
        if value is None:
            raise self.missing(name)
        if not value.strip():
            raise self.rejected(name, "must not be empty")
        return value

    def missing(self, name: str) -> RequestRejected:
        """Return the error for a field that must be present."""
        return self.rejected(name, "this field is required", "missing_required_parameter")

    def one_of(self, name: str, words: Collection[str]) -> str | None:
        """Return a string that must be one of `words`, None if it is absent or empty."""
        value = self.text(name) or None
        if value is not None and value not in words:
            raise self.rejected(name, f"must be one of {', '.join(sorted(words))}, not {value[:40]!r}")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean, None if it is absent."""
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self.rejected(name, f"must be true or false, not {_kind(value)}", "invalid_type")

    def number(self, name: str, low: float | None = None, high: float | None = None) -> float | None:
        """Return a number within the bounds, None if it is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.rejected(name, f"must be a number, not {_kind(value)}", "invalid_type")
        if not _is_finite(value):
            raise self.rejected(name, "this number is too large")
        return self._within(name, value, low, high)

    def integer(self, name: str, low: int | None = None, high: int | None = None) -> int | None:
        """Return a whole number within the bounds, None if it is absent. `1.0` counts as 1."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.rejected(name, f"must be a whole number, not {_kind(value)}", "invalid_type")
        if not _is_finite(value):
            raise self.rejected(name, "this number is too large")
        return self._within(name, value, low, high)

    def _within(self, name: str, value: T, low: float | None, high: float | None) -> T:
        number = cast("float", value)
        if low is not None and number < low:
            raise self.rejected(name, f"must be at least {low:g}, not {number:g}")
        if high is not None and number > high:
            raise self.rejected(name, f"must be at most {high:g}, not {number:g}")
        return value

    def object(self, name: str) -> Fields | None:
        """Return an object, None if it is absent. `[]` counts as absent: PHP writes it for an empty object."""
        value = self.values.get(name)
        if value is None or value == []:
            return None
        if not isinstance(value, dict):
            raise self.rejected(name, f"must be an object, not {_kind(value)}", "invalid_type")
        return Fields(value, self, name)

    def required_object(self, name: str) -> Fields:
        """Return an object that must be present."""
        found = self.object(name)
        if found is None:
            raise self.missing(name)
        return found

    def objects(self, name: str) -> list[Fields]:
        """Return the objects of an array, an empty list if it is absent."""
        items = self.array(name)
        found = []
        for index, item in enumerate(items or ()):
            key = f"{name}[{index}]"
            if not isinstance(item, dict):
                raise self.rejected(key, f"must be an object, not {_kind(item)}", "invalid_type")
            found.append(Fields(item, self, key))
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the strings of an array, an empty tuple if it is absent."""
        items = self.array(name) or []
        for index, item in enumerate(items):
            if not isinstance(item, str):
                raise self.rejected(f"{name}[{index}]", f"must be a string, not {_kind(item)}", "invalid_type")
        return tuple(items)

    def array(self, name: str) -> list[Any] | None:
        """Return an array, None if it is absent."""
        value = self.values.get(name)
        if value is None or isinstance(value, list):
            return value
        raise self.rejected(name, f"must be an array, not {_kind(value)}", "invalid_type")

    def schema(self, name: str) -> Mapping[str, Any] | None:
        """Return a JSON Schema as a mapping, None if it is absent."""
        found = self.object(name)
        return None if found is None else found.values


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
