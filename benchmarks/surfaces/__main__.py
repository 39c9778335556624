"""Compare what the newest SDKs declare with what Turnout knows: `python -m benchmarks.surfaces`.

The SDKs of sdks.txt are installed, each into an environment of its own, and their types are read: events, content
parts, reasons for the end of an answer, error codes, efforts, models, fields of usage. Each value that none of our
tables has, and that no review leaves out, is printed, and the exit code is 1. A review without use is printed as well.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from benchmarks.measure import parser, print_table
from benchmarks.surfaces.compare import Comparison, Surface, compare, idle_reviews, load_reviews, load_surfaces
from benchmarks.surfaces.environment import SdkFailed, install, pinned, read_values, sdk_name
from benchmarks.surfaces.known import TABLES

_AT_ONCE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return 0 if every value is known, 1 if one is not, 2 if an SDK cannot be read."""
    options = parser("surfaces", __doc__)
    options.add_argument("--newest", action="store_true", help="install the newest versions instead of the pinned ones")
    options.add_argument("--only", nargs="+", metavar="SDK", help="only these SDKs, by the names in sdks.txt")
    options.add_argument("--environments", type=Path, help="a folder that keeps the environments for the next run")
    options.add_argument("--values", action="store_true", help="print every value as JSON, and compare nothing")
    given = options.parse_args(arguments)
    requirements = [sdk_name(line) if given.newest else line for line in pinned()]
    if given.only:
        requirements = [line for line in requirements if sdk_name(line) in given.only]
    surfaces = [surface for surface in load_surfaces() if surface.sdk in map(sdk_name, requirements)]
    try:
        values = _values(requirements, surfaces, given.environments)
    except SdkFailed as error:
        print(error, file=sys.stderr)
        return 2
    if given.values:
        print(json.dumps(values, indent=1))
        return 0
    return _report(surfaces, values, partial=bool(given.only))


def _values(
    requirements: Sequence[str], surfaces: Sequence[Surface], environments: Path | None
) -> dict[str, list[str]]:
    def of_one(requirement: str) -> dict[str, list[str]]:
        mine = [attrs.asdict(surface) for surface in surfaces if surface.sdk == sdk_name(requirement)]
        return read_values(install(requirement, root), mine)

    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(_AT_ONCE) as pool:
        root = environments or Path(scratch)
        return {name: found for values in pool.map(of_one, requirements) for name, found in values.items()}


def _report(surfaces: Sequence[Surface], values: Mapping[str, Sequence[str]], *, partial: bool) -> int:
    reviews = load_reviews()
    compared = compare(surfaces, values, TABLES, reviews)
    rows = [_row(comparison) for comparison in compared]
    print_table("values that the SDKs declare", ["surface", "values", "left out", "unknown"], rows)
    idle = [] if partial else idle_reviews(surfaces, values, TABLES, reviews)
    unknown = [line for comparison in compared for line in _unknown(comparison)]
    _print_lines("unknown", unknown)
    _print_lines("reviews without use", idle)
    count = sum(comparison.count for comparison in compared)
    print(f"{count} values, {len(unknown)} unknown, {len(idle)} reviews without use")
    return 1 if unknown else 0


def _row(comparison: Comparison) -> list[str]:
    counts = (comparison.count, len(comparison.reviewed), len(comparison.unknown))
    return [comparison.surface.name, *map(str, counts)]


def _unknown(comparison: Comparison) -> list[str]:
    surface = comparison.surface
    return [f"{surface.name}: {value} (not in the table {surface.known})" for value in comparison.unknown]


def _print_lines(title: str, lines: Iterable[str]) -> None:
    shown = list(lines)
    if shown:
        print(f"{title}:", *shown, sep="\n  ")


if __name__ == "__main__":
    raise SystemExit(main())
