"""The beginning of an answer that was given to the model, and that some servers repeat before they go on from it.

Mistral does. A caller who has that beginning already must not get it twice.
"""

from __future__ import annotations

import attrs

from turnout.chat import ChatRequest
from turnout.messages import Role

__all__ = ["PrefixFilter", "prefill_of"]


def prefill_of(request: ChatRequest) -> str:
    """The text that the answer begins with by the request's last message; "" where that is no beginning."""
    last = request.messages[-1]
    return last.text if last.role is Role.ASSISTANT and last.extra.get("prefix") else ""


@attrs.define
class PrefixFilter:
    """Withholds what may be a repetition until it is known to be one, or to be none.

    beginning  what would be repeated; "" withholds nothing
    """

    beginning: str
    _held: str = ""

    def feed(self, delta: str) -> str:
        """What of this delta, and of those withheld, is new."""
        if not self.beginning:
            return delta
        held = self._held + delta
        if held.startswith(self.beginning):
            rest = held[len(self.beginning) :]
        elif self.beginning.startswith(held):
            self._held = held
            return ""
        else:
            rest = held
        self.beginning = self._held = ""
        return rest

    def flush(self) -> str:
        """What is withheld when the answer is whole: it was no repetition, for that would have come to its end."""
        held, self.beginning, self._held = self._held, "", ""
        return held
