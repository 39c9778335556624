"""Where a JSON object that is received in pieces ends."""

from __future__ import annotations

import re

import attrs

__all__ = ["JsonObjectScanner"]

_TOKEN = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


@attrs.define(eq=False)
class JsonObjectScanner:
    """Looks at each character of a growing text once, and knows whether the text is one whole JSON object.

    It counts brackets outside strings and checks no other grammar: a text that is not JSON may seem whole or not.
    """

    _depth: int = 0
    _in_string: bool = False
    _escaped: bool = False  # in a string, after a backslash
    _started: bool = False
    _ended: bool = False
    _broken: bool = False  # it began with no brace, or more text followed its end

    @property
    def is_whole(self) -> bool:
        """Whether the text so far is one object, with nothing but white space around it."""
        return self._ended and not self._broken

    def feed(self, text: str) -> None:
        """Take the next piece of the text."""
        position = 0
        if not self._started and not self._broken:
            begun = text.lstrip()
            if not begun:
                return
            self._started = begun.startswith("{")
            self._broken = not self._started
            position = len(text) - len(begun)
        if self._broken:
            return
        position = self._scan(text, position)
        if self._ended and text[position:].strip():
            self._broken = True

    def _scan(self, text: str, position: int) -> int:
        """Read up to the end of the object, or of the text; return the position that was reached."""
        length = len(text)
        while position < length and not self._ended:
            if self._in_string:
                position = self._scan_string(text, position)
                continue
            found = _TOKEN.search(text, position)
            if found is None:
                return length
            position = found.end()
            match found[0]:
                case '"':
                    self._in_string = True
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    self._ended = self._depth <= 0
        return position

    def _scan_string(self, text: str, position: int) -> int:
        if self._escaped:
            self._escaped = False
            return position + 1
        found = _IN_STRING.search(text, position)
        if found is None:
            return len(text)
        if found[0] == '"':
            self._in_string = False
        else:
            self._escaped = True
        return found.end()
