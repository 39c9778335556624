"""Many streams at once for as long as you like, with everything going wrong: `python -m benchmarks.soak`.

A sandbox in a process of its own plays three providers, the first of which fails half of the time: it resets, cuts,
falls silent, answers 503 or 429, drips. The callers read, dawdle, leave early and are cancelled. After each lap all
comes to rest, and what is still held then is a leak: sockets, tasks, threads, places, memory. Every token is accounted
for, and no call may outlive its deadline. The exit code is 1 where anything was found. Linux only.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
import tracemalloc
from collections.abc import Sequence

import attrs

from benchmarks.measure import parser, positive, print_table
from benchmarks.soak.drivers import DRIVERS, soak
from benchmarks.soak.judging import Ending
from benchmarks.soak.mix import served
from benchmarks.soak.profile import FULL, QUICK, Profile
from benchmarks.soak.story import Story


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments(arguments)
    profile = _profile(given)
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    stories: dict[str, tuple[Story, float]] = {}
    for driver in given.driver:
        begun = time.monotonic()
        # The last resort, for an event loop that is held up, or a thread that cannot be told from one.
        longest = profile.laps * (profile.lap + profile.total + 60.0) + 60.0
        faulthandler.dump_traceback_later(longest, exit=True, file=sys.__stderr__ or sys.stderr)
        with served(profile, given.seed) as server:
            stories[driver] = (soak(DRIVERS[driver], server, profile, given.seed), time.monotonic() - begun)
        faulthandler.cancel_dump_traceback_later()
        print(f"{driver}: {stories[driver][0].calls} calls in {stories[driver][1]:.0f} s", file=sys.stderr)
    if not tracing:
        tracemalloc.stop()
    _print_endings(stories)
    _print_held(stories, profile)
    findings = {driver: story.told() for driver, (story, _) in stories.items() if story.findings}
    for driver, told in findings.items():
        print(f"{driver}:", *told, sep="\n  ")
    print(f"{sum(len(story.findings) for story, _ in stories.values())} findings")
    return 1 if findings else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = parser("soak", __doc__)
    options.add_argument("--quick", action="store_true", help="fewer streams, faster, for some seconds in all")
    options.add_argument("--seconds", type=positive, help="for which each driver begins new streams (120)")
    options.add_argument("--streams", type=positive, help="at once, of trio and asyncio (1000)")
    options.add_argument("--threads", type=positive, help="at once, of the blocking drivers (100)")
    options.add_argument("--driver", nargs="+", choices=DRIVERS, default=list(DRIVERS), help="only these")
    options.add_argument("--seed", type=int, default=0, help="of faults and callers (0)")
    return options.parse_args(arguments)


def _profile(given: argparse.Namespace) -> Profile:
    profile = QUICK if given.quick else FULL
    if given.streams is not None:
        profile = attrs.evolve(profile, streams=given.streams)
    if given.threads is not None:
        profile = attrs.evolve(profile, threads=given.threads)
    if given.seconds is not None:
        profile = attrs.evolve(profile, lap=given.seconds / profile.laps)
    return profile


def _print_endings(stories: dict[str, tuple[Story, float]]) -> None:
    rows = []
    for driver, (story, seconds) in stories.items():
        endings = (str(story.endings[ending]) for ending in Ending)
        rows.append((driver, str(story.calls), *endings, str(story.tokens), f"{seconds:.0f}", f"{story.longest:.2f}"))
    columns = ("driver", "calls", *Ending, "tokens", "seconds", "beyond deadline, s")
    print_table("How the calls ended, and how long after its deadline the latest did", columns, rows)


def _print_held(stories: dict[str, tuple[Story, float]], profile: Profile) -> None:
    rows = []
    for driver, (story, _) in stories.items():
        for lap, rest in enumerate(story.rests):
            memory = (f"{rest.traced / 1e6:.2f}", f"{rest.rss / 1e6:.1f}")
            name = "before" if lap == 0 else f"lap {lap}" + (", warming up" if lap <= profile.warm else "")
            rows.append((f"{driver}, {name}", *map(str, (rest.calls, rest.sockets, rest.tasks, rest.leases)), *memory))
        rows.append((f"{driver}, most sockets at once", "", str(story.peak_sockets), "", "", "", ""))
    columns = ("driver", "calls so far", "sockets", "tasks", "places", "objects, MB", "process, MB")
    print_table("What is held at rest: connections for reuse, and nothing else", columns, rows)


if __name__ == "__main__":
    sys.exit(main())
