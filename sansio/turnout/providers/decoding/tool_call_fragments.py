"""Which tool call a fragment belongs to, for every dialect.

A fragment has at most four fields: an index, a name, an id and a piece of the arguments. Servers leave out each of
them, repeat each of them and change the id between the chunks of one call. The rules, by the fields of a fragment:

- An index without a call: a name begins a call. Without a name, a known id continues the call of that id, and a
  fragment with neither continues the newest call until its arguments are whole.
- An index that has a call, and no name: the fragment continues that call, also with an id that is new. If several
  calls share the index, a known id chooses among them.
- An index that has a call, and a name: an id that differs from the call's id begins another call, and so does a name
  that differs from the call's name. The same name begins another call only if the arguments so far are a whole JSON
  object or null.
- No index: a known id continues its call under the same condition, a new id with a name begins a call. Everything
  else continues the newest call, but a name begins a call unless it repeats the name of one with half its arguments.

The texts "", "null" and "None" are no ids, and blank text is no name. Ids and names are set once and never joined.
"""

from __future__ import annotations

from typing import Any

import attrs

from turnout.messages import ToolCall
from turnout.providers.decoding.json_scanner import JsonObjectScanner

__all__ = ["MAX_IDS", "CallBuilder", "ToolCallFragments", "known_id", "made_id"]

MAX_IDS = 20_000
"""How many ids of calls are known at most. A server may change the id of a call with each of its fragments."""
_LONGEST_NULL = 16
"""Characters of a text that is looked at as a null with white space around it, in place of arguments."""
_NO_IDS = frozenset({"null", "None"})


def known_id(id: str | None) -> str | None:
    """Return the id; None if the server only writes that there is none."""
    return None if id is None or id in _NO_IDS or not id.strip() else id


def made_id(turn: int, position: int) -> str:
    """Return an id for a call that has none, unique in a conversation by the number of messages before it."""
    return f"call_{turn}_{position}"


@attrs.define(eq=False)
class CallBuilder:
    """A tool call as far as it was received."""

    id: str | None
    name: str | None = None
    index: int | None = None
    pieces: list[str] = attrs.field(factory=list)
    signature: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)
    is_custom_tool: bool = False
    size: int = 0  # characters of the arguments
    _scanner: JsonObjectScanner = attrs.field(factory=JsonObjectScanner)
    _scanned: int = 0  # pieces that the scanner has read
    _joined: int = 0  # of the first pieces, how many were joined

    def append(self, arguments: str) -> None:
        """Take the next piece of the arguments."""
        self.pieces.append(arguments)
        self.size += len(arguments)

    def join(self) -> None:
        """Join the pieces that were received since the last call."""
        start, scanned = self._joined, max(self._joined, self._scanned)
        if len(self.pieces) > start + 1:
            before, after = "".join(self.pieces[start:scanned]), "".join(self.pieces[scanned:])
            self.pieces[start:] = [piece for piece in (before, after) if piece]
            self._scanned = min(self._scanned, start) + bool(before)
            self._joined = len(self.pieces)

    def rest_of(self, whole: str) -> str:
        """Return the rest of the whole arguments behind the pieces; "" if they do not begin with them."""
        if len(whole) <= self.size:
            return ""
        known = "".join(self.pieces)
        return whole[len(known) :] if whole.startswith(known) else ""

    @property
    def is_whole(self) -> bool:
        """Whether the arguments so far are a whole JSON object or null, to which nothing can be added."""
        if self.is_custom_tool:
            return False
        for piece in self.pieces[self._scanned :]:
            self._scanner.feed(piece)
        self._scanned = len(self.pieces)
        return self._scanner.is_whole or (self.size <= _LONGEST_NULL and "".join(self.pieces).strip() == "null")

    def build(self, made_id: str, *, cut: bool) -> ToolCall:
        """Return the call. With `cut`, a limit ended the answer, so missing arguments were never written."""
        arguments = "".join(self.pieces)
        empty = arguments.strip() in ("", "null") and not self.is_custom_tool
        if empty and not (cut and not arguments):
            arguments = "{}"
        return ToolCall(
            self.id or made_id, self.name or "unnamed", arguments, signature=self.signature, extra=self.extra
        )


@attrs.define(eq=False)
class ToolCallFragments:
    """The calls of one answer, in the order of their appearance."""

    calls: list[CallBuilder] = attrs.field(factory=list)
    # The position of the newest call of each id, and of each index.
    _by_id: dict[str, int] = attrs.field(factory=dict)
    _by_index: dict[int, int] = attrs.field(factory=dict)

    def begin(self, call: CallBuilder) -> int:
        """Add a call that is new, and return its position."""
        position = len(self.calls)
        self.calls.append(call)
        if call.id is not None:
            self._by_id[call.id] = position
        if call.index is not None:
            self._by_index[call.index] = position
        return position

    def set_id(self, position: int, id: str) -> bool:
        """Note another id of a known call; True if it is the first one, which the call keeps."""
        if len(self._by_id) < MAX_IDS:
            self._by_id.setdefault(id, position)
        call = self.calls[position]
        if call.id is not None:
            return False
        call.id = id
        return True

    def find(self, id: str | None, index: int | None, name: str | None, arguments: str | None) -> int | None:
        """Return the position of the call that a fragment continues; None if it begins one."""
        if index is None:
            return self._without_index(id, name, arguments)
        position = self._by_index.get(index)
        if position is not None:
            return self._on_used_index(position, index, id, name, arguments)
        if name is not None:
            return None
        if id is not None:
            return self._by_id.get(id)
        return None if not self.calls or self.calls[-1].is_whole else len(self.calls) - 1

    def repeats(self, position: int, id: str | None, name: str | None, arguments: str | None) -> bool:
        """Return whether a fragment is a whole call once more: the same id, name and arguments."""
        call = self.calls[position]
        if id is None or id != call.id or name != call.name or not arguments:
            return False
        return call.size == len(arguments) and call.is_whole and "".join(call.pieces) == arguments

    def _on_used_index(
        self, position: int, index: int, id: str | None, name: str | None, arguments: str | None
    ) -> int | None:
        call = self.calls[position]
        if id is not None and call.id is not None and id != call.id:
            known = self._by_id.get(id)
            if known is not None and self.calls[known].index == index:
                position, call = known, self.calls[known]  # one index for several calls, each with its own id
            elif name is not None:
                return None
        return position if name is None or self._continues(position, id, name, arguments) else None

    def _without_index(self, id: str | None, name: str | None, arguments: str | None) -> int | None:
        known = self._by_id.get(id) if id is not None else None
        if known is not None:
            return known if name is None or self._continues(known, id, name, arguments) else None
        if not self.calls or (id is not None and name is not None):
            return None
        newest = len(self.calls) - 1
        call = self.calls[newest]
        if name is not None and call.name is not None:
            return newest if name == call.name and call.pieces and not call.is_whole else None
        return None if id is not None and arguments and call.is_whole else newest

    def _continues(self, position: int, id: str | None, name: str, arguments: str | None) -> bool:
        """Return whether a fragment with a name continues this call. The two ids do not differ."""
        call = self.calls[position]
        if call.name is None or name != call.name:
            return call.name is None
        # Some servers repeat the name behind the last piece, and some repeat the whole call.
        return not call.is_whole or not arguments or self.repeats(position, id, name, arguments)

    def finished(self, turn: int, *, cut: bool) -> tuple[ToolCall, ...]:
        """Return the calls as far as they were received; `turn` makes the ids that are made here unique."""
        return tuple(call.build(made_id(turn, position), cut=cut) for position, call in enumerate(self.calls))
