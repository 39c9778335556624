"""Which choice of a response is the answer.

Requests ask for one choice, and servers number it as they like: 0, 1 throughout, or one more in each chunk. A response
with several choices is a response to a request for several, or of a server that sends more than it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from turnout.providers.openai_chat.wire import Choice

__all__ = ["ChoicePicker"]


@attrs.define(eq=False)
class ChoicePicker:
    """Picks the chunks of one choice.

    The first index of a response is the answer's, and 0 if one chunk has several. As long as each chunk has one choice,
    every index is the answer's: the server counts them. An index that returns, or one whose first chunk has a role
    although the answer has begun, proves that there are several choices.

    Attributes:
        several: Whether there are several choices, so that all but one are left out.
    """

    several: bool = False
    _index: int | None = None  # of the answer
    _current: int | None = None  # of the newest chunk
    _earlier: set[int] = attrs.field(factory=set)

    @property
    def takes_zero(self) -> bool:
        """Whether a chunk whose only choice has the index 0, or none, surely belongs to the answer."""
        return (self._index if self.several else self._current) in (None, 0)

    def begin(self) -> None:
        """Note that chunks with the index 0 were read."""
        if self._index is None:
            self._index = self._current = 0

    def pick(self, choices: Sequence[Choice], data: bytes) -> Choice | None:
        """Return the choice of this chunk that belongs to the answer; None if there is none.

        Args:
            choices: The choices of one chunk, at least one.
            data: The bytes of the chunk.
        """
        if len(choices) > 1:
            self.several = True
            if self._index is None:
                indexes = [choice.index or 0 for choice in choices]
                self._index = 0 if 0 in indexes else indexes[0]
            return next((choice for choice in choices if (choice.index or 0) == self._index), None)
        choice = choices[0]
        index = choice.index or 0
        if self._index is None:
            self._index = self._current = index
            return choice
        if index == self._index if self.several else index == self._current:
            return choice
        if self.several:
            return None
        if index in self._earlier or b'"role"' in data:
            self.several = True
            return choice if index == self._index else None
        if self._current is not None:
            self._earlier.add(self._current)
        self._current = index
        return choice
