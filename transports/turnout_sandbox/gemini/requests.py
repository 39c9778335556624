"""Reads a generateContent request of the Gemini API as strictly as the server does.

The server takes the camelCase names of its API and, as proto3 JSON allows, the snake_case ones too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest, ToolSpec
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.prose import words_in

__all__ = ["ParsedGeminiRequest", "read_generate", "snake"]

_WINDOW = 1_048_576
_TOP = frozenset(
    {
        "model",
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "safetySettings",
        "cachedContent",
        "serviceTier",
    }
)
_PART_KINDS = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)
_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_IMAGE_TOKENS = 258


def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match.group().lower(), name)


def _get(value: Mapping[str, Any], name: str) -> Any:
    return value.get(name, value.get(snake(name)))


def _invalid(message: str) -> RequestRejected:
    return invalid(message)


@attrs.frozen
class ParsedGeminiRequest:
    """A request; `shown` is true if the response must show the text of the reasoning (includeThoughts)."""

    request: ParsedRequest
    shown: bool


def read_generate(body: Mapping[str, Any], model: str, stream: bool) -> ParsedGeminiRequest:
    """Raises RequestRejected."""
    known = _TOP | {snake(name) for name in _TOP}
    for name in body:
        if name not in known:
            raise _invalid(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    config = _object(body, "generationConfig")
    tools = _tools(_get(body, "tools"))
    choice, forced, some = _choice(body, tools)
    reader = _Contents()
    reader.read(_get(body, "contents"))
    reader.read_system(_get(body, "systemInstruction"))
    tokens = reader.tokens + sum(words_in(json.dumps(tool.schema)) + 4 for tool in tools)
    if tokens > _WINDOW:
        raise RequestRejected(
            ErrorKind.CONTEXT_LENGTH,
            f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({_WINDOW}).",
        )
    thinking = _object(config, "thinkingConfig")
    budget = _get(thinking, "thinkingBudget")
    if budget is not None and _get(thinking, "thinkingLevel") is not None:
        raise _invalid("You can only set only one of thinking budget and thinking level.")
    shown = bool(_get(thinking, "includeThoughts"))
    request = ParsedRequest(
        model=model,
        prompt=reader.prompt,
        prompt_tokens=tokens,
        stream=stream,
        tool_results=tuple(reader.results),
        tools=some,
        tool_choice=choice,
        forced_tool=forced,
        schema=_schema(config),
        reasoning=budget != 0 and (shown or bool(budget) or _get(thinking, "thinkingLevel") is not None),
        max_tokens=_max_tokens(config),
        choices=_candidates(config),
        stop=_stops(config),
    )
    return ParsedGeminiRequest(request, shown)


def _candidates(config: Mapping[str, Any]) -> int:
    count = _get(config, "candidateCount")
    if count is None:
        return 1
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 8:
        raise _invalid("* GenerateContentRequest.generation_config.candidate_count: must be from 1 to 8.")
    return count


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = _get(value, name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise _invalid(f"Invalid value at '{snake(name)}': an object is expected.")
    return found


def _max_tokens(config: Mapping[str, Any]) -> int | None:
    value = _get(config, "maxOutputTokens")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise _invalid("max_output_tokens must be positive.")
    for name, high in (("temperature", 2.0), ("topP", 1.0)):
        number = _get(config, name)
        if number is not None and not (isinstance(number, int | float) and 0 <= number <= high):
            raise _invalid(f"The value for {snake(name)} must be in the range [0.0, {high}].")
    return value


def _stops(config: Mapping[str, Any]) -> tuple[str, ...]:
    stops = _get(config, "stopSequences")
    if stops is None:
        return ()
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise _invalid("Invalid value at 'generation_config.stop_sequences': an array of strings is expected.")
    if len(stops) > 5:
        raise _invalid("The number of stop sequences must be at most 5.")
    return tuple(stops)


def _schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    schema = _get(config, "responseSchema")
    json_schema = _get(config, "responseJsonSchema")
    if schema is not None and json_schema is not None:
        raise _invalid("Only one of response_schema and response_json_schema may be set.")
    if _get(config, "responseMimeType") != "application/json":
        if schema is not None or json_schema is not None:
            raise _invalid("response_schema needs response_mime_type to be 'application/json'.")
        return None
    wanted = schema if schema is not None else json_schema
    if wanted is not None and not isinstance(wanted, Mapping):
        raise _invalid("Invalid value at 'generation_config.response_schema': an object is expected.")
    return wanted or {}


def _tools(tools: object) -> tuple[ToolSpec, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise _invalid("Invalid value at 'tools': an array is expected.")
    found: list[ToolSpec] = []
    for tool in tools:
        if not isinstance(tool, Mapping):
            raise _invalid("Invalid value at 'tools': objects are expected.")
        for declared in _get(tool, "functionDeclarations") or ():
            name = declared.get("name") if isinstance(declared, Mapping) else None
            if not isinstance(name, str) or not _FUNCTION_NAME.fullmatch(name):
                raise _invalid(
                    f"Invalid function name {name!r}: it begins with a letter or an underscore and has at most 128 "
                    "characters of a-z, A-Z, 0-9, underscores, dots, colons and dashes."
                )
            plain, schema = declared.get("parameters"), _get(declared, "parametersJsonSchema")
            if plain is not None and schema is not None:
                raise _invalid(f"Function {name}: parameters and parameters_json_schema exclude each other.")
            _check_schema(plain, f"tools[0].function_declarations[{len(found)}].parameters")
            found.append(ToolSpec(name, plain or schema or {}))
    return tuple(found)


# Keywords that the OpenAPI 3.0 schemas of this API do not have (python-genai issue 1732 and others).
_UNKNOWN_TO_SCHEMAS = ("$schema", "$ref", "$defs", "additionalProperties", "const", "exclusiveMinimum", "examples")


def _check_schema(schema: object, where: str, depth: int = 0) -> None:
    if not isinstance(schema, Mapping) or depth > 32:
        return
    for name in _UNKNOWN_TO_SCHEMAS:
        if name in schema and name != "additionalProperties":
            raise _invalid(f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.")
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        for name, part in properties.items():
            _check_schema(part, f"{where}.properties[{name}]", depth + 1)
    _check_schema(schema.get("items"), f"{where}.items", depth + 1)


def _choice(body: Mapping[str, Any], tools: tuple[ToolSpec, ...]) -> tuple[str, str | None, tuple[ToolSpec, ...]]:
    calling = _object(_object(body, "toolConfig"), "functionCallingConfig")
    mode = calling.get("mode", "AUTO")
    allowed = _get(calling, "allowedFunctionNames")
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"):
        raise _invalid(f"Invalid value at 'tool_config.function_calling_config.mode': \"{mode}\"")
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise _invalid("allowed_function_names may be set only when the function calling mode is ANY.")
    if allowed:
        unknown = [name for name in allowed if name not in {tool.name for tool in tools}]
        if unknown:
            raise _invalid(f"allowed_function_names names {unknown[0]!r}, which is not declared.")
        tools = tuple(tool for tool in tools if tool.name in allowed)
    if mode == "ANY":
        return "required", (allowed[0] if allowed and len(allowed) == 1 else None), tools
    return ("none" if mode == "NONE" else "auto"), None, tools


@attrs.define
class _Contents:
    """Walks the turns: roles, the kinds of parts, and results that answer calls."""

    prompt: str = ""
    results: list[str] = attrs.field(factory=list)
    tokens: int = 0

    def read(self, contents: object) -> None:
        if not isinstance(contents, list) or not contents:
            raise _invalid("* GenerateContentRequest.contents: contents is not specified")
        called: list[str] = []
        for index, content in enumerate(contents):
            if not isinstance(content, Mapping):
                raise _invalid(f"Invalid value at 'contents[{index}]': an object is expected.")
            role = content.get("role", "user")
            if role not in ("user", "model"):
                raise _invalid("Please use a valid role: user, model.")
            if index == 0 and role == "model" and self._calls(content):
                raise _invalid("Please ensure that function call turn comes immediately after a user turn.")
            self.results = []
            texts = self._parts(content.get("parts"), f"contents[{index}]")
            answered = len(self.results)
            if answered and answered != len(called):
                raise _invalid(
                    "Please ensure that the number of function response parts is equal to the number of function call "
                    "parts of the function call turn."
                )
            if called and not answered:
                raise _invalid(
                    "Please ensure that function response turn comes immediately after a function call turn."
                )
            called = self._calls(content) if role == "model" else []
            if role == "user" and not answered:
                self.prompt = texts
        if called:
            raise _invalid("Please ensure that function response turn comes immediately after a function call turn.")

    def read_system(self, system: object) -> None:
        if system is None:
            return
        if not isinstance(system, Mapping):
            raise _invalid("Invalid value at 'system_instruction': an object is expected.")
        self._parts(system.get("parts"), "system_instruction")

    def _calls(self, content: Mapping[str, Any]) -> list[str]:
        parts = content.get("parts") or ()
        return [
            str(_get(part, "functionCall"))
            for part in parts
            if isinstance(part, Mapping) and _get(part, "functionCall")
        ]

    def _parts(self, parts: object, where: str) -> str:
        if not isinstance(parts, list) or not parts:
            raise _invalid(f"* GenerateContentRequest.{where}.parts: must not be empty.")
        texts: list[str] = []
        for number, part in enumerate(parts):
            kinds = [kind for kind in _PART_KINDS if isinstance(part, Mapping) and _get(part, kind) is not None]
            if len(kinds) != 1:
                raise _invalid(
                    f"* GenerateContentRequest.{where}.parts[{number}].data: required oneof field 'data' must have one "
                    "initialized field"
                )
            value = _get(part, kinds[0])
            match kinds[0]:
                case "text":
                    if not isinstance(value, str):
                        raise _invalid(f"Invalid value at '{where}.parts[{number}].text': a string is expected.")
                    texts.append("" if part.get("thought") else value)
                    self.tokens += words_in(value)
                case "inlineData":
                    if not isinstance(value, Mapping) or not _get(value, "mimeType") or not value.get("data"):
                        raise _invalid(f"Invalid value at '{where}.parts[{number}].inline_data': mime type and data.")
                    self.tokens += _IMAGE_TOKENS
                case "functionCall":
                    if not isinstance(value, Mapping) or not isinstance(value.get("args", {}), Mapping):
                        raise _invalid(f"Invalid value at '{where}.parts[{number}].function_call.args': an object.")
                    self.tokens += words_in(json.dumps(value))
                case "functionResponse":
                    if not isinstance(value, Mapping) or not isinstance(value.get("response"), Mapping):
                        raise _invalid(f"Invalid value at '{where}.parts[{number}].function_response.response'.")
                    self.results.append(_error_response(value["response"]))
                    self.tokens += words_in(json.dumps(value))
                case _:
                    pass
        return "".join(texts)


def _error_response(response: Mapping[str, Any]) -> str:
    if len(response) == 1:
        (only,) = response.values()
        if isinstance(only, str):
            return only
    return json.dumps(response, ensure_ascii=False)
