"""Ids of tool calls that are different in one conversation.

Some models number the calls of each response from 0, and some servers give one id to all calls of a response. Others
refuse a conversation in which two calls have the same id, so a repeated id gets a number at its end: the call and its
result alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from turnout.messages import Message, Role, ToolCall

__all__ = ["CallIds", "with_unique_ids"]

_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_-]")


@attrs.define
class CallIds:
    """The ids of a conversation's calls as the caller has them, and as they are sent.

    Attributes:
        max_length: The characters that an id can have; None if there is no limit.
        restricted: Whether an id can only have letters, digits, `_` and `-`.
    """

    max_length: int | None = None
    restricted: bool = False
    _open: dict[str, list[tuple[str, str]]] = attrs.field(factory=dict)  # the sent ids and names that await a result
    _used: set[str] = attrs.field(factory=set)

    def begin(self, calls: Iterable[ToolCall]) -> None:
        """Begin a message with these calls: earlier calls with their ids get no more results."""
        self._open |= {call.id: [] for call in calls}

    def new(self, call: ToolCall) -> str:
        """Return an id for this call that no other call has."""
        wanted = unique = self._allowed(call.id)
        count = 1
        while unique in self._used:
            count += 1
            end = f"_{count}"
            unique = (wanted if self.max_length is None else wanted[: self.max_length - len(end)]) + end
        self._used.add(unique)
        self._open.setdefault(call.id, []).append((unique, call.name))
        return unique

    def of_result(self, message: Message) -> str:
        """Return the id of the call that this tool message is the result of.

        Of several calls with one id, the first with the message's tool name gets it; without a name, the first one.
        The last one keeps its id for further results.
        """
        given = message.tool_call_id or ""
        calls = self._open.get(given)
        if not calls:
            return self._allowed(given)
        named = (at for at, (_, name) in enumerate(calls) if name == message.name)
        at = next(named, 0)
        return (calls.pop(at) if len(calls) > 1 else calls[at])[0]

    def _allowed(self, id: str) -> str:
        return (_NOT_ALLOWED.sub("_", id) if self.restricted else id)[: self.max_length]


def with_unique_ids(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages with a different id for each call, and for its result; the same ones if they differ."""
    given = [call.id for message in messages for call in message.tool_calls]
    if len(set(given)) == len(given):
        return messages
    ids = CallIds()
    made: list[Message] = []
    for message in messages:
        if message.tool_calls:
            ids.begin(message.tool_calls)
            calls = tuple(attrs.evolve(call, id=ids.new(call)) for call in message.tool_calls)
            message = attrs.evolve(message, tool_calls=calls)
        elif message.role is Role.TOOL:
            message = attrs.evolve(message, tool_call_id=ids.of_result(message))
        made.append(message)
    return tuple(made)
