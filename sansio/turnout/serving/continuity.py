"""Carries data that a provider must get back through clients that keep only standard fields.

Some providers sign a tool call or their reasoning, and expect the signature in the next turn, beside the name of the
family that made it (`Message.origin`). Clients drop unknown fields, but every client returns three values unchanged:

- the id of a tool call, in every dialect;
- the signature of a thinking block, in Messages;
- the encrypted content of a reasoning item, in Responses.

Chat completions have no place for signed reasoning, so there the id of a call also carries the reasoning before it
(`turnout.serving.chat_completions.carried_reasoning`).

This module writes origin and signature into these values, and takes them out again. A value without the mark passes
unchanged, so ids of other programs are safe.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import attrs

from turnout.messages import Message, Thinking, ToolCall

__all__ = ["MAX_ID", "Carried", "client_call_id", "pack", "pack_call_id", "unpack", "unpack_call_id"]

# Letters that every provider and client accepts in an id.
_ID_MARK: Final = "__t_"
_MARK: Final = "turnout."
MAX_ID: Final = 8_192
"""Characters. A longer signature is left out, because some servers limit ids."""


@attrs.frozen
class Carried:
    """A value of the provider, with its origin.

    Args:
        value: The provider's own id, signature or encrypted content.
        origin: The provider family that made it. None if the value carries no mark.
        signature: The signature beside an id.
    """

    value: str
    origin: str | None = None
    signature: str | None = None


def client_call_id(call: ToolCall, message: Message) -> str:
    """Return the id of a call as the client receives it.

    It carries the origin if the next turn needs that: with the signature of the call, or with reasoning that some
    providers must get back. Anthropic signs no calls.
    """
    needed = call.signature is not None or any(isinstance(part, Thinking) for part in message.content)
    origin = message.origin if needed and message.origin != "anthropic" else None
    return pack_call_id(call.id, origin, call.signature)


def pack_call_id(id: str, origin: str | None, signature: str | None) -> str:
    """Return a tool call's id that carries origin and signature. Without an origin the id is unchanged."""
    if origin is None:
        return id
    packed = f"{id}{_ID_MARK}{_encode(origin, signature or '')}"
    return packed if len(packed) <= MAX_ID else id


def unpack_call_id(id: str) -> Carried:
    """Return the provider's id, with origin and signature if the id carries them."""
    own, mark, packed = id.rpartition(_ID_MARK)
    found = _decode(packed) if mark and own else None
    if found is None:
        return Carried(id)
    origin, signature = found
    return Carried(own, origin, signature or None)


def pack(origin: str, value: str) -> str:
    """Return a signature or encrypted content that carries its origin."""
    return _MARK + _encode(origin, value)


def unpack(packed: str) -> Carried:
    """Return a signature or encrypted content, with its origin if it carries one."""
    found = _decode(packed.removeprefix(_MARK)) if packed.startswith(_MARK) else None
    if found is None:
        return Carried(packed)
    origin, value = found
    return Carried(value, origin)


def _encode(origin: str, value: str) -> str:
    text = f"{origin}\n{value}".encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _decode(packed: str) -> tuple[str, str] | None:
    try:
        data = base64.b64decode(packed + "=" * (-len(packed) % 4), b"-_", validate=True)
        origin, line_end, value = data.decode("utf-8", "surrogatepass").partition("\n")
    except (binascii.Error, ValueError):
        return None
    return (origin, value) if line_end and origin else None
