"""Inputs and outputs that are pipes: read once, as their rows come, and never waited for by rows in flight."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from tests.transports.batch.helpers import by_id, input_line
from turnout.batch.output import Answered, RowFailure
from turnout.batch.progress import BatchSummary
from turnout.batch.rows import BatchInputError, BatchRow
from turnout_io.asyncio import Router as AsyncioRouter
from turnout_io.batch import BatchFiles, Control, run
from turnout_io.batch.output_file import OutputRefused
from turnout_io.cli.app import cli
from turnout_io.sync import Router as SyncRouter
from turnout_io.trio import Router as TrioRouter
from turnout_sandbox import Sandbox

on_every_driver = pytest.mark.parametrize("driver", ["sync", "asyncio", "trio"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.0) as started:
        yield started


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def line(number: int) -> bytes:
    return input_line(f"r{number}", f"question {number}").encode() + b"\n"


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def answer(driver: str, sandbox: Sandbox, files: BatchFiles, sink: Any, **options: Any) -> BatchSummary:
    made: dict[str, Any] = {"environ": sandbox.environ(), "dotenv": None}
    if driver == "sync":
        with SyncRouter.from_env(**made) as router:
            return run(router, files.rows(), sink, **options)

    async def main() -> BatchSummary:
        kind = AsyncioRouter if driver == "asyncio" else TrioRouter
        async with kind.from_env(**made) as router:
            return await run(router, files.rows(), sink, **options)

    return asyncio.run(main()) if driver == "asyncio" else trio.run(main)


@on_every_driver
def test_rows_of_a_pipe_are_answered_as_they_come(driver: str, sandbox: Sandbox, pipe: Path, tmp_path: Path) -> None:
    """The writer sends the third row only after two are answered."""
    two_answered = threading.Event()

    def feed() -> None:
        with pipe.open("wb", buffering=0) as file:
            file.write(line(0) + line(1))
            two_answered.wait()
            file.write(line(2))

    feeder = in_thread(feed)
    written: list[str] = []
    with BatchFiles(pipe, tmp_path / "out.jsonl") as files:

        def sink(row: BatchRow, outcome: Answered | RowFailure) -> None:
            files.write(row, outcome)
            written.append(row.custom_id)
            if len(written) == 2:
                two_answered.set()

        summary = answer(driver, sandbox, files, sink, concurrency=8)
    feeder.join()
    assert (summary.answered, summary.stopped) == (3, "complete")
    assert set(by_id(tmp_path / "out.jsonl")) == {"r0", "r1", "r2"}


@on_every_driver
def test_a_run_stops_while_its_pipe_is_silent(driver: str, sandbox: Sandbox, pipe: Path, tmp_path: Path) -> None:
    ended, control = threading.Event(), Control()

    def feed() -> None:
        with pipe.open("wb", buffering=0) as file:
            file.write(line(0))
            ended.wait()

    feeder = in_thread(feed)
    with BatchFiles(pipe, tmp_path / "out.jsonl") as files:

        def sink(row: BatchRow, outcome: Answered | RowFailure) -> None:
            files.write(row, outcome)
            control.stop()

        summary = answer(driver, sandbox, files, sink, concurrency=8, control=control)
    ended.set()
    feeder.join()
    assert (summary.answered, summary.stopped) == (1, "stopped")


def test_a_wrong_line_of_a_pipe_is_named(sandbox: Sandbox, pipe: Path, tmp_path: Path) -> None:
    feeder = in_thread(lambda: pipe.write_bytes(line(0) + b"\n" + line(0)))
    with (
        pytest.raises(BatchInputError, match="line 3: the custom_id 'r0' came before"),
        BatchFiles(pipe, tmp_path / "out.jsonl") as files,
    ):
        answer("asyncio", sandbox, files, files.write)
    feeder.join()
    assert set(by_id(tmp_path / "out.jsonl")) == {"r0"}


def test_an_output_that_is_a_pipe_is_refused(pipe: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(line(0))
    with pytest.raises(OutputRefused, match="pipe is no file that a run can resume; - is standard output"):
        BatchFiles(source, pipe)


@pytest.mark.parametrize("option", ["--ordered", "--via=provider"])
def test_options_that_read_an_input_twice_refuse_a_pipe(pipe: Path, tmp_path: Path, option: str) -> None:
    done = CliRunner().invoke(cli, ["batch", str(pipe), str(tmp_path / "out.jsonl"), "-m", "openai/x", option])
    assert done.exit_code == 2, done.output
    assert not (tmp_path / "out.jsonl").exists()


def test_a_device_is_written_and_not_read(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(line(0))
    with BatchFiles(source, "/dev/zero") as files:
        assert [row.custom_id for row in files.rows()] == ["r0"]
        files.finish(ordered=True)
