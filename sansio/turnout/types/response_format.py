"""The form that the text of an answer must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from turnout._utils.names import Advised, Elsewhere
from turnout._utils.validation import CheckedFields, deep_copy, json_values, non_empty

__all__ = ["ResponseFormat"]


# Words that a user may write for the type of a field, and keywords of JSON Schema whose value can look like a field.
_TYPES = frozenset("string str integer int number float boolean bool array list object dict null".split())
_KEYWORDS = frozenset(
    """type title description format pattern const default contentEncoding contentMediaType contentSchema discriminator
    properties patternProperties additionalProperties unevaluatedProperties propertyNames dependentSchemas dependencies
    definitions items additionalItems unevaluatedItems contains not if then else examples enum example""".split()
)


def _is_field(name: object, value: object) -> bool:
    """Return whether this is a field of an answer, such as `"city": "string"`, and no keyword of JSON Schema."""
    if not isinstance(name, str) or name.startswith("$") or name in _KEYWORDS:
        return False
    return value in _TYPES if isinstance(value, str) else isinstance(value, Mapping) and "type" in value


def _schema(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if isinstance(value, type):
        raise TypeError(f"ResponseFormat.schema must be a JSON Schema: write ResponseFormat.of({value.__name__})")
    if value is None:
        return None
    schema = deep_copy(value, "ResponseFormat.schema must be a JSON Schema")
    if schema and all(_is_field(name, each) for name, each in schema.items()):
        raise ValueError(
            f"ResponseFormat.schema must be a JSON Schema: put {', '.join(map(repr, schema))} under 'properties', as "
            "in {'type': 'object', 'properties': {…}}, or write ResponseFormat.of(City) with a class"
        )
    return schema


@attrs.frozen
class ResponseFormat(CheckedFields, Advised):
    """The required form of the answer's text: any JSON object, or JSON that a schema describes.

    `ResponseFormat.of(T)` takes the schema from a class, and `reply.parsed(T)` makes the value of that class.

    Attributes:
        schema: The JSON Schema of the answer. None allows any JSON object, as `ResponseFormat.json()` does.
        name: A name for the schema, which some providers want.
        description: The purpose of the schema, for the model.
        strict: True if the provider must hold the answer exactly to the schema.
    """

    schema: Mapping[str, Any] | None = attrs.field(default=None, converter=_schema, validator=json_values)
    name: str = attrs.field(default="answer", validator=non_empty, kw_only=True)
    description: str | None = attrs.field(default=None, kw_only=True)
    strict: bool = attrs.field(default=True, kw_only=True)

    if not TYPE_CHECKING:
        json_schema = from_schema = Elsewhere("write ResponseFormat({…}), with the JSON Schema")
        json_object = Elsewhere("write ResponseFormat.json()")
        from_model = from_pydantic = Elsewhere("write ResponseFormat.of(City)")

    @classmethod
    def json(cls) -> ResponseFormat:
        """Return the format of any JSON object."""
        return cls()

    @classmethod
    def of(cls, kind: Any, *, name: str | None = None, strict: bool = True) -> ResponseFormat:
        """Return the format of a class: attrs, dataclass, TypedDict, NamedTuple, msgspec or pydantic.

        Args:
            kind: The class. Its docstring becomes the description.
            name: The name of the schema. By default it is the name of the class.
            strict: See the class.

        Raises:
            TypeError: If JSON Schema cannot describe the type of a field.
        """
        from turnout.typed.schema import schema_of

        schema, title, description = schema_of(kind)
        return cls(schema, name=name or title, description=description, strict=strict)
