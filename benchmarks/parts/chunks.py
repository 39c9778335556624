"""What a chunk of a stream costs, from the socket to the caller's loop: in bursts, and one in each packet."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.clients.interface import TITLES
from benchmarks.clients.worker import Measurement, least_of_rounds
from benchmarks.report import Context, Ratio, Report, Table
from benchmarks.server.routes import BURST, CHUNK_SIZE, PACKETS

__all__ = ["bursts", "packets"]

_BY_HAND = ("hand-codec", "hand-socket", "hand-trio", "hand-trio-h11", "hand-asyncio", "hand-asyncio-h11")
_WHY_PACKETS = (
    "Why a chunk that arrives alone costs more than by hand: between its read and the caller's loop it passes 25 "
    "functions with 840 bytecodes, of which 80 remain for a further chunk in the same read. They set the timer of the "
    "next wait, find the end of the chunk and of the event, look whether the answer is still whole, and hand the event "
    "over. By hand, a chunk takes at least 100 bytecodes, beside those of the event loop.",
)


def bursts(context: Context) -> Report:
    """Measure streams whose chunks arrive faster than they are read."""
    times = context.times(10, 2)
    url = [context.server.base_url("burst")]
    own = ("socket", "trio", "asyncio", "requests", "requests-session", *_BY_HAND, "hand-requests")
    least = least_of_rounds(context.clients(*own), context.rounds, "stream", url, times, warm_up=1)
    # The peers need a second and more for each stream: fewer streams, and rounds of their own.
    few = least_of_rounds(context.peers, 2, "stream", url, 1, warm_up=1)
    cost = {name: each.cpu / times / BURST * 1e6 for name, each in least.items()}
    cost |= {name: each.cpu / BURST * 1e6 for name, each in few.items()}
    json_cost = cost["hand-codec"]
    ratios = tuple(
        Ratio(f"a chunk in a burst, {name}, over json.loads of it", cost[name] / json_cost, 0.6)
        for name in ("socket", "trio", "asyncio")
    )
    plain = Ratio("a chunk in a burst, requests, over requests + json", cost["requests"] / cost["hand-requests"], 0.8)
    return _report("chunks in bursts", f"{BURST:,} chunks of {CHUNK_SIZE} bytes at once", cost, (*ratios, plain))


def packets(context: Context) -> Report:
    """Measure streams whose chunks arrive one by one, so that each is waited for."""
    times = context.times(5, 1)
    url = [context.server.base_url("packets")]
    own = ("socket", "trio", "asyncio", "requests", *_BY_HAND[1:], "hand-requests")
    least = least_of_rounds(context.clients(*own), context.rounds, "stream", url, times, warm_up=1)
    few = least_of_rounds({name: context.peers[name] for name in ("openai", "openai-async") if name in context.peers},
                          2, "stream", url, 1, warm_up=1)  # fmt: skip
    cost = _each(least, times * PACKETS) | _each(few, PACKETS)
    ratios = tuple(
        Ratio(f"a chunk in its own packet, {name}, over {name} by hand", cost[name] / cost[f"hand-{name}"], 1.2)
        for name in ("trio", "asyncio")
    )
    title = f"{PACKETS} chunks of {CHUNK_SIZE} bytes, a packet each"
    return _report("chunks in packets", title, cost, ratios, _WHY_PACKETS)


def _each(measured: Mapping[str, Measurement], count: int) -> dict[str, float]:
    return {name: each.cpu / count * 1e6 for name, each in measured.items()}


def _report(
    name: str, title: str, cost: Mapping[str, float], ratios: tuple[Ratio, ...], notes: tuple[str, ...] = ()
) -> Report:
    rows = tuple((TITLES[name], f"{value:.2f}") for name, value in cost.items())
    return Report(
        name,
        (Table(f"{title}: µs of CPU a chunk", ("client", "µs"), rows),),
        ratios,
        {TITLES[name]: value for name, value in cost.items()},
        notes=notes,
    )
