"""Standard input and output that are closed, full or of another encoding, and arguments that are no text."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from tests.transports.cli.terminal import COMMAND, Terminal
from turnout_io.sandbox import Sandbox

MODEL = ("-m", "openai/gpt-4o-mini")
CHAT = ("chat", "Weather?", *MODEL, "--no-log")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full, and file descriptors of a shell")


def shell(
    terminal: Terminal, *words: str, end: str, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join([*COMMAND, *words])} {end}"],
        env={**terminal.environ, **(variables or {})},
        cwd=terminal.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    for ugly in (b"Traceback", b"Exception ignored"):
        assert ugly not in done.stderr, done.stderr.decode()
    return done


@pytest.mark.parametrize("words", [CHAT, ("providers",)], ids=["chat", "providers"])
def test_a_closed_stdout_is_as_dev_null(terminal: Terminal, words: tuple[str, ...]) -> None:
    done = shell(terminal, *words, end=">&-")
    assert (done.returncode, done.stderr) == (0, b"")


def test_no_file_of_the_command_becomes_a_closed_stdout(terminal: Terminal) -> None:
    """The system gives the lowest free number to the next file, so an answer could be written into a database."""
    done = shell(terminal, "chat", "Weather?", *MODEL, end="<&- >&- 2>&-")
    assert done.returncode == 0
    assert "Weather?" in terminal.check("logs").stdout


@pytest.mark.parametrize(
    "words",
    [CHAT, (*CHAT, "--json"), ("providers", "--json"), ("--help",), ("-V",), ("config", "example")],
    ids=["chat", "json", "providers", "help", "version", "config"],
)
def test_a_full_disk_is_one_line(terminal: Terminal, words: tuple[str, ...]) -> None:
    done = shell(terminal, *words, end="> /dev/full")
    assert done.returncode == 1
    assert done.stderr == b"turnout: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("end", ["2>&1 | true", "2> /dev/full > /dev/full"])
def test_no_place_for_errors_is_no_crash(bare: Terminal, end: str) -> None:
    shell(bare, "chat", "Weather?", *MODEL, end=end)


def test_an_answer_in_another_encoding_is_printed(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "Café, дождь.")
    done = shell(terminal, *CHAT, end="", variables={"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"Caf\xe9, \\u0434\\u043e\\u0436\\u0434\\u044c.\n"


def test_half_a_character_is_printed_and_kept(terminal: Terminal, sandbox: Sandbox) -> None:
    """A provider can send half of a surrogate pair, which UTF-8 cannot write."""
    sandbox.answer("openai", "Rain \udc00.")
    done = shell(terminal, "chat", "Weather?", *MODEL, "--no-stream", end="")
    assert done.returncode == 0, done.stderr
    assert b"the conversation is not kept" not in done.stderr
    assert shell(terminal, "logs", end="").returncode == 0


@pytest.mark.parametrize(
    "words",
    [("chat", "caf\udce9", *MODEL), ("chat", "x", "--system=caf\udce9"), ("embed", "caf\udce9"), ("caf\udce9",)],
    ids=["prompt", "option", "embed", "command"],
)
def test_an_argument_that_is_no_text_is_refused(bare: Terminal, words: tuple[str, ...]) -> None:
    done = bare.check(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not UTF-8 text" in done.stderr
