"""The sandbox's own reader of HTTP requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_sandbox.server.http_requests import MalformedRequest, RawRequest, RequestReader

TWO = (
    b"POST /openai/v1/models HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: 1\r\nx: 2\r\n\r\nhello"
    b"\r\nGET / HTTP/1.1\r\nhost: a\r\nConnection: close\r\n\r\n"
)
CHUNKED = (
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\ntrailer: x\r\n\r\n"
)


def read(data: bytes, cuts: list[int]) -> list[RawRequest]:
    reader, found = RequestReader(), []
    places = sorted({min(cut, len(data)) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        reader.feed(data[start:end])
        while (request := reader.next_request()) is not None:
            found.append(request)
    return found


@given(st.sampled_from([TWO, CHUNKED, TWO + CHUNKED]), st.lists(st.integers(0, 300)))
def test_any_split_gives_the_same_requests(data: bytes, cuts: list[int]) -> None:
    assert read(data, cuts) == read(data, [])


def test_bodies_fields_and_persistence() -> None:
    first, second = read(TWO, [])
    assert (first.head.method, first.head.target, first.body) == ("POST", "/openai/v1/models", b"hello")
    assert first.head.headers["x"] == "1, 2"
    assert first.head.keep_alive
    assert not second.head.keep_alive
    (chunked,) = read(CHUNKED, [])
    assert chunked.body == b"abc0123456789"
    assert not read(b"GET / HTTP/1.0\r\n\r\n", [])[0].head.keep_alive


def test_a_client_that_waits_is_seen() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
    assert reader.next_request() is None
    assert reader.expects_continue
    reader.feed(b"x")
    assert reader.next_request() is not None
    assert not reader.expects_continue


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 999999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20000, 431),
    ],
)
def test_what_is_no_http_is_refused(data: bytes, status: int) -> None:
    reader = RequestReader()
    reader.feed(data)
    with pytest.raises(MalformedRequest) as caught:
        reader.next_request()
    assert caught.value.status == status
