"""Inputs, outputs and providers for the tests of batches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from turnout.batch.rows import RowReader
from turnout_sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[3]
MODEL = "openai/gpt-4o-mini"


def input_line(custom_id: str | None, text: str, **body: Any) -> str:
    fields: dict[str, Any] = {"custom_id": custom_id} if custom_id is not None else {}
    fields |= {
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 5, **body},
    }
    return json.dumps(fields)


def write_input(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def numbered_input(path: Path, count: int) -> Path:
    return write_input(path, (input_line(f"r{number}", f"question {number}") for number in range(count)))


def read_output(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def by_id(path: Path) -> dict[str, dict[str, Any]]:
    rows = read_output(path)
    found = {row["custom_id"]: row for row in rows}
    assert len(found) == len(rows), "no row twice"
    return found


def sent(sandbox: Sandbox) -> int:
    return len(sandbox.requests_to("openai"))


def env_file(sandbox: Sandbox, folder: Path) -> Path:
    path = folder / "env"
    path.write_text("".join(f"{name}={value}\n" for name, value in sandbox.environ().items()))
    return path


def environment() -> dict[str, str]:
    paths = os.pathsep.join((str(ROOT / "sansio"), str(ROOT / "transports")))
    return {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}


def start_batch(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start `turnout batch` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from turnout_io.cli import main; main()", "batch", *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_batch(*arguments: str | Path) -> tuple[int, str]:
    """Run `turnout batch` to its end; return its exit code, and what it printed on stderr."""
    process = start_batch(*arguments)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out + err


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate(timeout=60)


def reader() -> RowReader:
    return RowReader()
