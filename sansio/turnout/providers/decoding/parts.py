"""The parts of one message while their pieces are still received."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from turnout.messages import Audio, Commentary, Image, Opaque, Part, Refusal, Text, Thinking

__all__ = ["NO_PART", "GrowingPart", "Kind", "PartBuilder"]

Kind: TypeAlias = Literal["text", "reasoning", "commentary", "refusal", "whole"]


_WHOLE = (Opaque, Image, Audio)


class GrowingPart(Protocol):
    """A part that is put together from pieces that are no text."""

    @property
    def size(self) -> int:
        """The bytes so far."""
        ...

    def build(self) -> Audio | Image:
        """Return the part as far as it was received."""
        ...


@attrs.define(eq=False)
class PartBuilder:
    """Adjacent pieces of one kind, which become one part.

    Attributes:
        kind: The kind of the part; `whole` for a part that is not put together from texts.
        pieces: The texts, in order.
        signature: The provider's proof for this part.
        whole: The part of the kind `whole`, or its builder; None if it is reserved and not there yet.
        extra: The fields that go back with the part.
        joined: How many of the first texts were joined from pieces.
    """

    kind: Kind
    pieces: list[str] = attrs.field(factory=list)
    signature: str | None = None
    whole: Opaque | Image | Audio | GrowingPart | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    joined: int = 0

    @property
    def size(self) -> int:
        """The characters of its texts, or the bytes of the whole part."""
        match self.whole:
            case Opaque(json=data):
                return len(data)
            case Image(data=data, url=url):
                return len(data or url or "")
            case Audio(data=data):
                return len(data)
            case None:
                return sum(map(len, self.pieces))
            case growing:
                return growing.size

    def join(self) -> None:
        """Join the pieces that were received since the last call."""
        if len(self.pieces) > self.joined + 1:
            self.pieces[self.joined :] = ["".join(self.pieces[self.joined :])]
            self.joined += 1

    def build(self) -> Part | None:
        """Return the part as far as it was received; None if it is only reserved."""
        match self.kind:
            case "text":
                return Text("".join(self.pieces), signature=self.signature, extra=self.extra)
            case "reasoning":
                return Thinking("".join(self.pieces), signature=self.signature, extra=self.extra)
            case "commentary":
                return Commentary("".join(self.pieces), extra=self.extra)
            case "refusal":
                return Refusal("".join(self.pieces))
            case "whole":
                whole = self.whole
                return whole if whole is None or isinstance(whole, _WHOLE) else whole.build()


NO_PART = PartBuilder("whole")
"""The builder that is open while no part is: it equals no other one and is never filled."""
