"""The page about the command line: every example runs, and every option that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import yaml

from tests.docs.shell import run_line
from tests.transports.cli.terminal import Terminal
from turnout.trace import Trace
from turnout.trace.entries import Answered
from turnout_io.cli.app import cli
from turnout_io.cli.defaults import Defaults
from turnout_io.recorder import TraceRecorder
from turnout_io.sandbox import Sandbox

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
SECTIONS = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def commands(text: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.full
@pytest.mark.parametrize(
    ("title", "text"), [section for section in SECTIONS if commands(section[1])], ids=lambda value: value[:20]
)
def test_the_examples_of_a_section_run(title: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Rain tomorrow.\n", "utf-8")
    (tmp_path / "yard.png").write_bytes(PNG)
    (tmp_path / "texts.jsonl").write_text('"one"\n{"id": "b", "text": "two"}\n', "utf-8")
    with TraceRecorder(tmp_path / "calls.jsonl") as recorder:
        recorder(Trace("chat", ("openai/gpt-4o-mini",), entries=[Answered(1.0, "openai/gpt-4o-mini")]))
    with Sandbox() as sandbox:
        terminal = Terminal(tmp_path, sandbox.environ())
        for command in commands(text):
            run_line(command, terminal, tmp_path)


def test_every_command_is_on_the_page_and_exists() -> None:
    context = click.Context(cli)
    table = PAGE.partition("## Exit codes")[0]
    named = {
        name.split()[0]
        for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(.*?)`", row)
    }
    assert named == set(cli.list_commands(context))


def test_every_option_of_chat_is_on_the_page_and_exists() -> None:
    chat = cli.get_command(click.Context(cli), "chat")
    assert chat is not None
    known = {option for parameter in chat.params for option in (*parameter.opts, *parameter.secondary_opts)}
    (text,) = (text for title, text in SECTIONS if title == "Chat")
    rows = re.findall(r"^\| (`-.*?) \|", text, re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", row)}
    assert named <= known
    unnamed = {"--option", "--log", "--no-log", "--conversation", "--config", "--env-file", "prompt"}
    assert known - named == unnamed


def test_the_defaults_are_read() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    defaults = Defaults.read(yaml.safe_load(text)["cli"], {})
    assert (str(defaults.model), defaults.timeout, defaults.log) == ("openai/gpt-4o-mini", 60.0, True)
