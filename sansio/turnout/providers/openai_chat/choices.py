"""Which choice of a response is the answer.

Requests want one choice, and servers number it as they like: 0, 1 throughout, or one more in each chunk. A response
with several choices is one to a request for several, or of a server that sends more than the request wants.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from turnout.providers.openai_chat.wire import Choice, Message

__all__ = ["ChoicePicker"]

# A choice has content as soon as one of these holds something, text or anything else.
_BESIDE = frozenset({"phase", "index", "tool_call_id", "provider_specific_fields"})
_CONTENT = tuple(name for name in Message.__struct_fields__ if name not in _BESIDE)


@attrs.define(eq=False)
class ChoicePicker:
    """Picks the choices that are the answer.

    The first index of a response is the answer's, and 0 if one chunk has several choices. A chunk with another index is
    held back until the next one decides: if the index grows again, the server counts its chunks, and all of them are
    the answer. In every other case there are several choices, and all but the first are left out. A role in the chunk,
    or a finish reason before it, decides at once that it begins another choice; a finish reason without content, that
    the chunks are counted.

    Attributes:
        several: Whether there are several choices.
    """

    several: bool = False
    _index: int | None = None  # of the answer
    _counts: bool = False  # whether the server counts its chunks
    _has_content: bool = False  # whether a choice of the answer had any
    _finished: bool = False  # whether a choice of the answer had a finish reason
    _held: Choice | None = None

    @property
    def takes_zero(self) -> bool:
        """Whether a chunk of one choice with the index 0, or none, surely belongs to the answer."""
        return self._index in (None, 0) and self._held is None

    def begin(self, *, has_content: bool) -> None:
        """Note that chunks with the index 0 were read, and whether they had any text."""
        self._index = 0
        if has_content:
            self._has_content = True

    def pick(self, choices: Sequence[Choice], data: bytes) -> Sequence[Choice]:
        """Return the choices that belong to the answer, in order: those of this chunk, and one that was held back.

        Args:
            choices: The choices of one chunk, at least one.
            data: The bytes of the chunk.
        """
        if len(choices) > 1:
            self.several = True
            self._held = None
            if self._index is None:
                indexes = [choice.index or 0 for choice in choices]
                self._index = 0 if 0 in indexes else indexes[0]
            return self._taken([choice for choice in choices if (choice.index or 0) == self._index])
        choice = choices[0]
        if self._index is None:
            self._index = choice.index or 0
        index = choice.index if choice.index is not None else self._index
        held = self._held
        if held is not None:
            self._held = None
            self._counts = index == (held.index or 0) + 1
            self.several = not self._counts
            return self._taken([held, choice] if self._counts else [choice] if index == self._index else [])
        if index == self._index or self._counts:
            return self._taken([choice])
        if not self.several and not self._has_content:
            self._index = index  # nothing but a role was received under the first number
            return self._taken([choice])
        if self.several or self._finished or b'"role"' in data:
            self.several = True
            return []
        if choice.finish_reason and index == self._index + 1 and not _has_content(choice):
            self._counts = True  # another choice would begin with content
            return self._taken([choice])
        self._held = choice
        return []

    def flush(self) -> Sequence[Choice]:
        """Return the choice that is held back at the end: no other one followed it, so it is the answer's."""
        held, self._held = self._held, None
        return [held] if held is not None else []

    def _taken(self, choices: list[Choice]) -> list[Choice]:
        for choice in choices:
            self._finished = self._finished or bool(choice.finish_reason)
            self._has_content = self._has_content or _has_content(choice)
        return choices


def _has_content(choice: Choice) -> bool:
    delta = choice.delta or choice.message
    return delta is not None and any(getattr(delta, name) for name in _CONTENT)
