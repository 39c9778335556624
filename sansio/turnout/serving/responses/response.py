"""Writes whole answers of Responses.

Source: the OpenAI API reference, "The response object".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from turnout.chat import ChatResponse, FinishReason
from turnout.messages import Commentary, Image, Message, Opaque, Refusal, Text, Thinking, ToolCall
from turnout.serving.continuity import client_call_id, pack
from turnout.serving.inbound import Answerer, InboundChat
from turnout.serving.media import encoded_image
from turnout.serving.opaque_parts import is_responses, opaque_type, position_of
from turnout.serving.request_json import decode_value, encode
from turnout.serving.usage import responses_usage

__all__ = [
    "ItemIds",
    "build_responses_response",
    "call_item",
    "image_item",
    "message_item",
    "opaque_item",
    "reasoning_item",
    "refusal_part",
    "response_object",
    "text_part",
]

FAILED: Final = {"code": "server_error", "message": "The model could not complete its answer."}


@attrs.define(eq=False)
class ItemIds:
    """Makes the ids of the items of one answer."""

    _id: str
    _count: int = 0

    def next(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._id}{self._count:02x}"


def build_responses_response(inbound: InboundChat, response: ChatResponse, answerer: Answerer) -> bytes:
    """Return the body of a whole answer."""
    output = list(_output(response.message, ItemIds(answerer.id)))
    return encode(response_object(inbound, answerer, output, response))


def response_object(
    inbound: InboundChat, answerer: Answerer, output: list[Any], response: ChatResponse | None
) -> dict[str, Any]:
    """Return the response object. `response` is None while the answer is in progress."""
    document: dict[str, Any] = {
        "id": f"resp_{answerer.id}",
        "object": "response",
        "created_at": answerer.created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": answerer.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
        **inbound.echo,
    }
    if response is not None:
        document |= _outcome(response.finish_reason, response.raw_finish_reason)
        document["usage"] = responses_usage(response.usage)
    return document


def _outcome(reason: FinishReason, raw: str | None) -> dict[str, Any]:
    """Return status, error and details. A provider's word that no table knows is an incomplete answer."""
    match reason:
        case FinishReason.LENGTH:
            return {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        case FinishReason.CONTENT_FILTER:
            return {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
        case FinishReason.ERROR:
            return {"status": "failed", "error": FAILED}
        case FinishReason.UNKNOWN if raw is not None:
            return {"status": "incomplete", "incomplete_details": {"reason": raw}}
        case _:
            return {"status": "completed"}


def _output(message: Message, ids: ItemIds) -> Iterator[Any]:
    """Return the items of a message, each call in its position if that is known."""
    calls = list(message.tool_calls)
    words: list[dict[str, Any]] = []
    has_reasoning = False  # an opaque item holds the reasoning text that follows it
    for part in message.content:
        match part:
            case Text(text=text) | Refusal(text=text):
                if text:
                    words.append(text_part(text) if isinstance(part, Text) else refusal_part(text))
                continue
            case Thinking() if has_reasoning:
                continue
            case _:
                if words:
                    yield message_item(ids.next("msg"), words)
                    words = []
        match part:
            case Commentary():
                yield message_item(ids.next("msg"), [text_part(part.text)], phase="commentary")
            case Image():
                if (image := image_item(ids.next("ig"), part)) is not None:
                    yield image
            case Thinking():
                yield reasoning_item(ids.next("rs"), part.text, part.signature, message.origin)
            case Opaque():
                id = position_of(part, message.origin)
                call = next((call for call in calls if call.id == id), None)
                if call is not None:
                    calls.remove(call)
                    yield call_item(ids.next("fc"), call, message)
                elif id is None and (item := opaque_item(part, message.origin, ids)) is not None:
                    has_reasoning = item.get("type") == "reasoning" and is_responses(message.origin)
                    yield item
            case _:
                pass
    if words:
        yield message_item(ids.next("msg"), words)
    for call in calls:
        yield call_item(ids.next("fc"), call, message)


# -- items --------------------------------------------------------------------------------------------------------


def text_part(text: str) -> dict[str, Any]:
    """Return the part of a message that is text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> dict[str, Any]:
    """Return the part of a message that is the model's refusal."""
    return {"type": "refusal", "refusal": text}


def message_item(
    id: str, parts: list[dict[str, Any]], status: str = "completed", *, phase: str | None = None
) -> dict[str, Any]:
    """Return the item of the assistant's text. `phase` is set if it is not the final answer."""
    item = {"type": "message", "id": id, "status": status, "role": "assistant", "content": parts}
    return item if phase is None else {**item, "phase": phase}


def image_item(id: str, image: Image) -> dict[str, Any] | None:
    """Return the item of an image that the model made, None if only its URL is known."""
    encoded = encoded_image(image)
    if encoded is None:
        return None
    return {"type": "image_generation_call", "id": id, "status": "completed", "result": encoded}


def reasoning_item(id: str, text: str, signature: str | None, origin: str | None) -> dict[str, Any]:
    """Return the item of reasoning. Its encrypted content carries origin and signature into the next turn."""
    item: dict[str, Any] = {"type": "reasoning", "id": id, "summary": []}
    if text:
        item["summary"] = [{"type": "summary_text", "text": text}]
    if origin is not None:
        item["encrypted_content"] = pack(origin, signature or "")
    return item


def call_item(id: str, call: ToolCall, message: Message, status: str = "completed") -> dict[str, Any]:
    """Return the item of a tool call."""
    return {
        "type": "function_call",
        "id": id,
        "status": status,
        "call_id": client_call_id(call, message),
        "name": call.name,
        "arguments": call.arguments,
    }


def opaque_item(part: Opaque, origin: str | None, ids: ItemIds) -> dict[str, Any] | None:
    """Return the item of an opaque part, None if clients cannot return it.

    Reasoning of a family of Responses keeps its summary. The opaque parts of other families become reasoning without
    a summary, which clients return unchanged.
    """
    kind = opaque_type(part)
    if origin is None or kind == "message":
        return None
    if not is_responses(origin):
        return {**reasoning_item(ids.next("rs"), "", "", origin), "encrypted_content": _packed(part, origin)}
    item = decode_value(part.json)
    if not isinstance(item, dict):
        return None
    return {**item, "encrypted_content": _packed(part, origin)} if kind == "reasoning" else item


def _packed(part: Opaque, origin: str) -> str:
    return pack(origin, part.json.decode("utf-8", "replace"))
