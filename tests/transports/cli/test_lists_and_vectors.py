"""`turnout models`, `providers` and `embed`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from tests.transports.cli.terminal import Terminal
from turnout_io.sandbox import Fault, Sandbox

MODEL = ("-m", "openai/text-embedding-3-small")


def test_models_of_all_providers_are_listed(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("groq", Fault(status=500), forever=True)
    done = terminal.check("models", "--json")
    assert done.returncode == 0
    listed = json.loads(done.stdout)
    assert {"openai", "gemini", "anthropic"} <= {entry["provider"] for entry in listed}
    (gemini,) = (entry for entry in listed if entry["model"] == "gemini/gemini-2.5-flash")
    assert gemini["context_window"] == 1048576
    assert "turnout: groq: " in done.stderr


def test_a_named_provider_that_fails_is_exit_code_1(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=401), forever=True)
    done = terminal.check("models", "gemini", "openai")
    assert done.returncode == 1
    assert "gemini/gemini-2.5-flash  1048576 tokens" in done.stdout
    assert "turnout: openai: " in done.stderr


def test_without_a_provider_the_variables_are_named(bare: Terminal) -> None:
    nowhere = {f"{name}_ENDPOINT": "http://127.0.0.1:9" for name in ("OLLAMA", "LMSTUDIO", "VLLM", "LLAMACPP")}
    done = bare.check("models", variables=nowhere)
    assert (done.returncode, done.stdout) == (1, "")
    assert "OPENAI_API_KEY" in done.stderr


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_providers_fit_the_terminal(bare: Terminal, columns: int) -> None:
    done = bare.check("providers", variables={"COLUMNS": str(columns)})
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("openai") for line in lines)
    assert "OPENAI_API_KEY" in done.stdout
    assert "…" not in done.stdout


def test_a_program_reads_a_line_for_each_provider(bare: Terminal) -> None:
    lines = {line.split()[0]: line for line in bare.check("providers").stdout.splitlines() if line.strip()}
    assert "not-configured" in lines["openai"]
    assert "OPENAI_API_KEY" in lines["openai"]
    assert " available " in lines["ollama"]


def test_arguments_and_stdin_become_vectors(terminal: Terminal, sandbox: Sandbox) -> None:
    done = terminal.check("embed", "one", "-", *MODEL, stdin="two\nlines\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1536 dimensions") == 2
    assert sandbox.requests[-1].body["input"] == ["one", "two\nlines\n"]


@pytest.mark.parametrize("texts", [("",), ("-",), ("one", " ")])
def test_an_empty_text_is_refused(bare: Terminal, texts: tuple[str, ...]) -> None:
    done = bare.check("embed", *texts, *MODEL)
    assert done.returncode == 2
    assert "is empty" in done.stderr


def test_files_become_lines_of_json(terminal: Terminal, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('"one"\n\n{"id": "b", "text": "two"}\n{"input": "three"}\n', "utf-8")
    done = terminal.check("embed", "-i", str(source), "-o", str(target), *MODEL)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"turnout: 3 vectors are in {target}\n"
    rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [1, "b", 3]
    assert {len(row["embedding"]) for row in rows} == {1536}


def test_lines_become_a_matrix_of_numpy(terminal: Terminal, sandbox: Sandbox, tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.npy"
    source.write_text("".join(f"text {number}\n" for number in range(300)), "utf-8")
    done = terminal.check("embed", "-i", str(source), "-o", str(target), *MODEL)
    assert done.returncode == 0, done.stderr
    matrix = numpy.load(target)
    assert (matrix.shape, matrix.dtype) == ((300, 1536), numpy.float32)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("{", "in.jsonl, line 2: this is not JSON"), ('{"txt": "x"}', "in.jsonl, line 2: a text was expected")],
)
def test_a_wrong_line_is_named(terminal: Terminal, tmp_path: Path, line: str, wanted: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(f'"one"\n{line}\n', "utf-8")
    done = terminal.check("embed", "-i", str(source), *MODEL)
    assert done.returncode == 1
    assert wanted in done.stderr


def test_a_file_name_among_the_texts_is_noticed(terminal: Terminal) -> None:
    (terminal.folder / "notes.txt").write_text("Rain.\n", "utf-8")
    done = terminal.type("embed", "notes.txt", "no file", *MODEL)
    assert done.returncode == 0
    assert done.stderr == "turnout: notes.txt is embedded as a text; to read the file: --input notes.txt\n"


def test_vectors_can_be_shorter(terminal: Terminal, sandbox: Sandbox) -> None:
    done = terminal.check("embed", "one", *MODEL, "--dimensions", "256")
    assert done.returncode == 0, done.stderr
    assert sandbox.requests[-1].body["dimensions"] == 256


def test_a_run_of_vectors_is_resumed(terminal: Terminal, sandbox: Sandbox, tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("".join(f"text {number}\n" for number in range(300)), "utf-8")
    command = ("embed", "-i", str(source), "-o", str(target), *MODEL, "--dimensions", "8")
    assert terminal.check(*command).returncode == 0
    whole = target.read_bytes()
    target.write_bytes(whole[: whole.index(b'{"id": 271,') + 20])  # killed while it wrote this line
    before = len(sandbox.requests)
    done = terminal.check(*command, "--resume")
    assert done.stderr == f"turnout: 300 vectors are in {target}, 270 of them from an earlier run\n"
    assert [len(request.body["input"]) for request in sandbox.requests[before:]] == [30]
    assert [json.loads(line)["id"] for line in target.read_text("utf-8").splitlines()] == list(range(1, 301))


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ('{"id": "b", "embedding": [0, 1]}\n', "out.jsonl, line 1: the vector has the id 'b', but the text there"),
        ('{"id": 1, "embedding": [0, 1]}\n', "have 2 dimensions, and these 1536"),
        ('{"id": 1, "embedding": [0, 1]}\n' * 2, "line 2: the vector has the id 1, but the text there has the id 2"),
        ("my notes\n", "out.jsonl, line 1: this is no vector"),
        ("my notes", "out.jsonl, line 1: this is no vector"),
    ],
)
def test_vectors_of_something_else_are_not_resumed(terminal: Terminal, tmp_path: Path, held: str, wanted: str) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("one\ntwo\n", "utf-8")
    target.write_text(held, "utf-8")
    done = terminal.check("embed", "-i", str(source), "-o", str(target), *MODEL, "--resume")
    assert (done.returncode, wanted in done.stderr) == (1, True), done.stderr
    assert target.read_text("utf-8") == held


def test_a_matrix_is_not_resumed(bare: Terminal, tmp_path: Path) -> None:
    done = bare.check("embed", "x", *MODEL, "--resume", "-o", str(tmp_path / "out.npy"))
    assert (done.returncode, "--resume needs" in done.stderr) == (2, True)


@pytest.mark.parametrize("link", [None, os.link, os.symlink], ids=["itself", "hard link", "symlink"])
@pytest.mark.parametrize("how", [(), ("--overwrite",), ("--resume",)], ids=["new", "overwrite", "resume"])
def test_an_input_is_no_output(
    bare: Terminal, tmp_path: Path, link: Callable[..., None] | None, how: list[str]
) -> None:
    source = target = tmp_path / "in.jsonl"
    source.write_text('"one"\n', "utf-8")
    if link is not None:
        target = tmp_path / "out.jsonl"
        link(source, target)
    done = bare.check("embed", "-i", str(source), "-o", str(target), *MODEL, *how)
    assert (done.returncode, "are the same file" in done.stderr) == (2, True), done.stderr
    assert source.read_text("utf-8") == '"one"\n'


@pytest.mark.parametrize("name", ["out.jsonl", "out.npy"])
def test_a_file_that_holds_something_is_only_replaced_on_demand(
    terminal: Terminal, sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    target = tmp_path / name
    target.write_text("my notes\n", "utf-8")
    command = ("embed", "hi", "-o", str(target), *MODEL)
    done = terminal.check(*command)
    assert (done.returncode, "--overwrite replaces" in done.stderr) == (2, True), done.stderr
    sandbox.script("openai", Fault(status=401))
    assert terminal.check(*command, "--overwrite").returncode == 1
    assert target.read_text("utf-8") == "my notes\n"
    assert terminal.check(*command, "--overwrite").returncode == 0
    assert b"my notes" not in target.read_bytes()


def test_resume_and_overwrite_exclude_each_other(bare: Terminal, tmp_path: Path) -> None:
    done = bare.check("embed", "hi", "-o", str(tmp_path / "out.jsonl"), *MODEL, "--resume", "--overwrite")
    assert (done.returncode, "not both" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault(status=401), 1), (Fault(abort="hang"), 130)], ids=["error", "ctrl-c"]
)
def test_a_run_that_breaks_off_says_how_much_there_is(
    terminal: Terminal, sandbox: Sandbox, tmp_path: Path, fault: Fault, code: int
) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("".join(f"text {number}\n" for number in range(1300)), "utf-8")
    command = ("embed", "-i", str(source), "-o", str(target), *MODEL, "--dimensions", "8")
    sandbox.script("openai", Fault(), fault)
    with terminal.start(*command) as process:
        assert sandbox.wait(lambda server: len(server.requests) == 2, 60)
        if code == 130:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert f"turnout: 256 of 1,300 vectors are in {target}; --resume goes on\n" in errors
    assert "Traceback" not in errors
    done = terminal.check(*command, "--resume")
    assert done.stderr == f"turnout: 1300 vectors are in {target}, 256 of them from an earlier run\n"
