"""The arguments of one streamed tool call, without the start of an empty call."""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["HeldArguments"]

_EMPTY: Final = ("", "n", "nu", "nul", "null")


@attrs.define(eq=False)
class HeldArguments:
    """Passes argument deltas on, but holds back blanks and `null` until something else follows.

    A provider that calls a tool without arguments sends nothing, blanks or `null`. Turnout makes `{}` of it, which is
    what a client must receive, because a client parses the joined deltas as JSON.

    Args:
        written: True if a delta was passed on.
    """

    written: bool = False
    _held: str = ""

    def receive(self, delta: str) -> str:
        """Return the delta to pass on now, "" if there is none."""
        if self.written:
            return delta
        self._held += delta
        if self._held.strip() in _EMPTY:
            return ""
        self.written = True
        return self._held

    def rest(self, arguments: str) -> str:
        """Return the rest that is missing at the end of the call with these arguments."""
        if self.written:
            return ""
        self.written = True
        return arguments
