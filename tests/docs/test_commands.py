"""The commands of all pages: each command, option, extra and module exists; those of the README run."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.docs.pages import PAGES, README, ROOT
from tests.docs.shell import run_line
from tests.transports.cli.terminal import COMMAND, Terminal
from turnout_io.cli.app import cli
from turnout_io.sandbox import Sandbox

# Commands that wait for requests until Ctrl-C. Their own tests start them.
SERVERS = ("turnout sandbox", "turnout serve")


def commands(page: Path) -> list[str]:
    """Return the lines that a page shows for a shell, without their comments."""
    blocks = re.findall(r"^```(?:console|sh)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    shown = "\n".join(block for block in blocks)
    return [re.sub(r"\s+# .*", "", line) for line in lines if f"$ {line}" in shown or "$ " not in shown]


def words_after(page: Path, program: str) -> Iterator[list[str]]:
    """Yield the words of each use of a program, in pipes and lists of commands too."""
    for line in commands(page):
        for part in re.split(r"\|\||&&|[|;]", re.sub(r'"?\$\((.*?)\)"?', r" ; \1", line)):
            lexer = shlex.split(part.strip(), comments=True) if part.count('"') % 2 == 0 else part.split()
            words = [word for word in lexer if "=" not in word or word.startswith("-")]
            if words and words[0].rpartition("/")[2] == program:
                yield words[1:]


PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_commands_and_options_exist(page: Path) -> None:
    for words in words_after(page, "turnout"):
        command: click.Command = cli
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words[0])
            assert found is not None, f"turnout {' '.join(words)}"
            command, words = found, words[1:]
        known = {"-h", "--help", "-V", "--version"}
        for parameter in command.params:
            known.update((*parameter.opts, *parameter.secondary_opts))
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
        assert options <= known, f"turnout {command.name}: {sorted(options - known)}"


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_extras_and_modules_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for names in re.findall(r"(?:turnout|\.)\[([a-z,-]+)\]", text):
        assert set(names.split(",")) <= extras.keys(), names
    for module in re.findall(r"python -m ([\w.]+)", text):
        if module.partition(".")[0] in ("turnout_io", "turnout_sandbox", "turnout", "benchmarks"):
            assert importlib.util.find_spec(module) is not None, module


def shape(text: str) -> list[str]:
    """Return the lines of a trace without its times, which differ in each run."""
    return [re.sub(r" *\d+\.\d+ s", " T s", line) for line in text.strip().splitlines()]


@pytest.mark.slow
def test_the_demo_prints_the_trace_that_the_pages_show(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "demo", "--interval", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    _, _, trace = done.stdout.partition("What happened:\n")
    for page in (README, ROOT / "docs" / "tutorial.md"):
        (shown,) = re.findall(r"```text\n(stream over .*?)```", page.read_text("utf-8"), re.DOTALL)
        assert shape(shown) == shape(trace)


@pytest.mark.full
def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Rain tomorrow.\n", "utf-8")
    shown = [line for line in commands(README) if re.search(r"(^|\| )turnout ", line) and not line.startswith(SERVERS)]
    assert len(shown) >= 5
    with Sandbox() as sandbox:
        terminal = Terminal(tmp_path, sandbox.environ())
        for line in shown:
            run_line(line, terminal, tmp_path)
