"""Newline-delimited JSON: one JSON text a line, as Ollama streams it.

Lines end with LF or CRLF; blank lines are nothing; a last line without LF is handed on by `receive_end`, marked. A CR
inside a line is left alone (for JSON it is white space). Held between reads: the unfinished line.
"""

from __future__ import annotations

import attrs

from turnout.framing.parser import FrameParser, JsonText

__all__ = ["NdjsonParser"]

LF = 10


@attrs.define(eq=False)
class NdjsonParser(FrameParser[JsonText]):
    """Splits a body into its lines; see `turnout.framing` for the interface. `max_frame` bounds one line."""

    _held: bytearray = attrs.field(factory=bytearray, init=False, repr=False)

    @property
    def complete(self) -> bool:
        """True if the body so far ends with the end of a line."""
        return not self._held and self.failure is None

    def receive_data(self, data: bytes) -> list[JsonText]:
        if self._stopped:
            return self._receive_stopped()
        if LF not in data:
            self._hold(data)
            return []
        if self._held:
            data = b"".join((self._held, data))
            self._held.clear()
        lines = data.split(b"\n")
        rest = lines.pop()
        if len(data) > self.max_frame:
            lines = self._up_to_limit(lines)
        if self.failure is None:
            self._hold(rest)
        return [JsonText(line.removesuffix(b"\r")) for line in lines if line and not line.isspace()]

    def receive_end(self) -> list[JsonText]:
        if not self._end() or not self._held or self._held.isspace():
            return []
        return [JsonText(bytes(self._held).removesuffix(b"\r"), terminated=False)]

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > self.max_frame:
            self._fail_line()

    def _up_to_limit(self, lines: list[bytes]) -> list[bytes]:
        """Return the lines before the first one that is too large, and fail if there is one."""
        for index, line in enumerate(lines):
            if len(line) > self.max_frame:
                self._fail_line()
                return lines[:index]
        return lines

    def _fail_line(self) -> None:
        self._held.clear()
        self._fail(self._too_large("one line of the newline-delimited JSON"))
