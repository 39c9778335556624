"""Server-sent events: the event stream format of the WHATWG HTML standard, section 9.2.

A body is a sequence of *blocks*: lines with an empty line after them. A block gives one event or none. CR and CRLF
become LF when the bytes arrive. The grammar allows this anywhere, because neither can be part of a line. Then nearly
every block is one line, `data: …`, and one call into C splits the bytes of a read into such blocks. All other blocks
are read line by line, as the standard describes. Lines are bytes. UTF-8 is decoded for each value, and only if text is
needed, so a character that a read cuts, or U+2028 inside a value, needs no special code.

Between reads the parser holds the unfinished block, and whether the last byte was CR.

Two additions to the standard serve streams that break off:

* A browser drops a last block without its empty line. `receive_end` returns it with `terminated=False`.
* `stray` keeps the lines that are not a known field. Some servers report a failure as bare JSON in the middle of an
  event stream, or respond with JSON to a streaming request.
"""

from __future__ import annotations

import re

import attrs
import msgspec

from turnout.framing.parser import FrameParser

__all__ = ["MAX_STRAY", "SseEvent", "SseParser"]

MAX_STRAY = 1024 * 1024
"""The most bytes of stray lines that are kept: many times the largest error report, but less than a large download."""

BOM = b"\xef\xbb\xbf"
# To find a byte, `LF in data` takes CPython 3.11 an eighth of the time of `b"\n" in data`.
LF, CR = 10, 13
LONE_CR = re.compile(rb"\r(?!\n)")
# More digits than any count of milliseconds needs; int() itself refuses very long ones.
RETRY_DIGITS = 18


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of the stream. It is a struct and not attrs, because each chunk makes one, at a fifth of the cost.

    Attributes:
        data: The data lines joined by LF, as bytes, ready for a JSON decoder.
        event: The type; "message" if the stream does not set one.
        id: The last event id at this event; "" if the stream has not set one.
        retry: The reconnection time in milliseconds, if the stream set it since the previous event; else None.
        terminated: False if the body ended before the empty line that ends an event. A browser would drop it.
    """

    data: bytes
    event: str = "message"
    id: str = ""
    retry: int | None = None
    terminated: bool = True

    @property
    def text(self) -> str:
        """The data as text. Bytes that are not UTF-8 become U+FFFD, as the standard requires."""
        return self.data.decode("utf-8", "replace")


@attrs.define(eq=False)
class SseParser(FrameParser[SseEvent]):
    """Splits an event stream into events. See the docstring of this module, and `turnout.framing` for the interface.

    Attributes:
        last_event_id: The id of the last block that an empty line ended, with or without data.
        reconnection_time: Milliseconds, as the stream set it last; None if it never did.
        max_frame: The largest size of a block: the bytes between two empty lines.
    """

    last_event_id: str = attrs.field(default="", init=False)
    reconnection_time: int | None = attrs.field(default=None, init=False)
    _held: bytearray = attrs.field(factory=bytearray, init=False, repr=False)  # never begins with LF
    _line_ended: bool = attrs.field(default=False, init=False, repr=False)  # `_held` ends with LF
    _after_cr: bool = attrs.field(default=False, init=False, repr=False)
    _at_start: bool = attrs.field(default=True, init=False, repr=False)  # no block yet: a BOM is possible, or held
    _retry: int | None = attrs.field(default=None, init=False, repr=False)  # set since the last event
    _stray: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _stray_full: bool = attrs.field(default=False, init=False, repr=False)

    @property
    def stray(self) -> bytes:
        """The lines so far that are neither a known field nor a comment, each with an LF; at most MAX_STRAY bytes."""
        return bytes(self._stray)

    @property
    def complete(self) -> bool:
        """True if the body so far ends with the end of a block."""
        return not self._held and self.failure is None

    def receive_data(self, data: bytes) -> list[SseEvent]:
        return [SseEvent(frame) if isinstance(frame, bytes) else frame for frame in self.receive_frames(data)]

    def receive_frames(self, data: bytes) -> list[SseEvent | bytes]:
        """Do the same as `receive_data`, but return an event that has nothing but data as just that data.

        Such an event is a "message" without an id and a reconnection time, which nearly all events are.
        """
        if self._stopped:
            return [*self._receive_stopped()]
        if self._after_cr or CR in data:
            data = self._with_lf_only(data)
        elif self._is_plain_block(data):
            return [data[6:-2]]
        if LF not in data:
            if data:
                self._hold(data)
            return []
        if b"\n\n" not in data and not (self._line_ended and data.startswith(b"\n")):
            self._hold_lines(data)
            return []
        if self._held:
            data = b"".join((self._held, data))
            self._held = bytearray()  # a large event is kept as few times as possible
        if len(data) > self.max_frame:
            data = self._up_to_limit(data)
        if self._at_start:
            self._at_start = False
            data = data.removeprefix(BOM)
        events: list[SseEvent | bytes] = []
        # Split at each empty line before a block with the usual beginning. Each piece is then the data of one event,
        # unless it has an LF in it: then the event has more lines, or other blocks follow it.
        first, *starts = data.split(b"\n\ndata: ")
        last, data = first, b""
        if starts:
            self._read_blocks(first, events)
            last = b"data: " + starts.pop()
            if self._retry is None and not self.last_event_id and LF not in b"".join(starts):
                events += starts
            else:
                for start in starts:
                    self._read_blocks(b"data: " + start, events)
        blocks, ended, rest = last.rpartition(b"\n\n")
        del first, last
        if ended:
            self._read_blocks(blocks, events)
        self._held = bytearray(rest)
        self._line_ended = rest.endswith(b"\n")
        return events

    def receive_end(self) -> list[SseEvent]:
        if not self._end():
            return []
        block = bytes(self._held)
        if self._at_start:
            block = block.removeprefix(BOM)
        event = self._read_block(block, terminated=False)
        return [] if event is None else [event]

    def _is_plain_block(self, data: bytes) -> bool:
        """True if a read brought one block with the usual beginning, whole, after blocks that were whole."""
        return (
            data.find(b"\n") == len(data) - 2
            and data.startswith(b"data: ")
            and data.endswith(b"\n")
            and not (self._held or self._at_start or self._line_ended or self.last_event_id)
            and self._retry is None
            and len(data) <= self.max_frame
        )

    def _with_lf_only(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the second half of a CRLF; the first half has already ended the line
        self._after_cr = data.endswith(b"\r")
        if LONE_CR.search(data) is None:
            return data.replace(b"\r", b"")  # four times as fast, and Gemini sends only CRLF
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, data: bytes, line_ended: bool = False) -> None:
        self._held += data
        self._line_ended = line_ended
        # An LF at the end may be the first of the two that end the block, and those do not count.
        if len(self._held) - line_ended > self.max_frame:
            self._fail_block()

    def _hold_lines(self, data: bytes) -> None:
        """Hold bytes that have an LF, but no empty line that ends a block."""
        if not self._held and data.startswith(b"\n"):
            self._at_start = False
            data = data[1:]
        if data:
            self._hold(data, data.endswith(b"\n"))

    def _up_to_limit(self, data: bytes) -> bytes:
        """Return the blocks before the first one that is too large, and fail if there is one."""
        start = 0
        while True:
            while data.startswith(b"\n", start):
                start += 1
            end = data.find(b"\n\n", start)
            size = (end if end >= 0 else len(data) - data.endswith(b"\n")) - start
            if size > self.max_frame:
                self._fail_block()
                return data[:start]
            if end < 0:
                return data
            start = end + 2

    def _fail_block(self) -> None:
        self._held.clear()
        self._fail(self._too_large("one event of the event stream (the bytes between two empty lines)"))

    def _read_blocks(self, blocks: bytes, events: list[SseEvent | bytes]) -> None:
        """Read complete blocks. The two forms that LLM servers send are parsed here, at half the cost."""
        for block in blocks.split(b"\n\n") if LF in blocks else (blocks,):
            name = "message"
            line = block
            if block.startswith(b"event: "):
                named, _, line = block.partition(b"\n")
                name = named[7:].decode("utf-8", "replace") or "message"
            if line.startswith(b"data: ") and LF not in line and self._retry is None:
                plain = line is block and not self.last_event_id
                events.append(line[6:] if plain else SseEvent(line[6:], name, self.last_event_id))
                continue
            event = self._read_block(block)
            if event is not None:
                events.append(event)

    def _read_block(self, block: bytes, *, terminated: bool = True) -> SseEvent | None:
        """Interpret the lines of one block (section 9.2.6). `terminated` is True if an empty line ended it."""
        values: list[bytes] = []
        name = b""
        event_id: str | None = None
        for line in block.split(b"\n"):
            if line.startswith(b"data: "):
                values.append(line[6:])
                continue
            field, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if field == b"data":
                values.append(value)
            elif field == b"event":
                name = value
            elif not field:
                continue  # a comment, or an empty line: the split at LF LF may leave one at either end of a block
            elif field == b"id":
                if b"\0" not in value:
                    event_id = value.decode("utf-8", "replace")
            elif field == b"retry":
                # bytes.isdigit accepts only ASCII digits, as the standard requires.
                digits = value.lstrip(b"0") or b"0"
                if value.isdigit() and len(digits) <= RETRY_DIGITS:
                    self._retry = self.reconnection_time = int(digits)
            else:
                self._keep_stray(line)
        if event_id is None:
            event_id = self.last_event_id
        elif terminated:
            self.last_event_id = event_id
        if not values:
            return None
        event = name.decode("utf-8", "replace") if name else "message"
        retry, self._retry = self._retry, None
        return SseEvent(b"\n".join(values), event, event_id, retry, terminated)

    def _keep_stray(self, line: bytes) -> None:
        if self._stray_full or len(self._stray) + len(line) >= MAX_STRAY:
            self._stray_full = True
            return
        self._stray += line
        self._stray += b"\n"
