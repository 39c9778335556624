"""AWS event stream, the binary framing `application/vnd.amazon.eventstream` that Amazon Bedrock streams in.

One message, integers big-endian:

    total length u32 | headers length u32 | CRC32 of these 8 bytes | headers | payload | CRC32 of all before it

One header: name length u8, name, type u8, value. The prelude is checked as soon as its 12 bytes have arrived, so that
the parser never waits for an invalid length. Between reads it holds the bytes of the unfinished message.

Source: the Smithy specification of the format, and the limits that botocore sets.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import TypeAlias

import attrs

from turnout.errors import RemoteProtocolError
from turnout.framing.parser import FrameParser

__all__ = ["MAX_HEADERS", "EventStreamMessage", "EventStreamParser", "HeaderValue"]

MAX_HEADERS = 128 * 1024
"""Bytes of headers in one message, as the format's specification limits them."""

HeaderValue: TypeAlias = bool | int | str | bytes
"""An int may be a timestamp, milliseconds since 1970-01-01 UTC; the bytes may be the 16 of a UUID."""

PRELUDE, CRC = 12, 4
LENGTHS = struct.Struct(">III")
U16 = struct.Struct(">H")
U32 = struct.Struct(">I")
TRUE, FALSE, BYTES, STRING, UUID = 0, 1, 6, 7, 9
INTEGERS = {  # byte, short, integer, long, timestamp
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}


@attrs.frozen
class EventStreamMessage:
    """One message with valid checksums: its headers by name (such as `:event-type`), and its payload."""

    headers: Mapping[str, HeaderValue]
    payload: bytes = attrs.field(repr=False)

    def text(self, name: str) -> str:
        """Return the string header `name`, or "" if there is none, or if it has another type."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


@attrs.define(eq=False)
class EventStreamParser(FrameParser[EventStreamMessage]):
    """Splits an event stream into messages; see `turnout.framing` for the interface.

    `max_frame` limits the size of a message. `receive_end` returns no message: one that the end of the body cut has no
    checksum, so its bytes cannot be trusted. `complete` is then False.
    """

    _held: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _wanted: int = attrs.field(default=PRELUDE, init=False, repr=False)  # nothing to do before so much is held

    @property
    def complete(self) -> bool:
        """True if the body so far ends with the end of a message."""
        return not self._held and self.failure is None

    def receive_data(self, data: bytes) -> list[EventStreamMessage]:
        if self._stopped:
            return self._receive_stopped()
        self._held += data
        if len(self._held) < self._wanted:
            return []
        data = bytes(self._held)
        self._held.clear()
        self._wanted = PRELUDE
        messages: list[EventStreamMessage] = []
        start = 0
        try:
            while len(data) - start >= PRELUDE:
                total, headers_length = self._read_prelude(data, start)
                if len(data) - start < total:
                    self._wanted = total
                    break
                messages.append(_read_message(data[start : start + total], headers_length))
                start += total
        except RemoteProtocolError as broken:
            self._fail(broken.message)
        else:
            self._held += data[start:]
        return messages

    def receive_end(self) -> list[EventStreamMessage]:
        self._end()
        return []

    def _read_prelude(self, data: bytes, start: int) -> tuple[int, int]:
        """Return the length of the message at `start`, and that of its headers."""
        total, headers_length, checksum = LENGTHS.unpack_from(data, start)
        if zlib.crc32(data[start : start + PRELUDE - CRC]) != checksum:
            raise _broken("the checksum of a message's prelude is wrong")
        if headers_length > MAX_HEADERS:
            raise _broken(f"a message has more than {MAX_HEADERS} bytes of headers")
        if total < PRELUDE + headers_length + CRC:
            raise _broken("a message is shorter than its own headers")
        if total > self.max_frame:
            raise RemoteProtocolError(self._too_large("one message of the AWS event stream"))
        return total, headers_length


def _broken(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"the AWS event stream is broken: {what}")


def _read_message(message: bytes, headers_length: int) -> EventStreamMessage:
    (checksum,) = U32.unpack_from(message, len(message) - CRC)
    if zlib.crc32(message[:-CRC]) != checksum:
        raise _broken("the checksum of a message is wrong")
    headers_end = PRELUDE + headers_length
    return EventStreamMessage(_read_headers(message[PRELUDE:headers_end]), message[headers_end:-CRC])


def _read_headers(data: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    position = 0
    while position < len(data):
        raw_name, position = _take(data, position + 1, data[position])
        kind, position = _take(data, position, 1)
        value, position = _read_value(kind[0], data, position)
        name = _decode(raw_name)
        if name in headers:
            raise _broken(f"a message has the header {name!r} twice")
        headers[name] = value
    return headers


def _read_value(kind: int, data: bytes, position: int) -> tuple[HeaderValue, int]:
    """Return the value of type `kind` at `position`, and the position after it."""
    if kind in (TRUE, FALSE):
        return kind == TRUE, position
    if kind in (BYTES, STRING):
        raw, position = _take(data, position, U16.size)
        raw, position = _take(data, position, U16.unpack(raw)[0])
        return (_decode(raw) if kind == STRING else raw), position
    if kind == UUID:
        return _take(data, position, 16)
    integer = INTEGERS.get(kind)
    if integer is None:
        raise _broken(f"a header has the unknown type {kind}")
    raw, position = _take(data, position, integer.size)
    (value,) = integer.unpack(raw)
    return int(value), position


def _take(data: bytes, position: int, size: int) -> tuple[bytes, int]:
    end = position + size
    if end > len(data):
        raise _broken("a header is longer than the headers of its message")
    return data[position:end], end


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _broken("a header is not UTF-8") from error
