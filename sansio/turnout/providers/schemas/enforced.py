"""The schemas that a provider must hold its answers, and its calls of tools, to: the user's own, in its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from turnout.chat import ModelConfig
from turnout.messages import Tool
from turnout.providers.schemas.subset import SchemaSubset
from turnout.providers.schemas.transform import transform

__all__ = ["enforced_tool", "response_schema"]


def response_schema(
    schema: Mapping[str, Any], subset: SchemaSubset | None, model: ModelConfig, advice: str = ""
) -> Mapping[str, Any]:
    """The schema of an answer as the provider takes it; None takes any. Raises SchemaUnsupported."""
    return schema if subset is None else transform(schema, subset, f"{model}: the schema of the answer", advice)


def enforced_tool(tool: Tool, subset: SchemaSubset | None, model: ModelConfig) -> Tool:
    """The tool with its parameters as the provider takes them, where it must hold calls to them.

    Raises SchemaUnsupported.
    """
    if subset is None or not tool.strict:
        return tool
    parameters = {"type": "object", "properties": {}, **tool.parameters}
    what = f"{model}: the parameters of tool {tool.name!r}"
    return attrs.evolve(
        tool, parameters=transform(parameters, subset, what, "leave out strict=True to only ask for it")
    )
