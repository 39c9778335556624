"""The fields of an assistant's message that only its provider understands.

They are kept as one opaque part, a JSON object with the fields under their own names. Most go back in the next turn;
`RETURNED` has their names. The others are the response's alone, such as the tools that ran at the provider.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import msgspec

from turnout._utils.growing_text import GrowingText
from turnout.messages import Message, Opaque
from turnout.providers.json_codec import decode_any, encode, is_shallow

__all__ = ["PROOFS", "RETURNED", "OpaqueFields", "opaque_fields"]

PROOFS = ("reasoning_opaque", "cot_id", "reasoning_signature", "signature", "encrypted_content", "reasoning_items")
"""The fields that prove reasoning, and are received whole."""
RETURNED = frozenset({"reasoning_details", "thinking_blocks", "provider_specific_fields", "extra_content", *PROOFS})
"""The fields that the provider gets back."""
# The list fields, and the fields of their entries that are joined from fragments.
_JOINED = {
    "reasoning_details": frozenset({"text", "summary", "data"}),
    "thinking_blocks": frozenset({"thinking", "data"}),
}
# Characters that an entry is worth in memory, and the JSON of its values for each character.
_ENTRY_SIZE, _VALUES_SIZE = 300, 4


def opaque_fields(message: Message) -> dict[str, Any]:
    """Return the fields of a message that its provider gets back, as JSON, and the ids in `custom_calls`."""
    fields: dict[str, Any] = {}
    for part in message.content:
        if isinstance(part, Opaque):
            for name, raw in msgspec.json.decode(part.json, type=dict[str, msgspec.Raw]).items():
                if name in RETURNED:
                    fields[name] = msgspec.Raw(raw)
                elif name == "custom_calls":
                    fields[name] = decode_any(bytes(raw))
    return fields


@attrs.define(eq=False)
class _Entry:
    """An entry of a list field, as far as it was received."""

    fields: dict[str, Any]
    texts: dict[str, GrowingText] = attrs.field(factory=dict)

    def extend(self, fragment: dict[str, Any], joined: frozenset[str]) -> None:
        for name, value in fragment.items():
            if name in joined and isinstance(value, str):
                self.texts.setdefault(name, GrowingText()).add(value)
            elif value is not None:
                self.fields[name] = value

    def build(self) -> dict[str, Any]:
        return {**self.fields, **{name: str(text) for name, text in self.texts.items()}}


@attrs.define(eq=False)
class _Entries:
    """A list field. Streams cut its entries into fragments.

    Attributes:
        joined: The fields of an entry that are joined from fragments; in others a later value replaces an earlier one.
    """

    joined: frozenset[str]
    _entries: list[_Entry] = attrs.field(factory=list)
    _newest: dict[object, _Entry] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, fragment: dict[str, Any], key: object) -> int:
        """Add a fragment of the newest entry of this key, or an entry; the key None is no entry's.

        An entry that is nested too deeply to be copied is left out.

        Returns:
            The characters that were added, or what the memory of other values is worth.
        """
        if not is_shallow(fragment):
            return 0
        size = 0
        entry = self._newest.get(key) if key is not None else None
        if entry is None or not _same_id(entry.fields, fragment):
            entry = _Entry({name: value for name, value in fragment.items() if name not in self.joined})
            self._entries.append(entry)
            size = _ENTRY_SIZE + _VALUES_SIZE * len(encode(entry.fields))
            if key is not None:
                self._newest[key] = entry
        entry.extend(fragment, self.joined)
        # Each is also in its JSON, which is made at the end.
        return size + sum(2 * len(text) for name in self.joined if isinstance(text := fragment.get(name), str))

    def forget(self, key: object) -> None:
        """End the newest entry of this key."""
        self._newest.pop(key, None)

    def build(self) -> list[dict[str, Any]]:
        return [entry.build() for entry in self._entries]


@attrs.define(eq=False)
class OpaqueFields:
    """Collects the fields of one message.

    Attributes:
        custom_calls: Returns the ids of the calls of tools that take free text, if there are some. They are kept as
            `custom_calls`, and decide how the calls go back.
    """

    custom_calls: Callable[[], list[str]] | None = None
    _lists: dict[str, _Entries] = attrs.field(factory=dict)
    _fields: dict[str, Any] = attrs.field(factory=dict)

    def add_detail(self, detail: dict[str, Any], *, whole: bool) -> int:
        """Add an entry of OpenRouter's `reasoning_details`, or a fragment of one.

        Fragments have the type and the index of their entry. An entry without an index is whole, and so is each entry
        of a response that is no stream.
        """
        index = detail.get("index")
        known = isinstance(index, int) and not whole
        return self._entries("reasoning_details").add(detail, (str(detail.get("type")), index) if known else None)

    def add_block(self, block: dict[str, Any], *, whole: bool) -> int:
        """Add an entry of LiteLLM's `thinking_blocks`, or a fragment of one: its signature ends a block."""
        thinking = block.get("type") == "thinking" and not whole
        blocks = self._entries("thinking_blocks")
        size = blocks.add(block, "thinking" if thinking else None)
        if not thinking or block.get("signature"):
            blocks.forget("thinking")
        return size

    def _entries(self, name: str) -> _Entries:
        entries = self._lists.get(name)
        if entries is None:
            entries = self._lists[name] = _Entries(_JOINED[name])
        return entries

    def set(self, name: str, value: Any) -> None:
        """Set a field that is received whole; one that is nested too deeply to be copied is left out."""
        if is_shallow(value):
            self._fields[name] = value

    def merge(self, name: str, values: dict[str, Any]) -> int:
        """Add the values of an object that is received in pieces: lists grow, and other values are replaced.

        Those without a value, and those that are nested too deeply to be copied, are left out.

        Returns:
            What the memory of the values is worth, in characters.
        """
        given = {key: value for key, value in values.items() if value not in (None, "", [], {}) and is_shallow(value)}
        if not given:
            return 0
        known = self._fields.setdefault(name, {})
        for key, value in given.items():
            if isinstance(value, list) and isinstance(known.get(key), list):
                known[key].extend(value)
            else:
                known[key] = value
        return _VALUES_SIZE * len(encode(given))

    def extend(self, name: str, values: list[Any]) -> None:
        """Add entries to a list field; those that are nested too deeply to be copied are left out."""
        self._fields.setdefault(name, []).extend(value for value in values if is_shallow(value))

    @property
    def names(self) -> frozenset[str]:
        """The names of the fields that were received."""
        return frozenset((*self._fields, *(name for name, entries in self._lists.items() if entries)))

    @property
    def response_only(self) -> dict[str, Any]:
        """The fields that do not go back."""
        return {name: value for name, value in self._fields.items() if name not in RETURNED}

    def json(self) -> bytes | None:
        """Return the fields as JSON; None if there are none."""
        fields = {**self._fields, **{name: entries.build() for name, entries in self._lists.items() if entries}}
        if self.custom_calls is not None:
            fields["custom_calls"] = self.custom_calls()
        return encode(fields) if fields else None


def _same_id(known: dict[str, Any], fragment: dict[str, Any]) -> bool:
    ids = (known.get("id"), fragment.get("id"))
    return None in ids or ids[0] == ids[1]
