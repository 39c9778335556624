"""The event stream parser against the WHATWG text, written out slowly here, and against recorded streams."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proportion import assert_linear
from turnout.errors import RemoteProtocolError
from turnout.framing.sse import MAX_STRAY, SseEvent, SseParser

RECORDINGS = Path(os.environ.get("TURNOUT_RECORDINGS") or Path(__file__).parents[4] / "shared" / "recordings")
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recorded streams are not here: set TURNOUT_RECORDINGS to their folder"
)


def read(chunks: Iterable[bytes], max_frame: int | None = None) -> tuple[list[SseEvent], SseParser]:
    parser = SseParser() if max_frame is None else SseParser(max_frame=max_frame)
    events = [event for chunk in chunks for event in parser.receive_data(chunk)]
    return events + parser.receive_end(), parser


def cut(body: bytes, offsets: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({offset for offset in offsets if 0 < offset < len(body)}), len(body)]
    return [body[start:end] for start, end in pairwise(edges) if start < end]


def in_single_bytes(body: bytes) -> list[bytes]:
    return [body[index : index + 1] for index in range(len(body))]


def outcome(events: Sequence[SseEvent], parser: SseParser) -> tuple[object, ...]:
    failure = None if parser.failure is None else parser.failure.message
    state = (parser.last_event_id, parser.reconnection_time, parser.stray, parser.complete)
    return [*events], failure, state


@attrs.define
class Reference:
    """Section 9.2.6 of the standard as it is worded: decode all, split into lines, interpret line by line.

    Its additions are those of the parser: what was left at the end, what no field was known for, and the limit.
    """

    max_frame: int = 1 << 30
    events: list[tuple[str, str, str, int | None, bool]] = attrs.field(factory=list)
    last_event_id: str = ""
    reconnection_time: int | None = None
    stray: str = ""
    failed: bool = False
    # the buffers of the standard, and the retry that the next event reports
    data: str = ""
    event_type: str = ""
    id_buffer: str = ""
    retry: int | None = None

    def read(self, body: bytes) -> Reference:
        blocks: list[list[bytes]] = [[]]
        *lines, unended = re.split(rb"\r\n|\n|\r", body)
        for line in lines:
            if line:
                blocks[-1].append(line)
            elif blocks[-1]:
                blocks.append([])
        if unended:
            blocks[-1].append(unended)
        at_start = not body.startswith((b"\r", b"\n"))
        for index, block in enumerate(blocks):
            if len(b"\n".join(block)) > self.max_frame:
                self.failed = True
                return self
            for line in block:
                text = line.decode("utf-8", "replace")
                self.interpret(text.removeprefix("\ufeff") if at_start else text)
                at_start = False
            self.dispatch(terminated=index < len(blocks) - 1)
        return self

    def interpret(self, line: str) -> None:
        if line == "":
            return  # only a line that was nothing but the BOM
        if line.startswith(":"):
            return
        if ":" in line:
            field, value = line.split(":", 1)
            value = value.removeprefix(" ")
        else:
            field, value = line, ""
        if field == "event":
            self.event_type = value
        elif field == "data":
            self.data += value + "\n"
        elif field == "id":
            if "\0" not in value:
                self.id_buffer = value
        elif field == "retry":
            if value and all(digit in "0123456789" for digit in value):
                self.retry = self.reconnection_time = int(value)
        else:
            self.stray += line + "\n"

    def dispatch(self, terminated: bool) -> None:
        event_id = self.id_buffer
        if terminated:
            self.last_event_id = event_id
        data, event_type = self.data, self.event_type
        self.data = self.event_type = ""
        if data == "":
            return
        self.events.append((event_type or "message", data[:-1], event_id, self.retry, terminated))
        self.retry = None


# Streams made of what the grammar is about, so that the odd corners come up often; and of the usual events in rows,
# with the odd between them, because those rows are where the parser takes its short cuts.
ODD = [
    *(b"data: ", b"data:", b"data", b"event: ", b"event:", b"event", b"id: ", b"id", b"retry: ", b"retry:"),
    *(b":", b": ping", b" ", b"  ", b"x", b"7", b"0", b"{}", b"\0", b"Data:", b"data :", b"other: y"),
    *(b"\n", b"\n", b"\n\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"\n\n\n"),
    *(b"\xef\xbb\xbf", b"\xef", b"\xbb\xbf", b"\xff", b"\xe2\x82", "é".encode(), "\u2028\u0085".encode()),
]
USUAL = [
    *(b"data: 1\n\n", b'data: {"b":2}\n\n', b"data: \n\n", b"data: 4\r\n\r\n", b"event: delta\ndata: 5\n\n"),
    *(b"id: 6\n\n", b"retry: 7\n\n", b"id: 8\nretry: 9\ndata: 9\n\n", b": ping\n\n", b"\n", b"data: 10\ndata: 11\n\n"),
]
odd_streams = st.lists(st.sampled_from(ODD + USUAL), max_size=24).map(b"".join)
usual_streams = st.lists(st.sampled_from(USUAL + [b"data: 1\n\n"] * 8), max_size=24).map(b"".join)
streams = odd_streams | usual_streams
offset_sets = st.sets(st.integers(1, 120), max_size=12)


@pytest.mark.full
@settings(max_examples=600)
@given(streams, offset_sets)
def test_equals_the_wording_of_the_standard_at_any_split(body: bytes, offsets: set[int]) -> None:
    reference = Reference().read(body)
    events, parser = read(cut(body, offsets))
    assert [(e.event, e.text, e.id, e.retry, e.terminated) for e in events] == reference.events
    assert parser.last_event_id == reference.last_event_id
    assert parser.reconnection_time == reference.reconnection_time
    assert parser.stray.decode("utf-8", "replace") == reference.stray
    assert parser.failure is None


@pytest.mark.full
@settings(max_examples=300)
@given(streams, offset_sets, st.integers(1, 20))
def test_the_limit_holds_for_each_block_at_any_split(body: bytes, offsets: set[int], limit: int) -> None:
    reference = Reference(max_frame=limit).read(body)
    events, parser = read(cut(body, offsets), limit)
    assert [(e.event, e.text, e.id, e.retry, e.terminated) for e in events] == reference.events
    assert (parser.failure is not None) == reference.failed
    assert outcome(events, parser) == outcome(*read([body], limit)) == outcome(*read(in_single_bytes(body), limit))


@settings(max_examples=300)
@given(st.binary(max_size=80), offset_sets)
def test_any_bytes_give_the_same_events_at_any_split(body: bytes, offsets: set[int]) -> None:
    whole = outcome(*read([body]))
    assert outcome(*read(cut(body, offsets))) == whole
    assert outcome(*read(in_single_bytes(body))) == whole


def plain(*data: bytes) -> list[SseEvent]:
    return [SseEvent(value) for value in data]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\ndata: b\n\n", plain(b"a", b"b")),
        (b"data:a\n\ndata:  b\n\n", plain(b"a", b" b")),
        (b"data: a\n\ndata: b\n\ndata: c\n\ndata: d\n\n", plain(b"a", b"b", b"c", b"d")),
        (b"data: a\n\ndata: b\ndata: c\n\ndata: d\n\n\ndata: e\n\ndata: f\n\n", plain(b"a", b"b\nc", b"d", b"e", b"f")),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", plain(b"a", b"b")),
        (b"data: a\r\rdata: b\n\r\n", plain(b"a", b"b")),
        (b"data: a\r\ndata: b\rdata: c\n\n", plain(b"a\nb\nc")),
        (b"data\n\ndata\ndata\n\n", plain(b"", b"\n")),
        (b"data: a\n\n\n\n\ndata: b\n\n\n", plain(b"a", b"b")),
        (b"\n\n\ndata: a\n\n", plain(b"a")),
        (b": OPENROUTER PROCESSING\n\ndata: a\n\n: keep-alive\n\ndata: b\n\n", plain(b"a", b"b")),
        (b"data: a\n: in between\ndata: b\n\n", plain(b"a\nb")),
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", plain(b"a")),
        (b"\n\xef\xbb\xbfdata: a\n\ndata: b\n\n", plain(b"b")),
        (b"event: ping\ndata: {}\n\ndata: a\n\n", [SseEvent(b"{}", "ping"), SseEvent(b"a")]),
        (b"event: \ndata: a\n\nevent: lost\n\ndata: b\n\n", plain(b"a", b"b")),
        (b"data: a\nevent: late\n\n", [SseEvent(b"a", "late")]),
        (b"event: \xff\ndata: a\n\n", [SseEvent(b"a", "\ufffd")]),
        (
            b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
            [SseEvent(b"a", id="1"), SseEvent(b"b", id="1"), *plain(b"c")],
        ),
        (b"id: 1\n\nid: no\0\ndata: a\n\n", [SseEvent(b"a", id="1")]),
        (b"retry: 050\n\ndata: a\n\ndata: b\n\n", [SseEvent(b"a", retry=50), *plain(b"b")]),
        (
            b"data: a\n\ndata: b\n\nid: 1\n\nretry: 5\n\ndata: c\n\ndata: d\n\ndata: e\n\n",
            [*plain(b"a", b"b"), SseEvent(b"c", id="1", retry=5), SseEvent(b"d", id="1"), SseEvent(b"e", id="1")],
        ),
        (b"retry: 0\nretry: +1\nretry: 1.5\nretry:\nretry: \xd9\xa1\ndata: a\n\n", [SseEvent(b"a", retry=0)]),
        ("data: \u2028\u2029\u0085\v\f\x1c\n\n".encode(), plain("\u2028\u2029\u0085\v\f\x1c".encode())),
        (b"", []),
        (b"\n\r\n\r", []),
        (b"event: x\nid: 1\n", []),
    ],
)
def test_cases(body: bytes, events: list[SseEvent]) -> None:
    assert read([body])[0] == events
    assert read(in_single_bytes(body))[0] == events


def test_text_replaces_what_is_not_utf_8_and_data_keeps_it() -> None:
    (event,), _ = read([b"data: a\xff\xe2\x82\ndata: b\n\n"])
    assert event.data == b"a\xff\xe2\x82\nb"
    assert event.text == "a\ufffd\ufffd\nb"


@pytest.mark.parametrize(("digits", "reported"), [(18, 10**18 - 1), (19, 10), (5000, 10)])
def test_a_retry_too_long_to_be_a_time_is_ignored(digits: int, reported: int) -> None:
    events, parser = read([b"retry: 10\nretry: " + b"9" * digits + b"\ndata: a\n\n"])
    assert (events, parser.reconnection_time) == ([SseEvent(b"a", retry=reported)], reported)


def test_leading_zeros_of_a_retry_do_not_count() -> None:
    _, parser = read([b"retry: " + b"0" * 5000 + b"7\n\n"])
    assert parser.reconnection_time == 7


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_an_event_without_its_empty_line_is_handed_on_marked(end: bytes) -> None:
    parser = SseParser()
    assert parser.receive_data(b'data: {"a":1}\n\nevent: error\nid: 4\ndata: {"error":2}' + end) == plain(b'{"a":1}')
    assert not parser.complete
    assert parser.receive_end() == [SseEvent(b'{"error":2}', "error", "4", terminated=False)]
    assert (parser.last_event_id, parser.complete, parser.failure) == ("", False, None)


@pytest.mark.parametrize("body", [b"data: a\n\n", b"data: a\r\n\r\n", b"data: a\n\r", b": c\n\n\n", b"", b"\n"])
def test_a_body_that_ends_between_blocks_is_complete(body: bytes) -> None:
    assert read([body])[1].complete


def test_an_event_is_given_at_the_first_byte_that_completes_it() -> None:
    parser = SseParser()
    assert parser.receive_data(b"data: a\r\n\r") == plain(b"a")
    assert parser.receive_data(b"") == []
    assert parser.receive_data(b"\n") == []
    assert parser.receive_data(b"data: b\n") == []
    assert parser.receive_data(b"\n") == plain(b"b")


def test_a_bom_is_taken_off_a_block_that_never_ends() -> None:
    assert read([b"\xef\xbb", b"\xbfdata: a"])[0] == [SseEvent(b"a", terminated=False)]


def test_bare_json_in_the_stream_is_kept_as_stray() -> None:
    report = b'{\n  "error": {\n    "code": 499,\n    "message": "cancelled: "\n  }\n}\n'
    events, parser = read([b"data: a\n\n" + report])
    assert events == plain(b"a")
    assert json.loads(parser.stray)["error"]["code"] == 499


def test_stray_lines_are_kept_up_to_a_bound() -> None:
    line = b"y" * 99
    body = (line + b"\n\n") * (MAX_STRAY // 100 + 50)
    _, parser = read([body + b"short\n\n"])
    assert parser.stray == (line + b"\n") * (MAX_STRAY // 100)


@pytest.mark.parametrize(("length", "kept"), [(MAX_STRAY - 1, MAX_STRAY), (MAX_STRAY, 0)])
def test_a_stray_line_counts_with_its_end(length: int, kept: int) -> None:
    assert len(read([b"y" * length + b"\n\n"])[1].stray) == kept


def test_events_before_a_block_that_is_too_large_are_given() -> None:
    parser = SseParser(max_frame=20)
    assert parser.receive_data(b"data: a\n\ndata: " + b"x" * 15 + b"\n\ndata: b\n\n") == plain(b"a")
    assert isinstance(parser.failure, RemoteProtocolError)
    assert "larger than 20 bytes" in parser.failure.message
    assert "max_frame" in parser.failure.message
    assert parser.receive_data(b"data: c\n\n") == []
    assert parser.receive_end() == []
    assert not parser.complete


@pytest.mark.parametrize(
    "body", [b"data: " + b"x" * 14 + b"\n\n", b"data: " + b"x" * 14 + b"\n", b"data: " + b"x" * 14]
)
def test_a_block_of_just_the_limit_passes(body: bytes) -> None:
    for before in (b"", b"\n", b"\n\n\n", b": ping\n\n", b": ping\n\n\n"):
        text = before + body
        crlf = text.replace(b"\n", b"\r\n")
        for chunks in ([text], [crlf], in_single_bytes(text), in_single_bytes(crlf)):
            events, parser = read(chunks, 20)
            assert parser.failure is None
            assert [event.data for event in events] == [b"x" * 14]


def test_one_event_of_5_mb_is_read_in_linear_time() -> None:
    def reading(size: int) -> Callable[[], object]:
        body = b"data: " + b"x" * size + b"\n\n"
        chunks = [body[start : start + 1460] for start in range(0, len(body), 1460)]

        def in_packets() -> None:
            events, _ = read(chunks)
            assert events == plain(body[6:-2])

        return in_packets

    # A buffer that is copied at each read takes four seconds instead of 15 ms.
    assert_linear(reading, 5_000_000)


@pytest.mark.full
def test_memory_is_bounded_also_where_an_event_comes_in_tiny_pieces() -> None:
    parser = SseParser(max_frame=200_000)
    tracemalloc.start()
    try:
        parser.receive_data(b"data: ")
        for _ in range(400_000):
            parser.receive_data(bytes([120, 121]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert parser.failure is not None
    assert peak < 600_000


def recorded_cases() -> list[Any]:
    path = RECORDINGS / "sse-cases.json"
    if not path.is_file():
        return []
    return [pytest.param(case, id=case["name"]) for case in json.loads(path.read_text(encoding="utf-8"))]


@needs_recordings
@pytest.mark.parametrize("case", recorded_cases())
def test_recorded_case(case: dict[str, Any]) -> None:
    body = base64.b64decode(case["input_base64"])
    pick = random.Random(case["name"])
    splits = [[body], in_single_bytes(body)]
    splits += [cut(body, (pick.randrange(len(body) + 1) for _ in range(6))) for _ in range(20)]
    if "chunks" in case:
        splits.append(cut(body, accumulate(case["chunks"])))
    for chunks in splits:
        events, parser = read(chunks)
        found = [{"event": e.event, "data": e.text, "id": e.id, "retry": e.retry} for e in events if e.terminated]
        assert found == case["expected_events"]
        final = {"last_event_id": parser.last_event_id, "reconnection_time": parser.reconnection_time}
        assert final == case["final"]


@pytest.mark.slow
@needs_recordings
def test_recorded_streams_give_the_same_events_at_any_split() -> None:
    pick = random.Random(5)
    streams_read = 0
    for path in sorted(RECORDINGS.glob("*/stream-*.json")):
        recording = json.loads(path.read_text(encoding="utf-8"))
        response = recording["response"]
        if not response.get("body_text", "").lstrip().startswith(("data:", "event:", ":")):
            continue
        body = response["body_text"].encode()
        reference = Reference().read(body)
        received = cut(body, accumulate(response.get("chunk_sizes") or []))
        for chunks in ([body], received, cut(body, (pick.randrange(len(body)) for _ in range(len(body) // 300)))):
            events, parser = read(chunks)
            assert [(e.event, e.text, e.id, e.retry, e.terminated) for e in events] == reference.events, path.name
            assert parser.failure is None
        streams_read += 1
    assert streams_read > 150
