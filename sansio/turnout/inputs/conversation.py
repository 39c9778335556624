"""Reads a conversation from messages, dicts, or the text of one question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from turnout._utils.serialization import from_plain
from turnout.inputs.message_fields import message_fields
from turnout.messages import Message

__all__ = ["messages_of"]


def messages_of(value: object) -> tuple[Message, ...]:
    """Return a conversation from its messages, which may be dicts, or from the text of one question.

    Raises:
        TypeError: If it is not a text or a list.
        ValueError: If a dict does not fit. The error names the field.
    """
    if isinstance(value, str):
        return (Message.user(value),) if value else ()
    if isinstance(value, Message):
        return (value,)
    if isinstance(value, Mapping) and "role" in value:
        raise TypeError("ChatRequest.messages must be a list of messages, not one message: write [message]")
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f"ChatRequest.messages must be a text or a list of messages, not {type(value).__name__}")
    return _each_message(value)


def _each_message(values: Iterable[Any]) -> tuple[Message, ...]:
    return tuple(
        value if isinstance(value, Message) else _message(value, f"ChatRequest.messages[{place}]")
        for place, value in enumerate(values)
    )


def _message(value: object, where: str) -> Any:
    dump = getattr(value, "model_dump", None)  # a message of OpenAI's SDK
    if callable(dump) and not isinstance(value, type):
        value = dump(exclude_none=True)
    if isinstance(getattr(value, "message", None), Message):
        raise TypeError(f"{where} must be a Message, not a whole answer: write reply.message")
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{where} must be a Message, or a dict such as {{'role': 'user', 'content': 'Hello'}}, "
            f"not {type(value).__name__}"
        )
    return from_plain(Message, message_fields(value, where), where)
