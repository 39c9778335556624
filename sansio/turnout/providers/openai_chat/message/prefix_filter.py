"""Removes the start of an answer that the request gave to the model, if the server repeats it.

Mistral does. A caller with that start must not get it twice.
"""

from __future__ import annotations

import attrs

from turnout.chat import ChatRequest
from turnout.messages import Message, Role

__all__ = ["PrefixFilter", "is_prefill", "prefill_of"]


_MARKS = ("prefix", "partial")  # DeepSeek and Mistral; Moonshot


def is_prefill(message: Message) -> bool:
    """Whether this message, as the last one, is the beginning of the answer."""
    return message.role is Role.ASSISTANT and any(message.extra.get(mark) for mark in _MARKS)


def prefill_of(request: ChatRequest) -> str:
    """Return the text that the answer continues, from the last message of the request; "" if it continues none."""
    last = request.messages[-1]
    return last.text.rstrip() if last.role is Role.ASSISTANT and last.extra.get("prefix") else ""


@attrs.define
class PrefixFilter:
    """Holds deltas back until they prove to repeat the prefix, or not to.

    Attributes:
        prefix: The text that the server may repeat; "" once that is decided.
    """

    prefix: str
    _held: int = 0  # characters of the prefix that were received

    def feed(self, delta: str) -> str:
        """Take a delta, and return the new text in it and in those held back."""
        if not self.prefix:
            return delta
        prefix, held = self.prefix, self._held
        expected = prefix[held : held + len(delta)]
        if delta == expected and held + len(delta) < len(prefix):
            self._held += len(delta)
            return ""
        self.prefix = ""
        if delta.startswith(expected) and held + len(expected) == len(prefix):
            return delta[len(expected) :]
        return prefix[:held] + delta

    def flush(self) -> str:
        """Return the text that is held back at the end: a repetition would have been as long as the prefix."""
        held, self.prefix, self._held = self.prefix[: self._held], "", 0
        return held
