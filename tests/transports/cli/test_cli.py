"""The command line as a user meets it: processes, exit codes, one clear line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout_io.sandbox import Fault, Sandbox

COMMAND = [sys.executable, "-c", "from turnout_io.cli import main; main()"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


class Terminal:
    """A place to type commands, with nothing in its environment but what is given."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_ENDPOINT"))}
        self.environ = {**clean, **environ, "PYTHONUTF8": "1", "PYTHONWARNINGS": "error"}
        self.folder = folder

    def type(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words],
            env=self.environ,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def terminal(tmp_path: Path, sandbox: Sandbox) -> Terminal:
    return Terminal(tmp_path, sandbox.environ())


@pytest.fixture
def bare(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path, {})


@pytest.mark.slow
def test_the_demo_needs_nothing(bare: Terminal) -> None:
    done = bare.type("demo", "--interval", "0")
    assert done.returncode == 0, done.stderr
    assert "status 503" in done.stdout
    assert done.stdout.rstrip().endswith("answered by gemini/gemini-2.5-flash")


@pytest.mark.slow
def test_chat_streams_or_not_and_explains(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "Forty-two, I think.")
    done = terminal.type("chat", "What is it?", "-m", "openai/gpt-4o-mini", "--explain", "--system", "Be brief.")
    assert (done.returncode, done.stdout.strip()) == (0, "Forty-two, I think.")
    assert "answered by openai/gpt-4o-mini" in done.stderr
    done = terminal.type("chat", "-", "-m", "openai/gpt-4o-mini", "--no-stream", stdin="What is it?")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "Forty-two, I think.", "")
    done = terminal.type("chat", "x", "-m", "openai/gpt-4o-mini", "--json", "--explain")
    told = json.loads(done.stdout)
    assert (told["text"], told["model"]) == ("Forty-two, I think.", "openai/gpt-4o-mini")
    assert told["trace"]["version"] == 2


@pytest.mark.slow
def test_chat_falls_back(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=401), forever=True)
    done = terminal.type("chat", "x", "-m", "openai/gpt-4o-mini", "-m", "gemini/gemini-2.5-flash", "--explain")
    assert done.returncode == 0
    assert "answered by gemini/gemini-2.5-flash" in done.stderr


@pytest.mark.slow
def test_a_failed_call_is_one_line_and_exit_code_1(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=401), forever=True)
    done = terminal.type("chat", "x", "-m", "openai/gpt-4o-mini")
    assert done.returncode == 1
    assert done.stderr.startswith("turnout: openai: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_missing_key_names_its_variable(bare: Terminal) -> None:
    done = bare.type("chat", "x", "-m", "openai/gpt-4o-mini")
    assert done.returncode == 1
    assert "OPENAI_API_KEY" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_without_any_provider_the_sandbox_answers_and_says_so(bare: Terminal) -> None:
    done = bare.type("chat", "hello")
    assert done.returncode == 0
    assert "sandbox" in done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(
    "words",
    [("chat", "x", "-m", "gpt"), ("chat",), ("nothing",), ("embed", "a"), ("chat", "x", "--timeout", "0")],
)
def test_bad_usage_is_exit_code_2(bare: Terminal, words: tuple[str, ...]) -> None:
    done = bare.type(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_embed_and_models(terminal: Terminal) -> None:
    done = terminal.type("embed", "one", "two", "-m", "openai/text-embedding-3-small")
    assert done.returncode == 0
    assert done.stdout.count("1536 dimensions") == 2
    done = terminal.type("embed", "one", "-m", "openai/text-embedding-3-small", "--json")
    assert len(json.loads(done.stdout)[0]) == 1536
    assert "gemini/gemini-2.5-flash  1048576 tokens" in terminal.type("models", "gemini").stdout
    assert terminal.type("models", "nobody").returncode == 1


@pytest.mark.slow
def test_providers_shows_what_is_missing(bare: Terminal) -> None:
    done = bare.type("providers")
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "not-configured" in lines["openai"]
    assert "OPENAI_API_KEY" in lines["openai"]
    assert " available " in lines["ollama"]
    assert bare.type("providers", "--markdown").stdout.startswith("| provider | name |")


@pytest.mark.slow
def test_settings_come_from_a_file(terminal: Terminal, sandbox: Sandbox) -> None:
    config = terminal.folder / "c.yaml"
    key, url = sandbox.key("openai"), sandbox.url("openai")
    config.write_text(f"providers:\n  mine:\n    kind: openai\n    endpoint: {url}\n    apiKey: {key}\n")
    assert terminal.type("chat", "x", "-m", "mine/gpt-4o-mini", "--config", str(config)).returncode == 0
    config.write_text("providers: [")
    done = terminal.type("chat", "x", "-m", "mine/gpt-4o-mini", "--config", str(config))
    assert done.returncode == 1
    assert "line 1: this is not YAML" in done.stderr


def test_ctrl_c_ends_a_stream_cleanly(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="hang", after_tokens=3), forever=True)
    process = subprocess.Popen(
        [*COMMAND, "chat", "x", "-m", "openai/gpt-4o-mini"],
        env=terminal.environ,
        cwd=terminal.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    began = process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert began
    assert rest.endswith("\n")
    assert (process.returncode, errors.strip()) == (130, "")
    assert sandbox.wait(lambda server: server.open_connections == 0)


def test_a_reader_that_goes_away_is_no_crash(terminal: Terminal) -> None:
    done = subprocess.run(
        f"{sys.executable} -c 'from turnout_io.cli import main; main()' providers --markdown | head -c 5",
        shell=True,
        env=terminal.environ,
        cwd=terminal.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "| pro"
    assert done.stderr == ""
