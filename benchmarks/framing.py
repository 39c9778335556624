"""What splitting a body into frames costs: `python -m benchmarks.framing`.

CPU time of this process, the least of several rounds. The event is a chat chunk of 265 bytes as OpenAI sends it, its
framing included; for the formats that frame otherwise the same JSON is framed their way, so that the rows compare. The
columns are sizes of the reads in which a body comes: a packet of one token, a packet that is full, and a full buffer.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.measure import least_cpu, parser, positive, print_table
from turnout.framing.eventstream import EventStreamParser
from turnout.framing.json_array import JsonArrayParser
from turnout.framing.ndjson import NdjsonParser
from turnout.framing.parser import FrameParser
from turnout.framing.sse import SseParser

EVENT_SIZE = 265
FEED_SIZES = (64, 1_460, 16_384)
READS = tuple(f"reads of {size:,} B" for size in FEED_SIZES)


def chunk_json(size: int) -> bytes:
    """A chat chunk as JSON of just `size` bytes, its content as long as that takes."""

    def encode(content: str) -> bytes:
        delta = {"content": content}
        chunk = {
            "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            "object": "chat.completion.chunk",
            "created": 1741569952,
            "model": "gpt-4o-mini-2024-07-18",
            "system_fingerprint": "fp_44709d6fcb",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
        }
        return json.dumps(chunk, separators=(",", ":")).encode()

    text = encode("x" * (size - len(encode(""))))
    assert len(text) == size, f"the chunk has {len(text)} bytes before its content"
    return text


def eventstream_message(payload: bytes) -> bytes:
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in (
            (b":event-type", b"contentBlockDelta"),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def in_reads(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def seconds(make_parser: Callable[[], FrameParser[Any]], reads: list[bytes], frames: int, rounds: int) -> float:
    """CPU seconds for one body of so many frames."""

    def run() -> None:
        parser = make_parser()
        count = sum(len(parser.receive_data(data)) for data in reads)
        assert count == frames, f"{count} frames where {frames} were sent"

    return least_cpu(run, rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("framing", __doc__, rounds=15)
    options.add_argument("--events", type=positive, default=2_000, help="events in a body (2000)")
    options.add_argument("--large", type=positive, default=5_000_000, help="bytes of the one large frame (5000000)")
    given = options.parse_args(arguments)
    events = given.events
    text = chunk_json(EVENT_SIZE - len(b"data: \n\n"))
    event = b"data: " + text + b"\n\n"
    bodies: list[tuple[str, Callable[[], FrameParser[Any]], bytes]] = [
        ("SSE, data: and LF (OpenAI)", SseParser, event * events),
        ("SSE, data: and CRLF (Gemini)", SseParser, event.replace(b"\n", b"\r\n") * events),
        ("SSE, event: and data: (Anthropic)", SseParser, (b"event: content_block_delta\n" + event) * events),
        ("SSE, data: without a space", SseParser, event.replace(b"data: ", b"data:") * events),
        ("NDJSON (Ollama)", NdjsonParser, (text + b"\n") * events),
        ("JSON array (Gemini)", JsonArrayParser, b"[" + b"\n,\n".join([text] * events) + b"]"),
        ("AWS event stream (Bedrock)", EventStreamParser, eventstream_message(text) * events),
    ]
    rows = []
    for name, make_parser, body in bodies:
        costs = [seconds(make_parser, in_reads(body, size), events, given.rounds) for size in FEED_SIZES]
        rows.append((name, *(f"{cost / events * 1e6:.2f}" for cost in costs)))
    print_table(f"µs of CPU to split off one event of {EVENT_SIZE} bytes", ("framing", *READS), rows)
    large = b'{"image":"' + b"x" * given.large + b'"}'
    rows = []
    for name, make_parser, body in (
        ("SSE", SseParser, b"data: " + large + b"\n\n"),
        ("NDJSON", NdjsonParser, large + b"\n"),
        ("JSON array", JsonArrayParser, b"[" + large + b"]"),
        ("AWS event stream", EventStreamParser, eventstream_message(large)),
    ):
        rows.append((name, f"{seconds(make_parser, in_reads(body, 1_460), 1, given.rounds) * 1e3:.1f}"))
    print_table(
        f"ms of CPU for one event of {len(large):,} bytes (it must not grow with the square)",
        ("framing", "reads of 1,460 B"),
        rows,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
