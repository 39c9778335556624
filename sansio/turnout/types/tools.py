"""Tools, the calls that models make of them, and the choice between them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from turnout._utils.names import Advised, Elsewhere, must_be_called
from turnout._utils.validation import CheckedFields, deep_copy, json_values, non_empty, where
from turnout.types.parts import extra_fields

__all__ = ["Tool", "ToolCall", "ToolChoice"]


def _json_text(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(
            f"{where(instance, attribute)} must be JSON text, not {type(value).__name__}: write json.dumps(…)"
        )


@attrs.frozen
class ToolCall(Advised):
    """A model's request to call a tool.

    Attributes:
        id: Connects the call with its result. Turnout generates it if the provider sent none.
        name: The name of the tool.
        arguments: JSON text exactly as the model wrote it (an empty text becomes "{}"). It may be truncated or invalid.
        signature: A provider's proof that goes back with this call (see `Message.origin`).
        extra: Fields of one vendor (`turnout.types.extras`).
    """

    id: str = attrs.field(validator=non_empty)
    name: str = attrs.field(validator=non_empty)
    arguments: str = attrs.field(default="{}", validator=_json_text)
    signature: str | None = attrs.field(default=None, kw_only=True, repr=False)
    extra: Mapping[str, Any] = extra_fields()

    if not TYPE_CHECKING:
        function = Elsewhere("write call.name and call.arguments, or call.parsed() for the arguments as a dict")
        input = Elsewhere("write call.parsed()")
        args = Elsewhere("write call.parsed()")

        def __getitem__(self, name: object) -> Any:
            raise TypeError(f"a ToolCall has no item {name!r}: write call.name and call.arguments, or call.parsed()")

    @must_be_called("call.parsed()")
    def parsed(self) -> Any:
        """Return the arguments as Python values.

        Raises:
            ValueError: If the arguments are not JSON (in a truncated response, for example) or nested too deeply.
        """
        try:
            return json.loads(self.arguments, strict=False)  # models write raw line breaks into their strings
        except RecursionError:
            raise ValueError(f"the arguments of tool call {self.name!r} are nested too deeply") from None
        except ValueError as error:
            raise ValueError(
                f"the arguments of tool call {self.name!r} are not JSON ({error}): {self.arguments[:200]!r}"
            ) from None


# The names that the Model Context Protocol allows. Dialects map a name that a provider refuses to another, and back.
_TOOL_NAME = re.compile(r"[A-Za-z0-9_./:-]{1,128}\Z")


def _tool_name(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if callable(value):
        name = getattr(value, "__name__", "function")
        raise TypeError(f"{where(instance, attribute)} must be a str, not a function: write Tool.of({name})")
    if not isinstance(value, str) or not _TOOL_NAME.match(value):
        raise ValueError(f"{where(instance, attribute)} must be 1 to 128 letters, digits or '_-.:/', not {value!r}")


# A schema of an object has one of these, or it is empty.
_SCHEMA_KEYWORDS = frozenset(
    ("type", "properties", "$ref", "$schema", "$defs", "anyOf", "oneOf", "allOf", "additionalProperties", "required")
)


def _object_schema(instance: object, attribute: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    if value and value.get("type", "object") != "object":
        raise ValueError(f"{where(instance, attribute)} must be the schema of an object, not of {value['type']!r}")
    described = any(isinstance(value.get(name), str) for name in ("title", "description"))
    if value and not described and _SCHEMA_KEYWORDS.isdisjoint(value):
        names = ", ".join(map(repr, value))
        raise ValueError(
            f"{where(instance, attribute)} must be a JSON Schema: put {names} "
            "under 'properties', as in {'type': 'object', 'properties': {…}}"
        )
    json_values(instance, attribute, value)


def _description(instance: Tool, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str):
        schema = f": write Tool({instance.name!r}, parameters={{…}})" if isinstance(value, Mapping) else ""
        raise TypeError(f"{where(instance, attribute)} must be a str, not {type(value).__name__}{schema}")


def _schema(value: Mapping[str, Any] | None) -> dict[str, Any]:
    if isinstance(value, type):
        raise TypeError(
            f"Tool.parameters must be a JSON Schema, not the class {value.__name__}: write Tool.of(function), or the "
            f"schema of the class, which pydantic gives as {value.__name__}.model_json_schema()"
        )
    return deep_copy(value, "Tool.parameters must be a JSON Schema")


@attrs.frozen
class Tool(CheckedFields, Advised):
    """A function that the model can call, or a tool that runs at a provider.

    Attributes:
        name: 1 to 128 letters, digits and `_-.:/`. A provider with stricter rules receives another name; the tool
            calls that it returns have this name again.
        description: The purpose of the tool, for the model.
        parameters: The JSON Schema of one object.
        strict: True if the provider must ensure that the arguments match the schema.
        extra: Fields of one vendor (`turnout.types.extras`). A whole definition of the vendor's own makes it a tool
            that runs there: `Tool("search", extra={"anthropic": {"type": "web_search_20250305"}})`. Without
            description and parameters, providers without a definition do not receive it.
    """

    name: str = attrs.field(validator=[_tool_name, non_empty])
    description: str = attrs.field(default="", validator=_description)
    parameters: Mapping[str, Any] = attrs.field(factory=dict, converter=_schema, validator=_object_schema)
    strict: bool | None = attrs.field(default=None, kw_only=True)
    extra: Mapping[str, Any] = extra_fields()

    if not TYPE_CHECKING:
        from_function = from_callable = Elsewhere("write Tool.of(function)")
        from_pydantic = from_model = Elsewhere("write Tool.of(function), with the fields as arguments of the function")

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
    ) -> Tool:
        """Return the tool of a Python function, from its signature and its docstring.

        Args:
            function: Its docstring may describe the parameters, under `Args:` or with `:param name:`.
            name: The name for the model. By default it is the name of the function.
            description: The purpose of the function. By default it is the docstring.
            strict: See the class.

        Raises:
            TypeError: If JSON Schema cannot describe the type of a parameter.
        """
        from turnout.typed.signature import read_signature

        read = read_signature(function, name=name, strict=bool(strict))
        return cls(read.name, read.description if description is None else description, read.parameters, strict=strict)


@attrs.frozen
class ToolChoice:
    """Whether the model may, must or must not call tools: `ToolChoice("auto")`, or `ToolChoice.named("search")`."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.mode not in ("auto", "none", "required", "named"):
            raise ValueError(f"ToolChoice.mode must be auto, none, required or named, not {self.mode!r}")
        if (self.mode == "named") != bool(self.name):
            raise ValueError("ToolChoice.name goes with the mode 'named', and only with it")

    @classmethod
    def named(cls, name: str) -> ToolChoice:
        return cls("named", name)
