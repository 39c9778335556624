"""A text that is received in pieces."""

from __future__ import annotations

__all__ = ["GrowingText"]

# Python takes 50 bytes and more for each text, also for one of a character. A list adds 8 for its pointer.
_MOST_PIECES = 1000


class GrowingText:
    """A text that is received in pieces. Many small ones take little more memory than the text.

    Attributes:
        size: The characters so far.
    """

    __slots__ = ("_joined", "_pieces", "size")

    def __init__(self) -> None:
        self.size = 0
        self._joined: list[str] = []
        self._pieces: list[str] = []

    def add(self, piece: str) -> None:
        """Take the next piece."""
        self.size += len(piece)
        self._pieces.append(piece)
        if len(self._pieces) > _MOST_PIECES:
            self._joined.append("".join(self._pieces))
            self._pieces.clear()

    def __bool__(self) -> bool:
        return self.size > 0

    def __str__(self) -> str:
        return "".join((*self._joined, *self._pieces))
