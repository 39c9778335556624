"""Validators and converters of the vocabulary's constructors: every error names the class and the field."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import attrs

_JSON_LEAVES = (str, int, float)
_MOST_QUOTED = 80

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def where(instance: object, attribute: attrs.Attribute[Any]) -> str:
    return f"{type(instance).__name__}.{attribute.name}"


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def quoted(value: object) -> str:
    """Return a wrong value for an error message: its beginning, if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of so many digits"
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"


def shortened(message: str) -> str:
    """Return the message of another library without its middle, if it quotes a long value."""
    rest = _MOST_QUOTED
    return message if len(message) <= 3 * rest else f"{message[: 2 * rest]}…{message[-rest:]}"


def _a(kind: type) -> str:
    name = kind.__name__
    return f"an {name}" if name[0] in "AEIOUaeiou" else f"a {name}"


@functools.cache
def _places(kind: Any) -> int:
    """Return how many fields of a class can be given without their names."""
    return sum(field.init and not field.kw_only for field in attrs.fields(kind))


def _too_many_values(kind: Any) -> str:
    fields = [field for field in attrs.fields(kind) if field.init]
    free = ", ".join(field.name for field in fields if not field.kw_only)
    named = [field.alias or field.name for field in fields if field.kw_only]
    if not named:
        return f"{kind.__name__} takes {free}, and no other values"
    given, first = (f"{free} without a name, and all others", "…, ") if free else ("its values", "")
    form = f"{kind.__name__}({first}{named[0]}=…)"
    return f"{kind.__name__} takes {given} by name: write {form}; the names are {', '.join(named)}"


class CheckedFields:
    """Base of an attrs class of settings. An unknown keyword is refused with the field that was probably meant."""

    __slots__ = ()

    def __new__(cls, *args: Any, **fields: Any) -> Self:
        kind: Any = cls
        if len(args) > _places(kind):
            raise TypeError(_too_many_values(kind))
        if fields:
            known = [field.alias or field.name for field in attrs.fields(kind) if field.init]
            for name in fields:
                if name not in known:
                    from turnout._utils.hints.keywords import unknown_field

                    raise unknown_field(cls.__name__, name, known)
        return object.__new__(cls)


def non_empty(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a string that is empty or has only white space."""
    if not isinstance(value, str):
        raise TypeError(f"{where(instance, attribute)} must be a str, not {_kind(value)}")
    if not value.strip():
        raise ValueError(f"{where(instance, attribute)} must not be empty")


def string(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{where(instance, attribute)} must be a str, not {_kind(value)}")


def number(low: float | None = None, high: float | None = None, *, above: float | None = None) -> Validator:
    """Return a validator for finite numbers within bounds; `above` is exclusive. None passes if it is the default."""

    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None and attribute.default is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{where(instance, attribute)} must be a number, not {_kind(value)}")
        _check_range(instance, attribute, value, low, high, above)

    return validate


def integer(low: int | None = None, high: int | None = None) -> Validator:
    """Return a validator for integers within bounds. None passes if it is the field's default."""

    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None and attribute.default is None:
            return
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{where(instance, attribute)} must be an int, not {_kind(value)}")
        _check_range(instance, attribute, value, low, high, None)

    return validate


def _check_range(
    instance: object,
    attribute: attrs.Attribute[Any],
    value: float,
    low: float | None,
    high: float | None,
    above: float | None,
) -> None:
    try:
        finite = math.isfinite(value)
    except OverflowError:
        raise ValueError(f"{where(instance, attribute)} is too large for a number") from None
    if not finite:
        raise ValueError(f"{where(instance, attribute)} must be finite, not {value}")
    if above is not None and value <= above:
        raise ValueError(f"{where(instance, attribute)} must be more than {above}, not {value}")
    if low is not None and value < low:
        raise ValueError(f"{where(instance, attribute)} must be at least {low}, not {value}")
    if high is not None and value > high:
        raise ValueError(f"{where(instance, attribute)} must be at most {high}, not {value}")


def one_of(*words: str) -> Validator:
    """Return a validator that accepts only these words."""

    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in words:
            known = f"{', '.join(words[:-1])} or {words[-1]}"
            raise ValueError(f"{where(instance, attribute)} must be {known}, not {quoted(value)}")

    return validate


def one_of_or_none(*words: str) -> Validator:
    """Return a validator that accepts only these words and None."""
    validate_word = one_of(*words)

    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            validate_word(instance, attribute, value)

    return validate


def instance(kind: type) -> Validator:
    """Return a validator for instances of this class. None passes if it is the field's default."""

    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind) and not (value is None and attribute.default is None):
            raise _no_instance(where(instance, attribute), value, kind)

    return validate


def _no_instance(path: str, value: object, *kinds: type) -> TypeError:
    """Return the error for a value that is no instance of one of these classes, with how one is written."""
    from turnout._utils.hints.values import form_of

    wanted = " or ".join(_a(kind) for kind in kinds)
    return TypeError(f"{path} must be {wanted}, not {_kind(value)}{form_of(kinds[0].__name__)}")


def mapping_to(kind: type) -> Validator:
    """Return a validator for mappings from names to instances of this class.

    Only the items of a dict are checked: another mapping may compute its items when they are used.
    """

    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, Mapping):
            from turnout._utils.hints.values import form_of

            form = form_of(kind.__name__).removeprefix(": write ")
            example = f" such as {{'openai/gpt-4o-mini': {form}}}" if form else ""
            raise TypeError(f"{where(instance, attribute)} must be a mapping{example}, not {_kind(value)}")
        for key, item in value.items() if isinstance(value, dict) else ():
            if not isinstance(key, str):
                raise TypeError(f"{where(instance, attribute)} must have names as keys, not {_kind(key)}")
            if not isinstance(item, kind):
                raise _no_instance(f"{where(instance, attribute)}[{key!r}]", item, kind)

    return validate


def instances(*kinds: type) -> Validator:
    """Return a validator for tuples in which every item is an instance of one of these classes."""

    exact = frozenset(kinds)

    def validate(instance: object, attribute: attrs.Attribute[Any], value: Iterable[object]) -> None:
        if exact.issuperset(map(type, value)):
            return  # the usual case, without a step of Python for each item
        for place, item in enumerate(value):
            if not isinstance(item, kinds):
                raise _no_instance(f"{where(instance, attribute)}[{place}]", item, *kinds)

    return validate


def deep_copy(value: Mapping[str, Any] | None, demand: str = "expected a mapping") -> dict[str, Any]:
    """Return a deep copy of a mapping, so that later changes by the caller do not change the request.

    Args:
        value: The mapping, or None for an empty one.
        demand: The beginning of the error for a value that is no mapping.
    """
    if not value and (value is None or type(value) is dict):
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{demand}, not {_kind(value)}")
    try:
        return copy.deepcopy(dict(value))
    except RecursionError:
        raise ValueError(f"{demand}, not one that is nested so deeply") from None


def labels(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a deep copy of a request's metadata."""
    return deep_copy(value, "metadata must be a mapping such as {'user': 'u1'}")


def json_values(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a value that JSON cannot represent. The error has its path. Empty values pass unchecked."""
    if value:
        try:
            _check_json(value, where(instance, attribute))
        except RecursionError:
            raise ValueError(f"{where(instance, attribute)} is nested too deeply") from None


def _check_json(value: object, path: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{path} must have texts as keys, not {key!r}")
            _check_json(item, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            _check_json(item, f"{path}[{place}]")
    elif value is not None and not isinstance(value, _JSON_LEAVES):
        what = f"the class {value.__name__}" if isinstance(value, type) else _kind(value)
        raise TypeError(f"{path} must be a value that JSON can hold, not {what}")


def as_tuple(value: Iterable[Any] | None) -> tuple[Any, ...]:
    """Return the items of an iterable as a tuple. A string is refused: its characters are rarely meant as items."""
    if type(value) is tuple:
        return value
    if value is None:
        return ()
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"expected a list or tuple, not {_kind(value)}")
    return tuple(value)
