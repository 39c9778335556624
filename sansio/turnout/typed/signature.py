"""Reads the signature and the docstring of a Python function as the definition of a tool."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import attrs
import msgspec

from turnout.typed.schema import is_pydantic, last_line, require_all

__all__ = ["Signature", "read_signature"]

_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns|Yields|Raises|Example|Examples|Note|Notes|Attributes):\s*\Z")
_ENTRY = re.compile(r"(\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(.*)\Z")
_FIELD = re.compile(r":param\s+(?:[\w\[\], |]+\s+)?(\w+):\s*(.*)\Z")


@attrs.frozen
class Signature:
    """The definition of a tool, as a function describes it.

    Attributes:
        name: The name for the model.
        description: The docstring before its sections.
        parameters: The JSON Schema of the arguments.
        arguments: The struct that the arguments are read as.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    arguments: type[msgspec.Struct]


def read_signature(function: Callable[..., Any], *, name: str | None = None, strict: bool = False) -> Signature:
    """Return the definition of a tool, from the signature of a function and its docstring.

    Args:
        function: Each parameter needs a type that JSON Schema has a form for; one without an annotation takes any
            value. The docstring describes the parameters under `Args:`, or with `:param name:`.
        name: The name for the model. By default it is the name of the function.
        strict: True if the schema must require every property.

    Raises:
        TypeError: If it is a class, or a parameter cannot be given by name or has a type without a JSON Schema.
    """
    if isinstance(function, type):
        raise TypeError(f"the class {function.__name__} is not a tool: {instead_of_class(function)}")
    label = name or str(getattr(function, "__name__", type(function).__name__))
    text, described = _docstring(function)
    arguments = _arguments(function, label, described)
    try:
        schema = msgspec.json.schema(arguments, schema_hook=_schema)
    except TypeError as error:
        raise TypeError(f"the function {label!r} cannot be a tool: {last_line(error)}") from None
    parameters = _parameters(schema)
    return Signature(label, text, require_all(parameters) if strict else parameters, arguments)


def instead_of_class(kind: type[Any]) -> str:
    """Return what to write in place of a class, which describes data and runs nothing."""
    return f"write a function with its fields as parameters, or Tool('{kind.__name__}', '…', schema)"


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
