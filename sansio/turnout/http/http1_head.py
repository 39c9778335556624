"""Writes and reads simple ("plain") heads of HTTP/1.1 without h11.

h11 needs about 50 µs for a response head of 16 fields; this module needs 6, because it validates all fields of a head
together. It accepts only heads with a single interpretation. For every other head it returns None, and h11 decides. A
property test compares the two on heads of every kind: h11 reads the same status, fields and framing in a head that this
module accepts, and writes the same bytes for a request that it writes.

A response head is plain if all of this is true:

- it is complete, has at most `MAX_HEAD` bytes, and its version is HTTP/1.1;
- its status is 200 to 599;
- every line ends in CRLF, and contains no other control character, not even HTAB;
- every field is a token, a colon, one space, and a value without spaces at its ends;
- Content-Length, Transfer-Encoding and Connection occur at most once each, the first two never together;
- Content-Length has at most 15 digits, Transfer-Encoding is "chunked", Connection is "keep-alive" or "close".

A request is plain if its method is not CONNECT, and none of its fields is Host or affects framing or the connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import attrs

from turnout.errors import LocalProtocolError
from turnout.http import Headers

__all__ = [
    "MAX_HEAD",
    "PlainHead",
    "PlainRequestHead",
    "check_fields",
    "encode_plain_request",
    "read_plain_head",
    "read_plain_request_head",
]

# Servers allow 8 to 64 KiB for a head; a large cookie or policy field of a CDN fits well into this.
MAX_HEAD: Final = 65536

# VCHAR, obs-text and SP of RFC 9110 section 5.5. HTAB is allowed there too, but no server needs it.
_VALUE_BYTES: Final = bytes((*range(0x20, 0x7F), *range(0x80, 0x100)))
_CRLF: Final = b"\r\n" * 512
_FRAMING: Final = ("content-length", "transfer-encoding", "connection")

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_REQUEST_LINE = re.compile(r"([A-Z]+) ([!-~]+) HTTP/1\.1\r\n")
_STATUS_LINE = re.compile(r"HTTP/1\.1 ([2-5][0-9][0-9]) [^\r]*\r\n")
# Each line of a field is one match, if every CR in the text is the end of a line.
_FIELD = re.compile(r"^([-!#$%&'*+.^_`|~0-9A-Za-z]+): ([^\r]*)\r$", re.MULTILINE)
_REQUEST = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/1\.1\r\nHost: [!-~]+\r\n")
# h11 derives a state from each of these: whether the connection can be reused, and which messages the server may send.
_NOT_PLAIN: Final = frozenset({"connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"})


# `define` and not `frozen`, at half the cost, because each call makes one.
@attrs.define
class PlainHead:
    """The head of a response.

    Attributes:
        status: 200 to 599.
        headers: The fields, as received.
        size: How many bytes the head has; the body follows it.
        length: The value of Content-Length; None if there is no such field.
        chunked: Whether the body is in the chunked coding.
        closes: Whether the server closes the connection after this response.
    """

    status: int
    headers: Headers
    size: int
    length: int | None
    chunked: bool
    closes: bool


@attrs.define
class PlainRequestHead:
    """The head of a request.

    Attributes:
        method: The method.
        target: The request target.
        headers: The fields, as received.
        size: How many bytes the head has; the body follows it.
        length: The value of Content-Length; None if there is no such field.
        chunked: Whether the body is in the chunked coding.
        closes: Whether the client closes the connection after the response.
    """

    method: str
    target: str
    headers: Headers
    size: int
    length: int | None
    chunked: bool
    closes: bool


def read_plain_head(data: bytes) -> PlainHead | None:
    """Read the response head that `data` begins with.

    Returns:
        The head; None if it is incomplete or not plain. It may still be valid.
    """
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end < 0:
        return None
    text = _plain_text(data[: end + 2])
    if text is None:
        return None
    first = _STATUS_LINE.match(text)
    if first is None:
        return None
    found = _plain_fields(text, first.end())
    return None if found is None else PlainHead(int(first[1]), found[0], end + 4, *found[1:])


def read_plain_request_head(data: bytes) -> PlainRequestHead | None:
    """Read the request head that `data` begins with.

    It is plain by the same rules as a response head, if its first line has three parts and it has one Host.

    Returns:
        The head; None if it is incomplete or not plain. It may still be valid.
    """
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end < 0:
        return None
    text = _plain_text(data[: end + 2])
    if text is None:
        return None
    first = _REQUEST_LINE.match(text)
    if first is None:
        return None
    found = _plain_fields(text, first.end(), "host")
    if found is None or not found[0].get("host"):
        return None
    return PlainRequestHead(first[1], first[2], found[0], end + 4, *found[1:])


def _plain_text(head: bytes) -> str | None:
    """Return a head as text; None if a byte or a blank in it is not plain."""
    text = head.decode("latin-1")
    # Without the bytes that are allowed in a line, exactly one CRLF for each line must remain.
    rest = head.translate(None, _VALUE_BYTES)
    if len(rest) > len(_CRLF) or rest != _CRLF[: len(rest)] or len(rest) != 2 * text.count("\r\n"):
        return None
    return None if " \r" in text or ":  " in text else text


def _plain_fields(text: str, start: int, *single: str) -> tuple[Headers, int | None, bool, bool] | None:
    """Return the fields, Content-Length, whether the body is chunked, and whether the connection closes.

    Args:
        text: The head, as `_plain_text` returns it.
        start: The position of the first field.
        *single: Further names that must not be repeated.
    """
    fields = tuple(_FIELD.findall(text, start))
    if len(fields) != text.count("\r", start):
        return None  # a line that is no token, a colon, a space and a value
    names, values = zip(*fields, strict=True) if fields else ((), ())
    lower: dict[str, str] = dict(zip(map(str.lower, names), values, strict=True))
    if len(lower) != len(fields):
        # A repeated name, as of Set-Cookie: the first value counts. None of those that concern framing may be repeated.
        repeated = [name.lower() for name in names]
        if any(repeated.count(name) > 1 for name in (*_FRAMING, *single)):
            return None
        for name, value in reversed(fields):
            lower[name.lower()] = value
    length, coding, connection = map(lower.get, _FRAMING)
    if coding is not None and (coding != "chunked" or length is not None):
        return None
    if length is not None and not (length.isdecimal() and length.isascii() and len(length) <= 15):
        return None
    closes = False
    if connection is not None:
        connection = connection.lower()
        if connection not in ("keep-alive", "close"):
            return None
        closes = connection == "close"
    headers = Headers.of_known(fields, lower)
    return headers, int(length) if length is not None else None, coding is not None, closes


def encode_plain_request(method: str, target: str, host: str, headers: Headers, length: int | None) -> bytes | None:
    """Return the head of a request: Host before the fields, and Content-Length behind them.

    Args:
        method: The method.
        target: In origin form, or the whole URL for a proxy.
        host: The value of Host.
        headers: The other fields. The object keeps their bytes, so that the next request with it is cheap.
        length: The value of Content-Length; None if there shall be no such field.

    Returns:
        The bytes; None if the request is not plain.

    Raises:
        LocalProtocolError: A field cannot be sent.
    """
    encoded = headers.encoded or _encode_fields(headers)
    if encoded is None:
        return None
    first = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n"
    if _REQUEST.fullmatch(first) is None or method == "CONNECT":
        return None
    last = b"\r\n" if length is None else b"Content-Length: %d\r\n\r\n" % length
    return first.encode("ascii") + encoded + last


def _encode_fields(headers: Headers) -> bytes | None:
    """Return the fields as bytes, and keep them; None if a field is not plain. Raises as `encode_plain_request`."""
    base, before, fields = headers.base, b"", headers[:]
    if base is not None:
        kept = base.encoded or _encode_fields(base)
        if kept is None:
            return None
        before, fields = kept, headers[len(base) :]
    check_fields(fields)
    lines = []
    for name, value in fields:
        if name.lower() in _NOT_PLAIN:
            return None
        lines.append(f"{name}: {value}\r\n")
    headers.encoded = before + "".join(lines).encode("latin-1")
    return headers.encoded


def check_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Check the fields of a request.

    Raises:
        LocalProtocolError: One cannot be sent. The message shows no value, which may be a secret.
    """
    for name, value in fields:
        if _TOKEN.fullmatch(name) is None:
            raise LocalProtocolError(f"{name!r} is not a valid name of a header field")
        if _VALUE.fullmatch(value) is None:
            raise LocalProtocolError(
                f"the value of the header field {name} cannot be sent: it holds a line break, a control character, "
                "a blank at an end, or a character outside Latin-1"
            )
        if name.lower() == "transfer-encoding":
            raise LocalProtocolError("a request cannot set Transfer-Encoding: the transport sets it")
