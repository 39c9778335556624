"""The subsets of JSON Schema that providers take, from their guides on structured outputs. Data only.

A provider that is not here takes every schema, as far as is known.
"""

from __future__ import annotations

import attrs

from turnout.providers.schemas.subset import SchemaSubset

__all__ = ["ANTHROPIC_SCHEMAS", "CEREBRAS_SCHEMAS", "GEMINI_SCHEMAS", "GROQ_SCHEMAS", "OPENAI_SCHEMAS"]

_BASE = frozenset("type enum const anyOf $ref properties required additionalProperties items title description".split())
_BOUNDS = frozenset("multipleOf maximum exclusiveMaximum minimum exclusiveMinimum".split())
_FORMATS = frozenset("date-time time date duration email hostname ipv4 ipv6 uuid".split())

# Strict mode. It answers other schemas with an error, and holds no answer to them without it.
OPENAI_SCHEMAS = SchemaSubset(
    keywords=_BASE | _BOUNDS | {"pattern", "format", "minItems", "maxItems"},
    formats=_FORMATS,
    closed=True,
    all_required=True,
    lone_references=True,
    root_object=True,
    typed=True,
    depth=10,
    properties=5_000,
)

# Strict mode. "minItems is not supported" was seen, and so with other bounds.
GROQ_SCHEMAS = SchemaSubset(
    keywords=_BASE,
    closed=True,
    all_required=True,
    references="flat",
    lone_references=True,
    root_object=True,
    typed=True,
)

CEREBRAS_SCHEMAS = attrs.evolve(GROQ_SCHEMAS, all_required=False, depth=10, properties=500, length=5_000)

# Also what Bedrock takes for its models.
ANTHROPIC_SCHEMAS = SchemaSubset(
    keywords=_BASE | {"default", "format", "pattern", "minItems"},
    formats=_FORMATS | {"uri"},
    closed=True,
    references="flat",
    lone_references=True,
    typed=True,
    type_lists=False,
    enums=frozenset({"string", "number", "boolean", "null"}),
    min_items=frozenset({0, 1}),
)

# It reads a oneOf as an anyOf, and unrolls what refers to itself a few times only.
GEMINI_SCHEMAS = SchemaSubset(
    keywords=(_BASE - {"const"})
    | {"format", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "propertyOrdering"},
    formats=frozenset("date-time date time int32 int64 float double enum".split()),
    references="flat",
    lone_references=True,
    enums=frozenset({"string", "number"}),
)
