"""Reads an assistant's turn of Messages: a list of blocks becomes one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from turnout.messages import Message, Opaque, Text, Thinking, ToolCall
from turnout.serving.assistant_turn import AssistantTurn
from turnout.serving.continuity import unpack, unpack_call_id
from turnout.serving.fields import Fields
from turnout.serving.leftovers import Leftovers
from turnout.serving.opaque_parts import MESSAGES_FAMILY, opaque_of_client
from turnout.serving.request_json import encode

__all__ = ["UNPARSED", "assistant_message"]

UNPARSED: Final = "_unparsed"
"""The field of a call's input that holds arguments which are no JSON object, because an input must be one."""

_TEXT: Final = frozenset(("type", "text"))
_TOOL_USE: Final = frozenset(("type", "id", "name", "input"))


def assistant_message(blocks: list[Fields], leftovers: Leftovers) -> Message:
    """Return the message of an assistant's blocks."""
    turn = AssistantTurn()
    for block in blocks:
        match block.required_text("type"):
            case "text":
                if text := block.text("text"):
                    turn.add(Text(text, extra=leftovers.extra(block, _TEXT)))
            case "thinking":
                carried = unpack(block.text("signature") or "")
                thinking = Thinking(block.text("thinking") or "", signature=carried.value or None)
                turn.add(thinking, carried.origin or MESSAGES_FAMILY)
            case "redacted_thinking" if (part := _foreign(block)) is not None:
                turn.add(*part)
            case "tool_use":
                _add_call(block, turn, leftovers.extra(block, _TOOL_USE))
            case _:
                # Redacted thinking, a tool that runs at the provider, its result, or a type that is new.
                turn.add(Opaque(encode(block.values)), MESSAGES_FAMILY)
    return turn.message()


def _foreign(block: Fields) -> tuple[Opaque, str] | None:
    """Return an opaque part of another family, which this gateway wrote as redacted thinking."""
    carried = unpack(block.text("data") or "")
    part = opaque_of_client(carried.value) if carried.origin is not None else None
    return (part, carried.origin) if part is not None and carried.origin is not None else None


def _add_call(block: Fields, turn: AssistantTurn, extra: Mapping[str, Any]) -> None:
    carried = unpack_call_id(block.required_text("id"))
    input = block.object("input")
    values = input.values if input is not None else {}
    unparsed = values.get(UNPARSED)
    arguments = unparsed if isinstance(unparsed, str) and len(values) == 1 else encode(values).decode()
    name = block.required_text("name")
    call = ToolCall(carried.value, name, arguments, signature=carried.signature, extra=extra)
    turn.add_call(call, carried.origin)
