"""The AWS event stream parser against an encoder written here, published vectors, and recorded Bedrock streams."""

from __future__ import annotations

import base64
import itertools
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proportion import assert_linear
from turnout.errors import RemoteProtocolError
from turnout.framing.eventstream import MAX_HEADERS, EventStreamMessage, EventStreamParser, HeaderValue

RECORDINGS = Path(os.environ.get("TURNOUT_RECORDINGS") or Path(__file__).parents[4] / "shared" / "recordings")
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recorded streams are not here: set TURNOUT_RECORDINGS to their folder"
)


class Typed(NamedTuple):
    """A header's value with the type it is sent as."""

    kind: int
    value: HeaderValue


def encode_header(name: bytes, typed: Typed) -> bytes:
    kind, value = typed
    start = bytes([len(name)]) + name + bytes([kind])
    match value:
        case bool():
            return start
        case int():
            return start + struct.pack(">" + {2: "b", 3: "h", 4: "i", 5: "q", 8: "q"}[kind], value)
        case str():
            raw = value.encode()
            return start + struct.pack(">H", len(raw)) + raw
        case bytes():
            return start + (value if kind == 9 else struct.pack(">H", len(value)) + value)


def encode(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def encode_all(headers: Mapping[str, Typed], payload: bytes) -> bytes:
    return encode(b"".join(encode_header(name.encode(), typed) for name, typed in headers.items()), payload)


def string_header(name: str, value: str) -> bytes:
    return encode_header(name.encode(), Typed(7, value))


def read(chunks: Iterable[bytes], max_frame: int = 1 << 24) -> tuple[list[EventStreamMessage], EventStreamParser]:
    parser = EventStreamParser(max_frame=max_frame)
    messages = [message for chunk in chunks for message in parser.receive_data(chunk)]
    return messages + parser.receive_end(), parser


def cut(body: bytes, offsets: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({offset for offset in offsets if 0 < offset < len(body)}), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges) if start < end]


def outcome(messages: list[EventStreamMessage], parser: EventStreamParser) -> tuple[object, ...]:
    return messages, None if parser.failure is None else parser.failure.message, parser.complete


def integers(kind: int, bits: int) -> st.SearchStrategy[Typed]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(lambda value: Typed(kind, value))


typed_values = st.one_of(
    st.just(Typed(0, True)),
    st.just(Typed(1, False)),
    integers(2, 8),
    integers(3, 16),
    integers(4, 32),
    integers(5, 64),
    st.binary(max_size=20).map(lambda value: Typed(6, value)),
    st.text(max_size=20).map(lambda value: Typed(7, value)),
    integers(8, 64),
    st.binary(min_size=16, max_size=16).map(lambda value: Typed(9, value)),
)
contents = st.tuples(st.dictionaries(st.text(max_size=12), typed_values, max_size=5), st.binary(max_size=40))
offset_sets = st.sets(st.integers(1, 400), max_size=10)


@given(st.lists(contents, max_size=4), offset_sets)
def test_gives_back_what_was_encoded_at_any_split(
    messages: list[tuple[dict[str, Typed], bytes]], offsets: set[int]
) -> None:
    body = b"".join(encode_all(headers, payload) for headers, payload in messages)
    expected = [
        EventStreamMessage({name: typed.value for name, typed in headers.items()}, payload)
        for headers, payload in messages
    ]
    for chunks in ([body], cut(body, offsets), cut(body, range(len(body)))):
        found, parser = read(chunks)
        assert found == expected
        assert [[type(value) for value in message.headers.values()] for message in found] == [
            [type(value) for value in message.headers.values()] for message in expected
        ]
        assert parser.complete


@given(st.lists(contents, min_size=1, max_size=3), st.data(), offset_sets)
def test_a_wrong_byte_fails_its_message_and_spares_those_before(
    messages: list[tuple[dict[str, Typed], bytes]], data: st.DataObject, offsets: set[int]
) -> None:
    encoded = [encode_all(headers, payload) for headers, payload in messages]
    body = bytearray(b"".join(encoded))
    index = data.draw(st.integers(0, len(body) - 1))
    body[index] ^= data.draw(st.integers(1, 255))
    whole_before, length = 0, 0
    for message in encoded:
        length += len(message)
        if index < length:
            break
        whole_before += 1
    found, parser = read([bytes(body)])
    assert len(found) == whole_before
    assert isinstance(parser.failure, RemoteProtocolError)
    assert outcome(*read(cut(bytes(body), offsets))) == outcome(found, parser)


@pytest.mark.full
@settings(max_examples=300)
@given(
    st.binary(max_size=60)
    | st.tuples(st.binary(max_size=40), st.binary(max_size=10), st.binary(max_size=20)).map(
        lambda parts: encode(b"", b"first") + encode(parts[0], parts[1]) + parts[2]
    ),
    offset_sets,
)
def test_any_bytes_give_messages_or_a_failure_at_any_split(body: bytes, offsets: set[int]) -> None:
    whole = outcome(*read([body]))
    assert outcome(*read(cut(body, offsets))) == whole
    assert outcome(*read(cut(body, range(len(body))))) == whole


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ("00000010 00000000 05c248eb 7d98c8ff", EventStreamMessage({}, b"")),
        ("0000001d 00000000 fd528c5a 7b27666f 6f273a27 62617227 7dc36539 36", EventStreamMessage({}, b"{'foo':'bar'}")),
    ],
)
def test_published_vectors(vector: str, message: EventStreamMessage) -> None:
    assert read([bytes.fromhex(vector)])[0] == [message]


def test_text_gives_string_headers_only() -> None:
    message = EventStreamMessage({":event-type": "messageStart", "n": 3}, b"{}")
    assert (message.text(":event-type"), message.text("n"), message.text("absent")) == ("messageStart", "", "")


def first_u32(value: int, body: bytes) -> bytes:
    """`body` with another total length and a prelude checksum that fits it."""
    prelude = struct.pack(">I", value) + body[4:8]
    return prelude + struct.pack(">I", zlib.crc32(prelude)) + body[12:]


GOOD = encode(string_header(":event-type", "a"), b"{}")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (GOOD[:8] + b"\0\0\0\0" + GOOD[12:], "checksum of a message's prelude"),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "checksum of a message is wrong"),
        (first_u32(15, encode(b"", b"")), "shorter than its own headers"),
        (first_u32(16, GOOD), "shorter than its own headers"),
        (encode(bytes(MAX_HEADERS + 1), b""), "bytes of headers"),
        (encode(b"\x05ab", b""), "longer than the headers"),
        (encode(b"\x01a", b""), "longer than the headers"),
        (encode(b"\x01a\x04\0\0", b""), "longer than the headers"),
        (encode(b"\x01a\x07\0", b""), "longer than the headers"),
        (encode(b"\x01a\x07\0\x09abc", b""), "longer than the headers"),
        (encode(b"\x01a\x09abc", b""), "longer than the headers"),
        (encode(b"\x01a\x0a", b""), "unknown type 10"),
        (encode(b"\x01\xff\x00", b""), "not UTF-8"),
        (encode(b"\x01a\x07\0\x01\xff", b""), "not UTF-8"),
        (encode(b"\x01a\x00\x01a\x01", b""), "'a' twice"),
    ],
)
def test_a_broken_message_is_a_failure_after_the_messages_before_it(bad: bytes, said: str) -> None:
    body = GOOD + bad + GOOD
    for chunks in ([body], cut(body, range(0, len(body), 7))):
        messages, parser = read(chunks)
        assert messages == [EventStreamMessage({":event-type": "a"}, b"{}")]
        assert isinstance(parser.failure, RemoteProtocolError)
        assert said in parser.failure.message
        assert not parser.complete


def test_nothing_more_is_given_after_a_failure() -> None:
    parser = EventStreamParser()
    assert parser.receive_data(bytes(12)) == []
    assert parser.failure is not None
    assert parser.receive_data(GOOD) == []
    assert parser.receive_end() == []


def test_a_broken_prelude_fails_before_its_message_is_waited_for() -> None:
    parser = EventStreamParser()
    parser.receive_data(b"\xff" * 12)
    assert parser.failure is not None


def test_headers_of_just_the_limit_pass() -> None:
    values = [bytes(0xFFFF), bytes(MAX_HEADERS - 0xFFFF - 2 * 5)]
    headers = encode_header(b"a", Typed(6, values[0])) + encode_header(b"b", Typed(6, values[1]))
    assert len(headers) == MAX_HEADERS
    messages, parser = read([encode(headers, b"")])
    assert parser.failure is None
    assert messages[0].headers == {"a": values[0], "b": values[1]}


def test_a_message_over_the_limit_fails_at_its_prelude() -> None:
    parser = EventStreamParser(max_frame=len(GOOD))
    assert len(parser.receive_data(GOOD + encode(b"", bytes(len(GOOD) - 15))[:12])) == 1
    assert parser.failure is not None
    assert f"larger than {len(GOOD)} bytes" in parser.failure.message


@pytest.mark.parametrize("length", [1, 11, 12, 13, len(GOOD) - 1])
def test_a_message_that_the_end_cuts_off_leaves_the_body_incomplete(length: int) -> None:
    messages, parser = read([GOOD, GOOD[:length]])
    assert len(messages) == 1
    assert (parser.complete, parser.failure) == (False, None)


def test_one_message_of_5_mb_is_read_in_linear_time() -> None:
    def reading(size: int) -> Callable[[], object]:
        body = encode(b"", bytes(size))

        def in_packets() -> None:
            (message,), _ = read(body[start : start + 1460] for start in range(0, len(body), 1460))
            assert len(message.payload) == size

        return in_packets

    assert_linear(reading, 5_000_000)


@needs_recordings
def test_recorded_streams_give_their_messages_at_any_split() -> None:
    bodies = 0
    for path in sorted(RECORDINGS.glob("bedrock/stream-*.json")):
        response = json.loads(path.read_text(encoding="utf-8"))["response"]
        body = base64.b64decode(response["body_base64"])
        messages, parser = read([body])
        assert parser.complete
        assert all(message.text(":message-type") in ("event", "exception") for message in messages)
        assert all(isinstance(json.loads(message.payload), dict) for message in messages)
        assert outcome(*read(cut(body, range(len(body))))) == outcome(messages, parser)
        bodies += 1
    assert bodies == 6
