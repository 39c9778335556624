"""Reads the fields that chat completions and Responses share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from turnout.chat import ResponseFormat
from turnout.messages import Tool, ToolChoice
from turnout.serving.fields import Fields
from turnout.serving.inbound import vocabulary_error
from turnout.serving.leftovers import Leftovers

__all__ = [
    "RestrictedChoice",
    "choice_of_mode",
    "choice_of_word",
    "hosted_tool",
    "metadata_of",
    "response_format_of",
    "tool_of",
]


@attrs.frozen
class RestrictedChoice:
    """A tool choice, and the names of the tools that it allows. None allows all."""

    choice: ToolChoice
    names: frozenset[str] | None = None

    def restrict(self, tools: list[Tool]) -> list[Tool]:
        """Return the tools that the choice allows."""
        return tools if self.names is None else [tool for tool in tools if tool.name in self.names]


def choice_of_word(fields: Fields) -> RestrictedChoice | None:
    """Return the tool choice of a request that names a mode only, None if it names none."""
    if not fields.says_something("tool_choice"):
        return None
    match fields.one_of("tool_choice", ("auto", "none", "required")):
        case "auto":
            return RestrictedChoice(ToolChoice("auto"))
        case "none":
            return RestrictedChoice(ToolChoice("none"))
        case "required":
            return RestrictedChoice(ToolChoice("required"))
        case _:
            return None


def choice_of_mode(fields: Fields, names: Iterable[str]) -> RestrictedChoice:
    """Return the tool choice `allowed_tools`. Its mode is a field of `fields`."""
    required = fields.one_of("mode", ("auto", "required")) == "required"
    return RestrictedChoice(ToolChoice("required" if required else "auto"), frozenset(names))


def metadata_of(fields: Fields) -> dict[str, Any]:
    """Return the labels of a request, with its user."""
    metadata = fields.object("metadata")
    found = dict(metadata.values) if metadata is not None else {}
    user = fields.text("safety_identifier") or fields.text("user")
    return {**found, "user": user} if user else found


def hosted_tool(tool: Fields, kind: str, leftovers: Leftovers) -> Tool:
    """Return a tool that runs at a provider of the client's protocol. Other providers do not receive it."""
    leftovers.keep(tool, kind)
    name = tool.text("name") or kind
    try:
        return Tool(name, extra={leftovers.scope: tool.values})
    except (ValueError, TypeError) as error:
        raise vocabulary_error(error, tool.path()) from None


def tool_of(function: Fields, extra: Mapping[str, Any]) -> Tool:
    """Return the tool of a function's name, description, parameters and `strict`."""
    try:
        return Tool(
            function.required_text("name"),
            function.text("description") or "",
            function.schema("parameters"),
            strict=function.flag("strict"),
            extra=extra,
        )
    except (ValueError, TypeError) as error:
        raise vocabulary_error(error, function.path()) from None


def response_format_of(format: Fields | None, *, nested: str | None = None) -> ResponseFormat | None:
    """Return the format that a client requires of the answer.

    Args:
        format: The object with the `type`.
        nested: The field that holds the schema and its name. None if they are beside the type, as in Responses.
    """
    if format is None:
        return None
    match format.one_of("type", ("text", "json_object", "json_schema")):
        case "json_object":
            return ResponseFormat.json()
        case "json_schema":
            schema = format if nested is None else format.required_object(nested)
            found = schema.schema("schema")
            if found is None:
                raise schema.missing("schema")
            try:
                return ResponseFormat(
                    found,
                    name=schema.required_text("name"),
                    description=schema.text("description"),
                    strict=bool(schema.flag("strict")),
                )
            except (ValueError, TypeError) as error:
                raise vocabulary_error(error, schema.path("schema")) from None
        case _:
            return None
