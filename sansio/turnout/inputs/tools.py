"""Reads tools, the choice of a tool and the format of an answer from dicts, functions and classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from turnout._utils.serialization import as_mapping
from turnout._utils.validation import as_tuple
from turnout.messages import Tool, ToolChoice

__all__ = ["tool_choice_of", "tool_of", "tools_of"]

_TOOL_FIELDS = frozenset(("name", "description", "parameters", "strict", "extra"))
_CHOICE_FIELDS = frozenset(("type", "function", "name"))
_MODES: Mapping[str, Literal["auto", "none", "required"]] = {"auto": "auto", "none": "none", "required": "required"}


def tools_of(values: Any) -> tuple[Any, ...]:
    """Return the tools of a list. Its items may be functions, or dicts in the form of OpenAI or Anthropic.

    Raises:
        ValueError: If a dict does not fit. The error names the field.
    """
    if isinstance(values, Tool) or callable(values):
        raise TypeError("ChatRequest.tools must be a list of tools, not one tool: write [tool]")
    if isinstance(values, str | bytes | Mapping):
        raise TypeError(f"ChatRequest.tools must be a list of tools, not {type(values).__name__}")
    return tuple(tool_of(value, f"ChatRequest.tools[{place}]") for place, value in enumerate(as_tuple(values)))


def tool_of(value: Any, where: str) -> Any:
    """Return the tool of a function or a dict.

    Raises:
        TypeError: If the value is neither.
        ValueError: If a dict does not fit.
    """
    if isinstance(value, Tool):
        return value
    if isinstance(value, Mapping):
        return _tool_of_dict(as_mapping(value, where), where)
    if callable(value) and not isinstance(value, type):
        return Tool.of(value)
    if isinstance(value, type):
        from turnout.typed.signature import instead_of_class

        raise TypeError(f"{where}: the class {value.__name__} is not a tool: {instead_of_class(value)}")
    raise TypeError(f"{where} must be a Tool, a function or a dict, not {type(value).__name__}")


def _tool_of_dict(plain: dict[str, Any], where: str) -> Tool:
    kind = plain.pop("type", "function")
    if kind not in ("function", "custom") or (kind == "custom" and "input_schema" not in plain):
        raise ValueError(
            f"{where} is a tool of one vendor: write Tool('{plain.get('name', kind)}', extra={{'<vendor>': {{…}}}}), "
            "with the whole definition under the name of the vendor"
        )
    if "function" in plain:
        plain |= as_mapping(plain.pop("function"), f"{where}.function")
    if "input_schema" in plain:
        plain["parameters"] = plain.pop("input_schema")
    if "cache_control" in plain:
        plain["extra"] = {**plain.get("extra", {}), "cache_control": plain.pop("cache_control")}
    if unknown := plain.keys() - _TOOL_FIELDS:
        raise ValueError(f"{where} has fields that Tool does not know: {', '.join(sorted(map(str, unknown)))}")
    if "name" not in plain:
        raise ValueError(f"{where} must have a name")
    return Tool(**{name: value for name, value in plain.items() if value is not None})


def tool_choice_of(value: Any) -> Any:
    """Return the choice of `auto`, `none`, `required`, the name of a tool, or a dict in the form of OpenAI."""
    if isinstance(value, str):
        return ToolChoice(_MODES[value]) if value in _MODES else ToolChoice.named(value)
    if not isinstance(value, Mapping):
        return value
    if unknown := value.keys() - _CHOICE_FIELDS:
        raise ValueError(
            f"ChatRequest.tool_choice has fields that are not known: {', '.join(sorted(map(str, unknown)))}"
        )
    function = value.get("function")
    name = function.get("name") if isinstance(function, Mapping) else value.get("name")
    if isinstance(name, str):
        return ToolChoice.named(name)
    word = "required" if value.get("type") == "any" else value.get("type")
    if word in _MODES:
        return tool_choice_of(str(word))
    raise ValueError(
        "ChatRequest.tool_choice must be 'auto', 'none', 'required' or the name of a tool, "
        "or {'type': 'function', 'function': {'name': '…'}}"
    )
