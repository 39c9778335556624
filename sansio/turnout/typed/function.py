"""Makes a tool of a Python function, and calls the function with the arguments that a model wrote."""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import attrs
import msgspec

from turnout.messages import Tool, ToolCall
from turnout.typed.schema import is_pydantic, last_line, require_all

__all__ = ["FunctionTool", "function_tool", "result_text"]

_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns|Yields|Raises|Example|Examples|Note|Notes|Attributes):\s*\Z")
_ENTRY = re.compile(r"(\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(.*)\Z")
_FIELD = re.compile(r":param\s+(?:[\w\[\], |]+\s+)?(\w+):\s*(.*)\Z")


@attrs.frozen
class FunctionTool:
    """A tool with the function that runs it.

    Attributes:
        tool: The definition that the model receives.
        function: Called with the arguments as keywords. It may be an async function, if the router is async.
        arguments: The struct that the arguments are read as.
        timeout: Seconds for one call. None leaves the one of the run.
    """

    tool: Tool
    function: Callable[..., Any]
    arguments: type[msgspec.Struct]
    timeout: float | None = None

    def read_arguments(self, call: ToolCall) -> dict[str, Any]:
        """Return the arguments of a call as keywords.

        Raises:
            ValueError: If the arguments do not fit the function. The error names the argument.
        """
        call.parsed()  # its errors describe invalid JSON better
        try:
            read = msgspec.json.decode(
                call.arguments.encode("utf-8", "surrogatepass"), type=self.arguments, strict=False, dec_hook=_decode
            )
        except msgspec.DecodeError as error:
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
        function: Each parameter needs a type that JSON Schema has a form for; one without an annotation takes any
            value. The docstring describes the parameters under `Args:`, or with `:param name:`.
        name: The name for the model. By default it is the name of the function.
        description: The purpose of the function. By default it is the docstring before its sections.
        strict: See `Tool`.
        timeout: See `FunctionTool`.

    Raises:
        TypeError: If a parameter cannot be given by name, or has a type without a JSON Schema.
    """
    label = name or str(getattr(function, "__name__", type(function).__name__))
    text, described = _docstring(function)
    arguments = _arguments(function, label, described)
    try:
        schema = msgspec.json.schema(arguments, schema_hook=_schema)
    except TypeError as error:
        raise TypeError(f"the function {label!r} cannot be a tool: {last_line(error)}") from None
    parameters = require_all(_parameters(schema)) if strict else _parameters(schema)
    tool = Tool(label, text if description is None else description, parameters, strict=strict)
    return FunctionTool(tool, function, arguments, timeout)


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


def _arguments(function: Callable[..., Any], label: str, described: Mapping[str, str]) -> type[msgspec.Struct]:
    """Return a struct with one field for each parameter of a function."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{label!r} cannot be a tool: {error}") from None
    hints = _hints(function, label)
    fields: list[Any] = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"the function {label!r} cannot be a tool: {parameter} cannot be given by name")
        kind = hints.get(parameter.name, Any)
        if parameter.name in described:
            kind = Annotated[kind, msgspec.Meta(description=described[parameter.name])]
        if parameter.default is parameter.empty:
            fields.append((parameter.name, kind))
        else:
            fields.append((parameter.name, kind, msgspec.field(default_factory=_returning(parameter.default))))
    return msgspec.defstruct(label if label.isidentifier() else "arguments", fields, kw_only=True)


def _returning(default: Any) -> Callable[[], Any]:
    return lambda: default


def _hints(function: Callable[..., Any], label: str) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(inspect.unwrap(target), include_extras=True)
    except NameError as error:
        raise TypeError(f"the function {label!r} cannot be a tool: {error} at the place of its definition") from None


def _parameters(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the arguments alone, without the title and the defaults that no JSON value has."""
    definitions = dict(schema.get("$defs", {}))
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    top = dict(definitions.pop(name, schema))
    top.pop("title", None)
    return {**top, "$defs": definitions} if definitions else top


def _schema(kind: Any) -> dict[str, Any]:
    if is_pydantic(kind):
        schema: dict[str, Any] = kind.model_json_schema()
        if "$defs" not in schema:
            return schema
    raise NotImplementedError


def _decode(kind: Any, value: Any) -> Any:
    if is_pydantic(kind):
        return kind.model_validate(value)
    raise NotImplementedError


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return the text of a docstring before its sections, and its description of each parameter."""
    text: list[str] = []
    described: dict[str, str] = {}
    section, entry = "", ""
    documented = function if inspect.isroutine(function) or not inspect.getdoc(type(function)) else type(function)
    for line in (inspect.getdoc(documented) or "").splitlines():
        stripped = line.strip()
        if match := _SECTION.match(line):
            section, entry = match[1], ""
        elif match := _FIELD.match(stripped):
            section, entry = "Args", match[1]
            described[entry] = match[2]
        elif stripped.startswith((":return", ":rtype", ":raise")):
            section = "Returns"
        elif not section:
            text.append(line)
        elif section in ("Args", "Arguments", "Parameters") and stripped:
            indent = len(line) - len(line.lstrip())
            match = _ENTRY.match(stripped) if indent <= 4 else None
            if match:
                entry = match[1].lstrip("*")
                described[entry] = match[2]
            elif entry:
                described[entry] += f" {stripped}"
    return "\n".join(text).strip(), described
