"""What one chunk of a stream costs, from bytes to the event: `python -m benchmarks.chunks`.

CPU time of this process, the least of several runs. A chunk is 265 bytes, framing included, as OpenAI sends it, and
becomes one Token; the rows take it apart into what each layer costs. The aim is 2.5 µs for the whole of it in reads
of 16 KiB.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.framing import EVENT_SIZE, FEED_SIZES, chunk_json, in_reads
from turnout.chat import ChatRequest, ModelConfig
from turnout.events import Token
from turnout.framing.sse import SseParser
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.openai_wire import Chunk
from turnout.providers.wire import Shape

CHUNKS = 2_000
RUNS = 15
AIM = 2.5


def split(reads: list[bytes]) -> int:
    parser = SseParser()
    return sum(len(parser.receive_data(data)) for data in reads)


def split_and_decode(reads: list[bytes]) -> int:
    parser, shape = SseParser(), Shape(Chunk)
    return sum(shape.decode(event.data) is not None for data in reads for event in parser.receive_data(data))


def whole(reads: list[bytes]) -> int:
    provider = create("openai", api_key="not-a-key")
    exchange = provider.stream(ChatRequest(ModelConfig("openai", "gpt-4o-mini"), (Message.user("hello"),)))
    exchange.receive_head(200, [("content-type", "text/event-stream")])
    count = 0
    for data in reads:
        events = exchange.receive_data(data)
        count += len(events)
        assert all(type(event) is Token for event in events)
    return count


def microseconds(run: Callable[[list[bytes]], int], reads: list[bytes]) -> float:
    """CPU µs a chunk, the least of RUNS."""
    least = float("inf")
    for _ in range(RUNS):
        begin = time.process_time()
        count = run(reads)
        least = min(least, time.process_time() - begin)
        assert count == CHUNKS, f"{count} events where {CHUNKS} chunks were sent"
    return least / CHUNKS * 1e6


def main() -> None:
    event = b"data: " + chunk_json(EVENT_SIZE - len(b"data: \n\n")) + b"\n\n"
    print(f"µs a chunk (CPU, {EVENT_SIZE} bytes)".ljust(44) + "".join(f"{size:>9,} B" for size in FEED_SIZES))
    for name, run in (
        ("split into events", split),
        ("split and decode", split_and_decode),
        ("bytes to Token, through the exchange", whole),
    ):
        costs = [microseconds(run, in_reads(event * CHUNKS, size)) for size in FEED_SIZES]
        print(name.ljust(44) + "".join(f"{cost:>11.2f}" for cost in costs))
    print(f"the aim is {AIM} µs in the last column's last row")


if __name__ == "__main__":
    main()
