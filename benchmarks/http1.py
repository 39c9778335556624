"""What HTTP/1.1 costs, our body reader against h11: `python -m benchmarks.http1`.

CPU time of this process, the least of several rounds. A body comes in HTTP chunks of 265 bytes, the size of an event of
an OpenAI stream, in reads of several sizes; both readers give the same bytes. Then the same for a whole exchange:
request written, head of 16 fields read, a short body read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import h11

from benchmarks.measure import least_cpu, parser, positive, print_table
from turnout.http import HttpRequest
from turnout.http.http1 import Http1Exchange
from turnout.http.http1_body import ChunkedBody

EVENT = b"x" * 265
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + b"X-Field: some value of a usual size\r\n" * 15 + b"\r\n"
REQUEST = HttpRequest("POST", "https://api.example.test/v1/chat", (("Authorization", "Bearer k"),), b"x" * 500)


def reads(wire: bytes, size: int) -> list[bytes]:
    return [wire[at : at + size] for at in range(0, len(wire), size)]


def with_our_reader(pieces: list[bytes]) -> int:
    reader = ChunkedBody()
    return sum(len(reader.receive_data(piece)) for piece in pieces)


def h11_at_the_body(head: bytes) -> h11.Connection:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "example.test")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(head)
    connection.next_event()
    return connection


def with_h11(pieces: list[bytes], head: bytes = HEAD) -> int:
    connection = h11_at_the_body(head)
    total = 0
    for piece in pieces:
        connection.receive_data(piece)
        while isinstance(event := connection.next_event(), h11.Data):
            total += len(event.data)
    return total


def whole_exchange() -> None:
    exchange = Http1Exchange.to_url(REQUEST)
    while exchange.next_chunk() is not None:
        pass
    exchange.receive_data(HEAD + b"5\r\nhello\r\n0\r\n\r\n")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("http1", __doc__, rounds=7)
    options.add_argument("--chunks", type=positive, default=4_000, help="HTTP chunks of the body (4000)")
    options.add_argument("--exchanges", type=positive, default=200, help="whole exchanges (200)")
    given = options.parse_args(arguments)
    wire = b"%x\r\n%b\r\n" % (len(EVENT), EVENT) * given.chunks + b"0\r\n\r\n"
    rows = []
    for size in (64, 275, 4_096, 16_384, 65_536):
        pieces = reads(wire, size)
        assert with_our_reader(pieces) == with_h11(pieces) == given.chunks * len(EVENT)
        ours, theirs = (
            least_cpu(lambda: run(pieces), given.rounds) / given.chunks * 1e6  # noqa: B023 - run at once
            for run in (with_our_reader, with_h11)
        )
        rows.append((f"{size:,} B", f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.1f}"))
    print_table(
        f"µs of CPU for one HTTP chunk of {len(EVENT)} bytes", ("reads of", "Turnout", "h11", "h11/Turnout"), rows
    )

    def exchanges() -> None:
        for _ in range(given.exchanges):
            whole_exchange()

    cost = least_cpu(exchanges, given.rounds) / given.exchanges * 1e6
    print(f"A whole exchange with a head of 16 fields: {cost:.0f} µs of CPU.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
