"""The text by which calls of one conversation are recognised."""

from __future__ import annotations

from turnout.chat import ChatRequest
from turnout.messages import Role

__all__ = ["affinity_text"]


def affinity_text(affinity: str | bool | None, request: object) -> str | None:
    """Return the text of a call's affinity; None if it has none.

    Args:
        affinity: The text; or True for the beginning of the conversation: all messages up to the first one of the
            user. Providers cache prompts from their beginning.
        request: The request of the call.
    """
    if isinstance(affinity, str):
        return affinity
    if not affinity or not isinstance(request, ChatRequest):
        return None
    beginning = []
    for message in request.messages:
        beginning.append(f"{message.role}:{message.text}")
        if message.role is Role.USER:
            break
    return "\n".join(beginning)
