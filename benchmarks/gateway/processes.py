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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import yaml

__all__ = ["Gateway", "Load", "Streams", "bare_router", "litellm_proxy", "load", "turnout_gateway"]

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-benchmark"
START_TIMEOUT = 120.0  # seconds


def _family(pid: int) -> list[int]:
    """The process and its descendants."""
    found = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += _family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and its children, user and system."""
    nanoseconds = 0
    for one in _family(pid):
        for task in Path(f"/proc/{one}/task").iterdir():
            # In nanoseconds; /proc/PID/stat counts in steps of 10 ms.
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


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

    def cpu(self) -> float:
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
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=output, stderr=output)
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
                time.sleep(0.02)
        yield Gateway(name, port, time.perf_counter() - begun, cpu_seconds(process.pid), process)
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
    }
    with _running("litellm", command, port, "/health/liveliness", env, folder / "litellm.log") as gateway:
        yield gateway


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

    def run(
        self,
        port: int,
        model: str,
        work: str,
        *,
        at_once: int,
        times: int,
        spread: float = 0.0,
        path: str | None = None,
    ) -> Streams:
        """Run `at_once` clients, each of which does the work `times` times, and wait for their end."""
        order: dict[str, Any] = {
            "host": "127.0.0.1", "port": port, "path": path or "/v1/chat/completions", "key": KEY, "model": model,
            "work": work, "at_once": at_once, "times": times, "spread": spread,
        }  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load failed")
        found = json.loads(line)
        return Streams(found["wall"], *found["first"])


@contextmanager
def load() -> Iterator[Load]:
    """Run the process that makes the load."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gateway.load"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        yield Load(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@contextmanager
def bare_router() -> Iterator[Any]:
    """Run the router without a gateway. The block gets a function that runs streams, and returns their CPU seconds."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("sansio", "transports"))
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gateway.bare"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout
    stdout.readline()

    def run(base_url: str, *, at_once: int, times: int, spread: float = 0.0) -> float:
        before = cpu_seconds(process.pid)
        stdin.write(json.dumps({"base_url": base_url, "at_once": at_once, "times": times, "spread": spread}) + "\n")
        stdin.flush()
        if not stdout.readline():
            raise RuntimeError("the bare router failed")
        return cpu_seconds(process.pid) - before

    try:
        yield run
    finally:
        stdin.close()
        process.wait(10)
        stdout.close()
