"""Reads the HTTP/1.1 requests of one connection, and builds the bytes of responses.

`http1_head` reads a plain head, and h11 reads every other one. What h11 has read past the head is taken from its
`trailing_data`, and the body goes through `http1_body`: the client's machine (`turnout.http.http1`), turned round.

    reader = RequestReader()
    reader.receive_data(data)                  # for every read
    request = reader.next_request()            # None: more bytes are needed; `reader.head` can be there already

States: reading a head, reading a body, failed. `next_request` raises `MalformedRequest` for bytes that are no valid
request. The reader stays failed then, because the position of a next request is not known. Requests that were
complete before are returned first.

Stricter than h11, because a proxy before this server could read the same bytes in another way:

- a request with both Content-Length and Transfer-Encoding is rejected (RFC 9112, section 6.1);
- the lines of a head end in CR LF, never in LF alone;
- the limit of a head holds however its bytes were split;
- a body that is declared too long is rejected before its first byte.
"""

from __future__ import annotations

import re
from typing import Final

import attrs
import h11

from turnout.errors import LocalProtocolError, RemoteProtocolError
from turnout.http import Headers
from turnout.http.http1_body import ChunkedBody, LengthBody
from turnout.http.http1_head import PlainRequestHead, read_plain_request_head

__all__ = [
    "MAX_BODY",
    "MAX_HEAD",
    "MalformedRequest",
    "RequestHead",
    "RequestReader",
    "ServedRequest",
    "chunk",
    "response_head",
]

MAX_HEAD: Final = 64 * 1024
"""Bytes that a request's head can have, its empty lines before it included."""

_HEAD_END: Final = re.compile(rb"\n\r?\n")
_LAST_CONTROL: Final = 0x20  # h11 refuses a request that begins with such a byte at once
_LEAST_HEAD: Final = 26  # "GET / HTTP/1.1", one Host, and the empty line

MAX_BODY: Final = 32 * 1024 * 1024
"""Bytes that a request's body can have, unless the reader is made with another limit."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

_REASONS: Final = {
    200: b"OK",
    204: b"No Content",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
    529: b"Overloaded",
}


class MalformedRequest(RemoteProtocolError):
    """A client sent bytes that are not a valid request. `status` is the status of the last response."""

    def __init__(self, message: str = "", *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@attrs.frozen
class RequestHead:
    """The head of a request.

    Args:
        method: The method, such as POST.
        target: The request target as it was sent.
        http_version: `1.1` or `1.0`.
        headers: The fields in order.
        keep_alive: True if the client accepts another request on this connection.
        expects_continue: True if the client waits for an interim response before it sends the body.
    """

    method: str
    target: str
    http_version: str
    headers: Headers
    keep_alive: bool
    expects_continue: bool

    @property
    def path(self) -> str:
        """The path of the target, without its query. An absolute URL as target is valid, too."""
        path = self.target.partition("?")[0]
        if path.startswith(("http://", "https://")):
            path = "/" + path.partition("://")[2].partition("/")[2]
        return path


@attrs.frozen
class ServedRequest:
    """One complete request."""

    head: RequestHead
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")


@attrs.define(eq=False)
class RequestReader:
    """Reads the requests of one connection.

    Args:
        max_head: Bytes that a head can have.
        max_body: Bytes that a body can have.
        head: The head of the request until its body is complete, None between requests. It remains after a failure,
            because its path decides the form of the error response.
    """

    max_head: int = attrs.field(default=MAX_HEAD, kw_only=True)
    max_body: int = attrs.field(default=MAX_BODY, kw_only=True)
    head: RequestHead | None = attrs.field(default=None, init=False)
    _failure: MalformedRequest | None = attrs.field(default=None, init=False)
    _pending: bytes = attrs.field(default=b"", init=False)  # bytes that no step has taken yet
    _raw_head: bytearray = attrs.field(factory=bytearray, init=False)
    _h11: h11.Connection | None = attrs.field(default=None, init=False)
    _body: LengthBody | ChunkedBody | None = attrs.field(default=None, init=False)
    _received: bytes | bytearray = attrs.field(default=b"", init=False)  # of the body; most arrive in one read
    _size: int = attrs.field(default=0, init=False)
    _skipped: int = attrs.field(default=0, init=False)  # bytes of empty lines before this head

    @property
    def buffered(self) -> int:
        """The number of bytes of later requests that are held."""
        return len(self._pending)

    @property
    def body_size(self) -> int:
        """The number of bytes of the present body that have arrived."""
        return self._size

    @property
    def idle(self) -> bool:
        """True if no byte of a request has arrived that is not returned."""
        return self.head is None and not self._pending and not self._raw_head

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the connection.

        Raises:
            LocalProtocolError: If `data` is empty. The reader does not need the end of a connection.
        """
        if not data:
            raise LocalProtocolError("receive_data() needs bytes")
        self._pending = self._pending + data if self._pending else data

    def next_request(self) -> ServedRequest | None:
        """Return the next request, None if more bytes are needed.

        Raises:
            MalformedRequest: The bytes are no valid request, or one that is too large.
        """
        if self._failure is not None:
            raise self._failure
        try:
            if self._body is None and not self._read_head():
                return None
            return self._read_body()
        except MalformedRequest as failure:
            self._failure = failure
            self._pending = b""
            raise

    # -- the head -----------------------------------------------------------------------------------------------

    def _read_head(self) -> bool:
        if not self._raw_head:
            self._skip_empty_lines()
            # Most heads arrive complete and are plain. h11 would give the same result at five times the cost.
            plain = read_plain_request_head(self._pending) if len(self._pending) > _LEAST_HEAD else None
            if plain is not None and plain.size + self._skipped <= self.max_head:
                self._skipped = 0
                self._pending = self._pending[plain.size :]
                self._begin_plain_body(plain)
                return True
        data, self._pending = self._pending, b""
        if not data:
            return False
        if not self._raw_head and data == b"\r":
            self._pending = data
            return False
        if self._h11 is None:
            limit = max(0, self.max_head - self._skipped)
            self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limit)
        self._raw_head += data
        connection = self._h11
        try:
            connection.receive_data(data)
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            # 400 is h11's word for everything that it has no status for.
            problem = str(error).partition(": bytearray(")[0]
            status = 431 if self._is_too_long() else error.error_status_hint
            raise MalformedRequest(f"this is not HTTP/1.1: {problem}", status=status) from None
        if not isinstance(event, h11.Request):
            return False
        rest = connection.trailing_data[0]
        raw = bytes(self._raw_head[: len(self._raw_head) - len(rest)])
        self._h11, self._raw_head = None, bytearray()
        if len(raw) + self._skipped > self.max_head:
            raise MalformedRequest("the head of the request is too long", status=431)
        if raw.count(b"\n") != raw.count(b"\r\n"):
            raise MalformedRequest("a line of the head ends in LF alone")
        self._skipped = 0
        self._pending = rest
        self._begin_body(event)
        return True

    def _is_too_long(self) -> bool:
        """Return whether an invalid head is above the limit, too: in more reads, h11 would have seen that first."""
        end = _HEAD_END.search(self._raw_head)
        size = end.end() if end is not None else len(self._raw_head)
        return size + self._skipped > self.max_head and self._raw_head[0] > _LAST_CONTROL

    def _skip_empty_lines(self) -> None:
        """Skip the empty lines that a client can send before its request (RFC 9112, section 2.2)."""
        pending = self._pending
        start = 0
        while pending.startswith(b"\r\n", start):
            start += 2
        if start:
            self._pending = pending[start:]
            self._skipped += start
            if self._skipped > self.max_head:
                raise MalformedRequest("the head of the request is too long", status=431)

    def _begin_body(self, request: h11.Request) -> None:
        version = request.http_version.decode()
        headers = Headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw_items()
        )
        tokens = {token.strip().lower() for value in headers.get_all("connection") for token in value.split(",")}
        self.head = RequestHead(
            method=request.method.decode("ascii"),
            target=request.target.decode("latin-1"),
            http_version=version,
            headers=headers,
            keep_alive="close" not in tokens and (version == "1.1" or "keep-alive" in tokens),
            expects_continue=version == "1.1" and (headers.get("expect") or "").lower() == "100-continue",
        )
        # h11 has checked both fields: the one coding is "chunked", and the lengths agree.
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if version not in ("1.1", "1.0"):
            raise MalformedRequest("this server speaks HTTP/1.1", status=505)
        if coding is not None:
            if length is not None:
                raise MalformedRequest("a request cannot have both Content-Length and Transfer-Encoding")
            if version == "1.0":
                raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding")
            self._body = ChunkedBody()
            return
        self._body = self._counted(int(length.split(",")[0]) if length is not None else 0)

    def _begin_plain_body(self, plain: PlainRequestHead) -> None:
        self.head = RequestHead(
            method=plain.method,
            target=plain.target,
            http_version="1.1",
            headers=plain.headers,
            keep_alive=not plain.closes,
            expects_continue=(plain.headers.get("expect") or "").lower() == "100-continue",
        )
        self._body = ChunkedBody() if plain.chunked else self._counted(plain.length or 0)

    def _counted(self, size: int) -> LengthBody:
        if size > self.max_body:
            raise MalformedRequest(f"the body has more than {self.max_body} bytes", status=413)
        return LengthBody(size)

    # -- the body -----------------------------------------------------------------------------------------------

    def _read_body(self) -> ServedRequest | None:
        body = self._body
        assert body is not None
        data, self._pending = self._pending, b""
        if data and not body.ended:
            if isinstance(body, LengthBody):
                data, self._pending = data[: body.remaining], data[body.remaining :]
            piece = body.receive_data(data)
            self._size += len(piece)
            if body.failure is not None:
                raise MalformedRequest(f"the body cannot be read: {body.failure.message}")
            if self._size + (0 if body.ended else body.remaining) > self.max_body:
                raise MalformedRequest(f"the body has more than {self.max_body} bytes", status=413)
            if not self._received:
                self._received = piece
            else:
                # One buffer that grows: many short reads need no object each.
                if isinstance(self._received, bytes):
                    self._received = bytearray(self._received)
                self._received += piece
            if isinstance(body, ChunkedBody):
                self._pending = body.rest
        else:
            self._pending = data
        if not body.ended:
            return None
        head, self.head = self.head, None
        assert head is not None
        request = ServedRequest(head, bytes(self._received))
        self._body, self._received, self._size = None, b"", 0
        return request


# -- responses ----------------------------------------------------------------------------------------------------


def response_head(status: int, headers: list[tuple[str, str]]) -> bytes:
    """Return the head of a response.

    Raises:
        LocalProtocolError: A header holds a line break or a character outside Latin-1.
    """
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Unknown"))]
    for name, value in headers:
        try:
            line = f"{name}: {value}".encode("latin-1")
        except UnicodeEncodeError:
            raise LocalProtocolError(f"the value of {name} has characters outside Latin-1") from None
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise LocalProtocolError(f"the value of {name} has a line break")
        lines.append(line + b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def chunk(data: bytes) -> bytes:
    """Return bytes as one chunk of a chunked body, b"" for no bytes."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
