"""`turnout batch` in processes of its own: exit codes, kills, Ctrl-C, and what is paid twice."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.transports.batch.helpers import (
    MODEL,
    by_id,
    env_file,
    input_line,
    kill,
    numbered_input,
    read_output,
    run_batch,
    sent,
    start_batch,
    write_input,
)
from turnout_sandbox import Fault, Sandbox

pytestmark = pytest.mark.full

CONCURRENCY = 8


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.0) as started:
        yield started


class Files:
    def __init__(self, folder: Path, sandbox: Sandbox, rows: int = 60) -> None:
        self.source = numbered_input(folder / "in.jsonl", rows)
        self.target = folder / "out.jsonl"
        self.env = env_file(sandbox, folder)

    @property
    def arguments(self) -> tuple[str | Path, ...]:
        return (self.source, self.target, "--env-file", self.env, "--concurrency", str(CONCURRENCY))

    def run(self, *more: str | Path) -> tuple[int, str]:
        return run_batch(*self.arguments, *more)

    def start(self, *more: str | Path) -> subprocess.Popen[str]:
        return start_batch(*self.arguments, *more)

    def lines(self) -> int:
        return self.target.read_bytes().count(b"\n") if self.target.exists() else 0


@pytest.fixture
def files(tmp_path: Path, sandbox: Sandbox) -> Files:
    return Files(tmp_path, sandbox)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_it_answers_all_and_then_sends_nothing(files: Files, sandbox: Sandbox, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    code, said = files.run("--summary", summary)
    assert code == 0, said
    assert len(by_id(files.target)) == sent(sandbox) == 60
    written = json.loads(summary.read_text())
    assert (written["rows"], written["answered"], written["left"], written["stopped"]) == (60, 60, 0, "complete")
    code, said = files.run("--summary", summary)
    assert code == 0
    assert "60 answered before, 0 failed before and kept, 0 to send" in said
    assert sent(sandbox) == 60
    assert json.loads(summary.read_text())["skipped"] == 60


@pytest.mark.full
def test_kills_pay_at_most_the_calls_in_flight_twice(files: Files, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=0.1), forever=True)
    for at in (10, 25, 45):
        process = files.start()
        until(lambda at=at: files.lines() >= at)  # type: ignore[misc]  # the default binds this turn's value
        kill(process)
        with files.target.open("ab") as file:
            file.write(b'{"id":"batch_req_1","custom_id":"r5')
    code, said = files.run()
    assert code == 0, said
    assert "was cut off" in said
    assert len(by_id(files.target)) == 60
    assert sent(sandbox) <= 60 + 3 * CONCURRENCY
    before = sent(sandbox)
    assert files.run()[0] == 0
    assert sent(sandbox) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_pays_nothing_twice(files: Files, sandbox: Sandbox, number: int) -> None:
    sandbox.script("openai", *[Fault(delay=0.1)] * 40)
    process = files.start()
    until(lambda: files.lines() >= 1)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "waiting for those in flight" in said
    assert files.lines() == sent(sandbox) < 60, "all that was sent is written"
    assert files.run()[0] == 0
    assert sent(sandbox) == 60


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_input_is_checked(tmp_path: Path, number: int) -> None:
    source = tmp_path / "in.jsonl"
    os.mkfifo(source)
    process = start_batch(source, tmp_path / "out.jsonl", "-m", MODEL)
    with source.open("wb"):  # opened by both sides: the process reads, and waits for a line
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said


def test_the_second_ctrl_c_cuts_calls_off(files: Files, sandbox: Sandbox) -> None:
    sandbox.script("openai", *[Fault()] * 10, *[Fault(delay=60.0)] * 50)
    process = files.start()
    until(lambda: files.lines() == 10 and sandbox.in_flight("openai") == CONCURRENCY)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert any("waiting for those in flight" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert files.lines() == 10
    assert sent(sandbox) <= 10 + CONCURRENCY


def test_one_run_at_a_time(files: Files, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(), *[Fault(delay=60.0)] * 60)
    process = files.start()
    until(lambda: files.lines() >= 1)
    code, said = files.run()
    kill(process)
    assert code == 2
    assert "another run writes" in said
    assert f"(process {process.pid})" in said


def test_some_rows_failed(files: Files, sandbox: Sandbox) -> None:
    with files.source.open("a") as file:
        file.write(input_line("bad", "x", temperature="hot") + "\n")
    code, said = files.run()
    assert code == 1
    assert "60 answered" in said
    assert "failed: 1 invalid-request" in said
    assert by_id(files.target)["bad"]["error"]["temporary"] is False
    assert files.run()[0] == 0, "what failed for good is kept"
    assert sent(sandbox) == 60


def test_a_wrong_input_is_refused(files: Files, sandbox: Sandbox) -> None:
    with files.source.open("a") as file:
        file.write(input_line("r7", "again") + "\n")
    code, said = files.run()
    assert code == 2
    assert "lines 8 and 61 have the same custom_id 'r7'" in said
    assert sent(sandbox) == 0
    assert not files.target.exists(), "no empty output is left"


def test_wrong_usage(files: Files) -> None:
    assert files.run("--route", "fast", "-m", "openai/gpt-4o")[0] == 2
    assert files.run("--concurrency", "0")[0] == 2
    assert run_batch("-", files.target, "--ordered")[0] == 2


def test_a_wrong_key_stops_it_early(files: Files, sandbox: Sandbox) -> None:
    files.env.write_text(files.env.read_text().replace(sandbox.key("openai"), "wrong"))
    code, said = files.run()
    assert code == 1
    assert "all failed for a reason that is not theirs" in said
    assert sent(sandbox) < 60
    assert "wrong" not in files.target.read_text().lower().replace("wrong key", "")


def test_the_highest_cost(files: Files, sandbox: Sandbox, tmp_path: Path) -> None:
    config = tmp_path / "turnout.yaml"
    prices = "runtime:\n  router:\n    prices:\n      openai/gpt-4o-mini: {prompt: 1000000, completion: 1000000}\n"
    config.write_text(prices)
    code, said = files.run("--config", config, "--max-cost", "100")
    assert code == 3, said
    first = files.lines()
    assert 0 < first < 60
    summary = tmp_path / "summary.json"
    code, _ = files.run("--config", config, "--max-cost", "100000", "--summary", summary)
    assert code == 0
    rows = read_output(files.target)
    written = json.loads(summary.read_text())
    assert written["cost_of_output"] == pytest.approx(sum(row["turnout"]["cost"] for row in rows))
    assert written["cost"] == pytest.approx(sum(row["turnout"]["cost"] for row in rows[first:]))


def test_a_dry_run_sends_nothing(files: Files, sandbox: Sandbox, tmp_path: Path) -> None:
    code, said = files.run("--dry-run")
    assert code == 0
    assert "60 rows to send, 0 answered before" in said
    assert "at most" in said
    assert "tokens" in said
    assert sent(sandbox) == 0
    with files.source.open("a") as file:
        file.write(input_line("bad", "x", temperature="hot") + "\n")
    code, said = files.run("--dry-run")
    assert code == 2
    assert "line 61" in said


def test_the_order_of_the_input(files: Files, sandbox: Sandbox) -> None:
    sandbox.script("openai", *[Fault(delay=0.2 if number % 3 == 0 else 0.0) for number in range(60)])
    assert files.run("--ordered")[0] == 0
    assert [row["custom_id"] for row in read_output(files.target)] == [f"r{number}" for number in range(60)]


def test_pipes(files: Files, sandbox: Sandbox) -> None:
    arguments = ("-", "-", "--env-file", files.env)
    process = subprocess.run(
        ["sh", "-c", f"cat {files.source} | {' '.join(map(str, start_command(*arguments)))}"],
        env=start_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert len({json.loads(line)["custom_id"] for line in process.stdout.splitlines()}) == 60
    assert "answered" in process.stderr


def start_command(*arguments: object) -> list[str]:
    import shlex
    import sys

    code = "from turnout_io.cli import main; main()"
    return [shlex.quote(text) for text in (sys.executable, "-c", code, "batch", *map(str, arguments))]


def start_environment() -> dict[str, str]:
    from tests.transports.batch.helpers import environment

    return environment()


def test_a_full_disk_stops_it_and_the_same_command_resumes(files: Files, sandbox: Sandbox) -> None:
    process = files.start()

    # The process may write no file beyond so many bytes: a full disk, as far as it can see.
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    kill(process)
    files.target.unlink(missing_ok=True)
    limited = subprocess.run(
        [part.strip("'") for part in start_command(*files.arguments)],
        env=start_environment(), capture_output=True, text=True, timeout=60, preexec_fn=limit,
    )  # fmt: skip
    assert limited.returncode == 1, limited.stderr
    assert "cannot be written" in limited.stderr
    assert 0 < files.lines() < 60
    assert files.run()[0] == 0
    assert len(by_id(files.target)) == 60


def test_progress_goes_to_stderr_only(files: Files) -> None:
    process = files.start("--quiet")
    out, err = process.communicate(timeout=60)
    assert (out, err) == ("", "")


def test_openai_s_own_types_read_the_answers(files: Files) -> None:
    from openai.types.chat import ChatCompletion

    write_input(files.source, [input_line("a", "x")])
    assert files.run()[0] == 0
    line = read_output(files.target)[0]
    assert set(line) == {"id", "custom_id", "response", "error", "turnout"}
    completion = ChatCompletion.model_validate(line["response"]["body"])
    assert completion.choices[0].message.content
    assert completion.usage is not None
