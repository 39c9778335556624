"""One exchange: what is sent, what is read, and when the connection may live on."""

from __future__ import annotations

import itertools
import pickle

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import Disconnected, LocalProtocolError, Phase, RemoteProtocolError
from turnout.http import HttpRequest
from turnout.http.http1 import CHUNK_SIZE, MAX_INTERIM, Http1Exchange
from turnout.http.http1_head import MAX_HEAD
from turnout.http.origin import Origin, split_url

GET = HttpRequest("GET", "https://api.example.test/v1/models?a=b#top", (("Authorization", "Bearer k"),))
POST = HttpRequest("POST", "http://example.test:8080/v1/chat", (("Content-Type", "application/json"),), b'{"a":1}')
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def start(request: HttpRequest = POST, *, reused: bool = False, send: bool = True) -> Http1Exchange:
    exchange = Http1Exchange.to_url(request, reused=reused)
    if send:
        sent(exchange)
    return exchange


def sent(exchange: Http1Exchange) -> bytes:
    pieces = []
    while (piece := exchange.next_chunk()) is not None:
        pieces.append(bytes(piece))
    return b"".join(pieces)


def outcome(exchange: Http1Exchange, pieces: list[bytes], *, eof: bool) -> tuple[object, ...]:
    body = b"".join(exchange.receive_data(piece) for piece in pieces)
    if eof:
        exchange.receive_eof()
    failure = exchange.failure
    return (
        exchange.status,
        exchange.headers,
        body,
        exchange.ended,
        exchange.reusable,
        type(failure),
        isinstance(failure, Disconnected) and (failure.reused, failure.phase),
    )


def test_the_request_as_it_leaves() -> None:
    assert sent(start(GET, send=False)) == (
        b"GET /v1/models?a=b HTTP/1.1\r\nHost: api.example.test\r\nAuthorization: Bearer k\r\n\r\n"
    )
    assert sent(start(POST, send=False)) == (
        b"POST /v1/chat HTTP/1.1\r\nHost: example.test:8080\r\nContent-Type: application/json\r\n"
        b'Content-Length: 7\r\n\r\n{"a":1}'
    )
    assert b"Content-Length: 0\r\n" in sent(start(HttpRequest("POST", "http://example.test/"), send=False))


def test_a_small_request_is_one_piece_and_a_large_one_several() -> None:
    small = start(send=False)
    # Only the next question says that the piece left.
    told = [(small.next_chunk() is None, small.request_sent) for _ in range(2)]
    assert told == [(False, False), (True, True)]
    body = bytes(range(256)) * (CHUNK_SIZE // 64)
    large = start(HttpRequest("POST", "http://example.test/", (), body), send=False)
    pieces = []
    while (piece := large.next_chunk()) is not None:
        assert len(piece) <= CHUNK_SIZE
        pieces.append(bytes(piece))
    assert len(pieces) == 1 + len(body) // CHUNK_SIZE
    assert b"".join(pieces[1:]) == body


@pytest.mark.parametrize(
    "field",
    [
        ("Authorization", "Bearer sk-secret\n"),
        ("Authorization", "Bearer sk-secret\x00"),
        ("Authorization", " sk-secret"),
        ("Authorization", "sk-secret\u20ac"),
        ("Bad Name", "sk-secret"),
        ("", "sk-secret"),
        ("Transfer-Encoding", "sk-secret"),
        ("Content-Length", "sk-secret"),
        ("Content-Length", "6"),
    ],
)
def test_what_cannot_be_sent_is_refused_without_showing_it(field: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        start(HttpRequest("POST", "http://example.test/", (field,), b"12345"))
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_method_that_is_no_token_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        start(HttpRequest("GE T", "http://example.test/"))


def test_an_answer_with_its_length_can_be_followed_by_another() -> None:
    exchange = start()
    assert exchange.receive_data(OK[:-1]) == b"hell"
    assert (exchange.status, exchange.phase, exchange.ended, exchange.reusable) == (200, Phase.BODY, False, False)
    assert exchange.receive_data(b"o") == b"o"
    assert exchange.ended
    assert exchange.reusable
    assert exchange.headers.get("content-length") == "5"


def test_surplus_bytes_forbid_reuse_whenever_they_come() -> None:
    at_once, later = start(), start()
    assert at_once.receive_data(OK + b"H") == b"hello"
    assert later.receive_data(OK) == b"hello"
    assert later.reusable
    assert later.receive_data(b"H") == b""
    for exchange in (at_once, later):
        assert exchange.ended
        assert exchange.failure is None
        assert not exchange.reusable


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n", b"ab"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", b"ab"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n0\r\n\r\n"),
    ],
)
def test_no_reuse_where_the_answer_forbids_it(head: bytes, body: bytes) -> None:
    exchange = start()
    assert exchange.receive_data(head + body) == b"ab"
    assert exchange.ended
    assert not exchange.reusable


def test_no_reuse_where_the_request_asked_to_close() -> None:
    exchange = start(HttpRequest("GET", "http://example.test/", (("Connection", "close"),)))
    exchange.receive_data(OK)
    assert exchange.ended
    assert not exchange.reusable


def test_a_body_without_framing_ends_with_the_connection() -> None:
    exchange = start()
    assert exchange.receive_data(b"HTTP/1.1 200 OK\r\n\r\nabc") == b"abc"
    told = [exchange.ended]
    exchange.receive_eof()
    told.append(exchange.ended)
    assert (told, exchange.failure, exchange.reusable) == ([False, True], None, False)


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_answers_without_a_body_end_with_their_head(method: str, head: bytes) -> None:
    exchange = start(HttpRequest(method, "http://example.test/"))
    assert exchange.receive_data(head) == b""
    assert exchange.ended
    assert exchange.reusable


def test_interim_answers_are_passed_over() -> None:
    exchange = start()
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert exchange.receive_data(early) == b""
    assert exchange.status is None
    assert exchange.receive_data(OK) == b"hello"
    assert exchange.headers.get("link") is None
    assert exchange.failure is None


@pytest.mark.parametrize("step", [1, 25, 10_000])
def test_as_many_interim_answers_as_the_limit_are_passed_over(step: int) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_INTERIM
    for more, fits in ((b"", True), (b"HTTP/1.1 103 Early Hints\r\n\r\n", False)):
        exchange, wire = start(), early + more + OK
        body = b"".join(
            exchange.receive_data(wire[at : at + step])
            for at in range(0, len(wire), step)
            if not exchange.ended and exchange.failure is None
        )
        assert (body == b"hello", exchange.failure is None) == (fits, fits)
        assert fits or "too many interim responses" in str(exchange.failure)


def test_an_answer_before_the_request_is_through_is_read_and_forbids_reuse() -> None:
    exchange = start(HttpRequest("POST", "http://example.test/", (), b"x" * (3 * CHUNK_SIZE)), send=False)
    assert exchange.next_chunk() is not None
    assert exchange.receive_data(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno") == b"no"
    assert (exchange.status, exchange.ended, exchange.reusable) == (413, True, False)


def test_the_last_piece_taken_but_not_sent_forbids_reuse() -> None:
    exchange = start(send=False)
    assert exchange.next_chunk() is not None
    exchange.receive_data(OK)
    assert not exchange.reusable


@pytest.mark.slow
@pytest.mark.parametrize("size", [MAX_HEAD, MAX_HEAD + 1])
@pytest.mark.parametrize("step", [1, 4096, 1_000_000])
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_the_limit_of_a_head_does_not_depend_on_the_split(size: int, step: int, interim: bytes) -> None:
    start_of_head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: "
    wire = interim + start_of_head + b"a" * (size - len(start_of_head) - 4) + b"\r\n\r\nb"
    exchange = start()
    for at in range(0, len(wire), step):
        exchange.receive_data(wire[at : at + step])
    assert (exchange.status == 200) == (size <= MAX_HEAD)
    assert (exchange.failure is None) == (size <= MAX_HEAD)


@pytest.mark.parametrize("reused", [False, True])
def test_a_connection_that_dies_says_how_far_it_had_come(reused: bool) -> None:
    for received, phase, counts_as_reused in [
        (b"", Phase.SENT, reused),
        (b"HTTP/1.1 2", Phase.SENT, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Phase.HEAD, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", Phase.BODY, False),
    ]:
        exchange = start(reused=reused)
        if received:
            exchange.receive_data(received)
        exchange.receive_eof()
        failure = exchange.failure
        assert isinstance(failure, Disconnected)
        assert (failure.phase, failure.reused) == (phase, counts_as_reused)
        assert pickle.loads(pickle.dumps(failure)).args == failure.args
    assert start(send=False).disconnected("no").phase is Phase.NOT_SENT


def test_a_peer_that_speaks_something_else_is_named_so() -> None:
    for wire in (b"\x16\x03\x01\x02\x00", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/2 200\r\n\r\n"):
        exchange = start()
        assert exchange.receive_data(wire) == b""
        assert isinstance(exchange.failure, RemoteProtocolError)
        assert exchange.receive_data(b"more") == b""


def test_a_switch_of_protocols_that_nobody_asked_for_is_refused() -> None:
    exchange = start()
    exchange.receive_data(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n")
    assert isinstance(exchange.failure, RemoteProtocolError)


def test_no_bytes_is_a_wrong_call() -> None:
    exchange = start()
    with pytest.raises(LocalProtocolError):
        exchange.receive_data(b"")
    assert exchange.receive_data(OK) == b"hello"


def test_a_tunnel_through_a_proxy_has_no_body_and_is_never_reused() -> None:
    proxy = Origin("http", "proxy.test", 3128)
    exchange = Http1Exchange(HttpRequest("CONNECT", "https://example.test/"), proxy, "example.test:443")
    assert sent(exchange).startswith(b"CONNECT example.test:443 HTTP/1.1\r\n")
    exchange.receive_data(b"HTTP/1.1 200 Connection established\r\nContent-Length: 7\r\n\r\n")
    assert exchange.ended
    assert not exchange.has_trailing_bytes
    assert not exchange.reusable


lines = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 404 Not Found\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Set-Cookie: a\r\n",
        b" folded\r\n",
        b"bad name: x\r\n",
        b"\r\n",
        b"\n",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"\x00",
    ]
)
wires = st.one_of(st.lists(lines, max_size=12).map(b"".join), st.binary(max_size=80))


@given(wire=wires, offsets=st.lists(st.integers(0, 300)), eof=st.booleans(), reused=st.booleans())
def test_every_split_equals_no_split_and_any_bytes_will_do(
    wire: bytes, offsets: list[int], eof: bool, reused: bool
) -> None:
    marks = sorted({offset % (len(wire) + 1) for offset in offsets} | {0, len(wire)})
    cut = [wire[a:b] for a, b in itertools.pairwise(marks)]
    whole = outcome(start(reused=reused), [wire] if wire else [], eof=eof)
    assert outcome(start(reused=reused), cut, eof=eof) == whole
    assert outcome(start(reused=reused), [wire[i : i + 1] for i in range(len(wire))], eof=eof) == whole


@given(body=st.binary(max_size=200), name=st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,9}", fullmatch=True))
def test_a_server_reads_what_was_sent(body: bytes, name: str) -> None:
    request = HttpRequest("POST", "http://example.test/a b?ü=1", ((f"X-{name}", "v"),), body)
    server = h11.Connection(h11.SERVER)
    server.receive_data(sent(start(request, send=False)))
    head = server.next_event()
    assert isinstance(head, h11.Request)
    assert head.target == b"/a%20b?%C3%BC=1"
    assert (f"X-{name}".lower().encode(), b"v") in list(head.headers)
    read = b""
    while isinstance(event := server.next_event(), h11.Data):
        read += bytes(event.data)
    assert read == body
    assert isinstance(event, h11.EndOfMessage)


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("HTTPS://API.Example.test", "https://api.example.test", "/"),
        ("https://api.example.test:443/a?b=%20c#d", "https://api.example.test", "/a?b=%20c"),
        ("http://[::1]:11434/api", "http://[::1]:11434", "/api"),
        ("http://bücher.test/x", "http://xn--bcher-kva.test", "/x"),
        ("https://h.test/v1beta/models/m:generate?alt=sse", "https://h.test", "/v1beta/models/m:generate?alt=sse"),
    ],
)
def test_urls(url: str, origin: str, target: str) -> None:
    split = split_url(url)
    assert (str(split[0]), split[1]) == (origin, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.test/x",
        "ftp://h/",
        "http://",
        "http:///x",
        "http://h:99999/",
        "http://[::1/",
        "https://u:p@h/",
        "http://a\x01b/",
    ],
)
def test_urls_that_cannot_be_requested(url: str) -> None:
    with pytest.raises(LocalProtocolError):
        split_url(url)
