"""Tools that run at a provider: search, URL context, code execution, MCP servers.

The caller defines one in the words of each provider that has it, beside tools of the caller's own:

    Tool("search", extra={"anthropic": {"type": "web_search_20250305"}, "gemini": {"google_search": {}}})

A definition is the tool's whole wire form. It is recognised by a `type` other than that of a function, or by a field
that no function has. With a description or parameters, the same `Tool` is a function of the caller's at every other
provider; without them, other providers do not receive it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from turnout.messages import Tool
from turnout.types.extras import SCOPES, scoped_fields

__all__ = ["hosted_name", "is_hosted", "own_definition"]

# The fields of a Gemini function declaration. Any other field names one of Google's tools.
_GEMINI_DECLARATION = frozenset(
    "behavior description name parameters parametersJsonSchema response responseJsonSchema".split()
)
_FUNCTION_TYPES = frozenset({"function", "custom"})
# Dialects in which a tool has no `type`, so that one outside every scope is another vendor's.
_WITHOUT_TYPES = frozenset({"bedrock", "gemini"})
# Anthropic fixes the name of each of its tools: the type without its date, but for these.
_DATE = re.compile(r"_\d{8}\Z")
_ANTHROPIC_NAMES = {"text_editor_20250124": "str_replace_editor", "text_editor": "str_replace_based_edit_tool"}


def is_hosted(fields: Mapping[str, Any], dialect: str) -> bool:
    """Return whether these fields define a tool that runs at a provider of this dialect."""
    if dialect == "bedrock":
        return "systemTool" in fields
    if dialect == "gemini":
        return bool(fields.keys() - _GEMINI_DECLARATION)
    return fields.get("type", "function") not in _FUNCTION_TYPES


def own_definition(tool: Tool, scopes: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the extra fields of a tool at a provider with these scopes; None if the tool does not exist there."""
    dialect = scopes[0]
    fields = scoped_fields(tool.extra, scopes, flat="owned")
    is_foreign = dialect in _WITHOUT_TYPES and fields.pop("type", "function") not in _FUNCTION_TYPES
    if is_hosted(fields, dialect):
        kind = str(fields.get("type"))
        if dialect == "anthropic" and "toolset" not in kind:
            fields.setdefault("name", _anthropic_name(kind))
        return fields
    if tool.parameters or tool.description:
        return fields
    scoped = (is_hosted(value, name) for name, value in tool.extra.items() if name in SCOPES)
    return None if is_foreign or any(scoped) else fields


def hosted_name(fields: Mapping[str, Any]) -> str | None:
    """Return the name by which a model calls this hosted tool; None if it has no name."""
    for holder in (fields, fields.get("function"), fields.get("systemTool")):
        name = holder.get("name") if isinstance(holder, Mapping) else None
        if isinstance(name, str):
            return name
    return None


def _anthropic_name(kind: str) -> str:
    undated = _DATE.sub("", kind)
    return _ANTHROPIC_NAMES.get(kind) or _ANTHROPIC_NAMES.get(undated) or undated
