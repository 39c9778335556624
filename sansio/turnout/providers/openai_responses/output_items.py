"""Which item of a response an event is about, and which item of the final output is which.

A server may number its items, name them, or both; and it may get either wrong. Seen: ids that are empty, equal for all
items, new in each event, or different at the end; positions that are always 0, missing, or shifted at the end. So:

- The position in the output decides first, together with the type of the item. If several items of one type share a
  position, the id of the call or of the item chooses among them.
- Without a position, the id of the call does, then the id of the item, then the newest open item of the type.
- An item that is whole is not changed any more: what begins at its position is another item.
- Every entry of the final output is another item. Each is matched with an item of the stream by the id of its call, by
  its own id or its position if its content agrees, by content, and at last by position or order alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

import attrs

from turnout._utils.growing_text import GrowingText
from turnout.providers.decoding.tool_call_fragments import known_id
from turnout.providers.json_codec import decode_any, encode
from turnout.providers.openai_responses.wire import CALLS, Content, Item

__all__ = ["MAX_ITEMS", "Kind", "OutputItem", "OutputItems", "Words", "arguments_of"]

Kind: TypeAlias = Literal["text", "refusal", "summary", "content", "arguments", "input"]

MAX_ITEMS = 4096
"""How many items a response may have: more are no real response."""

# How many items of one type are compared with an entry of the final output.
_MAX_COMPARED = 100


class Words(GrowingText):
    """A text of an item, as far as it went to the caller."""

    __slots__ = ()

    def rest_of(self, whole: str) -> str:
        """Return the rest of the whole text behind the pieces; "" if it does not begin with them."""
        if len(whole) <= self.size:
            return ""
        known = str(self)
        return whole[len(known) :] if whole.startswith(known) else ""


@attrs.define(eq=False)
class OutputItem:
    """An item of the output, from its first event on.

    Attributes:
        number: The number among the items of the response, from 0.
        kind: The type of the item.
        keep: Puts the opaque part of the item into the message.
        index: The position in the output, if the server sent one.
        call_id: The id of the call, of an item that is one.
        name: The name of the tool, of an item that is a call.
        is_commentary: Whether the text of the message is commentary.
        words: The texts so far, by kind and number of their part.
        voice: Of reasoning: whether the caller gets its summary or its content. Both have the same content.
        cited: How many annotations of each part were taken.
        with_logprobs: The parts with log probabilities that were taken.
        position: Of a call: its position among the calls of the response.
        whole: Whether the item is whole.
        is_sealed: Whether its encrypted content was received.
        claimed: Whether an entry of the final output is this item.
    """

    number: int
    kind: str
    keep: Callable[[bytes], None]
    index: int | None = None
    call_id: str | None = None
    name: str | None = None
    is_commentary: bool = False
    words: dict[tuple[Kind, int], Words] = attrs.field(factory=dict)
    voice: Kind | None = None
    cited: dict[int, int] = attrs.field(factory=dict)
    with_logprobs: set[int] = attrs.field(factory=set)
    position: int | None = None
    whole: bool = False
    is_sealed: bool = False
    claimed: bool = False

    def agrees_with(self, item: Item) -> bool:
        """Return whether the item can be the whole of this one, as far as this one is known."""
        if self.kind in CALLS and self.name is not None and item.name not in (None, "", self.name):
            return False
        length = self.length
        texts = _texts_of(item)
        long = [text for text in texts if len(text) >= length]
        known = self.text if long else ""
        if not length or any(text.startswith(known) for text in long):
            return True
        # Arguments that were parsed and written again. Only texts of a similar length are parsed.
        return self.kind == "function_call" and 4 * len(texts[0]) >= length and _same_json(self.text, texts[0])

    @property
    def length(self) -> int:
        """The characters that went to the caller."""
        return sum(words.size for words in self.words.values())

    @property
    def text(self) -> str:
        """The text that went to the caller, part after part."""
        parts = sorted(self.words, key=lambda part: (part[1], part[0]))
        return "".join(str(self.words[part]) for part in parts)


@attrs.define(eq=False)
class OutputItems:
    """The items of one response."""

    _count: int = 0
    _by_index: dict[tuple[int, str], list[OutputItem]] = attrs.field(factory=dict)
    _by_id: dict[tuple[str, str], OutputItem] = attrs.field(factory=dict)
    _by_call_id: dict[tuple[str, str], OutputItem] = attrs.field(factory=dict)
    _by_kind: dict[str, list[OutputItem]] = attrs.field(factory=dict)
    # Those that are not whole, by type and by position and type.
    _open: dict[str, list[OutputItem]] = attrs.field(factory=dict)
    _open_at: dict[tuple[int, str], list[OutputItem]] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return self._count

    def begin(
        self,
        kind: str,
        keep: Callable[[bytes], None],
        index: int | None,
        ids: Iterable[str | None] = (),
        call_id: str | None = None,
    ) -> OutputItem:
        """Add an item."""
        item = OutputItem(self._count, kind, keep, index)
        self._count += 1
        self._by_kind.setdefault(kind, []).append(item)
        self._open.setdefault(kind, []).append(item)
        if index is not None:
            self._by_index.setdefault((index, kind), []).append(item)
            self._open_at.setdefault((index, kind), []).append(item)
        self.note_ids(item, ids, call_id)
        return item

    def end(self, item: OutputItem) -> None:
        """Note that an item is whole."""
        item.whole = True
        self._open[item.kind].remove(item)
        if item.index is not None:
            self._open_at[item.index, item.kind].remove(item)

    def note_ids(self, item: OutputItem, ids: Iterable[str | None], call_id: str | None = None) -> None:
        """Note more ids of an item. The first id of a call holds."""
        for id in ids:
            if id:
                self._by_id[id, item.kind] = item
        if (call_id := known_id(call_id)) is not None:
            item.call_id = item.call_id or call_id
            self._by_call_id.setdefault((call_id, item.kind), item)

    def of_delta(self, kind: str, index: int | None, id: str | None) -> OutputItem | None:
        """Return the item of a delta, or of the end of a part; None if it begins one."""
        named = self._by_id.get((id or "", kind))
        if index is not None:
            open_here = self._open_at.get((index, kind), ())
            if len(open_here) > 1 and named in open_here:
                return named
            if open_here:
                return open_here[-1]
            return named if named is not None and not named.whole else None
        if named is not None and not named.whole:
            return named
        return next(reversed(self._open.get(kind, [])), None)

    def of_beginning(self, item: Item, index: int | None) -> OutputItem | None:
        """Return the item that an event begins once more; None if it begins another one."""
        kind, call_id = item.type or "", known_id(item.call_id)
        if index is not None:
            known = next(iter(reversed(self._by_index.get((index, kind), ()))), None)
        else:
            known = (
                self._by_call_id.get((call_id, kind)) if call_id is not None else self._by_id.get((item.id or "", kind))
            )
        if known is None or known.whole:
            return None
        return None if call_id is not None and known.call_id not in (None, call_id) else known

    def of_end(self, item: Item, index: int | None) -> OutputItem | None:
        """Return the item that an event ends; None if it is all of an item."""
        kind = item.type or ""
        named = self._named(item)
        if index is None:
            if named is not None and (not named.whole or _repeats(named, item)):
                return named
            candidates = self._open.get(kind, [])
        else:
            if named is not None and named.index == index and (not named.whole or _repeats(named, item)):
                return named
            candidates = self._open_at.get((index, kind), [])
        agreeing = (one for one in candidates[:_MAX_COMPARED] if one.agrees_with(item))
        return next(agreeing, candidates[0] if candidates else None)

    def of_output(self, entries: Sequence[Item | None]) -> list[OutputItem | None]:
        """Match the entries of the final output, each with its item of the stream; None for one that is new."""
        found: list[OutputItem | None] = [None] * len(entries)
        passes: tuple[Callable[[Item, int], OutputItem | None], ...]
        passes = (self._by_name_or_place, self._by_content, self._by_place_or_order)
        for find in passes:
            for position, entry in enumerate(entries):
                if entry is None or found[position] is not None:
                    continue
                item = find(entry, position)
                if item is not None:
                    item.claimed = True
                    found[position] = item
        return found

    # -- how entries of the final output are matched ------------------------------------------------------------

    def _named(self, item: Item) -> OutputItem | None:
        kind, call_id = item.type or "", known_id(item.call_id)
        by_call = self._by_call_id.get((call_id, kind)) if call_id is not None else None
        return by_call or self._by_id.get((item.id or "", kind)) or self._by_id.get((item.item_id or "", kind))

    def _by_name_or_place(self, entry: Item, position: int) -> OutputItem | None:
        kind, call_id = entry.type or "", known_id(entry.call_id)
        by_call = self._by_call_id.get((call_id, kind)) if call_id is not None else None
        if by_call is not None and not by_call.claimed:
            return by_call
        here = self._by_index.get((position, kind), ())
        candidates: tuple[OutputItem | None, ...] = (self._by_id.get((entry.id or "", kind)), *here[:_MAX_COMPARED])
        for item in candidates:
            if item is not None and not item.claimed and item.agrees_with(entry):
                return item
        return None

    def _by_content(self, entry: Item, position: int) -> OutputItem | None:
        found: OutputItem | None = next((item for item in self._unclaimed(entry) if item.agrees_with(entry)), None)
        return found

    def _by_place_or_order(self, entry: Item, position: int) -> OutputItem | None:
        """Return the item at this position, and else the first of its type: its content was changed on the way."""
        here = (item for item in self._unclaimed(entry) if item.index == position)
        found: OutputItem | None = next(here, None)
        if entry.type in CALLS:
            return None if found is None or entry.name not in (None, "", found.name) else found
        return found or next(iter(self._unclaimed(entry)), None)

    def _unclaimed(self, entry: Item) -> list[OutputItem]:
        items = self._by_kind.get(entry.type or "", [])
        # Those that are claimed already are at the front, or few.
        while items and items[0].claimed:
            items.pop(0)
        return [item for item in items[:_MAX_COMPARED] if not item.claimed]


def arguments_of(value: object) -> str | None:
    """Return the arguments of a call as JSON text, from text or from an object."""
    if value is None or isinstance(value, str):
        return value
    return encode(value).decode()


def _repeats(known: OutputItem, item: Item) -> bool:
    """Return whether the end of an item that is whole was sent once more."""
    if known.kind in CALLS:
        return known_id(item.call_id) == known.call_id and known.agrees_with(item)
    return any(len(text) == known.length for text in _texts_of(item)) and known.agrees_with(item)


def _texts_of(item: Item) -> list[str]:
    """Return the texts of an item, in each form that it has."""
    if item.type == "function_call":
        return [arguments_of(item.arguments) or ""]
    if item.type == "custom_tool_call":
        return [item.input or ""]
    return [_joined(item.parts), _joined(item.summary or ())]


def _joined(parts: Sequence[Content]) -> str:
    return "".join(part.text or part.refusal or "" for part in parts)


def _same_json(text: str, other: str) -> bool:
    try:
        return bool(decode_any(text.encode()) == decode_any(other.encode()))
    except ValueError:
        return False
