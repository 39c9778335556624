"""The body of an Ollama chat request.

Source: Ollama's API documentation (docs/api.md in its repository).
"""

from __future__ import annotations

import base64
from typing import Any

from turnout.chat import ChatRequest
from turnout.errors import CapabilityUnsupported
from turnout.messages import Audio, Commentary, Image, Message, Refusal, Role, Text, Thinking, Tool
from turnout.providers.encoding.hosted_tools import is_hosted
from turnout.providers.encoding.tool_arguments import arguments_object, object_schema

__all__ = ["FAMILY", "chat_body"]

FAMILY = "ollama"
_EFFORTS = ("low", "medium", "high", "max")


def chat_body(request: ChatRequest, *, stream: bool) -> dict[str, Any]:
    """Return the body.

    Raises:
        CapabilityUnsupported: The request demands something that Ollama does not have.
    """
    model = request.model
    if request.tool_choice is not None and request.tool_choice.mode in ("required", "named"):
        raise CapabilityUnsupported(f"{model}: Ollama does not force a tool call; only 'auto' and 'none' work")
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    body: dict[str, Any] = {
        "model": model.model_id,
        "messages": [_message(message, names) for message in request.messages],
        "stream": stream,
    }
    if request.tools and (request.tool_choice is None or request.tool_choice.mode != "none"):
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.response_format is not None:
        body["format"] = request.response_format.schema if request.response_format.schema is not None else "json"
    if model.reasoning_effort is not None:
        effort = model.reasoning_effort
        body["think"] = effort if effort in _EFFORTS and "gpt-oss" in model.model_id else effort != "none"
    options = {
        "temperature": model.temperature,
        "top_p": model.top_p,
        "top_k": model.top_k,
        "num_predict": model.max_tokens,
        "stop": list(model.stop) or None,
        "seed": model.seed,
        "presence_penalty": model.presence_penalty,
        "frequency_penalty": model.frequency_penalty,
    }
    given = {name: value for name, value in options.items() if value is not None}
    extra = dict(model.extra)
    if isinstance(own := extra.pop("options", None), dict):
        given |= own
    if given:
        body["options"] = given
    if model.logprobs is not None:
        body["logprobs"] = True
        if model.logprobs:
            body["top_logprobs"] = model.logprobs
    return body | extra


def _tool(tool: Tool) -> dict[str, Any]:
    if is_hosted(tool.extra, FAMILY):
        return dict(tool.extra)
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": object_schema(tool),
    }
    return {"type": "function", "function": function, **tool.extra}


def _message(message: Message, names: dict[str, str]) -> dict[str, Any]:
    role = Role.SYSTEM if message.role is Role.DEVELOPER else message.role
    wire: dict[str, Any] = {"role": role.value, "content": ""}
    images = []
    for part in message.content:
        match part:
            case Text() | Refusal() | Commentary():
                wire["content"] += part.text
            case Thinking():
                if message.origin in (FAMILY, None):  # None: the caller wrote the turn itself
                    wire["thinking"] = wire.get("thinking", "") + part.text
            case Image(data=None) if role is Role.ASSISTANT:
                continue  # an image of another provider's model, which Ollama cannot fetch
            case Image():
                images.append(_image(part))
            case Audio(transcript=str(transcript)) if role is Role.ASSISTANT:
                wire["content"] += transcript
            case _ if role is Role.ASSISTANT:
                continue  # only another provider understands it
            case _:
                raise CapabilityUnsupported(f"ollama: a {type(part).__name__} cannot be sent; only text and images can")
    if images:
        wire["images"] = images
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": arguments_object(call)}}
            for call in message.tool_calls
        ]
    if role is Role.TOOL:
        wire["tool_call_id"] = message.tool_call_id
        wire["tool_name"] = message.name or names.get(message.tool_call_id or "", "")
    return wire | dict(message.extra)


def _image(part: Image) -> str:
    """Return the bare base64 of an image: Ollama fetches nothing."""
    if part.data is not None:
        return base64.b64encode(part.data).decode()
    url = part.url or ""
    if url.startswith("data:") and ";base64," in url:
        return url.partition(";base64,")[2]
    raise CapabilityUnsupported("ollama: takes an image by its bytes, not by URL; fetch it and give Image(data=…)")
