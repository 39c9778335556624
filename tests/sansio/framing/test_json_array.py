"""The array parser against the standard library's decoder, a parser that goes byte by byte, and recorded bodies."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proportion import assert_linear
from turnout.errors import RemoteProtocolError
from turnout.framing.json_array import JsonArrayParser
from turnout.framing.parser import JsonText

RECORDINGS = Path(os.environ.get("TURNOUT_RECORDINGS") or Path(__file__).parents[4] / "shared" / "recordings")
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recorded streams are not here: set TURNOUT_RECORDINGS to their folder"
)


def read(chunks: Iterable[bytes], max_frame: int = 1 << 24) -> tuple[list[JsonText], JsonArrayParser]:
    parser = JsonArrayParser(max_frame=max_frame)
    elements = [element for chunk in chunks for element in parser.receive_data(chunk)]
    return elements + parser.receive_end(), parser


def cut(body: bytes, offsets: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({offset for offset in offsets if 0 < offset < len(body)}), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges) if start < end]


def outcome(elements: list[JsonText], parser: JsonArrayParser) -> tuple[object, ...]:
    failure = None if parser.failure is None else parser.failure.message
    return elements, failure, parser.closed, parser.bare, parser.complete


def reference(body: bytes) -> tuple[list[JsonText], bool, bool]:
    """Byte by byte: the elements, whether the end was seen, and whether the grammar was broken."""
    found: list[JsonText] = []
    space = b" \t\r\n"
    index, bare, wants = 0, False, "start"
    while index < len(body):
        char = body[index : index + 1]
        if char in [bytes([c]) for c in space]:
            index += 1
        elif wants == "nothing":
            return found, True, True
        elif wants == "start" and char == b"[":
            wants, index = "element or end", index + 1
        elif char == b"]" and wants in ("element or end", "comma or end"):
            wants, index = "nothing", index + 1
        elif char == b"," and wants == "comma or end":
            wants, index = "element", index + 1
        elif (
            wants == "comma or end"
            or char in (b",", b":", b"]", b"}")
            or (wants == "start" and char not in (b"{", b'"'))
        ):
            return found, False, True
        else:
            bare = wants == "start"
            begin, depth, in_string, ended = index, 0, False, False
            while index < len(body) and not ended:
                char = body[index : index + 1]
                if in_string:
                    if char == b"\\":
                        index += 1
                    elif char == b'"':
                        in_string = False
                        ended = depth == 0
                elif begin == index or depth:
                    in_string = char == b'"'
                    depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(char, 0)
                    ended = depth == 0 and char in (b"}", b"]")
                elif char in [bytes([c]) for c in b' \t\r\n,:"{}[]']:
                    ended = True
                    index -= 1
                index += 1
            found.append(JsonText(body[begin : min(index, len(body))], ended))
            wants = "comma or end" if not bare else "nothing"
            if not ended:
                return found, False, False
    return found, wants == "nothing", False


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars | st.sampled_from(['"', "\\", '\\"', "[]{},", "a\nb"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(values, max_size=6),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.sets(st.integers(1, 300), max_size=12),
    st.sampled_from([b"", b" ", b"\r\n\r\n"]),
)
def test_gives_the_elements_of_any_array_at_any_split(
    array: list[object], indent: int | None, ascii_only: bool, offsets: set[int], space: bytes
) -> None:
    body = space + json.dumps(array, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") + space
    for chunks in ([body], cut(body, offsets), cut(body, range(len(body)))):
        elements, parser = read(chunks)
        assert [json.loads(element.data) for element in elements] == array
        assert all(element.terminated for element in elements)
        assert parser.complete
        assert parser.closed
        assert not parser.bare


PIECES = [
    *(b"[", b"]", b"{", b"}", b",", b":", b'"', b'"', b"\\", b" ", b"\r\n", b"1", b"null", b"-2.5e3", b"\xff"),
    *(b'{"a":1}', b'{"a":[{"b":"]"}]}', b'"x\\"y"', b"[[]]", b"\\\\", b'["', b'"]'),
]


@pytest.mark.full
@settings(max_examples=600)
@given(
    st.lists(st.sampled_from(PIECES), max_size=16).map(lambda pieces: b"[" + b"".join(pieces))
    | st.lists(st.sampled_from(PIECES), max_size=16).map(b"".join)
    | st.binary(max_size=40),
    st.sets(st.integers(1, 60), max_size=8),
)
def test_equals_a_reading_byte_by_byte_at_any_split(body: bytes, offsets: set[int]) -> None:
    expected, closed, broken = reference(body)
    elements, parser = read([body])
    assert elements == expected
    assert (parser.closed, parser.failure is not None) == (closed, broken)
    for chunks in (cut(body, offsets), cut(body, range(len(body)))):
        assert outcome(*read(chunks)) == outcome(elements, parser)


@given(
    st.lists(st.sampled_from(PIECES), max_size=16).map(lambda pieces: b"[" + b"".join(pieces)),
    st.integers(1, 8),
)
def test_the_limit_holds_for_each_element_at_any_split(body: bytes, limit: int) -> None:
    expected, _, broken = reference(body)
    small = []
    for element in expected:
        if len(element.data) > limit:
            break
        small.append(element)
    elements, parser = read([body], limit)
    assert elements == small
    assert (parser.failure is not None) == (broken or len(small) < len(expected))
    assert outcome(*read(cut(body, range(len(body))), limit)) == outcome(elements, parser)


@pytest.mark.parametrize(
    ("body", "elements", "closed"),
    [
        (b"[]", [], True),
        (b' \r\n[{"a":1}\r\n,\r\n{"b":2}\r\n]\r\n', [JsonText(b'{"a":1}'), JsonText(b'{"b":2}')], True),
        (b'[{"a":1},', [JsonText(b'{"a":1}')], False),
        (b'[{"a":1}', [JsonText(b'{"a":1}')], False),
        (b'[{"a":1},{"b":"}', [JsonText(b'{"a":1}'), JsonText(b'{"b":"}', terminated=False)], False),
        (b"[1, 2", [JsonText(b"1"), JsonText(b"2", terminated=False)], False),
        (b'["a\\', [JsonText(b'"a\\', terminated=False)], False),
        (b"[NaN, Zed]", [JsonText(b"NaN"), JsonText(b"Zed")], True),
        (b"", [], False),
        (b" ", [], False),
    ],
)
def test_says_whether_the_end_was_seen(body: bytes, elements: list[JsonText], closed: bool) -> None:
    found, parser = read([body])
    assert found == elements
    assert parser.closed == parser.complete == closed
    assert parser.failure is None


@pytest.mark.parametrize("body", [b'{"error": {"code": 503}}', b'\n"error"\n', b'{"a": ["]", {}]}\r\n'])
def test_one_bare_value_is_one_element(body: bytes) -> None:
    elements, parser = read([body])
    assert elements == [JsonText(body.strip())]
    assert parser.bare
    assert parser.complete


@pytest.mark.parametrize(
    ("body", "count", "byte"),
    [
        (b'[{"a":1}]x', 1, "x"),
        (b'{"a":1}{"b":2}', 1, "{"),
        (b"[1 2]", 1, "2"),
        (b"[1,]", 1, "]"),
        (b"[,1]", 0, ","),
        (b"[1,,2]", 1, ","),
        (b'[{"a":1}}', 1, "}"),
        (b"<html>", 0, "<"),
        (b"12", 0, "1"),
        (b"Zed", 0, "Z"),
        (b"]", 0, "]"),
    ],
)
def test_broken_framing_is_a_failure_after_the_elements_before_it(body: bytes, count: int, byte: str) -> None:
    parser = JsonArrayParser()
    assert len(parser.receive_data(body)) == count
    assert isinstance(parser.failure, RemoteProtocolError)
    assert repr(byte) in parser.failure.message
    assert not parser.complete
    assert parser.receive_data(b"[1]") == []
    assert parser.receive_end() == []


def test_an_element_that_is_not_json_does_not_cost_the_next() -> None:
    elements, parser = read([b'[{"a":[}},{"b":2}]'])
    assert [element.data for element in elements] == [b'{"a":[}}', b'{"b":2}']
    assert parser.complete


def test_an_element_is_given_at_the_byte_that_closes_it() -> None:
    parser = JsonArrayParser()
    assert parser.receive_data(b'[{"a":"\\') == []
    assert parser.receive_data(b'"}"') == []
    assert parser.receive_data(b"}") == [JsonText(b'{"a":"\\"}"}')]


def test_an_escape_that_a_read_cut_is_forgotten_once_it_is_over() -> None:
    elements, parser = read([b'["a\\', b'n", "\\"x"]'])
    assert [json.loads(element.data) for element in elements] == ["a\n", '"x']
    assert parser.complete


def test_one_element_of_5_mb_full_of_escapes_is_read_in_linear_time() -> None:
    def reading(size: int) -> Callable[[], object]:
        body = b'[{"image": "' + b"\\\\\\n" * (size // 4) + b'"}]'

        def in_packets() -> None:
            (element,), parser = read(body[start : start + 1460] for start in range(0, len(body), 1460))
            assert element.data == body[1:-1]
            assert parser.complete

        return in_packets

    assert_linear(reading, 5_000_000)


@needs_recordings
def test_recorded_arrays_give_their_elements_at_any_split() -> None:
    pick = random.Random(3)
    bodies = 0
    for path in sorted(RECORDINGS.glob("gemini/stream-*.json")):
        recording = json.loads(path.read_text(encoding="utf-8"))
        if "json-array-stream" not in recording["meta"]["features"]:
            continue
        body = recording["response"]["body_text"].encode()
        for chunks in ([body], cut(body, range(len(body))), cut(body, pick.choices(range(len(body)), k=9))):
            elements, parser = read(chunks)
            assert [json.loads(element.data) for element in elements] == json.loads(body)
            assert parser.complete
        bodies += 1
    assert bodies == 4
