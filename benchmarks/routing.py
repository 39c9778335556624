"""What routing adds to a call and to each of its chunks: `python -m benchmarks.routing`.

CPU time of this process, the least of several rounds, with no I/O. A call is begun, opened, answered by a stream of
chunks and finished; then the same exchange is fed by hand, and the difference is the router's. A stream of one chunk
tells the cost of a call, and what many chunks cost more tells the cost of a chunk. The candidates after the first are
fallbacks that are never needed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Sequence

from benchmarks.measure import least_cpu, parser, positive, print_table
from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message
from turnout.providers import create
from turnout.routing.commands import Drop, Finish, Open, Read
from turnout.routing.operations import Stream
from turnout.routing.router import RouterCore

CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def by_hand(request: ChatRequest, chunks: int) -> None:
    exchange = create("openai", name="p0", api_key="k").stream(request)
    exchange.receive_head(200, ())
    for _ in range(chunks):
        exchange.receive_data(CHUNK)
    exchange.receive_data(LAST)
    exchange.receive_end()


def routed(core: RouterCore, request: ChatRequest, chunks: int) -> None:
    call = core.start(Stream(request), 0.0)
    now, left = 0.0, chunks
    while True:
        command = call.next_command(now)
        match command:
            case Read(attempt):
                left -= 1
                if left >= 0:
                    call.receive_data(attempt, CHUNK, now)
                elif left == -1:
                    call.receive_data(attempt, LAST, now)
                else:
                    call.receive_end(attempt, now)
            case Open(attempt):
                call.receive_head(attempt, 200, (), now)
            case Drop():
                pass
            case Finish():
                return


def _costs(run: Callable[[int], None], given: argparse.Namespace) -> tuple[float, float]:
    """µs for a stream of one chunk, and for each further chunk."""
    one, many = (least_cpu(lambda: run(chunks), given.rounds) * 1e6 for chunks in (1, given.chunks + 1))  # noqa: B023
    return one, (many - one) / given.chunks


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("routing", __doc__, rounds=40)
    options.add_argument("--chunks", type=positive, default=400, help="chunks of the long stream (400)")
    given = options.parse_args(arguments)
    rows = []
    for candidates in (1, 10, 100):
        core = RouterCore(rng=random.Random(0))
        for number in range(candidates):
            core.register(create("openai", name=f"p{number}", api_key="k"))
        models = [ModelConfig(f"p{number}", "m") for number in range(candidates)]
        request = ChatRequest(models[0], [Message.user("hello")], fallbacks=models[1:])
        lone = request.for_model(models[0])
        call, chunk = _costs(lambda chunks: routed(core, request, chunks), given)  # noqa: B023 - run at once
        call_by_hand, chunk_by_hand = _costs(lambda chunks: by_hand(lone, chunks), given)  # noqa: B023 - as above
        whole = (f"{cost:.0f}" for cost in (call, call_by_hand, call - call_by_hand))
        each = (f"{cost:.2f}" for cost in (chunk, chunk_by_hand, chunk - chunk_by_hand))
        rows.append((str(candidates), *whole, *each))
    columns = ("candidates", "call, routed", "by hand", "added", "chunk, routed", "by hand", "added")
    print_table("µs of CPU for a call with one chunk, and for each further chunk", columns, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
