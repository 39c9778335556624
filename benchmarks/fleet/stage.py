"""Real processes, a real store, what goes wrong between them, and one log that judges."""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.fleet.servers import Server, running
from benchmarks.fleet.worker import Orders

__all__ = ["Fleet", "Outcome", "Scenario", "run"]


@attrs.frozen(kw_only=True)
class Scenario:
    """One run.

    Attributes:
        rates: Requests a second, for each process.
        amounts: What a request of each process counts for; 1 by default.
        seconds: How long it runs; it is judged from `judged_from` to the end.
        disturb: (seconds after the start, what is done to the fleet) pairs.
    """

    name: str
    limit: int
    window: float
    rates: Sequence[float]
    amounts: Sequence[int] = ()
    burst: int | None = None
    fail: str = "local-share"
    seconds: float = 65.0
    judged_from: float = 20.0
    queue: int = 200
    disturb: Sequence[tuple[float, Callable[[Fleet], None]]] = ()
    shared: bool = True
    replicated: bool = False


@attrs.define(eq=False)
class Fleet:
    """The processes of a run, and its store with its replica, if there is one."""

    store: Server
    replica: Server | None
    processes: list[subprocess.Popen[str]] = attrs.field(factory=list)

    def kill(self, *indexes: int) -> None:
        for index in indexes:
            self.processes[index].kill()

    def stop(self, *indexes: int) -> None:
        for index in indexes:
            self.processes[index].send_signal(signal.SIGSTOP)

    def go_on(self, *indexes: int) -> None:
        for index in indexes:
            self.processes[index].send_signal(signal.SIGCONT)


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of a run.

    Attributes:
        most: The most that was spent in any window.
        used: The share of the limit that was spent.
        per_thousand: Calls of the store for a thousand requests.
        spent: By process.
    """

    name: str
    limit: int
    most: int
    used: float
    per_thousand: float
    p50: float
    p99: float
    longest: float
    cpu: float
    requests: int
    spent: tuple[int, ...]
    resyncs: int
    overspent: int

    @property
    def over(self) -> int:
        """What exceeded the limit in the fullest window."""
        return max(0, self.most - self.limit)

    def __str__(self) -> str:
        return (
            f"{self.name:12} over {self.over:4} most {self.most:7} of {self.limit:7} used {100 * self.used:5.1f} %  "
            f"store calls per 1,000 {self.per_thousand:5.0f}  wait p50 {1e6 * self.p50:7.0f} us "
            f"p99 {1e6 * self.p99:8.0f} us max {1e3 * self.longest:6.1f} ms  cpu {self.cpu:5.2f} s  "
            f"requests {self.requests}  spent {self.spent}"
        )


def run(scenario: Scenario, binary: str) -> Outcome:
    """Run a scenario over a store of its own, which `binary` is the server of."""
    with contextlib.ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turnout-fleet-")))
        store = stack.enter_context(running(binary))
        url, replica = store.url, None
        if scenario.replicated:
            replica = stack.enter_context(running(binary, "--replicaof", "127.0.0.1", str(store.port)))
            url = f"{url},127.0.0.1:{replica.port}"
        fleet = Fleet(store, replica)
        logs = []
        for index, rate in enumerate(scenario.rates):
            log = where / f"{index}.log"
            logs.append(log)
            orders = Orders(
                url=url if scenario.shared else "", namespace=f"fleet-{os.getpid()}-{scenario.name}",
                name=f"p{index}", limit=scenario.limit, window=scenario.window, burst=scenario.burst,
                fail=scenario.fail, rate=rate, amount=scenario.amounts[index] if scenario.amounts else 1,
                queue=scenario.queue, seconds=scenario.seconds,
                judged_from=scenario.judged_from, seed=index, log=str(log),
            )  # fmt: skip
            fleet.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.fleet.worker", json.dumps(attrs.asdict(orders))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        try:
            start = _begin(fleet.processes)
            for at, action in sorted(scenario.disturb, key=lambda pair: pair[0]):
                time.sleep(max(0.0, start + at - time.monotonic()))
                action(fleet)
            reports = [_report(process, start + scenario.seconds + 60) for process in fleet.processes]
        finally:
            for process in fleet.processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                process.wait()
        spends = [_spends(log) for log in logs]
        return _judge(scenario, start, reports, spends)


def _begin(processes: list[subprocess.Popen[str]]) -> float:
    """Wait for every process, and give all the same time to begin."""
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("a process of the fleet did not start")
    start = time.monotonic() + 0.5
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{start}\n")
        process.stdin.flush()
    return start


def _report(process: subprocess.Popen[str], deadline: float) -> dict[str, Any] | None:
    """Return what a process reported; None if it was killed."""
    out, _ = process.communicate(timeout=max(1.0, deadline - time.monotonic()))
    if process.returncode == -signal.SIGKILL:
        return None
    if process.returncode != 0:
        raise RuntimeError(f"a process of the fleet failed with {process.returncode}")
    report: dict[str, Any] = json.loads(out)
    return report


def _spends(log: Path) -> list[tuple[float, float]]:
    """Return (time, amount) pairs."""
    values = array.array("d")
    if log.exists():
        values.frombytes(log.read_bytes())
    return list(zip(values[::2], values[1::2], strict=True))


def _judge(
    scenario: Scenario,
    start: float,
    reports: list[dict[str, Any] | None],
    spends: list[list[tuple[float, float]]],
) -> Outcome:
    log = sorted(entry for entries in spends for entry in entries)
    most = total = 0.0
    inside: deque[tuple[float, float]] = deque()
    for at, amount in log:
        while inside and inside[0][0] <= at - scenario.window:
            total -= inside.popleft()[1]
        inside.append((at, amount))
        total += amount
        most = max(most, total)
    begin, end = start + scenario.judged_from, start + scenario.seconds
    spent = sum(amount for at, amount in log if begin <= at < end)
    known = [report for report in reports if report is not None]
    requests = sum(report["requests"] for report in known)

    def worst(field: str) -> float:
        return max((report[field] for report in known if report[field] is not None), default=0.0)

    return Outcome(
        name=scenario.name,
        limit=scenario.limit,
        most=round(most),
        used=spent / (scenario.limit * (end - begin) / scenario.window),
        per_thousand=1000 * sum(report["sent"] for report in known) / max(1, requests),
        p50=sorted(report["p50"] or 0.0 for report in known)[len(known) // 2] if known else 0.0,
        p99=worst("p99"),
        longest=worst("max"),
        cpu=sum(report["cpu"] for report in known),
        requests=requests,
        spent=tuple(round(sum(amount for _, amount in entries)) for entries in spends),
        resyncs=sum(report["resyncs"] for report in known),
        overspent=sum(report["overspent"] for report in known),
    )
