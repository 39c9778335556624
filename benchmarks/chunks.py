"""What one chunk of a stream costs, from bytes to the event: `python -m benchmarks.chunks`.

CPU time of this process, the least of several rounds. A chunk is 265 bytes, framing included, as OpenAI sends it, and
becomes one Token. Each row has one layer more than the row above it: what a layer costs is the difference. The aim is
2.5 µs for all layers in reads of 16 KiB. The columns are sizes of the reads in which the body comes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.framing import EVENT_SIZE, FEED_SIZES, READS, chunk_json, in_reads
from benchmarks.measure import least_cpu, parser, positive, print_table
from turnout.chat import ChatRequest, ModelConfig
from turnout.events import Token
from turnout.framing.sse import SseParser
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.json_codec import LenientDecoder
from turnout.providers.openai_chat.wire import Chunk

AIM = 2.5


def split(reads: list[bytes]) -> int:
    parser = SseParser()
    return sum(len(parser.receive_data(data)) for data in reads)


def split_and_decode(reads: list[bytes]) -> int:
    parser, shape = SseParser(), LenientDecoder(Chunk)
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


LAYERS = (
    ("split into events", split),
    ("and decode their JSON", split_and_decode),
    ("and make Tokens of them: the whole exchange", whole),
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("chunks", __doc__, rounds=15)
    options.add_argument("--chunks", type=positive, default=2_000, help="chunks of the stream (2000)")
    given = options.parse_args(arguments)
    event = b"data: " + chunk_json(EVENT_SIZE - len(b"data: \n\n")) + b"\n\n"
    rows = []
    for name, run in LAYERS:
        cells = [name]
        for size in FEED_SIZES:
            reads = in_reads(event * given.chunks, size)
            count = run(reads)
            assert count == given.chunks, f"{count} events where {given.chunks} chunks were sent"
            cells.append(f"{least_cpu(lambda: run(reads), given.rounds) / given.chunks * 1e6:.2f}")  # noqa: B023 - run at once
        rows.append(cells)
    print_table(f"µs of CPU for one chunk of {EVENT_SIZE} bytes", ("layers", *READS), rows)
    print(f"The aim is {AIM} µs in the last row's last column.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
