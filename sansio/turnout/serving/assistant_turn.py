"""Collects the blocks or items of one assistant's turn, which become one message."""

from __future__ import annotations

import attrs

from turnout.messages import Message, Part, Role, ToolCall
from turnout.serving.opaque_parts import position_part

__all__ = ["AssistantTurn"]


@attrs.define
class AssistantTurn:
    """The parts and calls of one turn, in the order of the client.

    Args:
        origin: The provider family that made the turn, None if it is unknown. The first known value counts.
    """

    origin: str | None = None
    _calls: list[ToolCall] = attrs.field(factory=list, init=False)
    # Each part with the family that it belongs to, None for all; or the id of a call.
    _order: list[tuple[Part, str | None] | str] = attrs.field(factory=list, init=False)

    def add(self, part: Part, origin: str | None = None) -> None:
        """Add a part. With an origin, only that family can read it."""
        self.origin = self.origin or origin
        self._order.append((part, origin))

    def add_call(self, call: ToolCall, origin: str | None) -> None:
        """Add a call. Its origin is known if its id carries one."""
        self.origin = self.origin or origin
        self._calls.append(call)
        self._order.append(call.id)

    def message(self) -> Message:
        """Return the message.

        A call that another part follows leaves its position among the parts, if the family keeps positions.
        """
        parts: list[Part] = []
        followed = False
        for entry in reversed(self._order):
            if isinstance(entry, str):
                position = position_part(entry, self.origin) if followed else None
                if position is not None:
                    parts.append(position)
            elif entry[1] is None or entry[1] == self.origin:
                parts.append(entry[0])
                followed = True
        parts.reverse()
        return Message(Role.ASSISTANT, tuple(parts), tool_calls=self._calls, origin=self.origin)
