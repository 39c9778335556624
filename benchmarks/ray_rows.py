"""`python -m benchmarks.ray_rows`: answer rows with Ray Data, kill an actor, and compare with Ray's own HTTP processor.

It needs the extra `ray`. The provider is the sandbox, which waits 50 ms before each answer. The exit code is 1 if a row
is missing or double, if more requests are repeated than were in flight, or if a job does not end in time.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import FrameType
from typing import Any

import attrs

from benchmarks.own_process import own_process
from turnout_io.ray import ask_rows
from turnout_sandbox import Fault, Sandbox

__all__ = ["main"]

MODEL = "openai/gpt-4o-mini"
ACTORS, CONCURRENCY = 2, 100
START = 600.0  # seconds
# Seconds between two looks. Each reads all of /proc, which takes CPU from the processes that are measured.
LOOK_EVERY = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")


def _processes() -> Iterator[tuple[int, str, float]]:
    """Yield the identifier, the name and the CPU seconds of each process of Ray."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if name.startswith("ray::"):
            yield int(folder.name), name, (int(fields[11]) + int(fields[12])) / _TICKS


@attrs.define
class Provider:
    """The sandbox in a process of its own.

    In this process it would share one lock with the threads of Ray and with the looks at what happens. On a busy
    machine they leave it no time, and the job seems to hang.
    """

    environ: dict[str, str]
    url: str
    key: str
    _pipe: Connection
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def sent(self) -> int:
        """Return how many requests arrived."""
        with self._lock:
            self._pipe.send(None)
            count: int = self._pipe.recv()
        return count


def _serve(pipe: Connection, questions: Connection) -> None:
    with Sandbox(token_interval=0.0) as sandbox:
        sandbox.script("openai", Fault(delay=0.05), forever=True)
        pipe.send((sandbox.environ(), sandbox.url("openai"), sandbox.key("openai")))
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                questions.recv()
                questions.send(len(sandbox.requests))


@contextlib.contextmanager
def _provider() -> Iterator[Provider]:
    ours, theirs = Pipe()
    with ours, own_process(_serve, theirs) as (environ, url, key):
        theirs.close()
        yield Provider(environ, url, key, ours)
        ours.close()  # the process ends with it


class JobStalled(Exception):
    """A job did not end in time."""


@contextlib.contextmanager
def _bounded(name: str, seconds: float, state: Callable[[], str]) -> Iterator[None]:
    """Raise `JobStalled` in the main thread if the block does not end within some seconds."""

    def stall(number: int, frame: FrameType | None) -> None:
        raise JobStalled(f"{name}: no end within {seconds:g} s; {state()}")

    before = signal.signal(signal.SIGALRM, stall)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@attrs.define
class Meter:
    """CPU seconds of all processes of Ray, sampled, because some end before the job does."""

    first: dict[int, float] = attrs.field(factory=dict)
    last: dict[int, float] = attrs.field(factory=dict)

    def sample(self) -> None:
        for process, _, seconds in _processes():
            self.first.setdefault(process, seconds if not self.last else 0.0)
            self.last[process] = seconds

    @property
    def seconds(self) -> float:
        return sum(seconds - self.first[process] for process, seconds in self.last.items())


@contextlib.contextmanager
def _every(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """Call `action` again and again, from a thread."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(seconds):
            action()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        action()


@attrs.frozen
class Outcome:
    """What a job did.

    Attributes:
        rows: Rows of the result.
        failed: Rows with an error.
        wrong: Rows that are missing or double.
        sent: Requests that the provider received.
        seconds: Wall time.
        cpu: CPU seconds of all processes of Ray.
    """

    name: str
    rows: int
    failed: int
    wrong: int
    sent: int
    seconds: float
    cpu: float

    def __str__(self) -> str:
        return (
            f"{self.name:24} rows {self.rows:6} failed {self.failed} missing or double {self.wrong} sent {self.sent} "
            f"{self.rows / self.seconds:7.0f} rows/s  {1e6 * self.cpu / self.rows:7.0f} us of CPU a row"
        )


def _measured(
    name: str, count: int, provider: Provider, job: Callable[[], list[dict[str, Any]]], timeout: float
) -> Outcome:
    before = provider.sent()

    def state() -> str:
        actors = sum("AskRouter" in title for _, title, _ in _processes())
        return f"{provider.sent() - before} requests for {count} rows arrived, and {actors} actors are alive"

    meter = Meter()
    meter.sample()
    start = time.monotonic()
    with _bounded(name, timeout, state), _every(LOOK_EVERY, meter.sample):
        rows = job()
    seconds = time.monotonic() - start
    found = collections.Counter(row["custom_id"] for row in rows)
    wrong = sum(found[f"r{number}"] != 1 for number in range(count))
    failed = sum(bool(row.get("error")) for row in rows)
    sent = provider.sent() - before
    return Outcome(name, len(rows), failed, wrong, sent, seconds, meter.seconds)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def _node(folder: str) -> Iterator[None]:
    """Run a node of Ray, and connect to it.

    `ray.init` lets Ray choose the ports of its agents. Its node then waits 15 seconds for each agent to write its port
    down and ends itself after that, which a busy machine does not keep. A node that is told the ports waits for none.
    """
    import ray  # pyright: ignore[reportMissingImports]

    names = ("port", "dashboard-agent-grpc-port", "dashboard-agent-listen-port", "runtime-env-agent-port")
    ports = _free_ports(len(names) + 1)
    options = [f"--{name}={port}" for name, port in zip((*names, "metrics-export-port"), ports, strict=True)]
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2",
        "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--disable-usage-stats", *options,
    ]  # fmt: skip
    with open(f"{folder}/node.log", "wb") as log:
        node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _connect(f"127.0.0.1:{ports[0]}", node)
            yield
        except BaseException:
            print(Path(log.name).read_text(errors="replace"), file=sys.stderr)
            raise
        finally:
            ray.shutdown()
            node.terminate()  # it ends the processes that it started
            node.wait(60)


def _connect(address: str, node: subprocess.Popen[bytes]) -> None:
    import ray  # pyright: ignore[reportMissingImports]

    deadline = time.monotonic() + START
    while True:
        try:
            ray.init(address=address, log_to_driver=False)
            return
        except Exception:
            ray.shutdown()
            if node.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def _ask(count: int, provider: Provider, journal: str) -> list[dict[str, Any]]:
    import ray  # pyright: ignore[reportMissingImports]

    rows = ray.data.from_items([{"custom_id": f"r{n}", "prompt": f"Question {n}"} for n in range(count)])
    answers = ask_rows(
        rows,
        model=MODEL,
        environ=provider.environ,
        dotenv=None,
        actors=ACTORS,
        concurrency=CONCURRENCY,
        journal=journal,
    )
    found: list[dict[str, Any]] = answers.take_all()
    return found


def _kill_one(provider: Provider, after: int) -> Callable[[], None]:
    """Return a function that kills one actor, once, after so many requests."""
    done = threading.Event()

    def look() -> None:
        if not done.is_set() and provider.sent() >= after:
            for process, name, _ in _processes():
                if "AskRouter" in name:
                    os.kill(process, signal.SIGKILL)
                    print(f"killed {name}", flush=True)
                    done.set()
                    return

    return look


def _http(count: int, provider: Provider) -> list[dict[str, Any]]:
    import ray  # pyright: ignore[reportMissingImports]
    from ray.data.llm import HttpRequestProcessorConfig, build_processor  # pyright: ignore[reportMissingImports]

    config = HttpRequestProcessorConfig(
        url=f"{provider.url}/chat/completions",
        headers={"Authorization": f"Bearer {provider.key}"},
        concurrency=ACTORS,
        batch_size=CONCURRENCY,
    )
    processor = build_processor(
        config,
        preprocess=lambda row: {
            **row,
            "payload": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": row["prompt"]}]},
        },
        postprocess=lambda row: {"custom_id": row["custom_id"], "response": json.dumps(row["http_response"])},
    )
    rows = ray.data.from_items([{"custom_id": f"r{n}", "prompt": f"Question {n}"} for n in range(count)])
    found: list[dict[str, Any]] = processor(rows).take_all()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the jobs, print what they did, and exit with 1 if a row was lost or paid too often."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray_rows", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--http-rows", type=int, default=1_000, help="rows for Ray's HTTP processor; 0 for none")
    parser.add_argument("--timeout", type=float, default=1_200.0, help="seconds that one job may take")
    options = parser.parse_args(arguments)
    # The node, its workers and this process must have the same token, and Ray reads it when it is imported.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    import ray  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder, _provider() as provider, _node(folder):
        ray.data.DataContext.get_current().enable_progress_bars = False

        def measured(name: str, count: int, job: Callable[[], list[dict[str, Any]]]) -> Outcome:
            outcome = _measured(name, count, provider, job, options.timeout)
            print(outcome, flush=True)
            return outcome

        rows = options.rows
        plain = measured("turnout", rows, lambda: _ask(rows, provider, f"{folder}/plain"))
        with _every(LOOK_EVERY, _kill_one(provider, provider.sent() + rows * 2 // 5)):
            killed = measured("turnout, actor killed", rows, lambda: _ask(rows, provider, f"{folder}/killed"))
        if options.http_rows:
            http = measured("Ray's HTTP processor", options.http_rows, lambda: _http(options.http_rows, provider))
            speed = (plain.rows / plain.seconds) / (http.rows / http.seconds)
            print(f"rows/s: {speed:.1f} x, CPU a row: {plain.cpu / plain.rows / (http.cpu / http.rows):.2f} x")
    repeated = killed.sent - options.rows
    print(
        f"requests that were repeated after the kill: {repeated} of {CONCURRENCY} that one actor had in flight at most"
    )
    if plain.wrong or killed.wrong or repeated > CONCURRENCY or plain.sent != options.rows:
        sys.exit("a row was lost, double, or paid too often")


if __name__ == "__main__":
    main()
