"""Reads a chat completions request as strictly as the servers do.

The rules that differ between providers are data (`Rules`); the checks are OpenAI's (its API reference, and the
bodies of real 400s).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest, ToolSpec
from turnout_sandbox.dialect import whole_number
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.openai.messages import read_messages
from turnout_sandbox.prose import words_in

__all__ = ["Rules", "read_chat"]

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@attrs.frozen(kw_only=True)
class Rules:
    """The rules of one provider.

    roles          of messages
    parameters     the fields of the body; an unknown one is refused. None: unknown fields are ignored
    refused        fields that are refused although OpenAI has them
    formats        types of response_format
    stops          how many stop strings
    hot            highest temperature
    window         tokens that a prompt may have
    part_types     content parts of user messages
    choices        words of tool_choice
    named_choice   whether tool_choice may name a tool
    honours_tool_choice     False if every tool_choice means "auto"
    needs_user_message     a conversation without a user message is refused
    """

    roles: frozenset[str] = frozenset({"system", "user", "assistant", "tool"})
    parameters: frozenset[str] | None = None
    refused: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset({"text", "json_object", "json_schema"})
    max_stop_sequences: int = 4
    max_temperature: float = 2.0
    context_window: int = 128_000
    part_types: frozenset[str] = frozenset({"text", "image_url"})
    tool_choices: frozenset[str] = frozenset({"none", "auto", "required"})
    named_choice: bool = True
    honours_tool_choice: bool = True
    needs_user_message: bool = False
    json_mode_needs_keyword: bool = False  # json_object needs the word in a message
    strict_schemas: bool = False
    max_choices: int = 1  # the upper bound of `n`; a provider with 1 ignores `n`


def read_chat(body: Mapping[str, Any], rules: Rules) -> ParsedRequest:
    """Return the parsed request. The provider decides whether its model reasons.

    Raises:
        RequestRejected: The request breaks a rule.
    """
    _check_parameters(body, rules)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("you must provide a model parameter", param="model", code="missing_model")
    read = read_messages(body.get("messages"), rules.roles, rules.part_types)
    if rules.needs_user_message and not read.has_user:
        raise invalid("messages must hold one of the user", param="messages")
    tools = _tools(body)
    choice, forced = _choice(body, tools, rules) if rules.honours_tool_choice else ("auto", None)
    _check_sampling(body, rules)
    schema = _schema(body, rules, read.text)
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise invalid("Invalid type for 'stream': a boolean is expected.", param="stream")
    if body.get("stream_options") is not None and not stream:
        raise invalid(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    tokens = read.tokens + sum(words_in(str(tool.schema)) + 4 for tool in tools)
    if tokens > rules.context_window:
        raise RequestRejected(
            ErrorKind.CONTEXT_LENGTH,
            f"This model's maximum context length is {rules.context_window} tokens. However, your messages resulted in "
            f"{tokens} tokens. Please reduce the length of the messages.",
            param="messages",
        )
    return ParsedRequest(
        model=model,
        choices=_choices(body, rules),
        prompt=read.prompt,
        prompt_tokens=tokens,
        stream=bool(stream),
        tool_results=read.tool_results,
        tools=tools,
        tool_choice=choice,
        forced_tool=forced,
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        schema=schema,
        max_tokens=whole_number(body, "max_completion_tokens") or whole_number(body, "max_tokens"),
        stop=_stops(body, rules),
    )


def _choices(body: Mapping[str, Any], rules: Rules) -> int:
    """Return how many choices the request wants; 1 for a provider that ignores `n`."""
    wanted = whole_number(body, "n")
    if wanted is None or rules.max_choices == 1:
        return 1
    if wanted > rules.max_choices:
        raise invalid(
            f"Invalid 'n': integer above maximum value. Expected a value <= {rules.max_choices}, but got {wanted}.",
            param="n",
            code="integer_above_max_value",
        )
    return wanted


def _check_parameters(body: Mapping[str, Any], rules: Rules) -> None:
    for name in body:
        if name in rules.refused and body[name] is not None:
            raise invalid(f"property '{name}' is unsupported", param=name, code="unsupported_parameter")
        if rules.parameters is not None and name not in rules.parameters:
            raise invalid(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def _check_sampling(body: Mapping[str, Any], rules: Rules) -> None:
    bounds = {
        "temperature": (0.0, rules.max_temperature),
        "top_p": (0.0, 1.0),
        "frequency_penalty": (-2.0, 2.0),
        "presence_penalty": (-2.0, 2.0),
    }
    for name, (low, high) in bounds.items():
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise invalid(f"Invalid type for '{name}': a number is expected.", param=name, code="invalid_type")
        if not low <= value <= high:
            side, bound = ("below_min", low) if value < low else ("above_max", high)
            raise invalid(
                f"Invalid '{name}': decimal {side.replace('_', ' ')}imum value. Expected a value from {low} to {high}, "
                f"but got {value} instead (bound {bound}).",
                param=name,
                code=f"decimal_{side}_value",
            )
    seed = body.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise invalid("Invalid type for 'seed': an integer is expected.", param="seed", code="invalid_type")


def _stops(body: Mapping[str, Any], rules: Rules) -> tuple[str, ...]:
    stop = body.get("stop")
    if stop is None:
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise invalid("Invalid type for 'stop': strings are expected.", param="stop")
    if len(stops) > rules.max_stop_sequences:
        raise invalid(
            f"Invalid 'stop': array too long. Expected an array with maximum length "
            f"{rules.max_stop_sequences}, but got an array "
            f"with length {len(stops)} instead.",
            param="stop",
            code="array_above_max_length",
        )
    return tuple(stops)


def _tools(body: Mapping[str, Any]) -> tuple[ToolSpec, ...]:
    tools = body.get("tools")
    if tools is None:
        return ()
    if not isinstance(tools, list) or not tools:
        raise invalid(
            "Invalid 'tools': an array with at least one element is expected.",
            param="tools",
            code="empty_array",
        )
    return tuple(_tool(tool, index) for index, tool in enumerate(tools))


def _tool(tool: object, index: int) -> ToolSpec:
    where = f"tools[{index}]"
    if not isinstance(tool, Mapping) or tool.get("type") != "function":
        raise invalid(f"Missing required parameter: '{where}.type'.", param=f"{where}.type")
    function = tool.get("function")
    if not isinstance(function, Mapping):
        raise invalid(
            f"Missing required parameter: '{where}.function'.",
            param=f"{where}.function",
            code="missing_required_parameter",
        )
    name = function.get("name")
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        raise invalid(
            f"Invalid '{where}.function.name': expected 1 to 64 characters of a-z, A-Z, 0-9, _ and -.",
            param=f"{where}.function.name",
            code="invalid_value",
        )
    schema = function.get("parameters")
    if schema is not None and (not isinstance(schema, Mapping) or schema.get("type", "object") != "object"):
        raise invalid(
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"'.",
            param=f"{where}.function.parameters",
            code="invalid_function_parameters",
        )
    return ToolSpec(name, schema or {})


def _choice(body: Mapping[str, Any], tools: Sequence[ToolSpec], rules: Rules) -> tuple[str, str | None]:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", None
    if not tools and choice != "none":
        raise invalid(
            "Invalid value for 'tool_choice': it is only allowed when 'tools' are given.",
            param="tool_choice",
        )
    if isinstance(choice, str):
        if choice not in rules.tool_choices:
            raise invalid(
                f"Invalid value: '{choice}'. Supported values are: {', '.join(sorted(rules.tool_choices))}.",
                param="tool_choice",
                code="invalid_value",
            )
        return ("required" if choice == "any" else choice), None
    if not rules.named_choice:
        raise invalid("tool_choice: a string is expected, not an object.", param="tool_choice")
    function = choice.get("function") if isinstance(choice, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if name not in [tool.name for tool in tools]:
        raise invalid(f"Tool choice '{name}' was not found in the 'tools' parameter.", param="tool_choice")
    return "required", str(name)


def _schema(body: Mapping[str, Any], rules: Rules, text: str) -> Mapping[str, Any] | None:
    wanted = body.get("response_format")
    if wanted is None:
        return None
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind not in rules.formats:
        raise invalid(
            f"Invalid value: '{kind}'. Supported values are: {', '.join(sorted(rules.formats))}.",
            param="response_format.type",
            code="invalid_value",
        )
    if kind == "text":
        return None
    if kind == "json_object":
        if rules.json_mode_needs_keyword and "json" not in text.lower():
            raise invalid(
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
                param="messages",
            )
        return {}
    outer = wanted.get("json_schema")
    name = outer.get("name") if isinstance(outer, Mapping) else None
    if not isinstance(outer, Mapping) or not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        raise invalid(
            "Missing required parameter: 'response_format.json_schema.name'.",
            param="response_format.json_schema.name",
            code="missing_required_parameter",
        )
    schema = outer.get("schema")
    if not isinstance(schema, Mapping):
        raise invalid(
            "Missing required parameter: 'response_format.json_schema.schema'.",
            param="response_format.json_schema.schema",
            code="missing_required_parameter",
        )
    if rules.strict_schemas and outer.get("strict") and (fault := _not_strict(schema, "()")):
        raise invalid(f"Invalid schema for response_format '{name}': {fault}", param="response_format")
    return schema


def _not_strict(schema: object, where: str) -> str | None:
    """Return why a schema is not strict: OpenAI wants every object closed and every property required."""
    if not isinstance(schema, Mapping):
        return None
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        if schema.get("additionalProperties") is not False:
            return f"In context={where}, 'additionalProperties' is required to be supplied and to be false."
        missing = [name for name in properties if name not in (schema.get("required") or ())]
        if missing:
            return f"In context={where}, 'required' must name every property; missing: '{missing[0]}'."
        for name, part in properties.items():
            if fault := _not_strict(part, f"{where}.{name}"):
                return fault
    return _not_strict(schema.get("items"), f"{where}.items")
