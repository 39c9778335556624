"""Moves the media of tool results, for protocols in which a tool's result is text.

Chat completions, Cohere and Gemini before its third generation take an image from a user, and not from a tool. So the
media of a result go into a user's message behind it, which is what other clients of these protocols do. All results
for one turn of the assistant stay together: a message between them is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from turnout.messages import Message, Part, Role, Text

__all__ = ["answered_results", "results_as_text"]

_ELSEWHERE: Final = "The result is in the next message of the user."
_TAKEN: Final = Message.assistant("OK")


def results_as_text(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the conversation with nothing but text in the tool results; their media follow in a user's message."""
    if all(message.role is not Role.TOOL or _has_text_only(message) for message in messages):
        return messages
    changed: list[Message] = []
    names: dict[str, str] = {}
    media: list[Part] = []
    for message in messages:
        if message.role is not Role.TOOL and media:
            changed.append(Message.user(*media))
            media = []
        names |= {call.id: call.name for call in message.tool_calls}
        if message.role is Role.TOOL and not _has_text_only(message):
            id = message.tool_call_id or ""
            media.append(Text(f"The result of {message.name or names.get(id, id)}:"))
            media += (part for part in message.content if not isinstance(part, Text))
            texts = tuple(part for part in message.content if isinstance(part, Text))
            message = attrs.evolve(message, content=texts or _ELSEWHERE)
        changed.append(message)
    if media:
        changed.append(Message.user(*media))
    return changed


def answered_results(messages: Iterable[Message]) -> list[Message]:
    """Return the conversation with a short answer of the assistant between tool results and a message of the user."""
    changed: list[Message] = []
    for message in messages:
        if message.role is Role.USER and changed and changed[-1].role is Role.TOOL:
            changed.append(_TAKEN)
        changed.append(message)
    return changed


def _has_text_only(message: Message) -> bool:
    return all(isinstance(part, Text) for part in message.content)
