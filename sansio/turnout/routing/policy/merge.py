"""Settings that state only what differs, and how the narrower ones are put over the wider ones.

The order is: the call, the model (a `Choice` of a route), the route, the router. Each states what differs from the
next wider one. Tables (rules, prices, context windows, fallbacks) are merged by key, timeouts by timer; any other
setting replaces the wider one.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import attrs

from turnout._utils.validation import CheckedFields

__all__ = ["Stated", "merged"]

StatedT = TypeVar("StatedT", bound="Stated")


class Stated(CheckedFields):
    """Base of a class of settings that knows which of its fields were given."""

    __slots__ = ("_stated",)

    _stated: frozenset[str]

    def __new__(cls, *args: Any, **fields: Any) -> Self:
        made = super().__new__(cls, *args, **fields)
        object.__setattr__(made, "_stated", frozenset(fields))
        return made

    @property
    def stated(self) -> frozenset[str]:
        """The names of the fields that were given. The others have their defaults."""
        given = self._stated
        kind: Any = type(self)
        fields = attrs.fields_dict(kind)
        if len(given) == len(fields):
            # `attrs.evolve` gives every field.
            defaults = kind()
            return frozenset(name for name in given if getattr(self, name) != getattr(defaults, name))
        return given

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[type[Self], dict[str, Any]]]:
        return _restored, (type(self), {name: getattr(self, name) for name in self.stated})


def _restored(kind: type[StatedT], fields: Mapping[str, Any]) -> StatedT:
    return kind(**fields)


def merged(narrow: StatedT, wide: StatedT) -> StatedT:
    """Return the settings of `wide`, with those that `narrow` states over them."""
    fields = {name: getattr(wide, name) for name in wide.stated}
    for name in narrow.stated:
        value = getattr(narrow, name)
        fields[name] = _joined(value, getattr(wide, name))
    return type(wide)(**fields)


def _joined(narrow: Any, wide: Any) -> Any:
    if isinstance(narrow, Stated) and isinstance(wide, Stated):
        return merged(narrow, wide)
    if isinstance(narrow, Mapping) and isinstance(wide, Mapping):
        if isinstance(narrow, dict) and isinstance(wide, dict):
            return {**wide, **narrow}
        # A list of prices looks up its items when they are needed, so it cannot be copied.
        return ChainMap(narrow, wide)  # type: ignore[arg-type]  # it is only read
    return narrow
