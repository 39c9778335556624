"""What Turnout costs, against other libraries and against code by hand: `python -m benchmarks [PART …]`.

All figures of one run come from one machine and one hour: CPU time of the client's process by getrusage, while a cheap
server in a process of its own sends the replies. The clients take turns, and the least of the rounds counts, because
other load on the machine only adds. Compare ratios, not microseconds.

Peers are measured if their environments are there: `python -m benchmarks.environments` makes them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.clients.interface import TITLES
from benchmarks.environments import FOLDER, interpreters
from benchmarks.measure import positive
from benchmarks.parts.calls import calls, embeddings, fallbacks, history
from benchmarks.parts.chunks import bursts, packets
from benchmarks.parts.growth import flat_memory, large_inputs, linear_time
from benchmarks.parts.imports import imports
from benchmarks.parts.routing import candidates, simulation, waiting
from benchmarks.parts.streams import hundred, thousands
from benchmarks.parts.work import work
from benchmarks.plot import bars
from benchmarks.report import Context, Report, as_json, as_markdown, as_text
from benchmarks.server import running_server

PARTS: Mapping[str, Callable[[Context], Report]] = {
    "bursts": bursts,
    "packets": packets,
    "calls": calls,
    "fallbacks": fallbacks,
    "routing": candidates,
    "waiting": waiting,
    "streams": hundred,
    "thousands": thousands,
    "history": history,
    "embeddings": embeddings,
    "imports": imports,
    "simulation": simulation,
    "large-inputs": large_inputs,
    "linear-time": linear_time,
    "flat-memory": flat_memory,
    "work": work,
}
_PLOTTED = {"chunks in bursts": "CPU for each chunk of a stream", "calls": "CPU for each call"}
_OWN = ("socket", "trio", "asyncio", "requests", "requests-session")
_DOCS = Path(__file__).resolve().parents[1] / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    options.add_argument("--rounds", type=positive, default=3, help="how many turns each client has (3)")
    options.add_argument("--scale", type=float, default=1.0, help="a factor for the amount of work (1)")
    options.add_argument("--no-peers", action="store_true", help="measure Turnout and code by hand only")
    options.add_argument("--peers", type=Path, default=FOLDER, help="the folder of the peers' environments")
    options.add_argument(
        "--docs", type=Path, const=_DOCS, nargs="?", help="write benchmarks.json, .md and .svg there (docs/)"
    )
    given = options.parse_args(arguments)
    unknown = sorted(set(given.parts) - set(PARTS))
    if unknown:
        options.error(f"unknown part {unknown[0]!r}; known are {', '.join(PARTS)}")
    own = {name: sys.executable for name in TITLES if name in _OWN or name.startswith("hand-")}
    peers = {} if given.no_peers else interpreters(given.peers)
    with running_server() as server:
        context = Context(server=server, own=own, peers=peers, rounds=given.rounds, scale=given.scale)
        reports = []
        for part in given.parts or PARTS:
            reports.append(PARTS[part](context))
            print(f"{as_text(reports[-1])}\n", flush=True)
    if given.docs is not None:
        _write(given.docs, reports, context)
    return 0


def _write(folder: Path, reports: Sequence[Report], context: Context) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.json").write_text(as_json(reports, context), "utf-8")
    (folder / "benchmarks.md").write_text(as_markdown(reports, context), "utf-8")
    panels = [(_PLOTTED[report.name], report.bars) for report in reports if report.name in _PLOTTED]
    if panels:
        (folder / "benchmarks.svg").write_text(bars(panels), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
