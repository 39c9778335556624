"""Many streams at the same time in one thread, a chunk of each every few milliseconds."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.clients.interface import TITLES
from benchmarks.clients.worker import Measurement, one_round
from benchmarks.report import Context, Ratio, Report, Table
from benchmarks.server.routes import paced

__all__ = ["hundred", "thousands"]

_OWN = ("trio", "asyncio", "socket", "requests")
_BY_HAND = ("hand-trio", "hand-trio-h11", "hand-asyncio", "hand-asyncio-h11")
_COLUMNS = ("client", "CPU s", "wall s", "first token p50 ms", "p99", "peak MB")

# Counted with `sys.settrace` in all files, and with `gc.callbacks`.
_WHY_FIRST = (
    "Why the last of 100 first tokens comes later than by hand: all streams begin at once, so each waits for the work "
    "of those before it. Up to its first token, a stream on trio takes 14,800 bytecodes, and 16,300 by hand with h11: "
    "those of Turnout run once each, in more code. And a stream keeps 147 objects that the garbage collector must "
    "look at: while 100 streams begin and run, it collects 42 times, in 6 ms, and by hand 15 times, in 1.5 ms.",
)


def hundred(context: Context) -> Report:
    """Measure 100 streams of 200 chunks, one chunk of each every 5 ms. Each round is a process of its own.

    The least of each figure counts: the round that took the least CPU need not be the one that waited least for it.
    """
    url = [context.server.base_url(paced(200, 5))]
    clients = {**context.clients(*_OWN, *_BY_HAND)}
    clients |= {name: context.peers[name] for name in ("openai-async", "litellm") if name in context.peers}
    rounds: dict[str, list[Measurement]] = {name: [] for name in clients}
    for _ in range(context.rounds):
        for name, python in clients.items():
            rounds[name].append(one_round(name, python, "together", url, 100))
    best = {name: _least(measured) for name, measured in rounds.items()}
    memory = {
        name: _memory_per_stream(context, name) for name in ("trio", "asyncio", "hand-trio-h11", "hand-asyncio-h11")
    }
    hand = best["hand-trio-h11"]
    ratios = []
    for name in ("trio", "asyncio"):
        ratios += [
            Ratio(f"100 paced streams, {name}: CPU over trio + h11 by hand", best[name].cpu / hand.cpu, 0.95),
            Ratio(
                f"100 paced streams, {name}: first token p99 over the same",
                best[name].first["p99"] / hand.first["p99"],
                1.2,
            ),
            Ratio(
                f"memory of a stream, {name}, above trio + h11 by hand",
                memory[name] - memory["hand-trio-h11"],
                25.0,
                "KiB",
            ),
        ]
    rows = tuple((TITLES[name], *_cells(each)) for name, each in best.items())
    held = tuple((TITLES[name], f"{kib:.0f}") for name, kib in memory.items())
    tables = (
        Table("100 streams of 200 chunks, a chunk every 5 ms", _COLUMNS, rows),
        Table("Memory that each further stream takes", ("client", "KiB"), held),
    )
    return Report("100 streams", tables, tuple(ratios), notes=_WHY_FIRST)


def _memory_per_stream(context: Context, name: str) -> float:
    """Return KiB: the peak with many streams less the peak with few, by the number of streams between."""
    url = [context.server.base_url(paced(10, 500))]
    few, many = 100, 1_000
    peaks = [
        min(one_round(name, context.own[name], "together", url, count, spread=1.0).peak_kib for _ in range(2))
        for count in (few, many)
    ]
    return (peaks[1] - peaks[0]) / (many - few)


def _least(rounds: Sequence[Measurement]) -> Measurement:
    """Return the least of each figure."""
    return Measurement(
        cpu=min(each.cpu for each in rounds),
        wall=min(each.wall for each in rounds),
        peak_kib=min(each.peak_kib for each in rounds),
        total=rounds[0].total,
        first={name: min(each.first[name] for each in rounds) for name in rounds[0].first},
        length={name: min(each.length[name] for each in rounds) for name in rounds[0].length},
    )


def thousands(context: Context) -> Report:
    """Measure up to 5,000 streams of 20 chunks, a chunk of each every 500 ms: they must stay on pace.

    They begin within 5 seconds, so that 5,000 run at once and 1,000 begin in a second, as they do where so many always
    run. To begin all at once would ask for more connections in a second than any client makes.
    """
    url = [context.server.base_url(paced(20, 500))]
    counts = [context.times(count, 50) for count in (1_000, 2_500, 5_000)]
    rows, ratios, late = [], [], {}
    for name in ("trio", "asyncio", "hand-trio-h11", "hand-asyncio-h11"):
        done = [one_round(name, context.own[name], "together", url, count, spread=5.0) for count in counts]
        for count, each in zip(counts, done, strict=True):
            late[name] = (each.length["p99"] - 10.0) * 1e3  # of the last count, in the end
            peak = f"{each.peak_kib / 1024:.0f}"
            cells = (f"{each.cpu:.2f}", f"{each.cpu / count * 1e6:.0f}", f"{late[name]:.0f}", peak)
            rows.append((TITLES[name], f"{count:,}", *cells))
        if not name.startswith("hand"):
            growth = (done[-1].cpu / counts[-1]) / (done[0].cpu / counts[0])
            ratios += [
                Ratio(f"CPU of a stream among {counts[-1]:,} over one among {counts[0]:,}, {name}", growth, 1.2),
                Ratio(f"{counts[-1]:,} streams, {name}: late at the end, p99", late[name], 250.0, "ms"),
            ]
    columns = ("client", "streams", "CPU s", "µs a stream", "late p99 ms", "peak MB")
    note = (
        f"By hand with h11, {counts[-1]:,} streams are {late['hand-trio-h11']:,.0f} ms late on trio and "
        f"{late['hand-asyncio-h11']:,.0f} ms on asyncio. A client is late if the streams that begin in a second need "
        "more than a second of CPU, beside the chunks of those that run. 250 ms needs a machine on which a stream by "
        "hand is not late."
    )
    table = Table("Streams of 10 s that begin within 5 s, a chunk every 500 ms", columns, tuple(rows))
    return Report("5,000 streams", (table,), tuple(ratios), notes=(note,))


def _cells(each: Measurement) -> tuple[str, ...]:
    first = each.first
    return (
        f"{each.cpu:.2f}",
        f"{each.wall:.2f}",
        f"{first['p50'] * 1e3:.0f}",
        f"{first['p99'] * 1e3:.0f}",
        f"{each.peak_kib / 1024:.1f}",
    )
