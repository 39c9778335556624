"""The part of JSON Schema that a provider holds its answers to, and a user's schema in it.

What providers call JSON Schema is a subset of it, and no two subsets are the same. A schema is said in the provider's
words only where that means the same: nothing that it demands is ever left out. What cannot be said is an error that
names the keyword, and where it stands.

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

    keyword  what it does not take; "" where that is the schema as a whole
    pointer  where that stands: a JSON pointer into the user's schema, as `#/properties/age`
    """

    def __init__(self, message: str = "", *, keyword: str = "", pointer: str = "") -> None:
        super().__init__(message)
        self.keyword = keyword
        self.pointer = pointer


@attrs.frozen(kw_only=True)
class SchemaSubset:
    """What a provider takes.

    keywords         those that it takes, of those that demand something and of those that only describe
    formats          values of `format`
    closed           whether every object must refuse properties that it does not name
    all_required     whether every property must be required
    references       to anything, also to what they stand in (`recursive`); not to that (`flat`); or none (`inline`)
    lone_references  whether nothing may stand beside a `$ref`
    root_object      whether the whole must be an object, and no choice of several
    typed            whether every schema must say its type
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
