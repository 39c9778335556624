"""The text of one kind that a response has so far, for servers that repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs

from turnout.providers.decoding.parts import PartBuilder

__all__ = ["TextSoFar"]


@attrs.define(eq=False)
class TextSoFar:
    """Finds the new end of a text that repeats all texts of one kind.

    It looks at each piece once, and joins them only for a text that is as long: the time is linear in the bytes that
    are received.
    """

    kind: Literal["text", "reasoning", "refusal"]
    _pieces: list[str] = attrs.field(factory=list)
    _length: int = 0
    _part: int = 0  # the first part with pieces that are not taken
    _taken: int = 0  # how many of its pieces are, if they were joined as often as `_joined` says
    _characters: int = 0  # how many of its characters are
    _joined: int = 0

    def rest_of(self, whole: str, parts: Sequence[PartBuilder]) -> str | None:
        """Return what `whole` has more than the parts; None if it does not begin with them."""
        self._take(parts)
        if len(whole) < self._length:
            return None
        known = "".join(self._pieces)
        self._pieces = [known]
        return whole[len(known) :] if whole.startswith(known) else None

    def _take(self, parts: Sequence[PartBuilder]) -> None:
        for position in range(self._part, len(parts)):
            part = parts[position]
            if position != self._part:
                self._part, self._taken, self._characters, self._joined = position, 0, 0, 0
            if part.kind == self.kind:
                if part.joined != self._joined:
                    self._joined = part.joined
                    more = ["".join(part.pieces)[self._characters :]]
                else:
                    more = part.pieces[self._taken :]
                self._pieces += more
                self._characters += sum(map(len, more))
                self._length += sum(map(len, more))
                self._taken = len(part.pieces)
