"""Checks of the fields of an entry: its author learns of a wrong value when the entry is made, not from a call."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from turnout._utils.names import nearest
from turnout._utils.validation import Validator, instances, integer, non_empty, quoted, string, where
from turnout.errors import ProviderError
from turnout.providers.urls import checked_header, fault_of_base_url
from turnout.types.models import ROUTE

__all__ = [
    "OPTIONS",
    "RENAMED",
    "SETTINGS",
    "UNSUPPORTED",
    "base_url",
    "checked_name",
    "collection",
    "count_or_none",
    "error_classes",
    "header_fields",
    "header_name",
    "list_to_set",
    "list_to_tuple",
    "names_in",
    "path",
    "pattern",
    "patterns_to",
    "provider_name",
    "temperature",
    "texts",
    "texts_by",
    "variables",
    "without_slash",
]

# The settings of a model that its request can have.
SETTINGS = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "max_tokens",
    "stop",
    "logprobs",
    "reasoning_effort",
)
# What a provider or a model may refuse: these, a JSON Schema for the answer, and a forced call.
UNSUPPORTED = (*SETTINGS, "response_format", "tool_choice")
# The fields of a request that may have another name at a provider; `max_tokens` has a field of its own.
RENAMED = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "dimensions", "purpose")
# The settings of `create` that variables may hold, beside the key and the base URL.
OPTIONS = (
    "organization",
    "project",
    "app_url",
    "app_title",
    "vertex",
    "vertex_project",
    "vertex_location",
    "access_token",
    "api_version",
    "region",
)

_Attribute: TypeAlias = "attrs.Attribute[Any]"
_each_is_text = instances(str)
_integer = integer(0)


def list_to_tuple(value: Iterable[Any]) -> tuple[Any, ...]:
    """Return a list as a tuple. What is no list stays, so that the validator can name its field."""
    kept: Any = value
    return tuple(value) if isinstance(value, list) else kept


def list_to_set(value: Iterable[str]) -> frozenset[Any]:
    """Return a list or a set as a frozen set. What is neither stays, so that the validator can name its field."""
    kept: Any = value
    return frozenset(value) if isinstance(value, list | tuple | set) else kept


def without_slash(value: str) -> str:
    """Return a base URL without a slash at its end, because paths are added behind it."""
    return value.rstrip("/") if isinstance(value, str) else value


def checked_name(name: str, what: str) -> None:
    """Refuse a name that no call could name: models are written `provider/model`.

    Args:
        name: The name.
        what: Whose name it is: the beginning of the error.

    Raises:
        ValueError: It holds a slash, or is kept for routes.
    """
    if "/" in name:
        meant = name.replace("/", "-")
        raise ValueError(
            f"{what} must not hold '/', as {name!r} does: models are written provider/model, so write {meant!r}"
        )
    if name == ROUTE:
        raise ValueError(f"the name {ROUTE!r} is kept for routes; give the provider another")


def provider_name(instance: object, attribute: _Attribute, value: str) -> None:
    non_empty(instance, attribute, value)
    checked_name(value, where(instance, attribute))


def collection(instance: object, attribute: _Attribute, value: object) -> None:
    """Refuse one text, and whatever else is no tuple or set."""
    if isinstance(value, str):
        raise TypeError(f"{where(instance, attribute)} must be a list or tuple: write [{quoted(value)}]")
    if not isinstance(value, tuple | frozenset):
        raise TypeError(f"{where(instance, attribute)} must be a list or tuple, not {type(value).__name__}")


def texts(instance: object, attribute: _Attribute, value: tuple[str, ...]) -> None:
    collection(instance, attribute, value)
    _each_is_text(instance, attribute, value)


def names_in(known: Collection[str]) -> Validator:
    """Return a validator for a list or a set of these names."""

    def validate(instance: object, attribute: _Attribute, value: Collection[object]) -> None:
        collection(instance, attribute, value)
        for name in value:
            _known_name(name, known, where(instance, attribute))

    return validate


def _known_name(name: object, known: Collection[str], place: str) -> None:
    if name not in known:
        near = nearest(name, known, 1) if isinstance(name, str) else []
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"{place}: there is no {quoted(name)}; {hint}known are {', '.join(known)}")


def _mapping(instance: object, attribute: _Attribute, value: object) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{where(instance, attribute)} must be a mapping, not {type(value).__name__}")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{where(instance, attribute)} must have texts as keys, not {key!r}")
    return value


def texts_by(known: Collection[str] | None = None) -> Validator:
    """Return a validator for a mapping to texts, from any of these names; None takes every name."""

    def validate(instance: object, attribute: _Attribute, value: object) -> None:
        for name, text in _mapping(instance, attribute, value).items():
            if known is not None:
                _known_name(name, known, where(instance, attribute))
            if not isinstance(text, str):
                raise TypeError(f"{where(instance, attribute)}[{name!r}] must be a str, not {type(text).__name__}")

    return validate


def variables(instance: object, attribute: _Attribute, value: object) -> None:
    """Refuse what is no mapping from an option to its variables."""
    for name, found in _mapping(instance, attribute, value).items():
        _known_name(name, OPTIONS, where(instance, attribute))
        if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
            raise TypeError(f"{where(instance, attribute)}[{name!r}] must be a tuple of variables, not {quoted(found)}")


def error_classes(instance: object, attribute: _Attribute, value: object) -> None:
    """Refuse what is no mapping from a code to the class of its errors."""
    for code, kind in _mapping(instance, attribute, value).items():
        if not isinstance(kind, type) or not issubclass(kind, ProviderError):
            raise TypeError(
                f"{where(instance, attribute)}[{code!r}] must be a class of turnout.errors that a provider's errors "
                f"have, such as QuotaExceeded, not {quoted(kind)}"
            )


def header_fields(instance: object, attribute: _Attribute, value: object) -> None:
    for name, text in _mapping(instance, attribute, value).items():
        checked_header(name, text)


def header_name(instance: object, attribute: _Attribute, value: object) -> None:
    if value is not None:
        checked_header(value, "")


def base_url(instance: Any, attribute: _Attribute, value: str) -> None:
    """Refuse what is no base URL; "" passes, for some only the user knows."""
    string(instance, attribute, value)
    fault = fault_of_base_url(value, takes_query=False) if value else ""
    if fault:
        raise ValueError(f"{where(instance, attribute)} {fault}; it must be like https://api.example.com/v1")


def path(instance: object, attribute: _Attribute, value: str) -> None:
    string(instance, attribute, value)
    if value and not value.startswith("/"):
        raise ValueError(f"{where(instance, attribute)} must begin with a slash: '/{value}'")


def pattern(instance: object, attribute: _Attribute, value: str | None) -> None:
    """Refuse what is no regular expression. None passes if it is the default."""
    if value is None and attribute.default is None:
        return
    string(instance, attribute, value)
    _check_pattern(value, where(instance, attribute))


def _check_pattern(value: object, place: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{place} must be a regular expression, not {type(value).__name__}")
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{place} is not a regular expression: {quoted(value)}: {error}") from None


def patterns_to(words: Collection[str] | None = None) -> Validator:
    """Return a validator for pairs of a pattern with one of these words; without words, with a number of tokens."""

    def validate(instance: object, attribute: _Attribute, value: Iterable[Any]) -> None:
        collection(instance, attribute, value)
        for number, pair in enumerate(value):
            place = f"{where(instance, attribute)}[{number}]"
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise TypeError(f"{place} must be a pair of a pattern and what holds for it, not {quoted(pair)}")
            _check_pattern(pair[0], place)
            if words is not None:
                _known_name(pair[1], words, place)
            elif type(pair[1]) is not int or pair[1] < 1:
                raise ValueError(f"{place} must end with a whole number of tokens, not {quoted(pair[1])}")

    return validate


def count_or_none(instance: object, attribute: _Attribute, value: object) -> None:
    if value is not None:
        _integer(instance, attribute, value)


def temperature(instance: object, attribute: _Attribute, value: object) -> None:
    """Refuse what is no number above 0. There may be no upper bound."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value < 0:
        raise ValueError(f"{where(instance, attribute)} must be a number of at least 0, not {quoted(value)}")
