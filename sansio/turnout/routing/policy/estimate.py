"""Estimates of the tokens of a request, before its provider has counted them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Audio, File, Image, Message, Refusal, Text, Thinking

__all__ = ["completion_tokens", "embedding_tokens", "prompt_tokens", "text_tokens"]

# Four bytes of UTF-8 to a token is near the truth for English in current vocabularies, and for scripts of three bytes
# a character it gives most of a token for each, which is on the safe side of near.
BYTES_PER_TOKEN = 4
PER_MESSAGE = 4
# A large image at OpenAI's high detail costs 765 to 1,105 tokens (its guide to images and vision); others cost less.
PER_IMAGE = 1_100
PER_FILE = 3_000
# The assumed tokens of a response without `max_tokens`.
DEFAULT_COMPLETION = 1_000


def text_tokens(text: str) -> int:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def _message(message: Message) -> int:
    try:
        return message.kept_tokens
    except AttributeError:
        object.__setattr__(message, "kept_tokens", tokens := _count(message))
        return tokens


def _count(message: Message) -> int:
    total = PER_MESSAGE
    for part in message.content:
        match part:
            case Text() | Thinking() | Refusal():
                total += text_tokens(part.text)
            case Image():
                total += PER_IMAGE
            case Audio() | File():
                total += PER_FILE
            case _:
                pass  # an opaque part is its provider's own bookkeeping
    for call in message.tool_calls:
        total += text_tokens(call.name) + text_tokens(call.arguments)
    return total


def prompt_tokens(request: ChatRequest) -> int:
    """Return the tokens of the prompt, tools included."""
    total = sum(map(_message, request.messages))
    for tool in request.tools:
        total += (
            text_tokens(tool.name)
            + text_tokens(tool.description or "")
            + text_tokens(json.dumps(dict(tool.parameters or {})))
        )
    if request.response_format is not None and request.response_format.schema is not None:
        total += text_tokens(json.dumps(dict(request.response_format.schema)))
    return total


def completion_tokens(model: ModelConfig) -> int:
    """Return the tokens of the response: `max_tokens` if the model has it."""
    return model.max_tokens or DEFAULT_COMPLETION


def embedding_tokens(texts: Iterable[str]) -> int:
    return sum(map(text_tokens, texts))
