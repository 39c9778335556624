"""Turns of two roles, each a list of blocks, as Anthropic and Bedrock take a conversation.

Neighbours of one role are one turn. The tool results are first in it, because the results for an assistant's turn must
be at the beginning of the next turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["Turns"]


@attrs.define
class Turns:
    """The turns that were added so far."""

    turns: list[dict[str, Any]] = attrs.field(factory=list)
    _results: int = 0  # how many tool results are at the beginning of the last turn

    def add(self, role: str, blocks: list[dict[str, Any]], fields: Mapping[str, Any], *, results: bool = False) -> None:
        """Add blocks to the last turn if it is of this role, else to a new one.

        Args:
            role: `user`, `assistant`, or `system`.
            blocks: The content. Nothing is added if there is none, because an empty turn is refused.
            fields: Fields of the turn beside its content.
            results: Whether the blocks are tool results.
        """
        if not blocks:
            return
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

    def strip_prefill(self) -> None:
        """Remove white space from the end of the text that the answer continues: Anthropic refuses a turn with it."""
        if not self.turns or self.turns[-1]["role"] != "assistant":
            return
        blocks: list[Any] = self.turns[-1]["content"]
        block = blocks[-1]
        if isinstance(block, dict) and isinstance(block.get("text"), str):
            blocks[-1] = {**block, "text": block["text"].rstrip()}
