"""An answer that breaks off: what came of it is printed, and kept as incomplete."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.transports.cli.terminal import COMMAND, Terminal
from turnout.chat import ChatResponse, ModelConfig
from turnout.messages import Message
from turnout_io.cli.commands.chat.conversations import Conversation, keep, read_turns
from turnout_io.sandbox import Fault, Sandbox

MODEL = ("-m", "openai/gpt-4o-mini")


def kept(terminal: Terminal) -> list[dict[str, Any]]:
    return [json.loads(line) for line in terminal.check("logs", "-n", "0", "--json").stdout.splitlines()]


def answer_of(turn: dict[str, Any]) -> str:
    return Message.from_dict(turn["messages"][-1]).text


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda ending: ending.name)
def test_ctrl_c_keeps_what_came(terminal: Terminal, sandbox: Sandbox, ending: signal.Signals) -> None:
    sandbox.answer("openai", "Rain and wind.")
    sandbox.script("openai", Fault(abort="hang", after_tokens=2))
    with terminal.start("chat", "Weather?", *MODEL) as process:
        assert process.stdout is not None
        began = process.stdout.read(len("Rain and"))
        process.send_signal(ending)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, began, rest) == (130, "Rain and", "\n")
    assert "Traceback" not in errors
    assert "turnout: the incomplete answer is kept" in errors
    (turn,) = kept(terminal)
    assert turn["incomplete"] == "interrupted"
    assert answer_of(turn) == "Rain and"
    sandbox.answer("openai", "Sun.")
    assert terminal.check("chat", "-c", "And tomorrow?").returncode == 0
    sent = [message["content"] for message in sandbox.requests[-1].body["messages"]]
    assert sent == ["Weather?", "Rain and", "And tomorrow?"]
    assert [turn["incomplete"] for turn in kept(terminal)] == ["interrupted", None]
    assert "[incomplete: interrupted]" in terminal.check("logs").stdout


def test_ctrl_c_before_the_first_token_keeps_nothing(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="hang"))
    with terminal.start("chat", "Weather?", *MODEL) as process:
        assert sandbox.wait(lambda server: len(server.requests) == 1, 60)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors.strip()) == (130, "", "")
    assert kept(terminal) == []


@pytest.mark.parametrize("how", [("--json",), ("-x",), ()], ids=["json", "extract", "stream"])
def test_a_broken_stream_keeps_and_prints_what_came(terminal: Terminal, sandbox: Sandbox, how: tuple[str, ...]) -> None:
    sandbox.answer("openai", "Rain and wind.")
    sandbox.script("openai", Fault(abort="close", after_tokens=2), forever=True)
    done = terminal.check("chat", "Weather?", *MODEL, *how)
    assert done.returncode == 1
    if how == ("--json",):
        error = json.loads(done.stdout)["error"]
        assert error["partial"] == "Rain and"
    else:
        assert done.stdout == ("Rain and\n" if how == () else "")
    (turn,) = kept(terminal)
    assert answer_of(turn) == "Rain and"
    assert "ended early" in str(turn["incomplete"])


def test_what_came_together_with_the_failure_is_printed(terminal: Terminal, sandbox: Sandbox) -> None:
    """Without an interval between them, tokens and the error are in one read."""
    sandbox.answer("openai", "Rain and wind.")
    sandbox.script("openai", Fault(abort="error", after_tokens=2), forever=True)
    done = terminal.check("chat", "Weather?", *MODEL)
    assert (done.returncode, done.stdout) == (1, "Rain and\n")


def test_a_reader_that_goes_away_leaves_an_incomplete_answer(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "Rain.\n" * 50)
    sandbox.script("openai", Fault(token_interval=0.01))
    with subprocess.Popen(
        [*COMMAND, "chat", "Weather?", *MODEL],
        env=terminal.environ,
        cwd=terminal.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(30)
    assert (process.returncode, errors.count(b"\n")) == (1, 2)  # where conversations are kept, at the first use
    (turn,) = kept(terminal)
    assert turn["incomplete"] == "the output was closed"


def test_no_log_keeps_no_incomplete_answer(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="close", after_tokens=2), forever=True)
    assert terminal.check("chat", "Weather?", *MODEL, "--no-log").returncode == 1
    assert kept(terminal) == []


def test_a_file_of_an_older_release_gets_the_column(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    reply = ChatResponse(message=Message.assistant("Rain"), model=ModelConfig("openai", "gpt-4o-mini"))
    keep(path, Conversation.new(), (Message.user("Weather?"),), reply)
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE turns DROP COLUMN incomplete")
    database.close()
    keep(path, Conversation.new(), (Message.user("Weather?"),), reply, incomplete="interrupted")
    assert [turn.incomplete for turn in read_turns(path)] == [None, "interrupted"]
