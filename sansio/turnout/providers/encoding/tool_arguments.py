"""The parameters of tools and the arguments of their calls, in the shapes that providers accept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnout.messages import Tool, ToolCall

__all__ = ["arguments_object", "object_schema"]

# A schema with one of these and without a type can have both elsewhere.
_ELSEWHERE = frozenset({"$ref", "allOf", "anyOf", "oneOf"})


def object_schema(tool: Tool) -> Mapping[str, Any]:
    """Return the parameters as the schema of an object that names its properties.

    OpenAI and others refuse `{"type": "object"}`: "object schema missing properties". An empty `properties` allows the
    same values.
    """
    schema = tool.parameters
    if isinstance(schema.get("properties"), Mapping) and "type" in schema:
        return schema
    if "type" in schema or _ELSEWHERE.isdisjoint(schema):
        return {"type": "object", **schema, "properties": schema.get("properties") or {}}
    return schema


def arguments_object(call: ToolCall) -> dict[str, Any]:
    """Return the arguments of a call as an object.

    Arguments that are no JSON object, as those of a truncated response, are put into one under `arguments`.
    """
    try:
        document = json.loads(call.arguments or "{}", strict=False)  # models write raw line breaks into their strings
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {"arguments": call.arguments}
