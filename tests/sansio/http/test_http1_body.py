"""The body readers: any split gives the same bytes, and whatever they accept, h11 accepts with the same bytes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from turnout.errors import RemoteProtocolError
from turnout.http.http1_body import MAX_SIZE_LINE, MAX_TRAILERS, BodyReader, ChunkedBody, LengthBody, UntilCloseBody

MAKERS: dict[bytes, Callable[[], BodyReader]] = {
    b"Transfer-Encoding: chunked\r\n": ChunkedBody,
    b"Content-Length: 11\r\n": lambda: LengthBody(11),
    b"Content-Length: 0\r\n": lambda: LengthBody(0),
    b"": UntilCloseBody,
}


def cut(data: bytes, offsets: list[int]) -> list[bytes]:
    """`data` in pieces, none of them empty."""
    marks = sorted({offset % (len(data) + 1) for offset in offsets} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


def read(reader: BodyReader, pieces: list[bytes], *, eof: bool = False) -> tuple[bytes, str, bool]:
    """The bytes, how the body stands, and whether surplus came."""
    body = b"".join(reader.receive_data(piece) for piece in pieces)
    if reader.failure is not None:
        return body, f"failed: {reader.failure}", reader.has_trailing_bytes
    if eof and reader.receive_eof() is not None:
        return body, "short", reader.has_trailing_bytes
    return body, "ended" if reader.ended else "open", reader.has_trailing_bytes


def read_with_h11(framing: bytes, data: bytes, *, eof: bool = False) -> tuple[bytes, str]:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "example.test")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
    assert isinstance(connection.next_event(), h11.Response)
    if data:
        connection.receive_data(data)
    if eof:
        connection.receive_data(b"")
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return body, "ended"
            else:
                return body, "open"
    except h11.RemoteProtocolError:
        return body, "failed"


blanks = st.sampled_from([b"", b" ", b"\t ", b"  "])
extension = st.one_of(
    blanks,
    st.sampled_from([b";a=b", b";x", b";sig=\xff\x80", b'; q="a b" ', b";\x00", b" ;a", b";a\rb", b";a\nb"]),
)


@st.composite
def size_lines(draw: st.DrawFn, size: int) -> bytes:
    digits = draw(
        st.sampled_from([b"%x" % size, b"%X" % size, b"%04x" % size, b"0x%x" % size, b"+%x" % size, b"%x_0" % size])
        if draw(st.integers(0, 9)) == 0
        else st.sampled_from([b"%x" % size, b"%X" % size, b"%04x" % size])
    )
    end = draw(st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r"]))
    return digits + draw(extension) + end


@st.composite
def chunked_wires(draw: st.DrawFn) -> bytes:
    """Chunked bodies as servers write them, some with a flaw, some cut, some with surplus."""
    wire = b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        wire += draw(size_lines(len(data))) + data + draw(st.sampled_from([b"\r\n"] * 12 + [b"\n", b"", b"\rX"]))
    wire += draw(size_lines(0))
    trailers = st.sampled_from(
        [
            b"X-Sum: 1\r\n",
            b"A:\r\n",
            b"A: \xff\t b \r\n",
            b" folded\r\n",
            b"no colon\r\n",
            b"A : b\r\n",
            b"A: b\n",
            b"Content-Length: x\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"A: \x00\r\n",
        ]
    )
    wire += b"".join(draw(st.lists(trailers, max_size=2))) + b"\r\n"
    wire += draw(st.sampled_from([b"", b"", b"HTTP/1.1 200 OK\r\n", b"\x00"]))
    return wire[: draw(st.integers(0, len(wire)))] if draw(st.booleans()) else wire


wires = st.one_of(chunked_wires(), st.binary(max_size=60))


@given(framing=st.sampled_from(sorted(MAKERS)), wire=wires, offsets=st.lists(st.integers(0, 2000)), eof=st.booleans())
@example(framing=b"Transfer-Encoding: chunked\r\n", wire=b"1\r\n\x00\n0\r\n\r\n", offsets=[], eof=False)
@example(framing=b"Transfer-Encoding: chunked\r\n", wire=b"0x5\r\nhello\r\n0\r\n\r\n", offsets=[], eof=False)
def test_every_split_equals_no_split(framing: bytes, wire: bytes, offsets: list[int], eof: bool) -> None:
    make = MAKERS[framing]
    whole = read(make(), [wire] if wire else [], eof=eof)
    assert read(make(), cut(wire, offsets), eof=eof) == whole
    assert read(make(), [wire[i : i + 1] for i in range(len(wire))], eof=eof) == whole


@given(framing=st.sampled_from(sorted(MAKERS)), wire=wires, eof=st.booleans())
@example(framing=b"Transfer-Encoding: chunked\r\n", wire=b"0x5\r\nhello\r\n0\r\n\r\n", eof=False)
@example(framing=b"Transfer-Encoding: chunked\r\n", wire=b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n", eof=False)
@example(framing=b"Transfer-Encoding: chunked\r\n", wire=b"1\r\n\x00\r\n0\r\nA: b\n\r\n", eof=False)
def test_h11_accepts_what_we_accept_with_the_same_bytes(framing: bytes, wire: bytes, eof: bool) -> None:
    ours, state, _ = read(MAKERS[framing](), [wire] if wire else [], eof=eof)
    theirs, their_state = read_with_h11(framing, wire, eof=eof)
    if state in ("ended", "open"):
        assert (ours, state) == (theirs, their_state)
    elif state == "short":
        assert (ours, "failed") == (theirs, their_state)
    else:
        # Where only we refuse, h11 has gone on: our bytes are what came before.
        assert theirs.startswith(ours)


@given(chunks=st.lists(st.binary(min_size=1, max_size=300)), surplus=st.binary(max_size=5))
def test_a_proper_chunked_body_is_read_whole(chunks: list[bytes], surplus: bytes) -> None:
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" + surplus
    assert read(ChunkedBody(), [wire]) == (b"".join(chunks), "ended", bool(surplus))


def test_all_complete_bytes_of_one_read_come_at_once_and_before_the_fault() -> None:
    reader = ChunkedBody()
    assert reader.receive_data(b"3\r\nabc\r\n2\r\nde\r\nzz\r\n") == b"abcde"
    assert isinstance(reader.failure, RemoteProtocolError)
    assert reader.receive_data(b"1\r\nf\r\n") == b""


@pytest.mark.parametrize("size", [MAX_SIZE_LINE, MAX_SIZE_LINE + 1])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_the_limit_of_a_size_line_does_not_depend_on_the_split(size: int, step: int) -> None:
    wire = b"1;" + b"a" * (size - 2) + b"\r\nx\r\n0\r\n\r\n"
    body, state, _ = read(ChunkedBody(), [wire[i : i + step] for i in range(0, len(wire), step)])
    assert (body, state) == (
        (b"x", "ended") if size <= MAX_SIZE_LINE else (b"", "failed: a chunk-size line is too long")
    )


@pytest.mark.full
@pytest.mark.parametrize("size", [MAX_TRAILERS, MAX_TRAILERS + 1])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_the_limit_of_the_trailers_does_not_depend_on_the_split(size: int, step: int) -> None:
    wire = b"0\r\nA:" + b"a" * (size - 2) + b"\r\n\r\n"
    _, state, _ = read(ChunkedBody(), [wire[i : i + step] for i in range(0, len(wire), step)])
    assert state == ("ended" if size <= MAX_TRAILERS else "failed: the trailer section is too long")


def test_what_is_missing_is_said() -> None:
    short = LengthBody(10)
    short.receive_data(b"abc")
    assert short.receive_eof() == "7 bytes of the body are missing"
    chunked = ChunkedBody()
    chunked.receive_data(b"5\r\nab")
    assert chunked.receive_eof() == "the chunked body stops in chunk data"
