"""The RESP reader against a writer of its own: any split, any bytes, bounded memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proportion import assert_linear
from turnout.errors import LocalProtocolError, RemoteProtocolError
from turnout.shared.store.resp import MAX_DEPTH, RespError, RespParser, RespPush, RespValue, encode_command


def parse(chunks: Iterable[bytes], max_value: int = 1 << 20) -> tuple[list[RespValue], RespParser]:
    parser = RespParser(max_value=max_value)
    values = [value for chunk in chunks for value in parser.receive_data(chunk)]
    parser.receive_end()
    return values, parser


def cut(body: bytes, offsets: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({offset for offset in offsets if 0 < offset < len(body)}), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges) if start < end]


# -- a writer for the tests: values with the bytes that mean them -------------------------------------------------

LINE_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8)
Encoded = tuple[bytes, RespValue]


def line(kind: str, text: str) -> bytes:
    return f"{kind}{text}\r\n".encode()


def blob(kind: str, data: bytes) -> bytes:
    return b"%b%d\r\n%b\r\n" % (kind.encode(), len(data), data)


SCALARS: st.SearchStrategy[Encoded] = st.one_of(
    LINE_TEXT.map(lambda text: (line("+", text), text)),
    LINE_TEXT.map(lambda text: (line("-", text), RespError(text.split(" ", 1)[0], text))),
    st.binary(max_size=20).map(lambda data: (blob("$", data), data)),
    st.binary(max_size=20).map(lambda data: (blob("=", b"txt:" + data), data)),
    st.just((blob("!", b"ERR no"), RespError("ERR", "ERR no"))),
    st.integers(-(2**63), 2**63).map(lambda number: (line(":", str(number)), number)),
    st.integers(-(10**40), 10**40).map(lambda number: (line("(", str(number)), number)),
    st.floats(allow_nan=False).map(lambda number: (line(",", repr(number)), number)),
    st.booleans().map(lambda flag: (line("#", "t" if flag else "f"), flag)),
    st.sampled_from([b"_\r\n", b"$-1\r\n", b"*-1\r\n"]).map(lambda data: (data, None)),
)


def aggregates(items: st.SearchStrategy[Encoded]) -> st.SearchStrategy[Encoded]:
    def several(kind: str, encoded: list[Encoded]) -> Encoded:
        body = b"".join(data for data, _ in encoded)
        return b"%b%d\r\n%b" % (kind.encode(), len(encoded), body), tuple(value for _, value in encoded)

    def pairs(encoded: list[tuple[Encoded, Encoded]]) -> Encoded:
        body = b"".join(key[0] + value[0] for key, value in encoded)
        return b"%%%d\r\n%b" % (len(encoded), body), tuple((key[1], value[1]) for key, value in encoded)

    def attributed(pair: tuple[Encoded, Encoded]) -> Encoded:
        return b"|1\r\n+ttl\r\n" + pair[0][0] + pair[1][0], pair[1][1]

    return st.one_of(
        st.tuples(st.sampled_from("*~"), st.lists(items, max_size=4)).map(lambda given: several(*given)),
        st.lists(st.tuples(items, items), max_size=3).map(pairs),
        st.tuples(items, items).map(attributed),
    )


VALUES = st.recursive(SCALARS, aggregates, max_leaves=12)
PUSHES: st.SearchStrategy[Encoded] = st.lists(SCALARS, max_size=4).map(
    lambda items: (
        b">%d\r\n%b" % (len(items), b"".join(data for data, _ in items)),
        RespPush(tuple(value for _, value in items)),
    )
)


def depth(value: RespValue) -> int:
    if isinstance(value, tuple):
        return 1 + max((depth(item) for item in value), default=0)
    return 0


@given(st.lists(VALUES | PUSHES, max_size=6), st.sets(st.integers(1, 400), max_size=12))
def test_values_are_read_back_at_any_split(encoded: list[Encoded], offsets: set[int]) -> None:
    body = b"".join(data for data, _ in encoded)
    expected = [value for _, value in encoded]
    for chunks in ([body], cut(body, offsets), cut(body, range(len(body)))):
        values, parser = parse(chunks)
        if parser.failure is not None:  # pairs and attributes may nest deeper than the bound
            assert "nest deeper" in str(parser.failure)
            continue
        assert values == expected


HOSTILE = [b"*", b"$", b"%", b">", b"|", b"-1", b"0", b"1", b"2", b"99999999", b"\r\n", b"\r", b"\n", b":", b"+OK\r\n"]


@given(
    st.lists(st.sampled_from(HOSTILE), max_size=25).map(b"".join) | st.binary(max_size=80),
    st.sets(st.integers(1, 80), max_size=10),
    st.sampled_from([4, 30, 1000]),
)
def test_any_bytes_give_the_same_values_and_the_same_failure(body: bytes, offsets: set[int], bound: int) -> None:
    outcomes = []
    for chunks in ([body] if body else [], cut(body, offsets), cut(body, range(len(body)))):
        values, parser = parse(chunks, bound)
        assert parser.failure is None or isinstance(parser.failure, RemoteProtocolError)
        outcomes.append((repr(values), str(parser.failure)))
    assert len(set(outcomes)) == 1


@given(st.lists(st.binary(max_size=30) | st.text(max_size=10) | st.integers() | st.floats(), min_size=1, max_size=6))
def test_a_command_is_an_array_of_blobs(arguments: list[bytes | str | int | float]) -> None:
    values, parser = parse([encode_command(*arguments)])
    expected = tuple(item if isinstance(item, bytes) else str(item).encode() for item in arguments)
    assert (values, parser.failure) == ([expected], None)


def test_a_command_needs_a_name() -> None:
    with pytest.raises(LocalProtocolError, match="at least its name"):
        encode_command()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"$1048577\r\n", "larger than 1048576 bytes"),
        (b"*400000\r\n", "larger than 1048576 bytes"),
        (b"*1\r\n" * (MAX_DEPTH + 1), f"nest deeper than {MAX_DEPTH}"),
        (b"+" + b"x" * 70_000, "a line is longer than 65536 bytes"),
        (b":" + b"1" * 600, "a line is longer than 512 bytes"),
        (b"?\r\n", "'?' is no type"),
        (b":1_0\r\n", "no value of the type ':'"),
        (b",1,5\r\n", "no value of the type ','"),
        (b"#x\r\n", "no value of the type '#'"),
        (b"$?\r\n", "is no length"),
        (b"$+1\r\n", "is no length"),
        (b"%-1\r\n", "only an array"),
        (b"*1\r\n>0\r\n", "a push inside a reply"),
        (b"$2\r\nabc\r\n", "no line break after it"),
        (b"=3\r\nabc\r\n", "without a format"),
        (b"\r\n", "an empty line"),
        (b"$5\r\nab", "closed the connection inside a reply"),
        (b"|1\r\n+a\r\n+b\r\n", "closed the connection inside a reply"),
    ],
)
def test_malformed_bytes_are_a_failure_after_the_values_before_them(body: bytes, message: str) -> None:
    for chunks in ([b"+OK\r\n" + body], [b"+OK\r\n", body], cut(b"+OK\r\n" + body, range(5, 200))):
        values, parser = parse(chunks)
        assert values == ["OK"]
        assert message in str(parser.failure)
        assert not parser.complete


def test_doubles_may_be_infinite_or_not_a_number() -> None:
    values, _ = parse([b",inf\r\n,-inf\r\n,nan\r\n"])
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])  # type: ignore[arg-type]  # the test says that it is a float


def test_complete_only_between_replies() -> None:
    parser = RespParser()
    body = b"*2\r\n|1\r\n+a\r\n+b\r\n$3\r\nabc\r\n:1\r\n"
    complete, values = [], []
    for byte in body:
        complete.append(parser.complete)
        values = parser.receive_data(bytes([byte]))
    assert complete == [True] + [False] * (len(body) - 1)
    assert parser.complete
    assert values == [(b"abc", 1)]


def test_wrong_calls_are_refused() -> None:
    parser = RespParser()
    parser.receive_end()
    with pytest.raises(LocalProtocolError, match="after receive_end"):
        parser.receive_data(b"+OK\r\n")
    with pytest.raises(LocalProtocolError, match="called twice"):
        parser.receive_end()


def test_nothing_is_returned_after_a_failure() -> None:
    parser = RespParser()
    assert parser.receive_data(b"?\r\n") == []
    assert parser.receive_data(b"+OK\r\n") == []


@pytest.mark.slow
def test_time_is_linear_in_the_bytes() -> None:
    """A blob that arrives byte by byte costs per byte what a small one costs."""

    def read(size: int) -> Callable[[], object]:
        body = blob("$", b"x" * (size // 2)) + b"+" + b"y" * (size // 2) + b"\r\n"

        def in_sevens() -> None:
            parser = RespParser()
            for at in range(0, len(body), 7):
                parser.receive_data(body[at : at + 7])

        return in_sevens

    assert_linear(read, 900_000)
