"""What a chunk of a chunked body costs: the body reader of Turnout against h11, over reads of several sizes.

    python benchmarks/http1.py

One chunk is 265 bytes, the size of an event of an OpenAI stream. Times are the best of several runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import h11

from turnout.http import HttpRequest
from turnout.http1 import Http1Exchange
from turnout.http1_body import ChunkedBody

CHUNKS = 4000
EVENT = b"x" * 265
WIRE = b"%x\r\n%b\r\n" % (len(EVENT), EVENT) * CHUNKS + b"0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + b"X-Field: some value of a usual size\r\n" * 15 + b"\r\n"
BODY = bytes(2_000_000)


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
    while exchange.next_piece() is not None:
        pass
    exchange.receive_data(HEAD + b"5\r\nhello\r\n0\r\n\r\n")


def two_hundred_exchanges() -> None:
    for _ in range(200):
        whole_exchange()


REQUEST = HttpRequest("POST", "https://api.example.test/v1/chat", (("Authorization", "Bearer k"),), b"x" * 500)


def best(run: Callable[[], object], times: int = 7) -> float:
    """Seconds of the fastest of several runs."""
    fastest = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        run()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def main() -> None:
    print(f"{'bytes a read':>14} {'ours, µs a chunk':>18} {'h11':>8} {'ratio':>7}")
    for size in (64, 275, 4096, 16384, 65536):
        pieces = reads(WIRE, size)
        assert with_our_reader(pieces) == with_h11(pieces) == CHUNKS * len(EVENT)
        ours = best(lambda pieces=pieces: with_our_reader(pieces)) / CHUNKS * 1e6  # type: ignore[misc]  # a default
        theirs = best(lambda pieces=pieces: with_h11(pieces), 3) / CHUNKS * 1e6  # type: ignore[misc]  # a default
        print(f"{size:>14} {ours:>18.2f} {theirs:>8.2f} {theirs / ours:>7.1f}")
    print(f"request and head of 16 fields: {best(two_hundred_exchanges) / 200 * 1e6:.0f} µs")


if __name__ == "__main__":
    main()
