"""Makes a tool of a Python function, and calls the function with the arguments that a model wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import msgspec

from turnout.typed.schema import is_pydantic
from turnout.typed.signature import read_signature
from turnout.types.tools import Tool, ToolCall

__all__ = ["FunctionTool", "function_tool", "result_text"]


@attrs.frozen
class FunctionTool:
    """A tool with the function that runs it.

    Attributes:
        tool: The definition that the model receives.
        function: Called with the arguments as keywords. It may be an async function, if the router is async.
        arguments: The struct that the arguments are read as. None gives the function every argument as it is in the
            JSON: for a tool whose schema comes from elsewhere, such as a server of MCP.
        timeout: Seconds for one call. None leaves the one of the run.
    """

    tool: Tool
    function: Callable[..., Any]
    arguments: type[msgspec.Struct] | None = None
    timeout: float | None = None

    def read_arguments(self, call: ToolCall) -> dict[str, Any]:
        """Return the arguments of a call as keywords.

        Raises:
            ValueError: If the arguments do not fit the function. The error names the argument.
        """
        plain = call.parsed()  # its errors describe invalid JSON better
        if self.arguments is None:
            if not isinstance(plain, dict):
                raise ValueError(f"the arguments of {call.name!r} must be a JSON object, not {type(plain).__name__}")
            return plain
        try:
            read = msgspec.json.decode(
                call.arguments.encode("utf-8", "surrogatepass"), type=self.arguments, strict=False, dec_hook=_decode
            )
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(f"the arguments of {call.name!r} do not fit: {error}") from None
        return {name: getattr(read, name) for name in self.arguments.__struct_fields__}


def function_tool(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    timeout: float | None = None,
) -> FunctionTool:
    """Return the tool of a function, from its signature and its docstring.

    Args:
        function: See `turnout.typed.signature.read_signature`.
        name: The name for the model. By default it is the name of the function.
        description: The purpose of the function. By default it is the docstring before its sections.
        strict: See `Tool`.
        timeout: See `FunctionTool`.

    Raises:
        TypeError: If a parameter cannot be given by name, or has a type without a JSON Schema.
    """
    read = read_signature(function, name=name, strict=bool(strict))
    tool = Tool(read.name, read.description if description is None else description, read.parameters, strict=strict)
    return FunctionTool(tool, function, read.arguments, timeout)


def result_text(value: Any) -> str:
    """Return the result of a tool as text for the model: a text unchanged, any other value as JSON."""
    if isinstance(value, str):
        return value
    if is_pydantic(type(value)):
        return str(value.model_dump_json())
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict):
        value = to_dict()
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError):
        return json.dumps(value, default=str, ensure_ascii=False)


def _decode(kind: Any, value: Any) -> Any:
    if is_pydantic(kind):
        return kind.model_validate(value)
    raise NotImplementedError
