"""The processes that are measured, and what the kernel says about them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import yaml

__all__ = [
    "BareRouter",
    "Gateway",
    "Load",
    "Streams",
    "Work",
    "bare_router",
    "cpu_between",
    "litellm_proxy",
    "load",
    "turnout_gateway",
]

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-benchmark"
START_TIMEOUT = 120.0  # seconds


def _family(pid: int) -> list[int]:
    """The process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():  # a child belongs to the thread that has started it
        for child in (task / "children").read_text().split():
            found += _family(int(child))
    return found


def cpu_seconds(pid: int) -> dict[int, float]:
    """CPU seconds of a process and of each of its children, user and system, threads that have ended included."""
    # The kernel's clock of a process: clock_getcpuclockid(3). /proc/PID/stat counts in steps of 10 ms.
    return {one: time.clock_gettime((~one << 3) | 2) for one in _family(pid)}


def cpu_between(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """CPU seconds between two readings.

    Raises:
        RuntimeError: A process has ended or begun, so its part is not known.
    """
    if before.keys() != after.keys():
        raise RuntimeError(f"the processes changed from {sorted(before)} to {sorted(after)}")
    return sum(after.values()) - sum(before.values())


def resident_mib(pid: int) -> float:
    """Resident memory of a process and its children, in MiB."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in _family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@attrs.define
class Gateway:
    """A gateway that runs.

    Attributes:
        name: Its name in the tables.
        port: Where it listens.
        start: Seconds from its start to its first good answer.
        start_cpu: CPU seconds until then.
    """

    name: str
    port: int
    start: float
    start_cpu: float
    _process: subprocess.Popen[bytes]

    def cpu(self) -> dict[int, float]:
        return cpu_seconds(self._process.pid)

    def memory(self) -> float:
        return resident_mib(self._process.pid)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def _running(
    name: str, command: list[str], port: int, health: str, env: Mapping[str, str], log: Path
) -> Iterator[Gateway]:
    begun = time.perf_counter()
    with log.open("wb") as output:
        # In a folder of its own: LiteLLM puts `../..` into its module path.
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=output, stderr=output, cwd=log.parent)
    try:
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended: {log.read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{health}", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                if time.perf_counter() - begun > START_TIMEOUT:
                    raise RuntimeError(f"{name} does not answer: {log.read_text()[-2000:]}") from None
                time.sleep(0.005)
        yield Gateway(name, port, time.perf_counter() - begun, sum(cpu_seconds(process.pid).values()), process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def turnout_gateway(routes: Mapping[str, str], folder: Path) -> Iterator[Gateway]:
    """Run `turnout serve` with one model for each route: its name, and the base URL behind it."""
    port = free_port()
    providers = {name: {"kind": "openai-compatible", "baseUrl": url, "apiKey": "k"} for name, url in routes.items()}
    serve = {
        "listen": f"127.0.0.1:{port}",
        "keys": [{"name": "bench", "key": KEY}],
        "aliases": {name: f"{name}/m" for name in routes},
    }
    config = folder / "turnout.yaml"
    config.write_text(
        yaml.safe_dump({"providers": providers, "runtime": {"router": {"timeout": "300s"}}, "serve": serve})
    )
    program = "from turnout_io.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--quiet", "--config", str(config)]
    sources = [str(ROOT / name) for name in ("sansio", "transports")]
    # pip compiles what it installs. Here the first start compiles everything, and the second one is measured.
    env = {
        "PYTHONPATH": os.pathsep.join(sources),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with _running("turnout", command, port, "/health", env, folder / "turnout.log") as gateway:
        yield gateway


@contextmanager
def litellm_proxy(python: str, routes: Mapping[str, str], folder: Path) -> Iterator[Gateway]:
    """Run LiteLLM's proxy with the same models, in the environment of the interpreter `python`."""
    port = free_port()
    models = [
        {"model_name": name, "litellm_params": {"model": "openai/m", "api_base": url, "api_key": "k"}}
        for name, url in routes.items()
    ]
    config = folder / "litellm.yaml"
    config.write_text(
        yaml.safe_dump({"model_list": models, "litellm_settings": {"telemetry": False, "num_retries": 0}})
    )
    command = [
        str(Path(python).with_name("litellm")),
        "--config",
        str(config),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    env = {
        "LITELLM_MASTER_KEY": KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        # It breaks a stream that repeats one text, as the back end does.
        "REPEATED_STREAMING_CHUNK_LIMIT": "100000000",
        "PYTHONPATH": "",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with _running("litellm", command, port, "/health/liveliness", env, folder / "litellm.log") as gateway:
        yield gateway


@attrs.frozen
class Work:
    """One kind of call.

    Attributes:
        route: The reply of the back end.
        text: The text of each chunk, or of an answer in one piece.
        chunks: How many chunks the answer has; 0 for an answer in one piece.
    """

    route: str
    text: str
    chunks: int = 0


@attrs.frozen
class Streams:
    """What a load brought.

    Attributes:
        wall: Seconds on the clock.
        p50, p99: Seconds to the first token.
    """

    wall: float
    p50: float
    p99: float


@attrs.define
class Load:
    """The process that makes the load."""

    _process: subprocess.Popen[str]

    def begin(
        self,
        port: int,
        model: str,
        work: Work,
        *,
        at_once: int = 1,
        times: int = 1,
        spread: float = 0.0,
        path: str = "/v1/chat/completions",
    ) -> None:
        """Let `at_once` clients do the work, each of them `times` times. Their beginnings take `spread` seconds."""
        _order(
            self._process,
            host="127.0.0.1", port=port, path=path, key=KEY, model=model, chunks=work.chunks, text=work.text,
            at_once=at_once, times=times, spread=spread,
        )  # fmt: skip

    def end(self) -> Streams:
        """Wait for the end of the load.

        Raises:
            RuntimeError: An answer was not whole.
        """
        found = json.loads(_answer(self._process))
        return Streams(found["wall"], *found["first"])

    def run(self, port: int, model: str, work: Work, **settings: Any) -> Streams:
        """Begin a load, and wait for its end."""
        self.begin(port, model, work, **settings)
        return self.end()


@attrs.define
class BareRouter:
    """The process with the router alone."""

    _process: subprocess.Popen[str]

    def cpu(self) -> dict[int, float]:
        return cpu_seconds(self._process.pid)

    def begin(self, base_url: str, work: Work, *, at_once: int = 1, times: int = 1, spread: float = 0.0) -> None:
        """See `Load.begin`."""
        _order(
            self._process,
            base_url=base_url, chunks=work.chunks, text=work.text, at_once=at_once, times=times, spread=spread,
        )  # fmt: skip

    def end(self) -> None:
        """Wait for the end of the streams.

        Raises:
            RuntimeError: An answer was not whole.
        """
        _answer(self._process)


def _order(process: subprocess.Popen[str], **order: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the load failed: its error is above")
    return line


@contextmanager
def _worker(module: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.gateway.{module}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **env},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        with suppress(BrokenPipeError):  # it has failed
            process.stdin.close()
        process.wait(10)
        process.stdout.close()


@contextmanager
def load() -> Iterator[Load]:
    """Run the process that makes the load."""
    with _worker("load", {}) as process:
        yield Load(process)


@contextmanager
def bare_router() -> Iterator[BareRouter]:
    """Run the router without a gateway."""
    with _worker("bare", {"PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("sansio", "transports"))}) as one:
        assert one.stdout is not None
        if not one.stdout.readline():
            raise RuntimeError("the bare router did not start: its error is above")
        yield BareRouter(one)
