"""Plain heads: whatever is accepted here means the same to h11, and what servers really send is accepted."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import LocalProtocolError
from turnout.http import Headers
from turnout.http.http1_head import MAX_HEAD, PlainHead, encode_plain_request, read_plain_head

OPENAI = (
    b"HTTP/1.1 200 OK\r\nDate: Tue, 14 Jul 2026 09:21:07 GMT\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\nx-ratelimit-limit-requests: 10000\r\n"
    b"set-cookie: __cf_bm=a; path=/; HttpOnly\r\nset-cookie: _cfuvid=b; path=/\r\n"
    b'alt-svc: h3=":443"; ma=86400\r\n\r\n'
)


def h11_connection(request: bytes | None = None) -> tuple[h11.Connection, bytes]:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    head = connection.send(h11.Request(method="POST", target="/", headers=[("Host", "h"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    return connection, head


def by_h11(data: bytes) -> tuple[object, ...]:
    """What h11 makes of a head: status, fields, what follows, the framing of the body, and whether it is the last."""
    connection, _ = h11_connection()
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Response), event
    fields = dict(event.headers)
    length = fields.get(b"content-length")
    return (
        event.status_code,
        tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers.raw_items()),
        connection.trailing_data[0],
        int(length) if length is not None else None,
        b"transfer-encoding" in fields,
        connection.our_state is not h11.DONE,
    )


def ours(head: PlainHead, data: bytes) -> tuple[object, ...]:
    return (head.status, tuple(head.headers), data[head.size :], head.length, head.chunked, head.closes)


# -- heads of every kind: nearly plain ones, and any bytes ---------------------------------------------------------

NAMES = st.sampled_from(
    ["Content-Length", "content-length", "Transfer-Encoding", "Connection", "Set-Cookie", "Upgrade", "X", "x-a", ""]
) | st.text(st.sampled_from("abzAZ-_09!~ :\t\x00\x7f\xe9"), max_size=6)
VALUES = st.sampled_from(
    ["0", "5", "007", "5,5", "5, 6", "+5", "1_0", "²", "9" * 15, "9" * 16, "9" * 21, "chunked", "Chunked",
     "gzip, chunked", "close", "Close", "keep-alive", "keep-alive, close", "upgrade", "", " ", "a b", " a", "a ",
     "a\tb", "a: b", "a:  b", "é", "\x7f", "\x00", "\x85", "\xa0", "\x0b", "h2c"]
) | st.text(st.characters(max_codepoint=255), max_size=8)  # fmt: skip
LINES = st.tuples(NAMES, st.sampled_from([": ", ":", ":  ", " : ", "", ":\t"]), VALUES).map("".join) | st.text(
    st.characters(max_codepoint=255), max_size=10
)
STATUS_LINES = st.sampled_from(
    ["HTTP/1.1 200 OK", "HTTP/1.1 204 No Content", "HTTP/1.1 500 ", "HTTP/1.1 200", "HTTP/1.1 304 Not Modified",
     "HTTP/1.0 200 OK", "HTTP/1.1 199 x", "HTTP/1.1 101 Switching", "HTTP/1.1 600 x", "HTTP/1.1 2000 x", "HTTP/1.1 20",
     "HTTP/1.1  200 OK", "http/1.1 200 OK", "HTTP/1.1 200\tOK", "HTTP/1.1 429 Too Many\xa0Requests", "HTTP/2 200 OK",
     "HTTP/1.1 ²00 x", "\r\nHTTP/1.1 200 OK"]
)  # fmt: skip
ENDS = st.sampled_from(["\r\n"] * 9 + ["\n", "\r", "\r\r\n", "\r\n "])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    lines = [draw(STATUS_LINES), *draw(st.lists(LINES, max_size=6))]
    text = "".join(line + draw(ENDS) for line in lines) + draw(st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", ""]))
    return text.encode("latin-1") + draw(st.sampled_from([b"", b"body", b"5\r\nhello\r\n", b"\r\n"]))


@given(heads() | st.binary(max_size=60).map(lambda junk: OPENAI[:40] + junk + OPENAI[40:]))
def test_whatever_is_plain_means_the_same_to_h11(data: bytes) -> None:
    head = read_plain_head(data)
    if head is not None:
        assert ours(head, data) == by_h11(data)


@st.composite
def plain_heads(draw: st.DrawFn) -> bytes:
    token = st.text(st.sampled_from("abcXYZ019-_.!#$%&'*+^`|~"), min_size=1, max_size=12)
    word = st.text(
        st.sampled_from([chr(code) for code in (*range(0x21, 0x7F), *range(0x80, 0x100))]), min_size=1, max_size=9
    )
    value = st.lists(word, max_size=4).map(" ".join)
    known = [("Content-Length", str(draw(st.integers(0, 10**14)))), ("Transfer-Encoding", "chunked")]
    framing = [known[draw(st.integers(0, 1))]] if draw(st.booleans()) else []
    if draw(st.booleans()):
        framing.append(("Connection", draw(st.sampled_from(["close", "keep-alive", "Keep-Alive"]))))
    other = token.filter(lambda name: name.lower() not in ("content-length", "connection", "transfer-encoding"))
    fields = draw(st.permutations([*framing, *draw(st.lists(st.tuples(other, value), max_size=5))]))
    lines = [f"HTTP/1.1 {draw(st.integers(200, 599))} {draw(word)}", *(f"{name}: {value}" for name, value in fields)]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\nrest"


@pytest.mark.full
@given(plain_heads())
def test_a_head_without_anything_unusual_is_plain(data: bytes) -> None:
    head = read_plain_head(data)
    assert head is not None or b": \r" in data or b":  " in data
    if head is not None:
        assert ours(head, data) == by_h11(data)
        assert all(head.headers.get(name) == Headers(head.headers).get(name) for name, _ in head.headers)


def test_the_head_of_a_large_provider_is_plain() -> None:
    head = read_plain_head(OPENAI + b"5\r\nhello\r\n")
    assert head is not None
    assert (head.status, head.length, head.chunked, head.closes, head.size) == (200, None, True, False, len(OPENAI))
    assert head.headers.get("SET-cookie") == "__cf_bm=a; path=/; HttpOnly"
    assert head.headers.get_all("set-cookie") == ("__cf_bm=a; path=/; HttpOnly", "_cfuvid=b; path=/")
    assert head.headers == Headers(tuple(head.headers))


@pytest.mark.parametrize("size", range(len(OPENAI)))
def test_a_part_of_a_head_is_not_plain(size: int) -> None:
    assert read_plain_head(OPENAI[:size]) is None


def test_a_head_that_is_too_long_or_has_too_many_fields_is_not_plain() -> None:
    field = b"x: %b\r\n"
    for longest, more in ((MAX_HEAD, b"y"), (MAX_HEAD - 1, b"")):
        rest = longest - len(b"HTTP/1.1 200 OK\r\n" + field % b"" + b"\r\n")
        data = b"HTTP/1.1 200 OK\r\n" + field % (b"v" * rest + more) + b"\r\n"
        assert (read_plain_head(data) is None) == (len(data) > MAX_HEAD)
    many = b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: v\r\n" % number for number in range(512)) + b"\r\n"
    assert read_plain_head(many) is None


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "Connection: close\r\nConnection: keep-alive\r\n",
        "X: a\r\n b\r\n",
        "X: a\nY: b\r\n",
        "X : a\r\n",
        "X: a\tb\r\n",
    ],
)
def test_what_leaves_something_to_decide_is_not_plain(fields: str) -> None:
    assert read_plain_head(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode()) is None


# -- requests -------------------------------------------------------------------------------------------------------

TOKENS = st.text(st.sampled_from("abcXYZ019-_.!#$%&'*+^`|~"), min_size=1, max_size=8)
REQUEST_NAMES = TOKENS | st.sampled_from(["Host", "Connection", "Expect", "Upgrade", "Content-Length", "Accept"])
REQUEST_VALUES = st.lists(st.text(st.sampled_from("ab01~!é\xff"), min_size=1, max_size=5), max_size=3).map(" ".join)
TARGETS = st.text(st.sampled_from("/ab?=&%~ \té"), min_size=1, max_size=8)


@given(
    st.sampled_from(["GET", "POST", "CONNECT", "HEAD", "M-SEARCH", "B AD", ""]),
    TARGETS,
    st.sampled_from(["example.test", "example.test:8080", "[::1]:80"]),
    st.lists(st.tuples(REQUEST_NAMES, REQUEST_VALUES), max_size=5),
    st.none() | st.integers(0, 10**9),
)
def test_a_request_that_is_plain_is_written_as_h11_writes_it(
    method: str, target: str, host: str, fields: list[tuple[str, str]], length: int | None
) -> None:
    head = encode_plain_request(method, target, host, Headers(fields), length)
    special = {"host", "connection", "expect", "upgrade", "content-length"}
    usual = method in ("GET", "POST", "HEAD", "M-SEARCH") and not set(target) & set(" \té")
    assert (head is not None) == (usual and not special & {name.lower() for name, _ in fields})
    if head is not None:
        last = [("Content-Length", str(length))] if length is not None else []
        every = [(name.encode(), value.encode("latin-1")) for name, value in [("Host", host), *fields, *last]]
        connection = h11.Connection(h11.CLIENT)
        assert head == connection.send(h11.Request(method=method, target=target, headers=every))


def test_the_bytes_of_the_fields_are_kept_with_them() -> None:
    headers = Headers([("Authorization", "Bearer k")])
    first = encode_plain_request("POST", "/a", "h", headers, 5)
    kept = headers.encoded
    assert kept == b"Authorization: Bearer k\r\n"
    assert first == b"POST /a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\nContent-Length: 5\r\n\r\n"
    assert encode_plain_request("GET", "/b", "i", headers, None) == (
        b"GET /b HTTP/1.1\r\nHost: i\r\nAuthorization: Bearer k\r\n\r\n"
    )
    assert headers.encoded is kept
    assert "Bearer" not in repr(headers)


@pytest.mark.parametrize(
    "field", [("a b", "v"), ("a", "v\r\nb: c"), ("a", " v"), ("a", "€"), ("Transfer-Encoding", "chunked")]
)
def test_a_field_that_cannot_be_sent_is_an_error_without_its_value(field: tuple[str, str]) -> None:
    for _ in range(2):
        with pytest.raises(LocalProtocolError) as caught:
            encode_plain_request("POST", "/", "h", Headers([field]), 0)
        assert "v\r\n" not in str(caught.value)
        assert "€" not in str(caught.value)
