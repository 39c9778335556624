"""What a call and a chunk cost, Turnout against the openai SDK: `python -m benchmarks.peers_chat`.

CPU time of the client's process, the least of several rounds, all clients in one run against one sandbox on 127.0.0.1,
which is a process of its own. Every client asks the same of it, reads every word, and keeps its connection open. A
stream of one token tells the cost of a call that streams, and what many tokens cost more tells the cost of a chunk: in
bursts, where many come in one read, and one by one, each in a packet of its own, as a model makes them. The row `by
hand` is `requests` and `json` in a few lines, with no timers, no types and no care for errors.

Clients that are not installed are left out.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence

import attrs

from benchmarks.measure import least_cpu, least_cpu_async, parser, positive, print_table
from benchmarks.peers_chat.clients import Ask, AsyncAsk, AsyncClient, Client, installed_clients
from benchmarks.peers_chat.server import Server, served, words

INTERVAL = 0.001  # seconds between tokens that come one by one
COLUMNS = ("client", "chat() of 60 tokens", "stream of 1 token", "chunk, in bursts", "chunk, one by one")
BESIDE = "openai SDK"


@attrs.frozen
class _Work:
    """So many calls for so many words each; `alone` of the sandbox that sends them one by one."""

    calls: int
    words: int
    stream: bool = True
    alone: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("peers_chat", __doc__, rounds=5)
    options.add_argument("--turns", type=positive, default=3, help="how often each client has its turn (3)")
    options.add_argument("--calls", type=positive, default=20, help="calls of a round (20)")
    options.add_argument("--burst", type=positive, default=2_000, help="chunks of a stream that comes in bursts (2000)")
    options.add_argument("--alone", type=positive, default=300, help="chunks of a stream that comes one by one (300)")
    given = options.parse_args(arguments)
    works = (
        _Work(given.calls, 60, stream=False),
        _Work(given.calls, 1),
        _Work(1, given.burst + 1),
        _Work(given.calls, 1, alone=True),
        _Work(1, given.alone + 1, alone=True),
    )
    least: dict[str, list[float]] = {}
    with served(INTERVAL) as server:
        # In turns, so that a while in which the machine has other work falls on all and not on one.
        for client in installed_clients() * given.turns:
            if isinstance(client, Client):
                spent = _spent(client, server, works, given.rounds)
            else:
                spent = client.run(functools.partial(_spent_async, client, server, works, given.rounds))
            least[client.name] = list(map(min, spent, least.get(client.name, spent)))
    costs: dict[str, tuple[float, ...]] = {}
    for name, spent in least.items():
        chat, one, many, one_alone, many_alone = (1e6 * seconds for seconds in spent)
        costs[name] = (chat, one, (many - one) / given.burst, (many_alone - one_alone) / given.alone)
    rows = [(name, *(f"{cost:,.{0 if cost >= 100 else 1}f}" for cost in each)) for name, each in costs.items()]
    print_table("µs of CPU of the client's process", COLUMNS, rows)
    beside = costs.get(BESIDE)
    if beside is not None:
        rows = [(name, *_ratios(each, beside)) for name, each in costs.items()]
        print_table(f"The same as a share of what the {BESIDE} (for blocking code) spends", COLUMNS, rows)
    return 0


def _ratios(costs: Sequence[float], beside: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"{cost / other:.2f}" for cost, other in zip(costs, beside, strict=True))


def _spent(client: Client, server: Server, works: Sequence[_Work], rounds: int) -> list[float]:
    """CPU seconds of one call of each work."""

    def run(ask: Ask, work: _Work) -> None:
        for _ in range(work.calls):
            assert ask(work.words, work.stream) == words(work.words)

    with client.opened(server.bursts, server.key) as bursts, client.opened(server.alone, server.key) as alone:
        spent = []
        for work in works:
            ask = alone if work.alone else bursts
            run(ask, work)  # the first connects
            spent.append(least_cpu(lambda: run(ask, work), rounds) / work.calls)  # noqa: B023 - run at once
        return spent


async def _spent_async(client: AsyncClient, server: Server, works: Sequence[_Work], rounds: int) -> list[float]:
    """The same of a client for async code."""

    async def run(ask: AsyncAsk, work: _Work) -> None:
        for _ in range(work.calls):
            assert await ask(work.words, work.stream) == words(work.words)

    async with client.opened(server.bursts, server.key) as bursts, client.opened(server.alone, server.key) as alone:
        spent = []
        for work in works:
            ask = alone if work.alone else bursts
            await run(ask, work)
            spent.append(await least_cpu_async(lambda: run(ask, work), rounds) / work.calls)  # noqa: B023 - as above
        return spent


if __name__ == "__main__":
    sys.exit(main())
