"""How many calls a simulation plays in a second: `python -m benchmarks.simulate`.

CPU time of this process, the least of several rounds, for the scenario of an outage that comes with the project.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import yaml

from benchmarks.measure import least_cpu, parser, positive, print_table
from turnout.simulation import read_scenario, simulate

SCENARIO = Path(__file__).resolve().parents[1] / "transports" / "turnout_io" / "scenarios" / "outage.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("simulate", __doc__, rounds=3)
    options.add_argument("--calls", type=positive, default=10_000, help="calls of a round (10,000)")
    given = options.parse_args(arguments)
    outage = read_scenario(yaml.safe_load(SCENARIO.read_text("utf-8")))
    rows = []
    for kind in ("stream", "chat"):
        scenario = attrs.evolve(outage, kind=kind, calls=given.calls)
        seconds = least_cpu(lambda: simulate(scenario), given.rounds)  # noqa: B023 - run at once
        rows.append((kind, f"{seconds / given.calls * 1e6:.0f}", f"{given.calls / seconds:,.0f}"))
    columns = ("callers ask for a", "a call", "calls a second")
    print_table(f"µs of CPU for each of {given.calls:,} calls of a simulated outage", columns, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
