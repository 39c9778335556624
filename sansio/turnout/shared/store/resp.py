"""Reads and writes RESP, the wire protocol of Valkey and Redis: versions 2 and 3.

`RespParser` splits the bytes of one connection into values. Any split of the bytes gives the same values, and any bytes
give values or a `RemoteProtocolError` in `failure`, never another exception. Time is linear in the bytes; memory is
bounded by `max_value`.

| RESP type | value |
|---|---|
| simple string `+` | `str` |
| blob string `$`, verbatim string `=` | `bytes` |
| number `:`, big number `(` | `int` |
| double `,` | `float` |
| boolean `#` | `bool` |
| null `_`, `$-1`, `*-1` | `None` |
| error `-`, blob error `!` | `RespError` |
| array `*`, set `~` | `tuple` |
| map `%` | `tuple` of (key, value) pairs |
| push `>` | `RespPush` |
| attribute `|` | skipped |

Source: https://valkey.io/topics/protocol/. Streamed types (`$?`, `*?`), which no server sends, are refused.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import attrs

from turnout.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MAX_DEPTH", "MAX_VALUE", "RespError", "RespParser", "RespPush", "RespValue", "encode_command"]

MAX_VALUE: Final = 1024 * 1024
"""Bytes that one reply may have. Replies of the scripts have some hundred."""

MAX_DEPTH: Final = 8
"""How deep arrays and maps may nest."""

MAX_LINE: Final = 64 * 1024  # bytes of a simple string or an error
MAX_NUMBER: Final = 512  # bytes of a line that holds a number

_INTEGER = re.compile(rb"[+-]?[0-9]+\Z")
_LENGTH = re.compile(rb"-1\Z|[0-9]{1,10}\Z")
_DOUBLE = re.compile(rb"[+-]?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|inf|nan)\Z")

_ARRAY, _PAIRS, _PUSH, _ATTRIBUTE = range(4)
_AGGREGATES = {ord("*"): _ARRAY, ord("~"): _ARRAY, ord("%"): _PAIRS, ord(">"): _PUSH, ord("|"): _ATTRIBUTE}
_BLOBS = frozenset(b"$=!")
_LINES = frozenset(b"+-")


@attrs.frozen
class RespError:
    """An error reply, as a value: one command failed, the connection is good.

    Attributes:
        code: The first word, such as `NOSCRIPT` or `MOVED`.
        message: The whole text.
    """

    code: str
    message: str


@attrs.frozen
class RespPush:
    """A message that answers no command, such as one of a subscription (RESP3)."""

    items: tuple[RespValue, ...]


RespValue: TypeAlias = "str | bytes | int | float | bool | RespError | RespPush | tuple[RespValue, ...] | None"


def encode_command(*arguments: str | bytes | int | float) -> bytes:
    """Return one command as bytes: an array of blob strings.

    Args:
        arguments: The command's name and arguments. Text is encoded as UTF-8; a float keeps all its digits.

    Raises:
        LocalProtocolError: If there is no argument.
    """
    if not arguments:
        raise LocalProtocolError("a command needs at least its name")
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


@attrs.define
class _Aggregate:
    """An array, map, push or attribute that is not complete."""

    kind: int
    missing: int
    items: list[RespValue] = attrs.field(factory=list)

    def value(self) -> RespValue:
        if self.kind == _PAIRS:
            pairs = zip(self.items[::2], self.items[1::2], strict=True)
            return tuple(pairs)
        return RespPush(tuple(self.items)) if self.kind == _PUSH else tuple(self.items)


@attrs.define(eq=False)
class RespParser:
    """Splits the bytes of one connection into replies.

    Attributes:
        max_value: Bytes that one reply may have before the parser fails.
        failure: None, or the error that ended the parsing. The values returned before it are good.
    """

    max_value: int = attrs.field(default=MAX_VALUE, kw_only=True)
    failure: RemoteProtocolError | None = attrs.field(default=None, init=False)
    _buffer: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _at: int = attrs.field(default=0, init=False)  # the first byte that is not parsed
    _searched: int = attrs.field(default=0, init=False)  # no end of a line lies before this
    _size: int = attrs.field(default=0, init=False)  # parsed bytes of the unfinished reply
    _blob: int | None = attrs.field(default=None, init=False)  # length of the blob that is being read
    _blob_type: int = attrs.field(default=0, init=False)
    _open: list[_Aggregate] = attrs.field(factory=list, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    @property
    def complete(self) -> bool:
        """True if the bytes so far end with the end of a reply."""
        return self.failure is None and not self._size and not self._buffer

    def receive_data(self, data: bytes) -> list[RespValue]:
        """Return the replies that `data` completes.

        Raises:
            LocalProtocolError: If `receive_end` was called before.
        """
        if self._ended:
            raise LocalProtocolError("RespParser.receive_data was called after receive_end")
        values: list[RespValue] = []
        if self.failure is not None:
            return values
        self._buffer += data
        try:
            while self._read_one(values):
                pass
        except _Malformed as error:
            self.failure = RemoteProtocolError(f"the store sent malformed RESP: {error}")
            self._buffer.clear()
            self._open.clear()
            return values
        del self._buffer[: self._at]
        self._searched -= self._at
        self._at = 0
        return values

    def receive_end(self) -> None:
        """Note the end of the connection. Inside a reply it is a failure.

        Raises:
            LocalProtocolError: If it was called before.
        """
        if self._ended:
            raise LocalProtocolError("RespParser.receive_end was called twice")
        self._ended = True
        if self.failure is None and not self.complete:
            self.failure = RemoteProtocolError("the store closed the connection inside a reply")

    # -- one element --------------------------------------------------------------------------------------------

    def _read_one(self, values: list[RespValue]) -> bool:
        """Read one element; False if its bytes have not all arrived."""
        if self._blob is not None:
            return self._read_blob(self._blob, values)
        line = self._read_line()
        if line is None:
            return False
        kind, text = line[0], line[1:]
        if kind in _LINES:
            decoded = text.decode("utf-8", "replace")
            self._add(decoded if kind == ord("+") else _error(decoded), values)
        elif kind in _BLOBS:
            length = _length(text)
            if length is None:
                self._add(None, values)
            else:
                self._check_size(length)
                self._blob, self._blob_type = length, kind
        elif kind in _AGGREGATES:
            self._begin(_AGGREGATES[kind], _length(text), values)
        else:
            self._add(_scalar(kind, text), values)
        return True

    def _read_line(self) -> bytes | None:
        buffer = self._buffer
        end = buffer.find(b"\r\n", max(self._at, self._searched - 1))
        found = len(buffer) - buffer.endswith(b"\r") if end < 0 else end
        if found > self._at:
            bound = MAX_LINE if buffer[self._at] in _LINES else MAX_NUMBER
            # The check does not depend on whether the end of the line has arrived, so that all splits fail alike.
            if found - self._at > bound:
                raise _Malformed(f"a line is longer than {bound} bytes")
            self._check_size(found - self._at)
        if end < 0:
            self._searched = len(buffer)
            return None
        if end == self._at:
            raise _Malformed("an empty line")
        line = bytes(buffer[self._at : end])
        self._consume(end + 2 - self._at)
        return line

    def _read_blob(self, length: int, values: list[RespValue]) -> bool:
        end = self._at + length
        if len(self._buffer) < end + 2:
            return False
        if self._buffer[end : end + 2] != b"\r\n":
            raise _Malformed(f"a blob of {length} bytes has no line break after it")
        data = bytes(self._buffer[self._at : end])
        self._consume(length + 2)
        self._blob = None
        if self._blob_type == ord("!"):
            self._add(_error(data.decode("utf-8", "replace")), values)
        elif self._blob_type == ord("="):
            # Three letters name the format, then a colon.
            if data[3:4] != b":":
                raise _Malformed("a verbatim string without a format")
            self._add(data[4:], values)
        else:
            self._add(data, values)
        return True

    def _begin(self, kind: int, count: int | None, values: list[RespValue]) -> None:
        if count is None:
            if kind != _ARRAY:
                raise _Malformed("only an array may have the length -1")
            self._add(None, values)
            return
        if kind == _PUSH and self._open:
            raise _Malformed("a push inside a reply")
        if kind in (_PAIRS, _ATTRIBUTE):
            count *= 2
        # Each item has at least three bytes, so a count that cannot fit fails before its items arrive.
        self._check_size(3 * count)
        if len(self._open) >= MAX_DEPTH:
            raise _Malformed(f"arrays nest deeper than {MAX_DEPTH}")
        self._open.append(_Aggregate(kind, count))
        self._close_full(values)

    def _add(self, value: RespValue, values: list[RespValue]) -> None:
        if not self._open:
            values.append(value)
            self._size = 0
            return
        self._open[-1].items.append(value)
        self._open[-1].missing -= 1
        self._close_full(values)

    def _close_full(self, values: list[RespValue]) -> None:
        while self._open and not self._open[-1].missing:
            aggregate = self._open.pop()
            if aggregate.kind == _ATTRIBUTE:
                return  # the value that it belongs to follows
            value = aggregate.value()
            if not self._open:
                values.append(value)
                self._size = 0
                return
            self._open[-1].items.append(value)
            self._open[-1].missing -= 1

    def _consume(self, length: int) -> None:
        self._at += length
        self._size += length

    def _check_size(self, more: int) -> None:
        if self._size + more > self.max_value:
            raise _Malformed(f"a reply is larger than {self.max_value} bytes")


class _Malformed(Exception):
    """The bytes are not RESP, or exceed a bound."""


def _scalar(kind: int, text: bytes) -> RespValue:
    if kind == ord("_") and not text:
        return None
    if kind == ord("#") and text in (b"t", b"f"):
        return text == b"t"
    if kind in b":(" and _INTEGER.match(text):
        return int(text)
    if kind == ord(",") and _DOUBLE.match(text):
        return float(text)
    if kind in b"_#:(,":
        raise _Malformed(f"{text[:40]!r} is no value of the type {chr(kind)!r}")
    raise _Malformed(f"{chr(kind)!r} is no type")


def _length(text: bytes) -> int | None:
    """Return the length that a header gives, None for -1."""
    if not _LENGTH.match(text):
        raise _Malformed(f"{text[:40]!r} is no length")
    return None if text == b"-1" else int(text)


def _error(text: str) -> RespError:
    code = text.split(" ", 1)[0]
    return RespError(code, text)
