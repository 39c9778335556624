"""Writes whole answers of chat completions.

Source: the OpenAI API reference, "The chat completion object". `reasoning_content` is DeepSeek's field, which most
clients read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turnout.chat import ChatResponse, FinishReason
from turnout.messages import Commentary, Image, Text
from turnout.serving.chat_completions.carried_reasoning import reasoning_call_id
from turnout.serving.inbound import Answerer
from turnout.serving.media import image_url
from turnout.serving.request_json import encode
from turnout.serving.usage import chat_usage

__all__ = ["build_chat_response", "finish_fields", "image_part", "logprobs_of"]


def build_chat_response(response: ChatResponse, answerer: Answerer) -> bytes:
    """Return the body of a whole answer."""
    # Text that is not the final answer is for the user, too, and this protocol has no other place for it.
    text = "".join(part.text for part in response.message.content if isinstance(part, Text | Commentary))
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": response.refusal}
    if not text and (response.tool_calls or response.refusal):
        message["content"] = None
    if images := [image_part(part) for part in response.message.content if isinstance(part, Image)]:
        message["images"] = images
    if response.reasoning:
        message["reasoning_content"] = response.reasoning
    if response.tool_calls:
        message["tool_calls"] = [
            {
                "id": reasoning_call_id(call, response.message),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in response.tool_calls
        ]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": logprobs_of(response.logprobs),
        **finish_fields(response.finish_reason, response.raw_finish_reason),
    }
    document: dict[str, Any] = {
        "id": f"chatcmpl-{answerer.id}",
        "object": "chat.completion",
        "created": answerer.created,
        "model": answerer.model,
        "choices": [choice],
    }
    if (usage := chat_usage(response.usage)) is not None:
        document["usage"] = usage
    if response.citations:
        document["citations"] = response.citations
    return encode(document)


def image_part(image: Image) -> dict[str, Any]:
    """Return an image that the model made, in OpenRouter's form."""
    return {"type": "image_url", "image_url": {"url": image_url(image)}}


def finish_fields(reason: FinishReason, raw: str | None) -> dict[str, Any]:
    """Return the finish reason.

    A word that no table knows is passed on beside `unknown`. If the provider gave no reason at all, its stream had a
    proper end, and clients fail on a missing reason.
    """
    if reason is FinishReason.UNKNOWN and raw is None:
        return {"finish_reason": "stop"}
    fields = {"finish_reason": reason.value}
    if reason in (FinishReason.UNKNOWN, FinishReason.ERROR) and raw is not None:
        fields["native_finish_reason"] = raw
    return fields


def logprobs_of(logprobs: Any) -> dict[str, Any] | None:
    """Return log probabilities of OpenAI's form, joined from the pieces of a stream. None for other forms."""
    pieces = logprobs if isinstance(logprobs, Sequence) and not isinstance(logprobs, str) else [logprobs]
    content: list[Any] = []
    for piece in pieces:
        tokens = piece.get("content") if isinstance(piece, dict) else None
        if isinstance(tokens, list):
            content += tokens
    return {"content": content, "refusal": None} if content else None
