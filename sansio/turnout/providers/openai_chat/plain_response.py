"""The response that most requests get: one text, why it ended, and its usage.

It is read at a third of the cost of the way that every response can go. Nothing is decided here: a response that holds
anything else is left to that way. The comparisons are of whole structures, so a new field of a shape needs no care.
"""

from __future__ import annotations

import attrs

from turnout.chat import FinishReason
from turnout.providers.openai_chat.chunks import FINISH_REASONS
from turnout.providers.openai_chat.wire import Choice, Chunk, Message

__all__ = ["PlainResponse", "read_plain_response"]


@attrs.define
class PlainResponse:
    """The contents of a plain response.

    Attributes:
        text: Not empty.
        finish_reason: Why it ended.
        raw_finish_reason: The provider's word for it.
    """

    text: str
    finish_reason: FinishReason
    raw_finish_reason: str


def read_plain_response(chunk: Chunk) -> PlainResponse | None:
    """Return the contents of a response besides its usage and its names; None if it is not plain."""
    choices = chunk.choices
    if choices is None or len(choices) != 1:
        return None
    choice = choices[0]
    message, word = choice.message, choice.finish_reason
    meaning = FINISH_REASONS.get(word) if isinstance(word, str) else None
    if message is None or meaning is None:
        return None
    text = message.content
    if not isinstance(text, str) or not text or message.annotations or message.tool_calls:
        return None
    # Only lists of nothing may be beside the text.
    shape = Message(content=text, annotations=message.annotations, tool_calls=message.tool_calls)
    if message != shape or choice != Choice(index=choice.index, message=message, finish_reason=word):
        return None
    usage, tier = chunk.usage, chunk.service_tier
    if chunk != Chunk(id=chunk.id, model=chunk.model, choices=choices, usage=usage, service_tier=tier):
        return None
    return PlainResponse(text, meaning, str(word))
