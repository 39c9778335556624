"""`turnout models`, `providers` and `embed`."""

from __future__ import annotations

import json
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
