"""Messages and tools as the JSON schemas of the GenAI conventions 0.1.0 have them. Bytes are left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from turnout.chat import ChatRequest, ChatResponse
from turnout.messages import (
    Audio,
    Commentary,
    File,
    Image,
    Message,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
)

__all__ = ["content_attributes"]


def content_attributes(request: object, result: object) -> dict[str, str]:
    """Return the attributes with the content of a chat, as JSON; {} for another operation."""
    if not isinstance(request, ChatRequest):
        return {}
    found = {"gen_ai.input.messages": _json([_message(message) for message in request.messages])}
    if request.tools:
        found["gen_ai.tool.definitions"] = _json([_tool(tool) for tool in request.tools])
    if isinstance(result, ChatResponse):
        found["gen_ai.output.messages"] = _json([_message(result.message)])
    return found


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _message(message: Message) -> dict[str, Any]:
    if message.role is Role.TOOL:
        parts = [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}]
        parts += _parts(part for part in message.content if not isinstance(part, Text))
    else:
        parts = [*_parts(message.content), *map(_call, message.tool_calls)]
    return {"role": message.role.value, "parts": parts, **({"name": message.name} if message.name else {})}


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = call.parsed()
    except ValueError:
        arguments = call.arguments
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }


def _parts(content: Iterable[Part]) -> list[dict[str, Any]]:
    return [made for part in content if (made := _part(part)) is not None]


def _part(part: Part) -> dict[str, Any] | None:
    match part:
        case Text(text=text):
            return {"type": "text", "content": text}
        case Thinking(text=text):
            return {"type": "reasoning", "content": text}
        case Commentary(text=text):
            return {"type": "commentary", "content": text}
        case Refusal(text=text):
            return {"type": "refusal", "content": text}
        case Image():
            return _media("image", part)
        case Audio():
            return _media("audio", part)
        case File():
            return _media("document", part)
        case _:
            return None  # only its provider understands it


def _media(modality: str, part: Image | Audio | File) -> dict[str, Any]:
    """Return a file by its URI or id; or, if its bytes are in the request, only its type and size."""
    named: dict[str, Any] = {"modality": modality}
    if part.media_type:
        named["mime_type"] = part.media_type
    file_id, url = getattr(part, "file_id", None), getattr(part, "url", None)
    if file_id is not None:
        return {"type": "file", **named, "file_id": file_id}
    if url is not None and not url.startswith("data:"):
        return {"type": "uri", **named, "uri": url}
    return {"type": modality, **named, "size": len(part.data or url or "")}
