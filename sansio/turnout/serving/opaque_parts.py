"""Opaque parts of an answer: their kinds, and those that a stream has not written yet.

Two families keep a turn as an ordered list in which calls are between other blocks. The vocabulary keeps calls
beside the parts, so an opaque part that holds nothing but a call's id marks the position of that call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import attrs
import msgspec

from turnout.messages import Message, Opaque
from turnout.serving.request_json import decode_value, encode

__all__ = [
    "MESSAGES_FAMILY",
    "RESPONSES_FAMILY",
    "OpaqueParts",
    "is_reasoning",
    "is_responses",
    "opaque_of_client",
    "opaque_type",
    "position_of",
    "position_part",
]

MESSAGES_FAMILY: Final = "anthropic"
"""The family of thinking and blocks in Messages that carry no origin."""

RESPONSES_FAMILY: Final = "openai-responses"
"""The family of reasoning and items in Responses that carry no origin."""

_POSITIONS: Final = ("function_call", "custom_tool_call")
_REASONING: Final = ("redacted_thinking", "reasoning")


class _Head(msgspec.Struct):
    type: str = ""
    id: str = ""
    call_id: str = ""
    name: str = ""
    reasoning_details: list[msgspec.Raw] = []  # OpenRouter
    thinking_blocks: list[msgspec.Raw] = []  # LiteLLM


_decode_head = msgspec.json.Decoder(_Head).decode


def _head(part: Opaque) -> _Head:
    try:
        return _decode_head(part.json)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Head()


def is_responses(origin: str | None) -> bool:
    """Return True if the family speaks Responses."""
    return origin is not None and origin.endswith("-responses")


def opaque_type(part: Opaque) -> str:
    """Return the `type` of an opaque part, "" if it has none."""
    return _head(part).type


def is_reasoning(part: Opaque) -> bool:
    """Return True if an opaque part is reasoning that its provider must get back."""
    head = _head(part)
    return head.type in _REASONING or bool(head.reasoning_details or head.thinking_blocks)


def opaque_of_client(text: str) -> Opaque | None:
    """Return the opaque part that a client sent back, None if it is no JSON object.

    A part becomes a piece of a provider's request as it is. Text that only begins like an object would end that piece
    and go on with fields of its own, such as another model.
    """
    try:
        value = decode_value(text)
    except ValueError:
        return None
    return Opaque(text.encode("utf-8", "surrogatepass")) if isinstance(value, dict) else None


def position_of(part: Opaque, origin: str | None) -> str | None:
    """Return the id of the call if this part marks the position of one, else None."""
    head = _head(part)
    if origin == MESSAGES_FAMILY:
        return head.id if head.type == "tool_use" else None
    if is_responses(origin) and head.type in _POSITIONS and not head.name:
        return head.call_id or head.id
    return None


def position_part(call_id: str, origin: str | None) -> Opaque | None:
    """Return the part that marks the position of a call, None if the family has no positions."""
    if origin == MESSAGES_FAMILY:
        return Opaque(encode({"type": "tool_use", "id": call_id}))
    if is_responses(origin):
        return Opaque(encode({"type": "function_call", "call_id": call_id}))
    return None


@attrs.define(eq=False)
class OpaqueParts:
    """The opaque parts of one streamed answer that no event has brought: those of a dialect that announces none.

    They are taken at the end only. While events are written, the answer so far can be ahead of them, because several
    events arrive at once. Parts that mark a position are left out: of a call, or of a text (`message`).
    """

    _written: Counter[bytes] = attrs.field(factory=Counter, init=False)

    def note(self, part: Opaque) -> None:
        """Note a part that an event brought."""
        self._written[part.json] += 1

    def rest(self, message: Message) -> Iterator[Opaque]:
        """Return the parts of the whole answer that were not noted."""
        seen: Counter[bytes] = Counter()
        for part in message.content:
            if not isinstance(part, Opaque):
                continue
            seen[part.json] += 1
            if seen[part.json] <= self._written[part.json]:
                continue
            if opaque_type(part) != "message" and position_of(part, message.origin) is None:
                yield part
