"""`turnout chat -c` and `turnout logs`: the kept turns, and how a conversation continues."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from tests.transports.cli.terminal import Terminal
from turnout.chat import ChatResponse, ModelConfig
from turnout.messages import Image, Message
from turnout_io.cli.commands.chat.conversations import (
    Conversation,
    ConversationsError,
    keep,
    last_conversation,
    read_turns,
)
from turnout_io.sandbox import Sandbox


def reply(text: str) -> ChatResponse:
    return ChatResponse(message=Message.assistant(text), model=ModelConfig("openai", "gpt-4o-mini"))


@pytest.mark.full
def test_the_second_question_has_the_first_answer(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "Rain.")
    first = terminal.check("chat", "Weather?", "-m", "openai/gpt-4o-mini", "-s", "Be brief.")
    assert first.returncode == 0
    path = terminal.settings / "conversations.db"
    assert f"conversations are kept in {path}" in first.stderr
    assert "turnout config set log false" in first.stderr
    second = terminal.check("chat", "-c", "And tomorrow?")
    assert (second.returncode, second.stderr) == (0, "")
    messages = sandbox.requests[-1].body["messages"]
    assert [message["content"] for message in messages] == ["Be brief.", "Weather?", "Rain.", "And tomorrow?"]
    kept = [json.loads(line) for line in terminal.check("logs", "--json").stdout.splitlines()]
    assert [len(turn["messages"]) for turn in kept] == [3, 2]
    assert len({turn["conversation"] for turn in kept}) == 1
    assert "user: And tomorrow?" in terminal.check("logs", "-n", "1").stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_can_keep_nothing(terminal: Terminal) -> None:
    terminal.configure("cli: {log: false}\n")
    done = terminal.check("chat", "x", "-m", "openai/gpt-4o-mini")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (terminal.settings / "conversations.db").exists()


def test_no_conversation_mixes_the_sandbox_and_providers(terminal: Terminal, sandbox: Sandbox) -> None:
    model = ("-m", "openai/gpt-4o-mini")
    assert terminal.check("chat", "Weather?", "--sandbox", *model).returncode == 0
    refused = terminal.check("chat", "-c", "And tomorrow?", *model)
    assert refused.returncode == 2
    assert "the sandbox answered the conversation sandbox-" in refused.stderr
    assert "add --sandbox" in refused.stderr
    assert sandbox.requests == ()
    assert terminal.check("chat", "-c", "And tomorrow?", "--sandbox", *model).returncode == 0
    assert "conversation sandbox-" in terminal.check("logs").stdout
    assert terminal.check("chat", "Weather?", *model).returncode == 0
    refused = terminal.check("chat", "-c", "x", "--sandbox", *model)
    assert refused.returncode == 2
    assert "it cannot be continued with --sandbox" in refused.stderr


def test_logs_refuse_an_unknown_conversation(terminal: Terminal) -> None:
    done = terminal.check("logs", "--conversation", "nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no conversation has the id 'nope'" in done.stderr


def test_without_a_conversation_one_starts(terminal: Terminal) -> None:
    done = terminal.check("chat", "-c", "x", "-m", "openai/gpt-4o-mini")
    assert done.returncode == 0
    assert "there is no conversation to continue" in done.stderr


def test_a_file_that_cannot_be_written_loses_no_answer(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "Rain.")
    terminal.settings.mkdir(parents=True)
    (terminal.settings / "conversations.db").write_text("this is no database, and longer than its head" * 10)
    done = terminal.check("chat", "x", "-m", "openai/gpt-4o-mini")
    assert (done.returncode, done.stdout) == (0, "Rain.\n")
    assert "the conversation is not kept: " in done.stderr


def test_parts_and_conversations_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "conversations.db"
    one, two = Conversation.new(), Conversation.new()
    picture = Message.user("What is this?", Image(data=b"\x89PNG", media_type="image/png"))
    assert keep(path, one, (picture,), reply("A yard."))
    assert not keep(path, two, (Message.user("Hello"),), reply("Hello!"))
    found = last_conversation(path, one.id)
    assert found is not None
    assert found.messages == (picture, Message.assistant("A yard."))
    newest = last_conversation(path)
    assert newest is not None
    assert (newest.id, newest.model) == (two.id, "openai/gpt-4o-mini")
    assert last_conversation(path, "nothing") is None


def test_many_writers_lose_no_turn(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    threads = [
        threading.Thread(target=keep, args=(path, Conversation.new(), (Message.user(str(number)),), reply("x")))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {turn.messages[0].text for turn in read_turns(path)} == set(map(str, range(8)))


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "conversations.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(ConversationsError, match="has version 9; this release reads version 1"):
        read_turns(path)


def test_attachments_are_counted(terminal: Terminal) -> None:
    file = terminal.folder / "a.txt"
    file.write_text("one")
    for files in (("-a", str(file)), ("-a", str(file), "-a", str(file))):
        assert terminal.check("chat", "What is it?", "-m", "openai/gpt-4o-mini", *files).returncode == 0
    told = terminal.check("logs").stdout
    assert "[1 attachment]" in told
    assert "[2 attachments]" in told
