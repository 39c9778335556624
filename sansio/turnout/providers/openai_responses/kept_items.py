"""The part of an output item that the message keeps for the next turn.

Every item leaves an opaque part in the message, at its position. Of a message and of a call, that part holds all but
the words and the call, which parts and calls of the vocabulary hold; of every other item it holds the whole.
"""

from __future__ import annotations

from turnout.providers.json_codec import decode_any, encode, is_shallow
from turnout.providers.openai_responses.wire import CALLS, WORDS

__all__ = ["EMPTY_MESSAGE", "kept_item", "waits_for_caller"]

EMPTY_MESSAGE = b'{"type":"message"}'
"""What is kept of a message before its end. It keeps the words of two messages apart, even if the end is missing."""

# Items that give the caller something to do. The output of one may follow it, if the provider did it.
_WAITING = frozenset({"computer_call", "local_shell_call", "shell_call", "apply_patch_call", "mcp_approval_request"})


def kept_item(kind: str, raw: bytes, call_id: str | None = None) -> bytes:
    """Return the JSON that is kept of an item.

    Args:
        kind: The type of the item.
        raw: Its JSON.
        call_id: Of a call: the id that it has in the message.
    """
    if kind != "message" and kind not in CALLS:
        return raw
    fields = {name: value for name, value in decode_any(raw).items() if is_shallow(value)}
    if kind in CALLS:
        kept = {name: value for name, value in fields.items() if name not in ("name", CALLS[kind])}
        return encode({**kept, "call_id": call_id} if call_id is not None else kept)
    content = fields.get("content")
    parts = []
    for part in content if isinstance(content, list) else ():
        words = WORDS.get(str(part.get("type")) if isinstance(part, dict) else "")
        if words is None:
            parts.append(part)
        elif part.get(words):
            # Log probabilities are of no use to the model, and are longer than its words.
            parts.append({name: value for name, value in part.items() if name not in (words, "logprobs")})
    return encode({**fields, "content": parts})


def waits_for_caller(kind: str, execution: str | None) -> bool:
    """Return whether an item gives the caller something to do that is no call of a tool of the request."""
    return kind in _WAITING or (kind == "tool_search_call" and execution == "client")
