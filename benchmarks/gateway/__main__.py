"""`python -m benchmarks.gateway`: measure `turnout serve` beside LiteLLM's proxy on the same back end.

CPU, memory, start and latency are compared.

    python -m benchmarks.gateway --litellm PATH/bin/python

PATH is an environment with `litellm[proxy]`. Without it, only the gateway and the bare router are measured. Both
gateways run as one process, check a key, and have one model for each kind of load. Rounds take turns, and of CPU and of
starts the least counts, because other work on the machine can only add to it. Every answer must arrive whole, or the
measurement fails. A paced chunk is measured twice: alone, in the middle of long streams through all gateways at the
same time, and with its share of the request, in short streams.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import attrs

from benchmarks.gateway.processes import (
    BareRouter,
    Gateway,
    Load,
    Streams,
    Work,
    bare_router,
    cpu_between,
    litellm_proxy,
    load,
    turnout_gateway,
)
from benchmarks.measure import print_table
from benchmarks.server import running_server
from benchmarks.server.routes import CALL, CHUNK, paced

BURST = 1_000
SHORT, LONG = 10, 40
"""Chunks of the two paced streams."""
INTERVAL = 0.5
"""Seconds between two chunks of a paced stream, and until its first one."""
AT_ONCE = 100
WINDOW = 2.0, 18.0
"""Seconds of the long paced streams in which every stream brings its chunks, and no request begins or ends."""
LATE = 2.0
"""Seconds. If the long streams end later, chunks of the window were not sent in it."""
STARTS = 2
"""How often each gateway is started before the start that serves the load."""
_CHUNK_TEXT = json.loads(CHUNK[6:])["choices"][0]["delta"]["content"]
WORKS = {
    "call": Work(CALL, "x" * 100),
    "burst": Work(f"burst-{BURST}", _CHUNK_TEXT, BURST),
    "short": Work(paced(SHORT, 500), _CHUNK_TEXT, SHORT),
    "long": Work(paced(LONG, 500), _CHUNK_TEXT, LONG),
}


@attrs.define
class Figures:
    """What one gateway needed: CPU in microseconds, memory in MiB, times in seconds."""

    start: float = 0.0
    start_cpu: float = 0.0
    idle: float = 0.0
    after: float = 0.0
    request: list[float] = attrs.field(factory=list)
    burst_chunk: list[float] = attrs.field(factory=list)
    paced_chunk: list[float] = attrs.field(factory=list)
    short: list[float] = attrs.field(factory=list)
    first: list[Streams] = attrs.field(factory=list)


def _round(gateway: Gateway, figures: Figures, driver: Load, requests: int, streams: int) -> None:
    """Measure a gateway on its own."""
    for costs, parts, name, at_once, times, spread in (
        (figures.request, requests, "call", 1, requests, 0.0),
        (figures.burst_chunk, streams * BURST, "burst", 4, streams // 4, 0.0),
        (figures.short, AT_ONCE * SHORT, "short", AT_ONCE, 1, INTERVAL),
    ):
        before = gateway.cpu()
        brought = driver.run(gateway.port, name, WORKS[name], at_once=at_once, times=times, spread=spread)
        costs.append(cpu_between(before, gateway.cpu()) / parts * 1e6)
    figures.first.append(brought)


def _bare_round(bare: BareRouter, figures: Figures, urls: Mapping[str, str], streams: int) -> None:
    for costs, name, parts, at_once, spread in (
        (figures.burst_chunk, "burst", streams * BURST, 4, 0.0),
        (figures.short, "short", AT_ONCE * SHORT, AT_ONCE, INTERVAL),
    ):
        before = bare.cpu()
        bare.begin(urls[name], WORKS[name], at_once=at_once, times=1 if spread else streams // 4, spread=spread)
        bare.end()
        costs.append(cpu_between(before, bare.cpu()) / parts * 1e6)


def _paced_chunk(
    gateways: Sequence[Gateway], drivers: Sequence[Load], bare: BareRouter, url: str, found: Mapping[str, Figures]
) -> None:
    """Measure paced chunks alone, of all at the same time.

    What a wake-up costs depends on what the machine does beside it, by more than one gateway differs from another.
    """
    work, begin, end = WORKS["long"], *WINDOW
    measured = [*((one.name, one.cpu) for one in gateways), ("bare router", bare.cpu)]
    for gateway, driver in zip(gateways, drivers, strict=True):
        driver.begin(gateway.port, "long", work, at_once=AT_ONCE, spread=INTERVAL)
    bare.begin(url, work, at_once=AT_ONCE, spread=INTERVAL)
    time.sleep(begin)
    begun = time.perf_counter()
    before = [cpu() for _, cpu in measured]
    time.sleep(end - begin)
    after = [cpu() for _, cpu in measured]
    chunks = AT_ONCE * (time.perf_counter() - begun) / INTERVAL
    bare.end()
    for driver in drivers:
        wall = driver.end().wall
        if wall > INTERVAL * (LONG + 1) + LATE:
            raise RuntimeError(f"the paced streams took {wall:.1f} s: the machine is too busy for them")
    for (name, _), first, last in zip(measured, before, after, strict=True):
        found[name].paced_chunk.append(cpu_between(first, last) / chunks * 1e6)


def measure(python: str | None, rounds: int, *, quick: bool = False) -> dict[str, Figures]:
    """Measure the gateways, and return the figures of each. The bare router has figures of its streams only."""
    found: dict[str, Figures] = {}
    requests, streams = (100, 8) if quick else (400, 20)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turnout-gateway-")))
        server = stack.enter_context(running_server())
        urls = {name: server.base_url(work.route) for name, work in WORKS.items()}
        makers: list[Callable[[], AbstractContextManager[Gateway]]] = [partial(turnout_gateway, urls, folder)]
        if python is not None:
            makers.append(partial(litellm_proxy, python, urls, folder))
        starts: list[list[tuple[float, float]]] = [[] for _ in makers]
        for _ in range(STARTS):
            for make, found_starts in zip(makers, starts, strict=True):
                with make() as first:
                    found_starts.append((first.start, first.start_cpu))
        gateways = [stack.enter_context(make()) for make in makers]
        drivers = [stack.enter_context(load()) for _ in gateways]
        driver = drivers[0]
        bare = stack.enter_context(bare_router())
        for gateway, before in zip(gateways, starts, strict=True):
            walls, cpus = zip(*before, (gateway.start, gateway.start_cpu), strict=True)
            found[gateway.name] = Figures(min(walls), min(cpus), gateway.memory())
            driver.run(gateway.port, "call", WORKS["call"], times=20)
            driver.run(gateway.port, "burst", WORKS["burst"], times=2)
        alone = found["bare router"] = Figures()
        direct = found["direct"] = Figures()
        bare.begin(urls["burst"], WORKS["burst"], times=2)
        bare.end()
        for _ in range(rounds):
            for gateway in gateways:
                _round(gateway, found[gateway.name], driver, requests, streams)
            _bare_round(bare, alone, urls, streams)
            work = WORKS["short"]
            path = f"/{work.route}/v1/chat/completions"
            direct.first.append(driver.run(server.port, "m", work, at_once=AT_ONCE, spread=INTERVAL, path=path))
            _paced_chunk(gateways, drivers, bare, urls["long"], found)
        for gateway in gateways:
            found[gateway.name].after = gateway.memory()
    return found


def _least(values: Sequence[float]) -> float:
    return min(values) if values else 0.0


def _rows(figures: Figures) -> list[float]:
    return [
        figures.start,
        figures.start_cpu,
        figures.idle,
        figures.after,
        _least(figures.request),
        _least(figures.burst_chunk),
        _least(figures.paced_chunk),
        _least(figures.short),
        max(0.0, _least([streams.p50 for streams in figures.first]) - INTERVAL) * 1e3,
        max(0.0, _least([streams.p99 for streams in figures.first]) - INTERVAL) * 1e3,
    ]


LINES = (
    "start to the first answer, s",
    "CPU of the start, s",
    "memory, idle, MiB",
    "memory, afterwards, MiB",
    "CPU of a request, µs",
    f"CPU of a chunk, {BURST} at once, µs",
    f"CPU of a chunk, {AT_ONCE} streams of 2 a second, µs",
    f"the same with its share of the request, {SHORT} chunks each, µs",
    "first token of 100 paced streams, p50, ms after the back end's",
    "first token of 100 paced streams, p99, ms after the back end's",
)


def report(found: dict[str, Figures]) -> None:
    """Print one table."""
    names = list(found)
    columns = ["", *names]
    if "litellm" in found:
        columns.append("litellm : turnout")
    columns.append("turnout : bare")
    values = {name: _rows(figures) for name, figures in found.items()}
    rows = []
    for index, line in enumerate(LINES):
        cells = [line, *(f"{values[name][index]:.4g}" if values[name][index] else "-" for name in names)]
        if "litellm" in found:
            cells.append(_ratio(values["litellm"][index], values["turnout"][index]))
        cells.append(_ratio(values["turnout"][index], values["bare router"][index]))
        rows.append(cells)
    print_table("One process each; of CPU and latency the least of all rounds", columns, rows)


def _ratio(over: float, under: float) -> str:
    return f"{over / under:.3g}" if over and under else "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.gateway", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--litellm", metavar="PYTHON", help="the interpreter of an environment with litellm[proxy]")
    options.add_argument("--rounds", type=int, default=3, help="how often each is run (3)")
    options.add_argument("--quick", action="store_true", help="a fifth of the work, for a look")
    given = options.parse_args(arguments)
    report(measure(given.litellm, given.rounds, quick=given.quick))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
