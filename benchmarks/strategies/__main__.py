"""How well the default policy routes in simulated worlds of overload, limits, hangs and outages:
`python -m benchmarks.strategies`.

The routers are the pure core; their providers have slots, a queue and a limit. The time is virtual, so other load on
this machine changes no figure. A figure is the mean over the seeds; the worst one stands beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.measure import parser, positive, print_table
from benchmarks.strategies.rows import ROWS


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("strategies", __doc__)
    options.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)} (all)")
    options.add_argument("--seeds", type=positive, default=3, help="how many worlds of each kind are played (3)")
    options.add_argument("--scale", type=float, default=1.0, help="a factor for the length of most worlds (1)")
    given = options.parse_args(arguments)
    unknown = sorted(set(given.rows) - set(ROWS))
    if unknown:
        options.error(f"unknown row {unknown[0]!r}; known are {', '.join(ROWS)}")
    table = []
    missed = 0
    for name in given.rows or ROWS:
        row = ROWS[name]
        figures = [row.measure(seed, given.scale) for seed in range(1, given.seeds + 1)]
        mean, worst = sum(figures) / len(figures), (min if row.at_least else max)(figures)
        reached = row.reached(round(mean, 2))
        missed += not reached
        bound = f"{'≥' if row.at_least else '≤'} {row.bound:g}"
        table.append((row.title, row.unit, f"{mean:.2f}", f"{worst:.2f}", bound, "yes" if reached else "NO"))
        print(f"{name}: {mean:.2f} {row.unit}, worst {worst:.2f}, {bound}", file=sys.stderr, flush=True)
    print_table(f"mean of {given.seeds} seeds", ("world", "unit", "mean", "worst", "bound", "reached"), table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
