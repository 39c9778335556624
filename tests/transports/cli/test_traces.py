"""Traces of calls: reported once for each call, kept in a file, explained and decided again."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import turnout_io.asyncio as asyncio_driver
import turnout_io.trio as trio_driver
from tests.transports.cli.terminal import Terminal
from turnout.chat import ChatRequest
from turnout.errors import TurnoutError
from turnout.trace import VERSION, Trace, TraceError
from turnout_io.drivers import AsyncRouter
from turnout_io.recorder import TraceRecorder, read_traces
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import Router

QUESTION = "Say a few things about trains."


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


def blocking(sandbox: Sandbox, on_trace: Callable[[Trace], None]) -> None:
    """An answer; a failure; a stream read whole, one left early, and one that nobody ever closed."""
    with Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0, on_trace=on_trace) as router:
        router.chat(ChatRequest("groq/a", QUESTION))
        with pytest.raises(TurnoutError):
            router.chat(ChatRequest("openai/down", QUESTION))
        with router.stream(ChatRequest("groq/b", QUESTION)) as stream:
            list(stream)
        with router.stream(ChatRequest("groq/c", QUESTION)) as stream:
            next(stream)
        abandoned = router.stream(ChatRequest("groq/d", QUESTION))
        next(abandoned)
        with pytest.warns(ResourceWarning):
            del abandoned


async def concurrent(make: Any, sandbox: Sandbox, on_trace: Callable[[Trace], None]) -> None:
    async with make(environ=sandbox.environ(), dotenv=None, max_retries=0, on_trace=on_trace) as router:
        assert isinstance(router, AsyncRouter)
        await router.chat(ChatRequest("groq/a", QUESTION))
        with pytest.raises(TurnoutError):
            await router.chat(ChatRequest("openai/down", QUESTION))
        async with router.stream(ChatRequest("groq/b", QUESTION)) as stream:
            [event async for event in stream]
        async with router.stream(ChatRequest("groq/c", QUESTION)) as stream:
            await anext(stream)
        abandoned = router.stream(ChatRequest("groq/d", QUESTION))
        await anext(abandoned)
        with pytest.warns(ResourceWarning):
            del abandoned


DRIVERS: dict[str, Callable[[Sandbox, Callable[[Trace], None]], None]] = {
    "sync": blocking,
    "trio": lambda sandbox, told: trio.run(concurrent, trio_driver.Router.from_env, sandbox, told),
    "asyncio": lambda sandbox, told: asyncio.run(concurrent(asyncio_driver.Router.from_env, sandbox, told)),
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the stream that nobody closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_each_call_is_told_of_once_when_it_is_over(driver: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=503), forever=True)
    whole, begun = Fault(), Fault(abort="hang", after_tokens=1)  # those that are left early cannot be whole by then
    sandbox.script("groq", whole, whole, begun, begun)
    told: list[Trace] = []
    DRIVERS[driver](sandbox, told.append)
    assert [trace.candidates for trace in told] == [
        ("groq/a",), ("openai/down",), ("groq/b",), ("groq/c",), ("groq/d",),
    ]  # fmt: skip
    ends = [trace.entries[-1].kind for trace in told]
    assert ends == ["answered", "call-failed", "answered", "call-failed", "call-failed"]
    assert "cancelled" in told[3].explain()
    assert "cancelled" in told[4].explain()


def test_a_listener_that_fails_costs_nobody_an_answer(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    def fail(trace: Trace) -> None:
        raise OSError("no space is left on the device")

    with Router.from_env(environ=sandbox.environ(), dotenv=None, on_trace=fail) as router:
        assert router.chat(ChatRequest("groq/a", QUESTION)).text
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("turnout", logging.ERROR)
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], OSError)


def test_a_disk_that_is_full_for_a_moment_costs_one_line(tmp_path: Path) -> None:
    class Full(io.FileIO):
        """A file on a full disk: half a line fits."""

        def write(self, data: Any) -> int:
            if sum(map(len, writes)) > 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            writes.append(bytes(data[: len(data) // 2]))
            return super().write(writes[-1])

    path, writes = tmp_path / "calls.jsonl", list[bytes]()
    with TraceRecorder(path) as recorder:
        whole, recorder._file = recorder._file, Full(path, "ab")
        with pytest.raises(OSError, match="No space left"):
            recorder(Trace("chat", ("a/lost",)))
        recorder._file.close()
        recorder._file = whole
        for name in ("a/x", "a/y"):
            recorder(Trace("chat", (name,)))
    torn, *lines = path.read_bytes().splitlines()
    assert torn == writes[0]
    assert [json.loads(line)["candidates"] for line in lines] == [["a/x"], ["a/y"]]


def test_threads_write_whole_lines_into_one_file(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    odd = {"who": "Zoë\n", "when": {1, 2}, "n": 7}

    def ask(recorder: TraceRecorder) -> None:
        with Router.from_env(environ=sandbox.environ(), dotenv=None, on_trace=recorder) as router:
            for _ in range(5):
                router.chat(ChatRequest("groq/a", QUESTION, metadata=odd))

    with TraceRecorder(path) as recorder:
        threads = [threading.Thread(target=ask, args=(recorder,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with TraceRecorder(path) as recorder:  # a second run goes on in the same file
        ask(recorder)
    read = list(read_traces(path))
    assert [number for number, _ in read] == list(range(1, 46))
    assert all(trace.metadata == {"who": "Zoë\n", "when": "{1, 2}", "n": 7} for _, trace in read)
    assert all(trace.entries[-1].kind == "answered" for _, trace in read)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "Expecting property name"),
        (b"\xff\xfe", "save the file in UTF-8"),
        (b"[]", "this is no trace"),
        (b'{"version": 1}', f"has version 1, and this release reads version {VERSION}"),
        (b'{"version": %d}' % VERSION, "missing required field `operation`"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_line_that_is_no_trace_is_named(line: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with TraceRecorder(path) as recorder:
        recorder(Trace("chat", ("groq/a",)))
    path.write_bytes(path.read_bytes() + b"\n" + line + b"\n")
    with pytest.raises(TraceError, match=r"line 3: .*") as caught:
        list(read_traces(path))
    assert says in str(caught.value)


def turnout(*words: str) -> subprocess.CompletedProcess[str]:
    program = "from turnout_io.cli import main; main()"
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_no_failed_call_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with (
        TraceRecorder(path) as recorder,
        Router.from_env(environ=sandbox.environ(), dotenv=None, on_trace=recorder) as router,
    ):
        router.chat("openai/a", QUESTION)
    told = turnout("explain", "--failed", str(path))
    assert (told.returncode, told.stdout, told.stderr) == (0, "", f"turnout: {path} has no failed call\n")
    refused = turnout("trace", str(path))
    assert refused.returncode == 2
    assert f"turnout trace view {path}" in " ".join(refused.stderr.split())


def test_a_program_reads_the_explanation_of_each_call(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with (
        TraceRecorder(path) as recorder,
        Router.from_env(environ=sandbox.environ(), dotenv=None, on_trace=recorder) as router,
    ):
        for name in ("a", "b"):
            router.chat(f"openai/{name}", QUESTION)
    told = turnout("explain", "--json", str(path))
    assert told.returncode == 0, told.stderr
    calls = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(call["line"], call["trace"]["candidates"]) for call in calls] == [(1, ["openai/a"]), (2, ["openai/b"])]
    assert all("answered by openai/" in call["explanation"] for call in calls)
    plan = turnout("explain", "Hello?", "-m", "ollama/x", "--json")
    assert [entry["model"] for entry in json.loads(plan.stdout)] == ["ollama/x"]


@pytest.mark.full
def test_the_command_line_explains_and_decides_again(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.script("openai", Fault(status=503, headers={"retry-after": "0"}), forever=True)
    path = tmp_path / "calls.jsonl"
    with (
        TraceRecorder(path) as recorder,
        Router.from_env(environ=sandbox.environ(), dotenv=None, backoff_max=0.01, on_trace=recorder) as router,
    ):
        router.chat(ChatRequest("openai/a", QUESTION, fallbacks=["groq/b"], metadata={"user": "ada"}))
        with pytest.raises(TurnoutError):
            router.chat(ChatRequest("openai/a", QUESTION))

    told = turnout("explain", str(path))
    assert told.returncode == 0, told.stderr
    assert "UTC, user: ada\nchat over openai/a, groq/b\n" in told.stdout
    assert "answered by groq/b" in told.stdout
    assert "line 2" in told.stdout
    failed = turnout("explain", "--failed", str(path)).stdout
    assert failed.startswith("line 2")
    assert "groq/b" not in failed
    assert turnout("explain", "--line", "1", str(path)).stdout.count("line ") == 1

    same = turnout("replay", str(path))
    assert (same.returncode, same.stdout) == (0, "2 calls decided again: every decision is the same\n")

    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for entry in lines[0]["entries"]:
        if entry["kind"] == "retrying":
            entry["wait"] += 0.25
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    other = turnout("replay", str(path))
    assert other.returncode == 1
    assert "line 1: at " in other.stdout
    assert '"kind": "retrying"' in other.stdout
    assert other.stderr == "turnout: 1 of 2 calls would be decided otherwise now\n"

    path.write_text("{}\n")
    broken = turnout("replay", str(path))
    assert broken.returncode == 1
    fault = "this is no trace: it has no version, which trace.to_dict() writes"
    assert broken.stderr == f"turnout: {path}, line 1: {fault}\n"


def test_traces_of_chats_are_appended_and_explained(terminal: Terminal, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    command = ("chat", "hello", "-m", "openai/gpt-4o-mini", "--no-log", "--trace", str(file))
    assert terminal.check(*command).returncode == 0
    sandbox.script("openai", Fault(status=401))
    assert terminal.check(*command).returncode == 1
    assert len(file.read_bytes().splitlines()) == 2
    done = terminal.check("explain", str(file), "--line", "2")
    assert (done.returncode, "failed" in done.stdout) == (0, True), done.stderr
    assert terminal.check("replay", str(file)).returncode == 0


def test_traces_of_a_batch_are_appended(terminal: Terminal, tmp_path: Path) -> None:
    rows, file = tmp_path / "in.jsonl", tmp_path / "calls.jsonl"
    rows.write_text('{"prompt": "a"}\n{"prompt": "b"}\n', "utf-8")
    command = ("batch", str(rows), str(tmp_path / "out.jsonl"), "-m", "openai/gpt-4o-mini", "--quiet", "--trace")
    assert terminal.check(*command, str(rows)).returncode == 2
    done = terminal.check(*command, str(file))
    assert (done.returncode, len(file.read_bytes().splitlines())) == (0, 2), done.stderr
