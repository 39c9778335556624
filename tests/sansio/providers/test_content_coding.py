"""What decompression makes of a body is bounded in size, memory and time, at the same place however it is cut."""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import random
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proportion import assert_linear
from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.errors import QuotaExceeded, RateLimited, RemoteProtocolError, TurnoutError
from turnout.events import Token
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.content_coding import BLOCK, ContentDecoder, Expansion
from turnout.providers.exchange import HttpExchange

MIB = 1024 * 1024
REQUEST = ChatRequest(ModelConfig("openai", "m"), [Message.user("?")])


@functools.cache
@cache
def bomb(size: int, head: bytes = b"", fill: bytes = b" ") -> bytes:
    """`size` bytes of filling as gzip, about a thousandth of that."""
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(head)]
    block = fill * (MIB // len(fill))
    pieces += [packer.compress(block) for _ in range(size // MIB)]
    return b"".join(pieces) + packer.flush()


def decoded(decoder: ContentDecoder, data: bytes, cuts: tuple[int, ...] = ()) -> tuple[bytes, str | None]:
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    got = b"".join(
        b"".join(decoder.decode(data[start:stop])) for start, stop in itertools.pairwise(places) if start < stop
    )
    return got, str(decoder.failure) if decoder.failure else None


@pytest.mark.full
def test_a_bomb_is_an_error_after_what_stood_before_it() -> None:
    event = b'data: {"choices":[{"delta":{"content":"kept"}}]}\n\n'
    exchange = create("openai", api_key="k").stream(REQUEST)
    exchange.receive_head(200, [("content-encoding", "gzip")])
    packed = bomb(200 * MIB, event, b": ping\n\n")
    assert exchange.receive_data(packed) == (Token("kept"),)
    assert isinstance(exchange.failure, RemoteProtocolError)
    assert "200 times" in str(exchange.failure)
    assert exchange.receive_data(packed) == exchange.receive_end() == ()


def measured(status: int) -> tuple[HttpExchange[ChatResponse], float]:
    """An answer that a gigabyte of blanks was made into, and the most memory that reading it took, in MiB."""
    packed = bomb(1024 * MIB)
    exchange = create("openai", api_key="k").chat(REQUEST)
    assert isinstance(exchange, HttpExchange)
    exchange.receive_head(status, [("content-encoding", "gzip")])
    tracemalloc.start()
    try:
        exchange.receive_data(packed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return exchange, peak / MIB


@pytest.mark.full
def test_one_receive_of_a_bomb_takes_little_memory() -> None:
    exchange, peak = measured(200)
    assert isinstance(exchange.failure, RemoteProtocolError)
    assert peak < 32


@pytest.mark.slow
def test_the_status_of_an_error_holds_though_its_body_is_a_bomb() -> None:
    exchange, peak = measured(429)
    assert peak < 4
    assert isinstance(exchange.failure, RateLimited)  # at the limit of an error's body, without its end


def test_the_status_of_an_error_holds_though_its_body_is_broken() -> None:
    exchange = create("openai", api_key="k").chat(REQUEST)
    exchange.receive_head(429, [("content-encoding", "gzip")])
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(b'{"error":{"code":"insufficient_quota","message":"pay"}}') + packer.flush(zlib.Z_SYNC_FLUSH)
    exchange.receive_data(body + b"\xff\xff\xff")
    exchange.receive_end()
    assert isinstance(exchange.failure, QuotaExceeded)


@pytest.mark.parametrize("coding", ["br", "zstd", "nonsense", "gzip, gzip"])
def test_the_status_of_an_error_holds_in_an_encoding_that_cannot_be_read(coding: str) -> None:
    exchange = create("openai", api_key="k").chat(REQUEST)
    exchange.receive_head(429, [("content-encoding", coding), ("retry-after", "7")])
    exchange.receive_data(b"\x0b\x02\x80hi\x03")
    exchange.receive_end()
    assert isinstance(exchange.failure, RateLimited)
    assert exchange.failure.retry_after == 7.0
    good = create("openai", api_key="k").chat(REQUEST)
    good.receive_head(200, [("content-encoding", coding)])
    assert isinstance(good.failure, RemoteProtocolError)


@pytest.mark.slow
def test_a_bomb_in_single_bytes_ends_where_the_whole_one_does() -> None:
    packed = bomb(40 * MIB)
    whole, told = decoded(ContentDecoder("gzip"), packed)
    got, again = decoded(ContentDecoder("gzip"), packed, tuple(range(len(packed))))
    assert (len(got), again) == (len(whole), told)
    assert told is not None


@pytest.mark.full
def test_what_a_provider_really_sends_is_taken() -> None:
    rng = random.Random(0)
    sparse = [[rng.uniform(-1, 1) if rng.random() < 0.02 else 0.0 for _ in range(3072)] for _ in range(256)]
    body = json.dumps({"data": [{"embedding": vector} for vector in sparse]}, indent=2).encode()
    assert len(body) > 8 * MIB
    packed = gzip.compress(body)
    assert decoded(ContentDecoder("gzip"), packed) == (body, None)


@given(
    st.lists(st.binary(max_size=200), min_size=1, max_size=5),
    st.sampled_from([b"", b"\x00", b"\x00" * 700, b"\x1f", b"\x1fx", b"padding"]),
    st.lists(st.integers(0, 1500), max_size=6).map(tuple),
)
def test_every_member_of_a_gzip_body_counts_and_padding_does_not(
    bodies: list[bytes], padding: bytes, cuts: tuple[int, ...]
) -> None:
    """RFC 1952, section 2.2: a file is a series of members."""
    packed = b"".join(map(gzip.compress, bodies)) + padding
    decoder = ContentDecoder("gzip")
    assert decoded(decoder, packed, cuts) == (b"".join(bodies), None)
    assert decoder.finished


@pytest.mark.parametrize("wbits", [31, 15, -15])
def test_what_zlib_holds_back_comes_too(wbits: int) -> None:
    """It gives no more at a time than it is asked for, and may have taken all of its input by then."""
    packer = zlib.compressobj(wbits=wbits)
    packed = packer.compress(b"a" * 66_000) + packer.flush()
    encoding = "gzip" if wbits == 31 else "deflate"
    for end in range(2, len(packed)):
        in_bytes = decoded(ContentDecoder(encoding), packed[:end], tuple(range(end)))
        assert decoded(ContentDecoder(encoding), packed[:end]) == in_bytes


def test_a_member_that_breaks_off_is_not_the_end() -> None:
    first, second = gzip.compress(b"one, "), gzip.compress(b"two, three")
    for end in range(2, len(second)):
        decoder = ContentDecoder("gzip")
        got, told = decoded(decoder, first + second[:end])
        assert (got.startswith(b"one, "), told, decoder.finished) == (True, None, False)


TIGHT = Expansion(limit=60_000, free=3_000, ratio=20)


@settings(max_examples=200)
@given(
    st.lists(st.binary(max_size=40) | st.tuples(st.binary(min_size=1, max_size=3), st.integers(0, 20_000)), max_size=8),
    st.sampled_from([31, 15, -15]),
    st.booleans(),
    st.lists(st.integers(0, 3000), max_size=8).map(tuple),
    st.none() | st.integers(0, 2000),
)
def test_any_split_gives_the_same_bytes_and_the_same_end(
    pieces: list[bytes | tuple[bytes, int]],
    wbits: int,
    flushed: bool,
    cuts: tuple[int, ...],
    broken_at: int | None,
) -> None:
    body = [piece if isinstance(piece, bytes) else piece[0] * piece[1] for piece in pieces]
    packer = zlib.compressobj(9, wbits=wbits)
    packed = b"".join(packer.compress(piece) + (packer.flush(zlib.Z_SYNC_FLUSH) if flushed else b"") for piece in body)
    packed += packer.flush()
    if broken_at is not None:
        packed = packed[:broken_at] + b"\xff\xff\xff\xff" + packed[broken_at:]
    encoding = "gzip" if wbits == 31 else "deflate"
    whole = decoded(ContentDecoder(encoding, TIGHT), packed)
    assert decoded(ContentDecoder(encoding, TIGHT), packed, cuts) == whole
    assert decoded(ContentDecoder(encoding, TIGHT), packed, tuple(range(len(packed)))) == whole
    assert len(whole[0]) <= TIGHT.limit
    if broken_at is None and whole[1] is None:
        assert whole[0] == b"".join(body)


def test_the_bound_holds_for_each_block_of_input() -> None:
    packed = bomb(30 * MIB)
    got, told = decoded(ContentDecoder("gzip", Expansion(limit=1 << 40, free=0, ratio=100)), packed)
    assert told is not None
    # One block of input may be decoded before it is measured, and no more.
    assert len(got) <= 1032 * BLOCK
    got, told = decoded(ContentDecoder("gzip", Expansion(limit=MIB, free=1 << 40)), packed)
    assert len(got) == MIB
    assert told is not None
    assert "1 MiB" in told


def test_a_broken_body_in_many_small_receives_takes_linear_time() -> None:
    def decoding(size: int) -> Callable[[], object]:
        packer = zlib.compressobj(0, wbits=31)  # stored, so that the input is as long as the output
        packed = packer.compress(b"x" * size) + packer.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 8

        def decode() -> None:
            got, told = decoded(ContentDecoder("gzip"), packed)
            assert (len(got), told is not None) == (size, True)

        return decode

    assert_linear(decoding, 8 * MIB)


def test_the_failure_is_of_the_family() -> None:
    decoder = ContentDecoder("gzip")
    assert list(decoder.decode(b"this is no gzip")) == []
    assert isinstance(decoder.failure, TurnoutError)
    assert list(decoder.decode(b"more")) == []
