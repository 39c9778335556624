"""What the dialects have in common whose conversations are turns of two roles, each a list of blocks.

- Neighbours of one role are one turn, and in it the tool results come first: all results for one assistant's turn have
  to stand at the head of the next.
- No id of a call may come twice in a conversation, and ids hold letters, digits, `_` and `-` only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from turnout.messages import ToolCall

__all__ = ["CallIds", "Turns"]

_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")


@attrs.define
class Turns:
    """The turns as they come together."""

    turns: list[dict[str, Any]] = attrs.field(factory=list)
    _results: int = 0  # how many tool results stand at the head of the last turn

    def add(self, role: str, blocks: list[dict[str, Any]], fields: Mapping[str, Any], *, results: bool = False) -> None:
        """Put blocks into the last turn where it is of this role, else into a new one, and `fields` beside them.

        results  whether they are tool results
        """
        if not blocks:
            return  # an empty turn is refused
        if not self.turns or self.turns[-1]["role"] != role:
            self.turns.append({"role": role, "content": []})
            self._results = 0
        turn = self.turns[-1]
        if results:
            turn["content"][self._results : self._results] = blocks
            self._results += len(blocks)
        else:
            turn["content"] += blocks
        turn |= fields


@attrs.define
class CallIds:
    """Ids of tool calls as they were given, and as they are sent.

    longest  the characters that an id may have; None is no bound
    """

    longest: int | None = None
    _sent: dict[str, list[str]] = attrs.field(factory=dict)
    _used: set[str] = attrs.field(factory=set)

    def begin(self, calls: Iterable[ToolCall]) -> None:
        """A message with these calls comes: what was sent for their ids before is over."""
        self._sent |= {call.id: [] for call in calls}

    def new(self, given: str) -> str:
        """An id that is taken: other vendors use dots and colons, and some count their calls anew in each turn."""
        wanted = made = self._safe(given)
        count = 1
        while made in self._used:
            count += 1
            end = f"_{count}"
            made = (wanted if self.longest is None else wanted[: self.longest - len(end)]) + end
        self._used.add(made)
        self._sent[given].append(made)
        return made

    def known(self, given: str) -> str:
        """What the call was named that this result is for; of several with one id, each gets a result in turn."""
        ids = self._sent.get(given)
        if not ids:
            return self._safe(given)
        return ids.pop(0) if len(ids) > 1 else ids[0]

    def _safe(self, id: str) -> str:
        return _NO_ID.sub("_", id)[: self.longest]
