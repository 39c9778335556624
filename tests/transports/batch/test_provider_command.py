"""`turnout batch --via provider` in processes of its own, over a provider on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.transports.batch.batch_api import BatchApi
from tests.transports.batch.helpers import by_id, input_line, numbered_input, start_batch, write_input

pytestmark = pytest.mark.full


class Stage:
    """A provider, the files of a run, and its command."""

    def __init__(self, folder: Path, api: BatchApi, base_url: str) -> None:
        self.api = api
        self.source = numbered_input(folder / "in.jsonl", 5)
        self.target = folder / "out.jsonl"
        self.env = folder / "env"
        self.env.write_text(f"OPENAI_API_KEY=k\nOPENAI_ENDPOINT={base_url}\n")

    def start(self, *more: str) -> subprocess.Popen[str]:
        fixed = ("--env-file", self.env, "--via", "provider", "--poll", "0.01")
        return start_batch(self.source, self.target, *fixed, *more)

    def run(self, *more: str) -> tuple[int, str]:
        process = self.start(*more)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        return process.returncode, out + err

    def stopped(self, moment: str, reached: Callable[[str, str], bool], number: int) -> int:
        """Run until the provider has a request, send a signal, and return the exit code."""
        started: list[subprocess.Popen[str]] = []
        is_known = threading.Event()

        def stop(method: str, path: str) -> None:
            if reached(method, path):
                is_known.wait(60)
                started[0].send_signal(number)
                if number == signal.SIGKILL:
                    started[0].wait(60)  # before the reply

        setattr(self.api, moment, stop)
        started.append(self.start())
        is_known.set()
        try:
            started[0].communicate(timeout=120)
        finally:
            started[0].kill()
        setattr(self.api, moment, lambda method, path: None)
        return started[0].returncode


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    api = BatchApi()
    with api.served() as base_url:
        yield Stage(tmp_path, api, base_url)


def test_it_answers_all_and_then_sends_nothing(stage: Stage, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    code, said = stage.run("--ordered", "--summary", str(summary))
    assert code == 0, said
    assert list(by_id(stage.target)) == ["r0", "r1", "r2", "r3", "r4"]
    written = json.loads(summary.read_text())
    assert (written["rows"], written["answered"], written["left"], written["stopped"]) == (5, 5, 0, "complete")
    calls = len(stage.api.calls)
    assert stage.run()[0] == 0
    assert len(stage.api.calls) == calls
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.jsonl", "out.jsonl.jobs"]


REQUESTS = ["POST /files", "POST /batches", "GET /batches/batch-0", "GET /files/output_file_id-batch-0/content"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("request_line", REQUESTS)
def test_a_kill_at_each_stage_makes_no_second_batch(stage: Stage, moment: str, request_line: str) -> None:
    done: list[str] = []

    def reached(method: str, path: str) -> bool:
        done.append(f"{method} {path}")
        return done.count(request_line) == 1 and done[-1] == request_line

    assert stage.stopped(moment, reached, signal.SIGKILL) == -signal.SIGKILL
    code, said = stage.run()
    assert code == 0, said
    assert len(stage.api.batches) == 1
    assert sorted(by_id(stage.target)) == ["r0", "r1", "r2", "r3", "r4"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_batch_running(stage: Stage, number: int) -> None:
    def reached(method: str, path: str) -> bool:
        return (method, path) == ("GET", "/batches/batch-0") and stage.api.batches["batch-0"]["looks"] == 1

    assert stage.stopped("before", reached, number) == 130
    assert stage.api.batches["batch-0"]["status"] == "in_progress"
    assert stage.run()[0] == 0
    assert len(by_id(stage.target)) == 5
    assert len(stage.api.batches) == 1


def test_results_in_any_order_and_in_two_files(stage: Stage) -> None:
    plain = stage.api.answer
    # The newest first, as files of results have no order.
    lines: list[dict[str, Any]] = []

    def answer(line: dict[str, Any]) -> dict[str, Any] | None:
        lines.append(line)
        if line["custom_id"] == "r1":
            body = {"error": {"code": "bad", "message": "no"}}
            return {"custom_id": "r1", "response": {"status_code": 400, "body": body}, "error": None}
        return plain({**line, "custom_id": {"r0": "r4", "r4": "r0"}.get(line["custom_id"], line["custom_id"])})

    stage.api.answer = answer
    code, said = stage.run()
    assert code == 1, said
    rows = by_id(stage.target)
    assert [name for name, row in rows.items() if row["error"]] == ["r1"]
    assert rows["r0"]["response"]["body"]["choices"][0]["message"]["content"] == "question 4"
    assert stage.run()[0] == 0, "a final failure is not sent again"
    assert len(stage.api.batches) == 1


def test_an_expired_batch(stage: Stage) -> None:
    plain = stage.api.answer
    stage.api.answer = lambda line: plain(line) if line["custom_id"] < "r2" else None
    stage.api.status = "expired"
    code, said = stage.run()
    assert code == 1
    assert "3 expired" in said
    stage.api.answer, stage.api.status = plain, "completed"
    code, said = stage.run()
    assert code == 0, said
    assert len(by_id(stage.target)) == 5
    assert sorted(stage.api.rows) == ["r0", "r1", "r2", "r2", "r3", "r3", "r4", "r4"]


def test_a_dry_run_sends_nothing_and_checks_the_rows(stage: Stage) -> None:
    code, said = stage.run("--dry-run")
    assert (code, "5 rows to send" in said) == (0, True), said
    write_input(stage.source, [input_line("r", "x", model="gemini/gemini-2.5-flash")])
    code, said = stage.run("--dry-run")
    assert (code, "--via provider needs a model of openai" in said) == (2, True), said
    assert not stage.api.calls
    assert not stage.target.exists()


def test_wrong_rows_end_with_2(stage: Stage) -> None:
    write_input(stage.source, [input_line("r", "x", model="gemini/gemini-2.5-flash")])
    assert stage.run()[0] == 2
    assert stage.run("--max-cost", "1")[0] == 2
    assert not stage.api.calls


def test_a_wrong_key(stage: Stage) -> None:
    stage.env.write_text(stage.env.read_text().replace("=k\n", "=wrong\n"))
    code, said = stage.run()
    assert (code, "openai refused POST /files: wrong key" in said) == (1, True), said
    stage.env.write_text(stage.env.read_text().replace("=wrong\n", "=k\n"))
    assert stage.run()[0] == 0
    assert len(stage.api.batches) == 1


def test_cancelled_batches(stage: Stage) -> None:
    def reached(method: str, path: str) -> bool:
        return path == "/batches" and method == "POST"

    assert stage.stopped("after", reached, signal.SIGKILL) == -signal.SIGKILL
    code, said = stage.run("--cancel")
    assert (code, "cancelled: batch-0" in said) == (0, True), said
    stage.api.answer, stage.api.status = (lambda line: None), "cancelled"
    assert stage.run()[0] == 1
    assert stage.run("--cancel")[1].strip() == "no batch is running"
