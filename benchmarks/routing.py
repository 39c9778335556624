"""What routing adds to a call and to each of its chunks: `python -m benchmarks.routing`.

CPU time of this process, the least of several rounds, with no I/O. A call is begun, opened, answered by a stream of
chunks and finished; then the same exchange is fed by hand, and the difference is the router's. A stream of one chunk
tells the cost of a call, and what many chunks cost more tells the cost of a chunk. The candidates after the first are
fallbacks that are never needed.

A second table shows what a call costs a router that has seen many: one with limits, a breaker and latencies to keep,
50 calls a second of its time, every tenth of them a failure of the first candidate.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence

from benchmarks.measure import least_cpu, parser, positive, print_table
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import ConnectFailed
from turnout.messages import Message
from turnout.prices import Price
from turnout.providers import create
from turnout.routing.call.operations import Stream
from turnout.routing.commands import Close, Finish, Open, Read
from turnout.routing.policy.settings import Limit, Policy
from turnout.routing.router import RouterCore

CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


_PROVIDER = create("openai", name="p0", api_key="k")


def by_hand(request: ChatRequest, chunks: int) -> None:
    exchange = _PROVIDER.stream(request)
    exchange.receive_head(200, ())
    for _ in range(chunks):
        exchange.receive_data(CHUNK)
    exchange.receive_data(LAST)
    exchange.receive_end()


def routed(core: RouterCore, request: ChatRequest, chunks: int, now: float = 0.0, *, failing: bool = False) -> None:
    call = core.start(Stream(request), now)
    left = chunks
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
            case Open(attempt) if failing:
                failing = False
                call.receive_failure(attempt, ConnectFailed("refused"), now)
            case Open(attempt):
                call.receive_head(attempt, 200, (), now)
            case Close():
                pass
            case Finish():
                return


def _costs(run: Callable[[int], None], given: argparse.Namespace) -> tuple[float, float]:
    """µs for a stream of one chunk, and for each further chunk."""
    one, many = (least_cpu(lambda: run(chunks), given.rounds) * 1e6 for chunks in (1, given.chunks + 1))  # noqa: B023
    return one, (many - one) / given.chunks


def _at_least_100(text: str) -> int:
    number = positive(text)
    if number < 100:
        raise argparse.ArgumentTypeError(f"{text} is less than 100")
    return number


def _after_many(given: argparse.Namespace) -> list[tuple[str, ...]]:
    """µs for a call after so many others: the median of the last hundred, of which ten fail over."""
    policy = Policy(
        max_retries=0,
        limits={"p0": Limit(max_concurrency=8, requests_per_minute=10_000, tokens_per_minute=10_000_000)},
        prices={"m": Price(1.0, 2.0)},
    )
    core = RouterCore(policy, random.Random(0))
    for name in ("p0", "p1"):
        core.register(create("openai", name=name, api_key="k"))
    request = ChatRequest(ModelConfig("p0", "m"), [Message.user("hello")], fallbacks=[ModelConfig("p1", "m")])
    rows: list[tuple[str, ...]] = []
    costs = deque[float](maxlen=100)
    marks = [mark for mark in (100, 1_000, 10_000, 100_000) if mark <= given.calls]
    for number in range(1, marks[-1] + 1):
        begun = time.process_time()
        routed(core, request, 1, number / 50, failing=number % 10 == 0)
        costs.append(time.process_time() - begun)
        if number in marks:
            rows.append((f"{number:,}", f"{statistics.median(costs) * 1e6:.0f}"))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("routing", __doc__, rounds=40)
    options.add_argument("--chunks", type=positive, default=400, help="chunks of the long stream (400)")
    options.add_argument("--calls", type=_at_least_100, default=10_000, help="calls of the second table (10,000)")
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
    print_table("µs of CPU for a call with one chunk, after many", ("calls before", "call, routed"), _after_many(given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
