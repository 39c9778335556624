"""A file that the user names and that cannot be used: one line on stderr with its name, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transports.cli.terminal import Terminal

CHAT = ("chat", "--no-log", "-m", "openai/gpt-4o-mini")
FILES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"no", "line 1: this is not JSON: Expecting value"),
    "no JSON in line 2": (b'{"type":\n x}', "line 2: this is not JSON: Expecting value"),
    "Latin-1": (b'{"title": "caf\xe9"}', "line 1: this is not UTF-8; save the file in UTF-8"),
    "no text": (b"\0" * 9, "this is UTF-16 without a byte order mark, or no text"),
    "too deep": (b"[" * 100_000, "the values are nested too deeply"),
    "a huge number": (b'{"a": ' + b"9" * 5_000 + b"}", "this is not JSON that can be read"),
    "a list": (b"[]", "a JSON Schema is an object"),
}


@pytest.mark.parametrize(("data", "problem"), FILES.values(), ids=FILES)
def test_a_wrong_schema(data: bytes, problem: str, terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "schema"
    path.write_bytes(data)
    result = terminal.check(*CHAT, "--schema", str(path), "x")
    assert result.returncode == 2
    assert f"--schema {path}: {problem}" in result.stderr


def test_a_schema_of_wrong_types_names_the_place(terminal: Terminal) -> None:
    result = terminal.check(*CHAT, "--schema", '{"type": "object", "properties": 5}', "x")
    assert result.returncode == 1
    assert "`properties` at #/properties cannot be held to: it must be an object of schemas" in result.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_schema_with_a_byte_order_mark(encoding: str, terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "schema"
    path.write_bytes('{"type": "object", "properties": {}}'.encode(encoding))
    assert terminal.check(*CHAT, "--schema", str(path), "x").returncode == 0


def test_a_setting_that_is_nested_too_deeply_is_a_text(terminal: Terminal) -> None:
    result = terminal.check(*CHAT, "-o", "temperature", "[" * 10_000, "x")
    assert result.returncode == 2
    assert "temperature" in result.stderr


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("batch", "in.jsonl", "out.jsonl", "-m", "openai/gpt-4o-mini", "--summary"), "--summary"),
        (("embed", "x", "-m", "openai/text-embedding-3-small", "-o"), "--output"),
        (("simulate", "bursts", "--trace"), "--trace"),
        (("trace", "view", "calls.jsonl", "-o"), "--output"),
    ],
)
def test_a_file_that_cannot_be_written_at_the_end_is_refused_at_the_beginning(
    words: tuple[str, ...], option: str, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in.jsonl", "calls.jsonl"):
        (tmp_path / name).write_text('{"prompt": "x"}\n')
    result = terminal.check(*words, str(tmp_path / "no" / "result.npy"))
    assert result.returncode == 2
    assert option in result.stderr
    assert f"there is no folder {tmp_path / 'no'}" in " ".join(result.stderr.split())
    assert not (tmp_path / "out.jsonl").exists()
