"""The parts of one message while their pieces are still received."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from turnout.messages import Audio, Commentary, Image, Opaque, Part, Refusal, Text, Thinking

__all__ = ["NO_PART", "Kind", "PartBuilder"]

Kind: TypeAlias = Literal["text", "reasoning", "commentary", "refusal", "whole"]


@attrs.define(eq=False)
class PartBuilder:
    """Adjacent pieces of one kind, which become one part.

    Attributes:
        kind: The kind of the part; `whole` for a part that is not put together from texts.
        pieces: The texts, in order.
        signature: The provider's proof for this part.
        whole: The part of the kind `whole`; None if it is reserved and not there yet.
        extra: The fields that go back with the part.
    """

    kind: Kind
    pieces: list[str] = attrs.field(factory=list)
    signature: str | None = None
    whole: Opaque | Image | Audio | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)

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
                return self.whole


NO_PART = PartBuilder("whole")
"""The builder that is open while no part is: it equals no other one and is never filled."""
