"""`python -m benchmarks.gateway`: measure `turnout serve` beside LiteLLM's proxy on the same back end.

CPU, memory, start and latency are compared.

    python -m benchmarks.gateway --litellm PATH/bin/python

PATH is an environment with `litellm[proxy]`. Without it, only the gateway and the bare router are measured. Both
gateways run as one process, check a key, and have one model for each kind of load. Rounds take turns, and of CPU and of
starts the least counts, because other work on the machine can only add to it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from benchmarks.gateway.processes import Gateway, Load, Streams, bare_router, litellm_proxy, load, turnout_gateway
from benchmarks.measure import print_table
from benchmarks.server import running_server
from benchmarks.server.routes import CALL, paced

BURST = 1_000
SLOW_CHUNKS = 10
SLOW = paced(SLOW_CHUNKS, 500)
STARTS = 2
"""How often each gateway is started before the start that serves the load."""
INTERVAL = 0.5
"""Seconds until the back end sends the first token of a paced stream."""


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
    first: list[Streams] = attrs.field(factory=list)


def _cpu(gateway: Gateway, work: Callable[[], Streams], count: int) -> tuple[float, Streams]:
    before = gateway.cpu()
    streams = work()
    return (gateway.cpu() - before) / count * 1e6, streams


def _round(gateway: Gateway, figures: Figures, driver: Load, quick: bool) -> None:
    requests, streams, slow = (100, 20, 100) if quick else (400, 60, 100)
    port = gateway.port
    cpu, _ = _cpu(gateway, lambda: driver.run(port, "call", "call", at_once=1, times=requests), requests)
    figures.request.append(cpu)
    chunks = streams * BURST
    cpu, _ = _cpu(gateway, lambda: driver.run(port, "burst", "stream", at_once=4, times=streams // 4), chunks)
    figures.burst_chunk.append(cpu)
    cpu, first = _cpu(
        gateway, lambda: driver.run(port, "slow", "stream", at_once=slow, times=1, spread=0.5), slow * SLOW_CHUNKS
    )
    figures.paced_chunk.append(cpu)
    figures.first.append(first)


def measure(python: str | None, rounds: int, *, quick: bool = False) -> dict[str, Figures]:
    """Measure the gateways, and return the figures of each. The bare router has figures of its streams only."""
    found: dict[str, Figures] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turnout-gateway-")))
        server = stack.enter_context(running_server())
        routes = {
            "call": server.base_url(CALL), "burst": server.base_url(f"burst-{BURST}"), "slow": server.base_url(SLOW),
        }  # fmt: skip
        makers: list[Callable[[], AbstractContextManager[Gateway]]] = [partial(turnout_gateway, routes, folder)]
        if python is not None:
            makers.append(partial(litellm_proxy, python, routes, folder))
        starts: list[list[tuple[float, float]]] = [[] for _ in makers]
        for _ in range(STARTS):
            for make, found_starts in zip(makers, starts, strict=True):
                with make() as first:
                    found_starts.append((first.start, first.start_cpu))
        gateways = [stack.enter_context(make()) for make in makers]
        driver = stack.enter_context(load())
        bare: Any = stack.enter_context(bare_router())
        for gateway, before in zip(gateways, starts, strict=True):
            walls, cpus = zip(*before, (gateway.start, gateway.start_cpu), strict=True)
            found[gateway.name] = Figures(min(walls), min(cpus), gateway.memory())
            driver.run(gateway.port, "call", "call", at_once=1, times=20)
            driver.run(gateway.port, "burst", "stream", at_once=1, times=2)
        alone = found["bare router"] = Figures()
        direct = found["direct"] = Figures()
        bare(routes["burst"], at_once=1, times=2)
        streams, slow = (20, 100) if quick else (60, 100)
        for _ in range(rounds):
            for gateway in gateways:
                _round(gateway, found[gateway.name], driver, quick)
            chunks = streams * BURST
            alone.burst_chunk.append(bare(routes["burst"], at_once=4, times=streams // 4) / chunks * 1e6)
            chunks = slow * SLOW_CHUNKS
            alone.paced_chunk.append(bare(routes["slow"], at_once=slow, times=1, spread=0.5) / chunks * 1e6)
            path = f"/{SLOW}/v1/chat/completions"
            direct.first.append(driver.run(server.port, "m", "stream", at_once=slow, times=1, spread=0.5, path=path))
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
    "CPU of a chunk, 100 streams of 2 a second, µs",
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
