"""What splitting a body into frames costs: `python -m benchmarks.framing`.

CPU time of this process, the least of several runs: on a shared machine the least is what repeats. The event is a chat
chunk of 265 bytes as OpenAI sends it, its framing included; for the formats that frame otherwise the same JSON is
framed their way, so that the rows compare.
"""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

from turnout.framing.eventstream import EventStreamParser
from turnout.framing.json_array import JsonArrayParser
from turnout.framing.ndjson import NdjsonParser
from turnout.framing.parser import FrameParser
from turnout.framing.sse import SseParser

EVENT_SIZE = 265
EVENTS = 2_000
FEED_SIZES = (64, 1_460, 16_384)
RUNS = 15


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


def seconds(make_parser: Callable[[], FrameParser[Any]], reads: list[bytes], frames: int) -> float:
    """CPU seconds for one body, the least of RUNS."""
    least = float("inf")
    for _ in range(RUNS):
        parser = make_parser()
        count = 0
        begin = time.process_time()
        for data in reads:
            count += len(parser.receive_data(data))
        least = min(least, time.process_time() - begin)
        assert count == frames, f"{count} frames where {frames} were sent"
    return least


def main() -> None:
    text = chunk_json(EVENT_SIZE - len(b"data: \n\n"))
    event = b"data: " + text + b"\n\n"
    assert len(event) == EVENT_SIZE
    bodies: list[tuple[str, Callable[[], FrameParser[Any]], bytes]] = [
        ("SSE, data: and LF (OpenAI)", SseParser, event * EVENTS),
        ("SSE, data: and CRLF (Gemini)", SseParser, event.replace(b"\n", b"\r\n") * EVENTS),
        ("SSE, event: and data: (Anthropic)", SseParser, (b"event: content_block_delta\n" + event) * EVENTS),
        ("SSE, data: without a space", SseParser, event.replace(b"data: ", b"data:") * EVENTS),
        ("NDJSON (Ollama)", NdjsonParser, (text + b"\n") * EVENTS),
        ("JSON array (Gemini)", JsonArrayParser, b"[" + b"\n,\n".join([text] * EVENTS) + b"]"),
        ("AWS event stream (Bedrock)", EventStreamParser, eventstream_message(text) * EVENTS),
    ]
    print(f"µs a frame (CPU, {EVENT_SIZE}-byte event)".ljust(44) + "".join(f"{size:>9,} B" for size in FEED_SIZES))
    for name, make_parser, body in bodies:
        costs = [seconds(make_parser, in_reads(body, size), EVENTS) / EVENTS * 1e6 for size in FEED_SIZES]
        print(name.ljust(44) + "".join(f"{cost:>11.2f}" for cost in costs))
    print()
    print("ms for one frame of 5 MB in reads of 1,460 bytes")
    large = b'{"image":"' + b"x" * 5_000_000 + b'"}'
    for name, make_parser, body in (
        ("SSE", SseParser, b"data: " + large + b"\n\n"),
        ("NDJSON", NdjsonParser, large + b"\n"),
        ("JSON array", JsonArrayParser, b"[" + large + b"]"),
        ("AWS event stream", EventStreamParser, eventstream_message(large)),
    ):
        print(name.ljust(44) + f"{seconds(make_parser, in_reads(body, 1_460), 1) * 1e3:>11.1f}")


if __name__ == "__main__":
    main()
