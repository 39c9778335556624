"""What a caller sees when a provider fails in each of sixteen ways: `python -m benchmarks.crash_test`.

A sandbox on 127.0.0.1 plays a primary that fails as the scenario says and a fallback that is well; a router calls them
over real sockets, in each mode and through each driver. The exit code is 1 where a cell is not what it should be:
`pass` everywhere, and for a plain stream, which cannot take back what it has delivered, `pass` or `safe`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.crash_test.calls import DRIVERS, Mode
from benchmarks.crash_test.cells import Cell, cells_of, play_cells
from benchmarks.crash_test.profile import FULL, QUICK, TOKENS, Profile
from benchmarks.crash_test.scenarios import SCENARIOS, Scenario
from benchmarks.crash_test.verdicts import Grade, Verdict
from benchmarks.measure import parser, positive, print_table

_TOLD = {
    Mode.CHAT: "chat()",
    Mode.COLLECT: "chat(collect=True)",
    Mode.STREAM: "stream()",
    Mode.RESTART: "stream(), restart",
    Mode.RESUME: "stream(), resume",
}
_DRIVERS = {
    "sync-requests": "for blocking code, over requests",
    "sync-socket": "for blocking code, over its own sockets",
    "trio": "for trio",
    "asyncio": "for asyncio",
}
_LEGEND = """\
pass   the whole answer, word for word, from whom it should come, in time, with its own usage and cost; S13: the refusal
safe   a typed error with the part of the answer that came, which is the part that was delivered; nothing is doubled
FAIL   anything else
-      the fault is one of streams, and chat() has none
The seconds are those of the call; in S15, from the primary's return to its first answer."""


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments(arguments)
    profile = FULL if given.full else QUICK
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in given.scenario]
    verdicts: dict[Cell, Verdict] = {}
    begun = time.monotonic()
    play_cells(cells_of(scenarios, given.driver, given.mode), profile, given.jobs, verdicts.__setitem__)
    _print_head(profile, scenarios)
    for driver in given.driver:
        _print_table(driver, scenarios, given.mode, verdicts)
    print(_LEGEND)
    failed = {cell: verdict for cell, verdict in verdicts.items() if not _as_it_should_be(cell, verdict)}
    print(f"\n{len(verdicts)} cells in {time.monotonic() - begun:.0f} s, {len(failed)} not as they should be")
    for cell, verdict in failed.items():
        print(f"\n{cell}: {verdict.grade}", *verdict.wrong, verdict.trace, sep="\n  ")
    if given.explain:
        for cell, verdict in verdicts.items():
            print(f"\n{cell}: {verdict.grade}, {verdict.seconds:.2f} s\n{verdict.trace}")
    return 1 if failed else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = parser("crash_test", __doc__)
    speed = options.add_mutually_exclusive_group()
    speed.add_argument("--quick", action="store_true", help="every timer and fault a tenth as long (the default)")
    speed.add_argument("--full", action="store_true", help="timers and faults of full length: some minutes")
    names = [scenario.name for scenario in SCENARIOS]
    options.add_argument("--scenario", nargs="+", choices=names, default=names, metavar="S01", help="only these")
    options.add_argument("--driver", nargs="+", choices=DRIVERS, default=list(DRIVERS), help="only these")
    options.add_argument("--mode", nargs="+", type=Mode, choices=list(Mode), default=list(Mode), help="only these")
    options.add_argument("--jobs", type=positive, default=16, help="cells played at a time (16)")
    options.add_argument("--explain", action="store_true", help="print the router's trace of each call")
    return options.parse_args(arguments)


def _print_head(profile: Profile, scenarios: Sequence[Scenario]) -> None:
    policy = profile.policy("raise")
    timers = policy.timeouts
    print(
        f"Profile {profile.name}: {policy.max_retries} retries, one fallback, {policy.timeout:g} s for a call, "
        f"{timers.first_token:g} s for the first token, {timers.between_tokens:g} s between tokens; "
        f"answers of {TOKENS} tokens.\n"
        + (f"The seconds that a fault names are to be read times {profile.scale:g}.\n" if profile.scale != 1.0 else "")
    )
    for scenario in scenarios:
        print(f"{_named(scenario).ljust(46)}  right: {scenario.right}")
    print()


def _print_table(
    driver: str, scenarios: Sequence[Scenario], modes: Sequence[Mode], verdicts: dict[Cell, Verdict]
) -> None:
    totals: dict[Mode, Counter[Grade]] = {mode: Counter() for mode in modes}
    rows = []
    for scenario in scenarios:
        cells = []
        for mode in modes:
            verdict = verdicts.get(Cell(scenario, driver, mode))
            if verdict is not None:
                totals[mode][verdict.grade] += 1
            cells.append("-" if verdict is None else f"{verdict.grade} {verdict.seconds:6.2f}")
        rows.append((_named(scenario), *cells))
    rows.append(("", *(_total(totals[mode]) for mode in modes)))
    title = f"The router {_DRIVERS[driver]}: what its caller saw, and after how many seconds"
    print_table(title, ("the primary's fault", *(_TOLD[mode] for mode in modes)), rows)


def _named(scenario: Scenario) -> str:
    return f"{scenario.name}  {scenario.fault}"


def _total(grades: Counter[Grade]) -> str:
    told = [f"{grades[Grade.PASS]} of {grades.total()}"]
    told += [f"{grades[grade]} {grade}" for grade in (Grade.SAFE, Grade.FAIL) if grades[grade]]
    return ", ".join(told)


def _as_it_should_be(cell: Cell, verdict: Verdict) -> bool:
    if cell.mode in (Mode.STREAM, Mode.RESUME):
        return verdict.grade is not Grade.FAIL
    return verdict.grade is Grade.PASS


if __name__ == "__main__":
    sys.exit(main())
