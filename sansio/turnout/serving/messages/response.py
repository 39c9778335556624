"""Writes whole answers of Messages.

Source: the Messages API reference (platform.claude.com), "Create a Message".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from turnout.chat import ChatResponse, FinishReason
from turnout.messages import Commentary, Message, Opaque, Part, Refusal, Text, Thinking, ToolCall
from turnout.serving.continuity import client_call_id, pack
from turnout.serving.errors import RequestRejected, ServedError
from turnout.serving.inbound import Answerer, InboundChat
from turnout.serving.messages.assistant import UNPARSED
from turnout.serving.opaque_parts import MESSAGES_FAMILY, opaque_type, position_of
from turnout.serving.request_json import decode_value, encode
from turnout.serving.usage import messages_usage

__all__ = [
    "FAILED_ANSWER",
    "build_messages_response",
    "opaque_block",
    "signature_of",
    "stop_reason",
]

_STOP_REASONS: Final = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}
# Words of this protocol that are more exact than ours, by the reason that they belong to.
_OWN_WORDS: Final = {
    "stop_sequence": FinishReason.STOP,
    "model_context_window_exceeded": FinishReason.LENGTH,
}

FAILED_ANSWER: Final = ServedError(
    status=502,
    type="server_error",
    code="upstream_error",
    messages_type="api_error",
    message="The model could not complete its answer.",
)
"""The error for an answer that the provider marks as failed. Messages has no stop reason for it."""


def build_messages_response(inbound: InboundChat, response: ChatResponse, answerer: Answerer) -> bytes:
    """Return the body of a whole answer.

    The model is the one of the request: Claude Code forgets the thinking of an answer from another one.
    """
    if response.finish_reason is FinishReason.ERROR:
        raise RequestRejected(FAILED_ANSWER)
    return encode(
        {
            "id": f"msg_{answerer.id}",
            "type": "message",
            "role": "assistant",
            "model": inbound.model_name,
            "content": _content(response.message),
            "stop_reason": stop_reason(response.finish_reason, response.raw_finish_reason),
            "stop_sequence": None,
            "usage": messages_usage(response.usage),
        }
    )


def stop_reason(reason: FinishReason, raw: str | None) -> str:
    """Return the stop reason. A provider's word that no table knows is passed on as it is."""
    if raw is not None and (reason is FinishReason.UNKNOWN or _OWN_WORDS.get(raw) is reason):
        return raw
    return _STOP_REASONS.get(reason, "end_turn")


def _content(message: Message) -> list[Any]:
    calls = list(message.tool_calls)
    blocks: list[Any] = []
    for part in message.content:
        if isinstance(part, Opaque) and (id := position_of(part, message.origin)) is not None:
            call = next((call for call in calls if call.id == id), None)
            if call is not None:
                calls.remove(call)
                blocks.append(_tool_use(call, message))
        elif (block := _block(part, message)) is not None:
            blocks.append(block)
    return blocks + [_tool_use(call, message) for call in calls]


def _block(part: Part, message: Message) -> Any:
    match part:
        case Text() | Commentary() | Refusal():
            return {"type": "text", "text": part.text} if part.text else None
        case Thinking():
            return {
                "type": "thinking",
                "thinking": part.text,
                "signature": signature_of(part.signature, message.origin),
            }
        case Opaque():
            return opaque_block(part, message.origin)
        case _:
            return None


def _tool_use(call: ToolCall, message: Message) -> dict[str, Any]:
    return {"type": "tool_use", "id": client_call_id(call, message), "name": call.name, "input": _input(call.arguments)}


def _input(arguments: str) -> dict[str, Any]:
    try:
        value = decode_value(arguments)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {UNPARSED: arguments}


def signature_of(signature: str | None, origin: str | None) -> str:
    """Return the signature of thinking, with its origin if that is not Anthropic."""
    if origin is None or origin == MESSAGES_FAMILY:
        return signature or ""
    return pack(origin, signature or "")


def opaque_block(part: Opaque, origin: str | None) -> Any:
    """Return the block of an opaque part: as it is in its own family, and otherwise packed as redacted thinking.

    Clients return redacted thinking unchanged and do not look into it.
    """
    if origin is None or opaque_type(part) == "message":
        return None
    if origin == MESSAGES_FAMILY:
        return msgspec.Raw(part.json)
    return {"type": "redacted_thinking", "data": pack(origin, part.json.decode("utf-8", "replace"))}
