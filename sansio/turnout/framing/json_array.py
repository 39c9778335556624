"""Splits one top-level JSON array into its elements while it arrives.

Gemini responds in this form to a streaming request without `alt=sse`: with an indented array of responses, cut
anywhere.

The states (a bare value has only BEFORE, INSIDE and AFTER):

    BEFORE    nothing but white space so far
    FIRST     after `[`: an element or `]`
    INSIDE    in an element, or in a bare value
    BETWEEN   after an element: `,` or `]`
    NEXT      after `,`: an element
    AFTER     closed: only white space is allowed

The parser reads only the strings with their escapes and the depth of the brackets, to find the end of an element. It
returns an element that is not JSON unchanged, and the decoder rejects it. The decoder also finds a `}` that closes a
`[`, so that one invalid element does not affect the later ones. Between elements the grammar of RFC 8259 applies.

A body that is one bare object or string is one element. Servers send errors in this form, and also complete responses
to a streaming request.
"""

from __future__ import annotations

import enum
import re

import attrs

from turnout.framing.parser import FrameParser, JsonText

__all__ = ["JsonArrayParser"]

# A string without escapes is taken in one step; any other quote only opens a string.
TOKEN = re.compile(rb'"[^"\\]*"|["{}\[\]]')
SCALAR_END = re.compile(rb'[ \t\r\n,:"{}\[\]]')
NOT_SPACE = re.compile(rb"[^ \t\r\n]")
QUOTE, COMMA, OPEN, CLOSE = b'",[]'
OPENING = b"[{"
NO_ELEMENT = b",:]}"


class State(enum.Enum):
    # The values end the message of an error.
    BEFORE = "at the start"
    FIRST = "after ["
    INSIDE = "inside an element"
    BETWEEN = "after an element"
    NEXT = "after a comma"
    AFTER = "after the end"


class Element(enum.Enum):
    NESTED = "object or array"
    STRING = "string"
    SCALAR = "number, true, false or null"


@attrs.define(eq=False)
class JsonArrayParser(FrameParser[JsonText]):
    """Splits a JSON array into its elements; see `turnout.framing` for the interface. `max_frame` bounds one element.

    Attributes:
        closed: True after the `]` that closes the array, or after the end of a bare object or string.
        bare: True if the body is a single value and not an array.
    """

    closed: bool = attrs.field(default=False, init=False)
    bare: bool = attrs.field(default=False, init=False)
    _state: State = attrs.field(default=State.BEFORE, init=False)
    _element: Element = attrs.field(default=Element.SCALAR, init=False, repr=False)
    _depth: int = attrs.field(default=0, init=False, repr=False)
    _in_string: bool = attrs.field(default=False, init=False, repr=False)
    _escaped: bool = attrs.field(default=False, init=False, repr=False)  # in a string, after a backslash
    _held: bytearray = attrs.field(factory=bytearray, init=False, repr=False)

    @property
    def complete(self) -> bool:
        """True if the array, or the bare value, is closed and nothing follows it."""
        return self.closed and self.failure is None

    def receive_data(self, data: bytes) -> list[JsonText]:
        if self._stopped:
            return self._receive_stopped()
        elements: list[JsonText] = []
        position = 0
        while position < len(data) and self.failure is None:
            if self._state is State.INSIDE:
                position = self._read_element(data, position, elements)
            else:
                position = self._read_between(data, position)
        return elements

    def receive_end(self) -> list[JsonText]:
        if not self._end() or self._state is not State.INSIDE:
            return []
        return [JsonText(bytes(self._held), terminated=False)]

    def _read_between(self, data: bytes, position: int) -> int:
        """Take white space and at most one byte of punctuation; stop before an element's first byte."""
        found = NOT_SPACE.search(data, position)
        if found is None:
            return len(data)
        position = found.start()
        byte, state = data[position], self._state
        if byte == OPEN and state is State.BEFORE:
            self._state = State.FIRST
        elif byte == COMMA and state is State.BETWEEN:
            self._state = State.NEXT
        elif byte == CLOSE and state in (State.FIRST, State.BETWEEN):
            self._close()
        elif byte in b'{"' and state is State.BEFORE:
            self.bare = True
            self._begin_element(byte)
            return position
        elif byte not in NO_ELEMENT and state in (State.FIRST, State.NEXT):
            self._begin_element(byte)
            return position
        else:
            self._fail(f"the body is not one JSON array: unexpected {chr(byte)!r} {state.value}")
        return position + 1

    def _begin_element(self, byte: int) -> None:
        self._state = State.INSIDE
        self._depth = 0
        if byte in OPENING:
            self._element = Element.NESTED
        elif byte == QUOTE:
            self._element = Element.STRING
        else:
            self._element = Element.SCALAR

    def _close(self) -> None:
        self.closed = True
        self._state = State.AFTER

    def _read_element(self, data: bytes, position: int, elements: list[JsonText]) -> int:
        if self._element is Element.SCALAR:
            found = SCALAR_END.search(data, position)
            end = -1 if found is None else found.start()
        else:
            end = self._find_end(data, position)
        self._held += data[position:] if end < 0 else data[position:end]
        if len(self._held) > self.max_frame:
            self._held.clear()
            self._fail(self._too_large("one element of the JSON array"))
        elif end >= 0:
            elements.append(JsonText(bytes(self._held)))
            self._held.clear()
            if self.bare:
                self._close()
            else:
                self._state = State.BETWEEN
        return len(data) if end < 0 else end

    def _find_end(self, data: bytes, position: int) -> int:
        """Return the end of an element in brackets or quotes, or -1 if it is not in `data`."""
        depth = self._depth
        while True:
            if self._in_string:
                position = self._find_string_end(data, position)
                if position < 0:
                    break
                if depth == 0:
                    return position
            found = TOKEN.search(data, position)
            if found is None:
                break
            start, position = found.span()
            byte = data[start]
            if byte == QUOTE:
                self._in_string = position - start == 1
                if not self._in_string and depth == 0:
                    return position
            elif byte in OPENING:
                depth += 1
            else:
                depth -= 1
                if depth == 0:
                    return position
        self._depth = depth
        return -1

    def _find_string_end(self, data: bytes, position: int) -> int:
        """Return the position after the closing quote, or -1 if it is not in `data`. Each byte is read once."""
        if self._escaped:
            position += 1
            self._escaped = False
        while True:
            quote = data.find(b'"', position)
            run = data[position:] if quote < 0 else data[position:quote]
            # A quote is escaped if an odd number of backslashes precedes it.
            odd = (len(run) - len(run.rstrip(b"\\"))) % 2 == 1
            if quote < 0:
                self._escaped = odd
                return -1
            position = quote + 1
            if not odd:
                self._in_string = False
                return position
