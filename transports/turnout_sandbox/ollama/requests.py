"""Reads an Ollama /api/chat request as strictly as the server does: Go types, so a wrong one is a 400."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest, ToolSpec
from turnout_sandbox.errors import RequestRejected, invalid
from turnout_sandbox.prose import words_in

__all__ = ["as_chat", "read_chat", "wrong_type"]

_ROLES = ("system", "user", "assistant", "tool")


def wrong_type(field: str, wanted: str) -> RequestRejected:
    return invalid(f"json: cannot unmarshal into Go struct field {field} of type {wanted}")


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request for /api/generate in the form of /api/chat.

    Raises:
        RequestRejected: The prompt or the system text is not a string.
    """
    for name in ("prompt", "system", "suffix", "template"):
        if not isinstance(body.get(name, ""), str | None):
            raise wrong_type(f"GenerateRequest.{name}", "string")
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    asked = {"role": "user", "content": body.get("prompt") or "", "images": body.get("images")}
    kept = {name: body[name] for name in ("model", "stream", "think", "options", "format") if name in body}
    return {**kept, "messages": [*system, asked]}


def read_chat(body: Mapping[str, Any]) -> ParsedRequest:
    """Read a request for /api/chat. A model reasons if the request has `think`; no model refuses it.

    Raises:
        RequestRejected: A field has the wrong type or value.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("model is required")
    stream = body.get("stream", True)
    if stream is not None and not isinstance(stream, bool):
        raise wrong_type("ChatRequest.stream", "bool")
    think = body.get("think")
    if think is not None and not isinstance(think, bool) and think not in ("low", "medium", "high", "max"):
        raise invalid(f'invalid think value: {think!r} (must be "high", "medium", "low", true or false)')
    options = body.get("options")
    if options is not None and not isinstance(options, Mapping):
        raise wrong_type("ChatRequest.options", "map[string]interface {}")
    options = options or {}
    messages = _OllamaMessages()
    messages.read(body.get("messages"))
    tools = _tools(body.get("tools"))
    limit = options.get("num_predict")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
        raise invalid('option "num_predict" must be of type integer')
    stops = options.get("stop")
    if stops is not None and not (isinstance(stops, list) and all(isinstance(text, str) for text in stops)):
        raise invalid('option "stop" must be of type array')
    return ParsedRequest(
        model=model,
        prompt=messages.prompt,
        prompt_tokens=messages.tokens + sum(words_in(json.dumps(tool.schema)) + 4 for tool in tools),
        stream=stream is not False,
        tool_results=tuple(messages.results),
        tools=tools,
        schema=_format(body.get("format")),
        reasoning=bool(think),
        max_tokens=limit if limit is not None and limit > 0 else None,
        stop=tuple(stops or ()),
    )


def _format(wanted: object) -> Mapping[str, Any] | None:
    if wanted is None or wanted == "":
        return None
    if wanted == "json":
        return {}
    if isinstance(wanted, Mapping):
        return wanted
    raise invalid(f'invalid format: {json.dumps(wanted)}; expected "json" or a valid JSON Schema object')


def _tools(tools: object) -> tuple[ToolSpec, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise wrong_type("ChatRequest.tools", "api.Tools")
    found = []
    for tool in tools:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise wrong_type("ChatRequest.tools.function", "api.ToolFunction")
        schema = function.get("parameters")
        if schema is not None and not isinstance(schema, Mapping):
            raise wrong_type("ChatRequest.tools.function.parameters", "api.ToolFunctionParameters")
        found.append(ToolSpec(function["name"], schema or {}))
    return tuple(found)


@attrs.define
class _OllamaMessages:
    prompt: str = ""
    results: list[str] = attrs.field(factory=list)
    tokens: int = 0

    def read(self, messages: object) -> None:
        if messages is None:
            return
        if not isinstance(messages, list):
            raise wrong_type("ChatRequest.messages", "[]api.Message")
        for message in messages:
            self._take(message)

    def _take(self, message: object) -> None:
        if not isinstance(message, Mapping):
            raise wrong_type("ChatRequest.messages", "api.Message")
        role, content = message.get("role"), message.get("content", "")
        if role not in _ROLES:
            raise invalid(f"invalid role: {role}; expected one of {', '.join(_ROLES)}")
        if content is not None and not isinstance(content, str):
            raise wrong_type("ChatRequest.messages.content", "string")
        text = content or ""
        self.tokens += words_in(text) + 4
        self._images(message.get("images"))
        self._calls(message.get("tool_calls"))
        if role == "tool":
            self.results.append(text)
            return
        self.results.clear()
        if role == "user":
            self.prompt = text

    def _images(self, images: object) -> None:
        for image in images if isinstance(images, list) else ():
            try:
                base64.b64decode(image, validate=True)
            except (binascii.Error, TypeError, ValueError):  # a data URL is none either
                raise invalid("illegal base64 data at input byte 4") from None
            self.tokens += 256

    def _calls(self, calls: object) -> None:
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, Mapping) else None
            if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
                raise wrong_type("ChatRequest.messages.tool_calls.function", "api.ToolCallFunction")
            if not isinstance(function.get("arguments", {}), Mapping):  # an object here, unlike in OpenAI's shape
                raise invalid("Value looks like object, but can't find closing '}' symbol")
            self.tokens += words_in(json.dumps(function.get("arguments", {})))
