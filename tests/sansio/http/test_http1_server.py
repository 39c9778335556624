"""The reader of requests: any split gives the same requests, strict framing, limits, and nothing but its own error."""

from __future__ import annotations

from http import HTTPStatus

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.sansio.http.test_http1_body import cut
from turnout.errors import LocalProtocolError
from turnout.http.http1_server import MalformedRequest, RequestReader, ServedRequest, chunk, response_head

TOKEN = st.text("abcXYZ-_19", min_size=1, max_size=8)
VALUE = st.text("abc ,;=\"'/é\x80", max_size=12).map(str.strip)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The framing fields with the encoded body."""
    body = draw(st.binary(max_size=40))
    if draw(st.booleans()):
        if not body and draw(st.booleans()):
            return b"", b""
        return b"Content-Length: %d\r\n" % len(body), body
    pieces = [piece for piece in (body[:7], body[7:20], body[20:]) if piece]
    trailers = draw(st.sampled_from([b"", b"X-Sum: 1\r\n"]))
    return b"Transfer-Encoding: chunked\r\n", b"".join(map(chunk, pieces)) + b"0\r\n" + trailers + b"\r\n"


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from(["GET", "POST", "DELETE", "OPTIONS"]))
    target = "/" + draw(st.text("abc/?=&%19", max_size=12))
    fields = "".join(f"X-{name}: {value}\r\n" for name, value in draw(st.lists(st.tuples(TOKEN, VALUE), max_size=4)))
    framing, body = draw(bodies())
    blank = draw(st.sampled_from([b"", b"\r\n"]))
    return (
        blank + f"{method} {target} HTTP/1.1\r\nHost: a.test\r\n{fields}".encode("latin-1") + framing + b"\r\n" + body
    )


def read(pieces: list[bytes], **limits: int) -> tuple[list[ServedRequest], str | None, bool]:
    """The requests, the failure if there is one, and whether the reader is idle at the end."""
    reader = RequestReader(**limits)
    found: list[ServedRequest] = []
    for piece in pieces:
        reader.receive_data(piece)
        try:
            while (request := reader.next_request()) is not None:
                found.append(request)
        except MalformedRequest as failure:
            return found, f"{failure.status} {failure}", False
    return found, None, reader.idle


@given(st.lists(requests(), min_size=1, max_size=3), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_split_gives_the_same_requests(sent: list[bytes], cuts: list[int]) -> None:
    data = b"".join(sent)
    whole = read([data])
    assert whole[1] is None
    assert len(whole[0]) == len(sent)
    assert whole[2]
    assert read(cut(data, cuts)) == whole
    assert read([data[at : at + 1] for at in range(len(data))]) == whole


@given(requests(), st.sampled_from([(b"", b""), (b"X-", b"x-"), (b": ", b":"), (b"HTTP/1.1", b"HTTP/1.0")]))
def test_a_plain_head_is_what_h11_reads(data: bytes, change: tuple[bytes, bytes]) -> None:
    """Whether a head is plain changes nothing but the cost. A head in two pieces goes through h11."""
    data = data.replace(*change)
    at = data.find(b"\r\n", 2) + 1
    whole, pieces = read([data]), read([data[:at], data[at:]])
    assert whole == pieces


@given(requests())
def test_h11_reads_the_same_request(data: bytes) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data.removeprefix(b"\r\n"))
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    (request,), _, _ = read([data])
    assert request.body == body
    assert request.head.method.encode() == head.method
    assert request.head.target.encode("latin-1") == head.target
    assert [value.encode("latin-1") for _, value in request.head.headers] == [value for _, value in head.headers]


SEED = b"POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n"


@given(
    st.binary(max_size=200) | st.lists(st.tuples(st.integers(0, len(SEED)), st.binary(max_size=3)), max_size=4),
    st.lists(st.integers(0, 10_000), max_size=5),
)
def test_any_bytes_give_requests_or_the_error_of_the_reader(
    noise: bytes | list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = noise if isinstance(noise, bytes) else SEED
    for at, inserted in noise if isinstance(noise, list) else ():
        data = data[:at] + inserted + data[at + 1 :]
    whole = read([data] if data else [])
    again = read(cut(data, cuts))
    assert again[0] == whole[0]
    assert (again[1] or "")[:3] == (whole[1] or "")[:3]


HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
        (HEAD + b"Content-Length: -3\r\n\r\n", 400),
        (HEAD + b"Content-Length: 0x3\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (HEAD + b"Transfer-Encoding: identity\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"hello\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 400),
        (HEAD + b"Content-Length: 99000000000\r\n\r\n", 413),
        (HEAD + b"Content-Length: 11\r\n\r\n", 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 300 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 300, 431),
        (b"GET /\x08 HTTP/1.1\r\nX: " + b"x" * 300 + b"\r\n\r\n", 431),
        (b"\x08GET / HTTP/1.1\r\nX: " + b"x" * 300 + b"\r\n\r\n", 400),
        (b"\r\n" * 150 + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    ],
)
def test_what_is_rejected(data: bytes, status: int) -> None:
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        found, failure, _ = read(pieces, max_head=256, max_body=10)
        assert not found
        assert (failure or "")[:3] == str(status)


def test_a_request_before_the_fault_is_returned() -> None:
    found, failure, _ = read([SEED + b"nonsense\r\n\r\n"])
    assert [request.body for request in found] == [b"abc", b""]
    assert failure is not None


@pytest.mark.parametrize("length", [255, 256, 257])
def test_the_limit_of_a_head_is_exact_and_counts_no_body(length: int) -> None:
    start = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: "
    head = start + b"x" * (length - len(start) - 4) + b"\r\n\r\n"
    assert len(head) == length
    for pieces in ([head + b"hello"], [*(head[at : at + 1] for at in range(len(head))), b"hello"]):
        found, failure, _ = read(pieces, max_head=256)
        assert bool(found) is (length <= 256)
        assert bool(failure) is (length > 256)


def test_the_head_is_known_before_the_body() -> None:
    reader = RequestReader()
    reader.receive_data(b"PUT /x?y=1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert reader.next_request() is None
    assert reader.head is not None
    assert reader.head.expects_continue
    assert reader.head.path == "/x"
    reader.receive_data(b"ab")
    assert (request := reader.next_request()) is not None
    assert request.body == b"ab"
    assert reader.head is None


def test_the_head_stays_after_a_body_that_is_too_long() -> None:
    reader = RequestReader(max_body=1)
    reader.receive_data(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
    for _ in range(2):
        with pytest.raises(MalformedRequest) as caught:
            reader.next_request()
        assert caught.value.status == 413
    assert reader.head is not None
    assert reader.head.path == "/v1/messages"


@pytest.mark.parametrize(
    ("start", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_when_a_connection_can_be_used_again(start: bytes, keep_alive: bool) -> None:
    (request,), _, _ = read([start + b"\r\n"])
    assert request.head.keep_alive is keep_alive


def test_an_absolute_target_has_a_path() -> None:
    (request,), _, _ = read([b"GET http://a.test/v1/models?x HTTP/1.1\r\nHost: a.test\r\n\r\n"])
    assert request.head.path == "/v1/models"


def test_no_bytes_are_a_fault_of_the_caller() -> None:
    with pytest.raises(LocalProtocolError):
        RequestReader().receive_data(b"")


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 405, 408, 415, 429, 431, *range(500, 506)])
def test_a_status_has_its_phrase(status: int) -> None:
    assert response_head(status, []) == f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n\r\n".encode()


@pytest.mark.parametrize(("status", "phrase"), [(413, "Content Too Large"), (529, "Overloaded"), (499, "Unknown")])
def test_a_status_that_python_calls_otherwise(status: int, phrase: str) -> None:
    assert response_head(status, []) == f"HTTP/1.1 {status} {phrase}\r\n\r\n".encode()


@given(st.sampled_from([200, 404, 429, 529]), st.lists(st.tuples(TOKEN, VALUE), max_size=4), st.binary(max_size=50))
@example(200, [("X", "é")], b"")
def test_h11_reads_what_is_written(status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    fields = [*((f"x-{name}", value) for name, value in headers), ("Transfer-Encoding", "chunked")]
    connection.receive_data(response_head(status, fields) + chunk(body) + chunk(b"") + b"0\r\n\r\n")
    head = connection.next_event()
    assert isinstance(head, h11.Response)
    assert head.status_code == status
    assert [(n.decode(), v.decode("latin-1")) for n, v in head.headers][:-1] == [(n.lower(), v) for n, v in fields[:-1]]
    read_back = b""
    while isinstance(event := connection.next_event(), h11.Data):
        read_back += bytes(event.data)
    assert read_back == body
    assert isinstance(event, h11.EndOfMessage)


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "\0", "…"])
def test_a_header_cannot_break_out(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        response_head(200, [("x-model", value)])
