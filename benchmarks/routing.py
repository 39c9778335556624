"""What routing adds to a call and to a chunk, in CPU time: `python -m benchmarks.routing`.

A call is begun, opened, answered by a stream of chunks and finished, with no I/O; then the same exchange is fed by
hand. The difference is the router's. The candidates after the first are fallbacks that are never needed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message
from turnout.providers import create
from turnout.routing.commands import Drop, Finish, Open, Read
from turnout.routing.operations import Stream
from turnout.routing.router import RouterCore

CHUNKS = 200
ROUNDS = 40
CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def by_hand(request: ChatRequest) -> None:
    exchange = create("openai", name="p0", api_key="k").stream(request)
    exchange.receive_head(200, ())
    for _ in range(CHUNKS):
        exchange.receive_data(CHUNK)
    exchange.receive_data(LAST)
    exchange.receive_end()


def routed(core: RouterCore, request: ChatRequest) -> None:
    call = core.start(Stream(request), 0.0)
    now, left = 0.0, CHUNKS
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


def cpu(run: Callable[[], None]) -> float:
    """Microseconds of CPU for one run: the median of several rounds."""
    spent = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        run()
        spent.append(time.process_time() - begun)
    return sorted(spent)[ROUNDS // 2] * 1e6


def main() -> None:
    print(f"{'candidates':>10}{'µs a stream of ' + str(CHUNKS):>22}{'by hand':>12}{'added a chunk':>16}")
    for candidates in (1, 10, 100):
        core = RouterCore(rng=random.Random(0))
        for number in range(candidates):
            core.register(create("openai", name=f"p{number}", api_key="k"))
        models = [ModelConfig(f"p{number}", "m") for number in range(candidates)]
        request = ChatRequest(models[0], [Message.user("hello")], fallbacks=models[1:])
        lone = request.for_model(models[0])
        whole, alone = cpu(lambda: routed(core, request)), cpu(lambda: by_hand(lone))  # noqa: B023 - run at once
        print(f"{candidates:>10}{whole:>22.0f}{alone:>12.0f}{(whole - alone) / CHUNKS:>16.2f}")


if __name__ == "__main__":
    main()
