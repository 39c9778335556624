"""The keywords of JSON Schema: which demand something, of which types of values, and which hold other schemas.

Source: JSON Schema 2020-12, core and validation; with those of earlier drafts and of OpenAPI that are still met.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = [
    "ANNOTATIONS",
    "DEMANDS",
    "LISTS",
    "MAPPINGS",
    "NOT_DEMANDS",
    "ONE",
    "demands",
    "for_type",
    "is_idle",
    "misshapen",
]

ANNOTATIONS = frozenset(
    "title description default examples example $comment $schema deprecated readOnly writeOnly discriminator "
    "contentMediaType contentEncoding contentSchema".split()
)
"""They describe and demand nothing (validation, section 9), and may be left out."""

# Keywords that hold a schema, a list of schemas, or a mapping of names to schemas.
ONE = frozenset("items additionalProperties not if then else contains propertyNames unevaluatedItems".split())
ONE |= {"unevaluatedProperties"}
LISTS = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
MAPPINGS = frozenset({"properties", "patternProperties", "dependentSchemas"})
NOT_DEMANDS = ANNOTATIONS | {"$defs", "definitions", "$id", "$anchor", "$vocabulary"}
# Everything else that the standard knows; a keyword that it does not know demands nothing.
DEMANDS = (
    ONE
    | LISTS
    | MAPPINGS
    | frozenset(
        "$ref $dynamicRef $dynamicAnchor $recursiveRef type enum const multipleOf maximum exclusiveMaximum minimum "
        "exclusiveMinimum maxLength minLength pattern format maxItems minItems uniqueItems maxContains minContains "
        "maxProperties minProperties required dependentRequired dependencies additionalItems nullable".split()
    )
)


def demands(schema: Iterable[str]) -> set[str]:
    return {keyword for keyword in schema if keyword in DEMANDS}


_TEXTS = frozenset({"$ref", "format", "pattern"})
_COUNTS = frozenset("maxLength minLength maxItems minItems maxContains minContains maxProperties minProperties".split())


def misshapen(schema: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield each keyword with a value of a wrong type, and what the value must be."""
    for keyword, value in schema.items():
        if keyword in MAPPINGS and not isinstance(value, Mapping):
            yield keyword, "an object of schemas"
        elif keyword in LISTS and not isinstance(value, list | tuple):
            yield keyword, "a list of schemas"
        elif keyword in _TEXTS and not isinstance(value, str):
            yield keyword, "a text"
        elif keyword in _COUNTS and (not isinstance(value, int | float) or isinstance(value, bool)):
            yield keyword, "a number"
        elif keyword == "required" and not _is_names(value):
            yield keyword, "a list of names"
        elif keyword == "type" and not (isinstance(value, str) or (value and _is_names(value))):
            yield keyword, "the name of a type, or a list of such names"
        elif not isinstance(keyword, str):
            yield str(keyword), "a keyword of JSON Schema, so a text"


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def is_idle(keyword: str, value: Any) -> bool:
    """Whether the keyword demands nothing with this value."""
    match keyword:
        case "additionalProperties" | "unevaluatedProperties" | "items" | "unevaluatedItems" | "propertyNames":
            return value is True or bool(value == {})
        case "minItems" | "minLength" | "minProperties":
            return bool(value == 0)
        case "uniqueItems" | "nullable":
            return value is False
        case "required" | "prefixItems":
            return bool(value == [])
        case "patternProperties" | "dependentSchemas" | "dependentRequired":
            return bool(value == {})
        case _:
            return False


_OF_TYPES = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "array": frozenset(
        "items prefixItems minItems maxItems uniqueItems contains minContains maxContains unevaluatedItems".split()
    ),
    "object": frozenset(
        "properties required additionalProperties patternProperties propertyNames minProperties maxProperties "
        "dependentRequired dependentSchemas unevaluatedProperties".split()
    ),
}
_OF_TYPES["integer"] = _OF_TYPES["number"]
_OF_ANY = frozenset().union(*_OF_TYPES.values())


def for_type(schema: Mapping[str, Any], type_name: str) -> dict[str, Any]:
    """Return the keywords that restrict values of this type: every value meets the others."""
    own = _OF_TYPES.get(type_name, frozenset())
    return {keyword: value for keyword, value in schema.items() if keyword in own or keyword not in _OF_ANY}
