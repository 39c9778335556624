"""Reads HTTP/1.1 requests from bytes that come in any pieces. Lenient where clients differ, strict where they err.

A request body is framed by Content-Length or chunked (RFC 9112, section 6). Bytes of the next request, sent before
this one was answered, are kept for it.
"""

from __future__ import annotations

import attrs

__all__ = ["HttpRequestHead", "MalformedRequest", "RawRequest", "RequestReader"]

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 256 * 1024 * 1024


class MalformedRequest(Exception):
    """The client sent no HTTP that can be read; the connection is of no further use."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@attrs.frozen
class HttpRequestHead:
    """`headers` has names in lower case; of a repeated name the values are joined with a comma (RFC 9110, 5.3)."""

    method: str
    target: str
    version: str
    headers: dict[str, str] = attrs.field(repr=False)

    @property
    def keep_alive(self) -> bool:
        tokens = {token.strip().lower() for token in self.headers.get("connection", "").split(",")}
        return "close" not in tokens and (self.version == "HTTP/1.1" or "keep-alive" in tokens)


@attrs.frozen
class RawRequest:
    head: HttpRequestHead
    body: bytes = attrs.field(repr=False)


@attrs.define
class RequestReader:
    """Feed it bytes, then take requests. `expects_continue` is true once a client waits for a 100."""

    _buffer: bytearray = attrs.field(factory=bytearray, init=False)
    _head: HttpRequestHead | None = attrs.field(default=None, init=False)
    _length: int | None = attrs.field(default=None, init=False)  # None: chunked
    _body: bytearray = attrs.field(factory=bytearray, init=False)
    _scanned: int = attrs.field(default=0, init=False)
    expects_continue: bool = attrs.field(default=False, init=False)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_request(self) -> RawRequest | None:
        """The next whole request, or None while more bytes are needed. Raises MalformedRequest."""
        if self._head is None and not self._read_head():
            return None
        head = self._head
        assert head is not None
        done = self._read_chunked() if self._length is None else self._read_counted(self._length)
        if not done:
            return None
        request = RawRequest(head, bytes(self._body))
        self._head, self._body, self.expects_continue = None, bytearray(), False
        return request

    def _read_head(self) -> bool:
        while self._buffer[:2] == b"\r\n":  # an empty line before the request is to be ignored (RFC 9112, 2.2)
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > HEAD_LIMIT:
                raise MalformedRequest(431, "the request head is too long")
            return False
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        self._scanned = 0
        self._head = head = _head_of(lines)
        self._length = _length_of(head)
        self.expects_continue = head.headers.get("expect", "").lower() == "100-continue"
        return True

    def _read_counted(self, length: int) -> bool:
        if len(self._buffer) < length:
            return False
        self._body += self._buffer[:length]
        del self._buffer[:length]
        return True

    def _read_chunked(self) -> bool:
        while True:
            line_end = self._buffer.find(b"\r\n")
            if line_end < 0:
                if len(self._buffer) > HEAD_LIMIT:
                    raise MalformedRequest(400, "a chunk size line is too long")
                return False
            size_text = bytes(self._buffer[:line_end]).split(b";")[0].strip()
            try:
                size = int(size_text, 16)
            except ValueError:
                raise MalformedRequest(400, "a chunk size is not a number") from None
            if size < 0 or size + len(self._body) > BODY_LIMIT:
                raise MalformedRequest(413, "the request body is too long")
            if size == 0:
                return self._read_trailers(line_end)
            end = line_end + 2 + size
            if len(self._buffer) < end + 2:
                return False
            if self._buffer[end : end + 2] != b"\r\n":
                raise MalformedRequest(400, "a chunk does not end where its size says")
            self._body += self._buffer[line_end + 2 : end]
            del self._buffer[: end + 2]

    def _read_trailers(self, line_end: int) -> bool:
        if self._buffer[line_end : line_end + 4] == b"\r\n\r\n":
            del self._buffer[: line_end + 4]
            return True
        end = self._buffer.find(b"\r\n\r\n", line_end)
        if end < 0:
            return False
        del self._buffer[: end + 4]
        return True


def _head_of(lines: list[str]) -> HttpRequestHead:
    try:
        method, target, version = lines[0].split(" ")
    except ValueError:
        raise MalformedRequest(400, "the request line has not three parts") from None
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise MalformedRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedRequest(400, "a header line has no proper name")
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value.strip()}" if lower in headers else value.strip()
    if version == "HTTP/1.1" and "host" not in headers:
        raise MalformedRequest(400, "HTTP/1.1 needs a Host field")
    return HttpRequestHead(method, target, version, headers)


def _length_of(head: HttpRequestHead) -> int | None:
    coding = head.headers.get("transfer-encoding")
    length = head.headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise MalformedRequest(400, "the body is framed in a way that is not understood")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()):
        raise MalformedRequest(400, "Content-Length is not a number")
    if int(length) > BODY_LIMIT:
        raise MalformedRequest(413, "the request body is too long")
    return int(length)
