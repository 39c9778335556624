"""The body of a Gemini generateContent request.

Source: the Gemini API reference (ai.google.dev), "Generating content", and its guides on function calling, thinking
and thought signatures.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import CapabilityUnsupported
from turnout.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
)
from turnout.providers.encoding.hosted_tools import is_hosted
from turnout.providers.encoding.tool_arguments import arguments_object
from turnout.providers.encoding.tool_results import results_as_text
from turnout.providers.schemas.enforced import response_schema
from turnout.providers.schemas.subset import SchemaSubset

__all__ = ["FAMILY", "generate_body"]

FAMILY = "gemini"
# The value of the documentation of thought signatures for calls of another model.
FOREIGN_SIGNATURE = "skip_thought_signature_validator"
# Ids that were made here because the server sent none: they mean nothing to the server.
_MADE_ID = re.compile(r"call_\d+_\d+\Z")
# Gemma has a place for a system prompt from its fourth generation on; before that, one is refused.
_NO_SYSTEM = re.compile(r"(?:models/)?gemma-(?:[123]n?-|\d+b)")
# From the third generation on, which the names without a number mean by now, a call must carry a signature.
_SIGNS_CALLS = re.compile(r"(?:models/)?gemini-(?:[3-9]|\d\d|[a-z-]+-latest)")
# Before that, a tool's result is a JSON object and nothing beside it.
_TEXT_RESULTS = re.compile(r"(?:models/)?gemini-[12]\D")
# Levels that models do not take, and the nearest that they take. The first pattern that matches holds.
_NEAREST_LEVELS = (
    (re.compile(r"(?:models/)?(?:gemma-|gemini-3\.\d+-flash-(?:lite-)?image)"), {"LOW": "MINIMAL", "MEDIUM": "HIGH"}),
    (re.compile(r"(?:models/)?gemini-3-pro"), {"MINIMAL": "LOW", "MEDIUM": "HIGH"}),
    (
        re.compile(r"(?:models/)?gemini-(?:3(?:\.\d+)?-pro|3\.[7-9]-flash(?!-lite)|[4-9]|\d\d|(?:pro|flash)-latest)"),
        {"MINIMAL": "LOW"},
    ),
)
# The ends of names, each with the media type of such a reference: Vertex AI takes none without one.
_SUFFIXES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
_CHOICES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_BUDGETS = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 32768,
    "max": 32768,
}
_FLASH_BUDGET = 24576  # the largest that the smaller models of the 2.5 family take
_LEVELS = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}


def generate_body(request: ChatRequest, schemas: SchemaSubset | None, *, vertex: bool = False) -> dict[str, Any]:
    """Return the body.

    Raises:
        CapabilityUnsupported: If this API or this model cannot take the request.
    """
    model = request.model
    system, contents = _contents(request)
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body |= _tools(request, vertex=vertex)
    generation = _generation(request, schemas)
    extra = dict(model.extra)
    own = extra.pop("generationConfig", None)
    extra.pop("automaticContinuation", None)  # whether the caller wants half answers continued
    if isinstance(own, Mapping):
        generation |= own
    if generation:
        body["generationConfig"] = generation
    return body | extra


def _tools(request: ChatRequest, *, vertex: bool) -> dict[str, Any]:
    """Return the fields of a body that are about tools: the caller's own, and those that run at Google."""
    hosted = [dict(tool.extra) for tool in request.tools if is_hosted(tool.extra, FAMILY)]
    declared = [_declaration(tool) for tool in request.tools if not is_hosted(tool.extra, FAMILY)]
    body: dict[str, Any] = {"tools": [*([{"functionDeclarations": declared}] if declared else ()), *hosted]}
    config: dict[str, Any] = {}
    choice = request.tool_choice
    if choice is not None and declared:
        calling: dict[str, Any] = {"mode": _CHOICES[choice.mode]}
        if choice.name is not None:
            calling["allowedFunctionNames"] = [choice.name]
        config["functionCallingConfig"] = calling
    if hosted and declared and not vertex and _SIGNS_CALLS.match(request.model.model_id):
        # Gemini 3 combines both kinds only if the response may hold the calls of Google's tools. Vertex AI has no such
        # field, and older models refuse the combination.
        config["includeServerSideToolInvocations"] = True
    return body | ({"toolConfig": config} if config else {})


def _declaration(tool: Tool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if tool.parameters:
        declaration["parametersJsonSchema"] = tool.parameters
    return declaration | dict(tool.extra)


def _generation(request: ChatRequest, schemas: SchemaSubset | None) -> dict[str, Any]:
    model, wanted = request.model, request.response_format
    schema = wanted.schema if wanted is not None else None
    config = {
        "temperature": model.temperature,
        "topP": model.top_p,
        "topK": model.top_k,
        "maxOutputTokens": model.max_tokens,
        "stopSequences": list(model.stop) or None,
        "seed": model.seed,
        "presencePenalty": model.presence_penalty,
        "frequencyPenalty": model.frequency_penalty,
        "responseLogprobs": True if model.logprobs is not None else None,
        "logprobs": model.logprobs or None,
        "responseMimeType": "application/json" if wanted is not None else None,
        "responseJsonSchema": response_schema(schema, schemas, model) if schema is not None else None,
        "thinkingConfig": _thinking(model),
    }
    return {name: value for name, value in config.items() if value is not None}


def _thinking(model: ModelConfig) -> dict[str, Any] | None:
    """A budget in tokens for the 2.5 family, a level from 3 on; never both."""
    effort = model.reasoning_effort
    if effort is None:
        return None
    if "gemini-2.5" in model.model_id:
        if effort == "none" and "pro" in model.model_id:
            raise CapabilityUnsupported(f"{model}: cannot stop thinking; leave reasoning_effort out, or set it lower")
        if effort not in _BUDGETS:
            raise CapabilityUnsupported(f"{model}: reasoning_effort is one of {', '.join(_BUDGETS)}, not {effort!r}")
        budget = _BUDGETS[effort] if "pro" in model.model_id else min(_BUDGETS[effort], _FLASH_BUDGET)
        return {"thinkingBudget": budget, "includeThoughts": effort != "none"}
    if effort not in _LEVELS:
        raise CapabilityUnsupported(f"{model}: reasoning_effort is one of {', '.join(_LEVELS)}, not {effort!r}")
    level = _LEVELS[effort]
    nearest = next((levels for pattern, levels in _NEAREST_LEVELS if pattern.match(model.model_id)), {})
    return {"thinkingLevel": nearest.get(level, level), "includeThoughts": True}


def _contents(request: ChatRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The system's parts, and the turns: neighbours of one role are one turn, and tool results are a turn alone."""
    instructing = (Role.SYSTEM, Role.DEVELOPER)
    told = [part for message in request.messages if message.role in instructing for part in message.content]
    system: list[dict[str, Any]] = [{"text": part.text} for part in told if isinstance(part, Text)]
    contents: list[dict[str, Any]] = []
    calls: dict[str, tuple[str, bool]] = {}
    newest = _SIGNS_CALLS.match(request.model.model_id) is not None
    kind = ""
    if system and _NO_SYSTEM.match(request.model.model_id):
        contents.append({"role": "user", "parts": system})
        system, kind = [], "user"
    text_results = _TEXT_RESULTS.match(request.model.model_id) is not None
    for message in results_as_text(request.messages) if text_results else request.messages:
        if message.role in instructing:
            continue
        if message.role is Role.ASSISTANT:
            own = message.origin == FAMILY
            calls |= {call.id: (call.name, own and not _MADE_ID.match(call.id)) for call in message.tool_calls}
            role, parts = "model", _model_parts(message, own, newest)
        elif message.role is Role.TOOL:
            role, parts = "user", [_function_response(message, calls)]
        else:
            role, parts = "user", [_part(part) for part in message.content]
        if not parts:
            continue
        # A turn that mixes tool results with other parts is misread, so they are kept apart.
        this = "tool" if message.role is Role.TOOL else role
        if this == kind:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
        kind = this
    if not contents or contents[0]["role"] == "model":
        # A system instruction alone is refused, and so is a model that speaks first.
        contents.insert(0, {"role": "user", "parts": [{"text": " "}]})
    return system, contents


def _model_parts(message: Message, own: bool, newest: bool) -> list[dict[str, Any]]:
    parts: list[Any] = []
    for part in message.content:
        match part:
            case Text():
                if part.text or (own and part.signature):
                    parts.append(_signed({"text": part.text}, part.signature if own else None))
            case Thinking():
                if own:
                    parts.append(_signed({"text": part.text, "thought": True}, part.signature))
            case Refusal():
                parts.append({"text": part.text})
            case Opaque():
                if own:
                    parts.append(msgspec.Raw(part.json))
            case Image() | Audio():
                parts.append(_signed(_part(part), part.signature if own else None))
            case _:
                parts.append(_part(part))
    for place, call in enumerate(message.tool_calls):
        signature = call.signature if own else None
        if signature is None and newest and place == 0:
            signature = FOREIGN_SIGNATURE
        function: dict[str, Any] = {"name": call.name, "args": arguments_object(call)}
        if own and not _MADE_ID.match(call.id):
            function["id"] = call.id
        parts.append(_signed({"functionCall": function, **call.extra}, signature))
    return parts


def _signed(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    return part | {"thoughtSignature": signature} if signature is not None else part


def _function_response(message: Message, calls: Mapping[str, tuple[str, bool]]) -> dict[str, Any]:
    name, send_id = calls.get(message.tool_call_id or "", (message.name, False))
    if name is None:
        raise CapabilityUnsupported(
            f"{FAMILY}: the tool message for call {message.tool_call_id!r} needs its tool's name: no call of that id "
            "is in the conversation; give Message.tool(…, name=…)"
        )
    media = [_part(part) for part in message.content if not isinstance(part, Text)]
    response: dict[str, Any] = {"name": name, "response": _result(message)}
    if send_id:
        response["id"] = message.tool_call_id
    if media:
        response["parts"] = media
    return {"functionResponse": response}


def _result(message: Message) -> Any:
    """A tool's result as an object: JSON objects as they are, all else under `output`, or `error`."""
    if message.is_error:
        return {"error": message.text}
    try:
        document = json.loads(message.text)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"output": message.text}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"text": part.text, **part.extra}
        case Image() | File():
            return {**_media(part), **part.extra}
        case Audio():
            return {**_inline(part.data, part.media_type), **part.extra}
        case _:
            raise CapabilityUnsupported(f"{FAMILY}: a {type(part).__name__} cannot be sent in a user's message")


def _media(part: Image | File) -> dict[str, Any]:
    if part.data is not None:
        return _inline(part.data, part.media_type or "")
    uri = part.url if part.url is not None else part.file_id if isinstance(part, File) else None
    assert uri is not None
    if uri.startswith("data:"):
        own_type, _, data = uri.removeprefix("data:").partition(";base64,")
        return {"inlineData": {"mimeType": own_type, "data": data}}
    reference = {"fileUri": uri}
    path = uri.partition("#")[0].partition("?")[0]
    media_type = part.media_type or _SUFFIXES.get(path.rpartition(".")[2].lower())
    if media_type is not None:
        reference["mimeType"] = media_type
    return {"fileData": reference}


def _inline(data: bytes, media_type: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(data).decode()}}
