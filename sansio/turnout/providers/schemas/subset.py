"""The part of JSON Schema that a provider holds its answers to, and a user's schema in it.

Each provider takes a subset of JSON Schema, and no two subsets are the same. A schema is translated into the provider's
subset only if that means the same: no demand of it is ever left out. Everything else is an error that
names the keyword and its place.

One thing is narrowed: where every object must be closed, one that says nothing of other properties is closed, for what
it then allows it had allowed before.
"""

from __future__ import annotations

from typing import Literal

import attrs

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


@attrs.frozen(kw_only=True)
class SchemaSubset:
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

    keywords: frozenset[str]
    formats: frozenset[str] = frozenset()
    closed: bool = False
    all_required: bool = False
    references: Literal["recursive", "flat", "inline"] = "recursive"
    lone_references: bool = False
    root_object: bool = False
    typed: bool = False
    type_lists: bool = True
    enums: frozenset[str] = frozenset({"string", "number", "boolean", "null", "array", "object"})
    min_items: frozenset[int] | None = None
    depth: int | None = None
    properties: int | None = None
    length: int | None = None
