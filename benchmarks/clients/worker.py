"""Drives clients in processes of their own, in rounds that take turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs

__all__ = ["Measurement", "Order", "Worker", "least_of_rounds", "least_of_turns", "one_round", "running_worker"]

ROOT = Path(__file__).resolve().parents[2]
# glibc returns the free end of its heap to the system, and a process that gets it again pays for each page: as much as
# for decoding what the page holds. Whether that happens is luck of the heap's layout, and changes from process to
# process. Memory that stays, as in a process that has run for long, makes the costs of all clients comparable.
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}


@attrs.frozen
class Measurement:
    """What one order needed.

    Attributes:
        cpu: CPU seconds of the client's process, user and system.
        wall: Seconds on the clock.
        peak_kib: The largest resident size of the process so far, in KiB; 0 where it is not known.
        total: What the work brought in all: characters or floats.
        first: Seconds to the first token: the quantiles "p50", "p99" and "max". Empty if the work is no set of streams.
        length: The same of whole streams.
    """

    cpu: float
    wall: float
    peak_kib: int
    total: int
    first: Mapping[str, float] = {}
    length: Mapping[str, float] = {}


@attrs.frozen
class Order:
    """Some work for a client. The attributes are the arguments of `Worker.do`."""

    work: str
    base_urls: Sequence[str]
    times: int
    more: Mapping[str, Any] = {}


@attrs.define
class Worker:
    """One client in a process of its own.

    Attributes:
        name: The key of the client in its module's `CLIENTS`.
    """

    name: str
    _process: subprocess.Popen[str]

    def do(self, work: str, base_urls: Sequence[str], times: int, **more: Any) -> Measurement:
        """Do some work and measure it.

        Args:
            work: "chat", "stream" or "embed" for one after the other; "together" for streams at the same time.
            base_urls: Where; more than one means a fallback from each to the next.
            times: How many.
            **more: `warm_up`, `history`, and `spread` of the process (`benchmarks.clients.__main__`).
        """
        assert self._process.stdin is not None
        order = {"work": work, "base_urls": list(base_urls), "times": times, **more}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Measurement(**self._line())

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the client {self.name} ended with exit code {self._process.wait(10)}")
        read: dict[str, Any] = json.loads(line)
        return read


@contextmanager
def running_worker(
    name: str, python: str = sys.executable, variables: Mapping[str, str] | None = None
) -> Iterator[Worker]:
    """Run a client as long as the block lasts, in the environment of the interpreter `python`.

    Args:
        name: The client.
        python: The interpreter.
        variables: Environment variables beside those of this process.
    """
    paths = [str(ROOT), *([str(ROOT / "sansio"), str(ROOT / "transports")] if python == sys.executable else [])]
    environment = {**os.environ, **(variables or {}), "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
    process = subprocess.Popen(
        [python, "-m", "benchmarks.clients", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    worker = Worker(name, process)
    try:
        yield worker
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def least_of_rounds(
    clients: Mapping[str, str], rounds: int, work: str, base_urls: Sequence[str], times: int, **more: Any
) -> dict[str, Measurement]:
    """Run `rounds` rounds in which all clients take turns; return the cheapest measurement of each.

    Turns, so that a busy moment of the machine is shared by all; the least, because other load only adds.

    Args:
        clients: Names of clients, and the interpreter of each.
        rounds: How many turns each client has.
        work: As of `Worker.do`, like the arguments after it.
        base_urls: As of `Worker.do`.
        times: As of `Worker.do`.
        **more: As of `Worker.do`.
    """
    return least_of_turns(clients, rounds, {work: Order(work, base_urls, times, more)})[work]


def least_of_turns(
    clients: Mapping[str, str], rounds: int, orders: Mapping[str, Order]
) -> dict[str, dict[str, Measurement]]:
    """Do the same with several kinds of work that are compared or subtracted: a turn of a client does all of them.

    Returns:
        By the name of the order, and then of the client.
    """
    least: dict[str, dict[str, Measurement]] = {name: {} for name in orders}
    with ExitStack() as stack:
        workers = [stack.enter_context(running_worker(name, python, _KEEP_MEMORY)) for name, python in clients.items()]
        for _ in range(rounds):
            for worker in workers:
                for name, order in orders.items():
                    measured = worker.do(order.work, order.base_urls, order.times, **order.more)
                    if worker.name not in least[name] or measured.cpu < least[name][worker.name].cpu:
                        least[name][worker.name] = measured
    return least


def one_round(name: str, python: str, work: str, base_urls: Sequence[str], times: int, **more: Any) -> Measurement:
    """Do some work in a process that has done nothing before, so that its peak of memory is that of the work."""
    with running_worker(name, python) as worker:
        return worker.do(work, base_urls, times, **more)
