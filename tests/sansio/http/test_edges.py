"""The edges of the pool, of bodies, heads and host names: what is still accepted, and what is not."""

from __future__ import annotations

import pytest

from turnout.errors import LocalProtocolError
from turnout.http.http1_body import ChunkedBody
from turnout.http.http1_head import read_plain_head
from turnout.http.origin import split_url
from turnout.http.pool import Pool

# -- the pool ---------------------------------------------------------------------------------------------------------


def test_the_connection_that_was_released_last_is_used_first() -> None:
    pool: Pool[str] = Pool()
    for connection in ("a", "b", "c"):
        pool.release("key", connection, 0.0)
    pool.release("other", "d", 0.0)
    assert [pool.acquire("key") for _ in range(4)] == ["c", "b", "a", None]


def test_a_full_pool_closes_the_connection_that_is_idle_for_longest() -> None:
    pool: Pool[str] = Pool(max_keepalive_connections=2, max_keepalive_per_key=2)
    assert pool.release(1, "a", 0.0) == ()
    assert pool.release(2, "b", 1.0) == ()
    assert pool.release(3, "c", 2.0) == ("a",)
    assert (pool.acquire(1), pool.acquire(2), pool.acquire(3)) == (None, "b", "c")


def test_each_key_keeps_its_newest_connections() -> None:
    pool: Pool[str] = Pool(max_keepalive_per_key=1)
    pool.release("key", "a", 0.0)
    assert pool.release("key", "b", 0.0) == ("a",)


# -- chunked bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [b"Content-Length: 5", b"transfer-ENCODING: chunked"])
def test_a_trailer_cannot_change_the_framing(field: bytes) -> None:
    body = ChunkedBody()
    body.receive_data(b"0\r\n" + field + b"\r\n\r\n")
    assert body.failure is not None
    assert "not a trailer field" in str(body.failure)


def test_a_trailer_that_begins_like_one_is_accepted() -> None:
    body = ChunkedBody()
    body.receive_data(b"0\r\nContent-Length-Of-Old: 5\r\n\r\n")
    assert (body.ended, body.failure) == (True, None)


# -- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "is_plain"),
    [
        ("X: a", True),
        ("X:  a", False),
        ("X: a ", False),
        ("Content-Length: " + "0" * 14 + "1", True),
        ("Content-Length: " + "0" * 15 + "1", False),
        ("Content-Length: \u0665", False),
    ],
)
def test_which_fields_are_plain(field: str, is_plain: bool) -> None:
    head = read_plain_head(f"HTTP/1.1 200 OK\r\n{field}\r\n\r\n".encode("latin-1", "replace"))
    assert (head is not None) == is_plain


# -- host names -------------------------------------------------------------------------------------------------------


def test_a_part_of_a_host_name_has_at_most_63_characters() -> None:
    assert split_url(f"http://{'a' * 63}.test/")[0].host == f"{'a' * 63}.test"
    with pytest.raises(LocalProtocolError, match="more than 63 characters"):
        split_url(f"http://{'a' * 64}.test/")


@pytest.mark.parametrize(("url", "port"), [("http://x.test", 80), ("https://x.test", 443), ("http://x.test:81", 81)])
def test_the_port_of_a_url(url: str, port: int) -> None:
    assert split_url(url)[0].port == port
