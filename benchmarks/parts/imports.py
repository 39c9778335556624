"""What importing costs, in processes that do nothing else."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.report import Context, Ratio, Report, Table

__all__ = ["imports"]

ROOT = Path(__file__).resolve().parents[2]

# What is compared, in pairs: ours, and what it cannot be without.
_PAIRS = (
    ("from turnout import ChatRequest", "import attrs, msgspec", 1.25),
    ("import turnout_io.trio", "import trio, h11, ssl", 1.3),
    ("import turnout_io.sync", "import attrs, msgspec, ssl, socket", None),
)
_WHY = (
    "Why the import of a router costs more: beside trio, h11 and ssl it loads 144 modules and makes 127 classes with "
    "attrs. To make a class, attrs writes and compiles its methods: 0.4 ms, and 56 % of the time of these modules. "
    "1.3 × would leave less time for all of them than that.",
)


def _cpu(statement: str) -> float:
    """Return CPU seconds of an interpreter that runs `statement`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"PYTHONPATH": f"{ROOT / 'sansio'}:{ROOT / 'transports'}", "PATH": ""}
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def imports(context: Context) -> Report:
    """Measure the CPU time of imports, that of the bare interpreter subtracted."""
    statements = ["pass", *(statement for ours, theirs, _ in _PAIRS for statement in (ours, theirs))]
    least = dict.fromkeys(statements, float("inf"))
    for _ in range(context.times(10, 2)):
        for statement in statements:
            least[statement] = min(least[statement], _cpu(statement))
    cost = {statement: (least[statement] - least["pass"]) * 1e3 for statement in statements}
    ratios = tuple(
        Ratio(f"`{ours}` over `{theirs}`", cost[ours] / cost[theirs], aim) for ours, theirs, aim in _PAIRS if aim
    )
    rows = tuple((f"`{statement}`", f"{cost[statement]:.0f}") for statement in statements[1:])
    table = Table("ms of CPU above the bare interpreter", ("statement", "ms"), rows)
    return Report("imports", (table,), ratios, notes=_WHY)
