"""The part of JSON Schema that a provider holds its answers to, and a user's schema in it.

Each provider takes a subset of JSON Schema, and no two subsets are the same. A schema is translated into the provider's
subset only if that means the same: no demand of it is ever left out. Everything else is an error that
names the keyword and its place.

One thing is narrowed: where every object must be closed, one that says nothing of other properties is closed, for what
it then allows it had allowed before.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import attrs

from turnout._utils.validation import CheckedFields, integer, one_of, quoted, where
from turnout.errors import CapabilityUnsupported

__all__ = ["SchemaSubset", "SchemaUnsupported"]


class SchemaUnsupported(CapabilityUnsupported):
    """A schema that a provider cannot hold its answers to.

    keyword  the keyword that it does not take; "" for the schema as a whole
    pointer  its place: a JSON pointer into the user's schema, as `#/properties/age`
    """

    def __init__(self, message: str = "", *, keyword: str = "", pointer: str = "") -> None:
        super().__init__(message)
        self.keyword = keyword
        self.pointer = pointer


_TYPES = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})


def _set_of(value: Any) -> Any:
    return frozenset(value) if isinstance(value, Collection) and not isinstance(value, str | bytes) else value


def _words(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, frozenset) or not all(isinstance(word, str) for word in value):
        raise TypeError(f"{where(instance, attribute)} must be a set of texts such as {{'type'}}, not {quoted(value)}")


def _type_words(instance: object, attribute: attrs.Attribute[Any], value: frozenset[str]) -> None:
    _words(instance, attribute, value)
    if unknown := sorted(value - _TYPES):
        known = ", ".join(sorted(_TYPES))
        raise ValueError(f"{where(instance, attribute)}: there is no type {unknown[0]!r}; known are {known}")


def _flag(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{where(instance, attribute)} must be True or False, not {quoted(value)}")


def _counts(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (isinstance(value, frozenset) and all(isinstance(each, int) for each in value)):
        raise TypeError(f"{where(instance, attribute)} must be a set of numbers such as {{0, 1}}, not {quoted(value)}")


def _words_field(*words: str) -> Any:
    return attrs.field(default=frozenset(words), converter=_set_of, validator=_type_words if words else _words)


def _flag_field(default: bool = False) -> Any:
    return attrs.field(default=default, validator=_flag)


@attrs.frozen(kw_only=True)
class SchemaSubset(CheckedFields):
    """The keywords and forms that a provider takes.

    keywords         those that it takes, of those that demand something and of those that only describe
    formats          values of `format`
    closed           whether every object must refuse properties that it does not name
    all_required     whether every property must be required
    references       to anything, also to a schema around them (`recursive`); not to that (`flat`); or none (`inline`)
    lone_references  whether nothing may be beside a `$ref`
    root_object      whether the whole must be an object, and no choice of several
    typed            whether every schema must have its type
    type_lists       whether `type` may be a list
    enums            the kinds of values in an `enum`
    min_items        values of `minItems`; None takes all
    depth            how deep objects and arrays may be nested
    properties       how many properties there may be in all
    length           characters of the schema as compact JSON
    """

    keywords: frozenset[str] = attrs.field(converter=_set_of, validator=_words)
    formats: frozenset[str] = _words_field()
    closed: bool = _flag_field()
    all_required: bool = _flag_field()
    references: Literal["recursive", "flat", "inline"] = attrs.field(
        default="recursive", validator=one_of("recursive", "flat", "inline")
    )
    lone_references: bool = _flag_field()
    root_object: bool = _flag_field()
    typed: bool = _flag_field()
    type_lists: bool = _flag_field(True)
    enums: frozenset[str] = _words_field("string", "number", "boolean", "null", "array", "object")
    min_items: frozenset[int] | None = attrs.field(default=None, converter=_set_of, validator=_counts)
    depth: int | None = attrs.field(default=None, validator=integer(1))
    properties: int | None = attrs.field(default=None, validator=integer(1))
    length: int | None = attrs.field(default=None, validator=integer(1))
