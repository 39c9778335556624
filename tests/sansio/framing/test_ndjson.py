"""The line parser against `split`, and against what Ollama and Cohere were recorded to send."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import RemoteProtocolError
from turnout.framing.ndjson import NdjsonParser
from turnout.framing.parser import JsonText

RECORDINGS = Path(os.environ.get("TURNOUT_RECORDINGS") or Path(__file__).parents[4] / "shared" / "recordings")
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recorded streams are not here: set TURNOUT_RECORDINGS to their folder"
)


def read(chunks: Iterable[bytes], max_frame: int = 1 << 20) -> tuple[list[JsonText], NdjsonParser]:
    parser = NdjsonParser(max_frame=max_frame)
    lines = [line for chunk in chunks for line in parser.receive_data(chunk)]
    return lines + parser.receive_end(), parser


def cut(body: bytes, offsets: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({offset for offset in offsets if 0 < offset < len(body)}), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges) if start < end]


def reference(body: bytes, max_frame: int) -> tuple[list[JsonText], bool]:
    """The lines, and whether one was too large to go on."""
    *lines, rest = body.split(b"\n")
    found: list[JsonText] = []
    for line, terminated in [*((line, True) for line in lines), (rest, False)]:
        if len(line) > max_frame:
            return found, True
        if line.strip():
            found.append(JsonText(line.removesuffix(b"\r"), terminated))
    return found, False


PIECES = [b'{"a":1}', b"{", b"x", b"\n", b"\n", b"\r\n", b"\r", b" ", b"\t", b"\n\n", b"\xff", "\u2028".encode()]


@given(
    st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join) | st.binary(max_size=60),
    st.sets(st.integers(1, 60), max_size=8),
    st.sampled_from([1, 2, 5, 9, 1000]),
)
def test_equals_split_at_any_split(body: bytes, offsets: set[int], limit: int) -> None:
    expected, failed = reference(body, limit)
    messages = set()
    for chunks in ([body], cut(body, offsets), cut(body, range(len(body)))):
        lines, parser = read(chunks, limit)
        assert lines == expected
        assert (parser.failure is not None) == failed
        messages.add(parser.failure.message if parser.failure else "")
        assert parser.complete == (not failed and (not body or body.endswith(b"\n")))
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b'{"a":1}\n{"b":2}\n', [JsonText(b'{"a":1}'), JsonText(b'{"b":2}')]),
        (b'{"a":1}\r\n\r\n \n{"b":2}\r\n', [JsonText(b'{"a":1}'), JsonText(b'{"b":2}')]),
        (b'{"a":1}\n{"b":2}', [JsonText(b'{"a":1}'), JsonText(b'{"b":2}', terminated=False)]),
        (b'{"a":1}\r', [JsonText(b'{"a":1}', terminated=False)]),
        (b'{"a":1}\n{"b"', [JsonText(b'{"a":1}'), JsonText(b'{"b"', terminated=False)]),
        (b"", []),
        (b" \r\n\t", []),
    ],
)
def test_cases(body: bytes, lines: list[JsonText]) -> None:
    assert read([body])[0] == lines


def test_lines_before_one_that_is_too_large_are_given() -> None:
    parser = NdjsonParser(max_frame=4)
    assert parser.receive_data(b"1\n22\n55555\n3\n") == [JsonText(b"1"), JsonText(b"22")]
    assert isinstance(parser.failure, RemoteProtocolError)
    assert "larger than 4 bytes" in parser.failure.message
    assert parser.receive_data(b"4\n") == []
    assert parser.receive_end() == []


@needs_recordings
def test_recorded_bodies_give_the_same_lines_at_any_split() -> None:
    pick = random.Random(11)
    bodies = 0
    for path in sorted([*RECORDINGS.glob("ollama/stream-*.json"), *RECORDINGS.glob("cohere/stream-*.json")]):
        recording = json.loads(path.read_text(encoding="utf-8"))
        if "ndjson" not in recording["meta"]["features"]:
            continue
        body = recording["response"]["body_text"].encode()
        expected = [json.loads(line) for line in body.split(b"\n") if line.strip()]
        for chunks in ([body], cut(body, range(len(body))), cut(body, pick.choices(range(len(body)), k=40))):
            lines, parser = read(chunks)
            assert [json.loads(line.data) for line in lines] == expected
            assert parser.complete
        bodies += 1
    assert bodies >= 12
