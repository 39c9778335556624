"""Carries signed reasoning through clients of chat completions.

A model that thinks before it calls a tool must get its reasoning back with the tool's result: Anthropic's thinking
blocks with their signatures, the encrypted items of Responses, and the details of OpenRouter. Chat completions have no
standard field for them, and most clients return nothing of an assistant's turn but its text and its calls. So the id
of a call carries the reasoning that was before the call, compressed, behind a mark:

    toolu_01…__z_<base64url of zlib of [origin, signature of the call, parts]>

A part is `[text, signature]` for thinking, or the JSON of an opaque part as a text. If the id would be too long, the
text of thinking is left out (null); clients such as the AI SDK return it as `reasoning_content`. A value that is
still too long is left out.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import attrs
import msgspec

from turnout.messages import Message, Opaque, Thinking, ToolCall
from turnout.serving.continuity import MAX_ID, client_call_id, unpack_call_id
from turnout.serving.opaque_parts import is_reasoning, opaque_of_client, position_of
from turnout.serving.request_json import encode

__all__ = ["CarriedCall", "read_call_id", "reasoning_call_id"]

_MARK: Final = "__z_"
# A client could send many ids that unfold to a thousand times their size. Prose unfolds to two to four times.
_MOST_UNFOLDED: Final = 8
_FREE: Final = 1_024  # bytes that any id may have

_Packed: TypeAlias = str | tuple[str | None, str]
_decode: Final = msgspec.json.Decoder(tuple[str, str | None, list[_Packed]]).decode


@attrs.frozen
class CarriedCall:
    """The content of a call's id.

    Args:
        id: The provider's own id.
        origin: The provider family that made the call, None if the id carries none.
        signature: The signature of the call.
        parts: The reasoning before the call.
        lacks_text: True if the id had no room for the text of the thinking.
    """

    id: str
    origin: str | None = None
    signature: str | None = None
    parts: tuple[Thinking | Opaque, ...] = ()
    lacks_text: bool = False

    def with_text(self, text: str | None) -> tuple[Thinking | Opaque, ...]:
        """Return the parts. If they lack the text, `text` is it; without it there is none: its signature would not fit.

        Args:
            text: The reasoning that the client returned, None if it did not.
        """
        if not self.lacks_text:
            return self.parts
        if text is None or sum(isinstance(part, Thinking) for part in self.parts) > 1:
            return ()
        return tuple(attrs.evolve(part, text=text) if isinstance(part, Thinking) else part for part in self.parts)


def reasoning_call_id(call: ToolCall, message: Message) -> str:
    """Return the id of a call as a client of chat completions receives it.

    Args:
        call: One of the calls of `message`.
        message: The assistant's turn, as far as it has arrived.
    """
    origin, parts = message.origin, list(_before(call, message))
    if origin is None or not parts:
        return client_call_id(call, message)
    for with_text in (True, False):
        packed = [_packed(part, with_text=with_text) for part in parts]
        document = encode([origin, call.signature, packed])
        data = zlib.compress(document, 9)
        id = f"{call.id}{_MARK}{base64.urlsafe_b64encode(data).rstrip(b'=').decode()}"
        if len(id) <= MAX_ID and len(document) <= _most_unfolded(data):
            return id
    return client_call_id(call, message)


def read_call_id(id: str) -> CarriedCall:
    """Return what an id carries. One without a mark is the provider's own."""
    own, mark, packed = id.rpartition(_MARK)
    if mark and own:
        try:
            origin, signature, parts = _decode(_unpacked(packed))
            lacks_text = any(isinstance(part, tuple) and part[0] is None for part in parts)
            return CarriedCall(own, origin, signature, tuple(map(_part, parts)), lacks_text)
        except (ValueError, zlib.error, msgspec.MsgspecError, RecursionError):
            pass  # an id of another program
    carried = unpack_call_id(id)
    return CarriedCall(carried.value, carried.origin, carried.signature)


def _before(call: ToolCall, message: Message) -> Iterator[Thinking | Opaque]:
    """Yield the signed reasoning between a call and the one before it.

    A call that has no position among the parts follows them all.
    """
    segments: dict[str, list[Thinking | Opaque]] = {}
    segment: list[Thinking | Opaque] = []
    for part in message.content:
        match part:
            case Thinking(signature=str()):
                segment.append(part)
            case Opaque() if (id := position_of(part, message.origin)) is not None:
                segments[id] = segment
                segment = []
            case Opaque() if is_reasoning(part):
                segment.append(part)
            case _:
                pass
    last = next((one.id for one in message.tool_calls if one.id not in segments), None)
    if last is not None:
        segments[last] = segment
    yield from segments.get(call.id, ())


def _packed(part: Thinking | Opaque, *, with_text: bool) -> Any:
    if isinstance(part, Opaque):
        return bytes(part.json).decode("utf-8", "surrogatepass")
    return [part.text if with_text else None, part.signature]


def _unpacked(packed: str) -> bytes:
    data = base64.b64decode(packed + "=" * (-len(packed) % 4), b"-_", validate=True)
    unfolding = zlib.decompressobj()
    found = unfolding.decompress(data, _most_unfolded(data))
    if not unfolding.eof:
        raise ValueError("the end is missing, or too far away")
    return found


def _most_unfolded(data: bytes) -> int:
    return _FREE + _MOST_UNFOLDED * len(data)


def _part(packed: _Packed) -> Thinking | Opaque:
    if isinstance(packed, str):
        part = opaque_of_client(packed)
        if part is None:
            raise ValueError("an opaque part must be a JSON object")
        return part
    text, signature = packed
    return Thinking(text or "", signature=signature)
