"""Searches for bytes that a reader of Turnout cannot bear: `python -m benchmarks.fuzz`, or only the named targets.

Every target reads bytes that others wrote: frames, HTTP, compressed bodies, responses, errors, settings, stored files.
It must return a result or raise an error of Turnout's, and other pieces of the same bytes must give the same result.
By default hypothesis changes valid inputs, and shrinks what it finds. `--bulk` reads more inputs a second. `--atheris`
follows the coverage of one target, if atheris is installed. The exit code is the number of targets with a finding.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from benchmarks.fuzz.engine import Searched, has_atheris, search, search_in_bulk
from benchmarks.fuzz.targets import TARGETS, Target

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (all)")
    options.add_argument("--seconds", type=float, default=1.0, help="for each target (1)")
    options.add_argument("--seed", type=int, help="makes the search repeatable")
    options.add_argument("--bulk", action="store_true", help="read more inputs a second, and shrink no finding")
    options.add_argument("--atheris", action="store_true", help="follow the coverage of one target, without end")
    given = options.parse_args(arguments)
    unknown = [name for name in given.targets if name not in TARGETS]
    if unknown:
        options.error(f"there is no target {unknown[0]!r}; targets are {', '.join(TARGETS)}")
    if given.atheris:
        if not has_atheris() or len(given.targets) != 1:
            options.error("--atheris needs one TARGET and `pip install atheris`")
        return _with_atheris(TARGETS[given.targets[0]])
    total, findings = Searched(), 0
    for name in given.targets or TARGETS:
        try:
            find = search_in_bulk if given.bulk else search
            done = find(TARGETS[name], seconds=given.seconds, seed=given.seed)
        except Exception:
            findings += 1
            print(f"{name}: FINDING\n{traceback.format_exc()}", flush=True)
            continue
        print(f"{name}: {done.cases:,} cases, {done.size:,} bytes, {done.seconds:.1f} s", flush=True)
        total.cases, total.size = total.cases + done.cases, total.size + done.size
    print(f"{total.cases:,} cases, {total.size:,} bytes, {findings} targets with findings")
    return findings


def _with_atheris(target: Target) -> int:
    atheris: Any = importlib.import_module("atheris")  # it has no wheels for every system

    def read(data: bytes) -> None:
        middle = len(data) // 2
        target.check(data, [data[:middle], data[middle:]])

    atheris.instrument_all()
    atheris.Setup(sys.argv[:1], read)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
