"""Files that are not a batch's to write: they are refused, and every byte of them stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.batch.helpers import environment, input_line, numbered_input, write_input
from turnout.batch.output import Answered, RowFailure, encode_output, read_heads
from turnout.batch.rows import BatchInputError, BatchRow
from turnout_io.batch.files import BatchFiles
from turnout_io.batch.output_file import OutputRefused
from turnout_io.cli.app import cli

ANSWER = Answered(body=b'{"choices":[]}', model="x/y", cost=0.5)


def result(custom_id: str, *, failed: bool = False) -> bytes:
    row = BatchRow(custom_id, "chat/completions", {}, "0123456789abcdef", 77)
    return encode_output(row, RowFailure(code="server", message="no", temporary=True) if failed else ANSWER, "1")


def run(source: Path, target: Path, *, ordered: bool = True) -> None:
    with BatchFiles(source, target, changed="rerun") as files:
        for row in files.rows():
            files.write(row, ANSWER)
        files.finish(ordered=ordered)


def command(*arguments: str | Path) -> tuple[int, str]:
    run = CliRunner().invoke(cli, ["batch", *map(str, arguments)])
    return run.exit_code, run.output


def _same(source: Path, folder: Path) -> Path:
    return source


def _symbolic_link(source: Path, folder: Path) -> Path:
    (folder / "link").symlink_to(source)
    return folder / "link"


def _hard_link(source: Path, folder: Path) -> Path:
    (folder / "link").hardlink_to(source)
    return folder / "link"


def _other_spelling(source: Path, folder: Path) -> Path:
    (folder / "sub").mkdir()
    return folder / "sub" / ".." / source.name


@pytest.mark.parametrize("named", [_same, _symbolic_link, _hard_link, _other_spelling])
@pytest.mark.parametrize("more", [(), ("--changed", "rerun", "--limit", "5"), ("--ordered",), ("--dry-run",)])
def test_the_output_may_not_be_the_input(
    tmp_path: Path, named: Callable[[Path, Path], Path], more: tuple[str, ...]
) -> None:
    source = numbered_input(tmp_path / "in.jsonl", 3)
    target, before = named(source, tmp_path), source.read_bytes()
    code, said = command(source, target, "-m", "openai/gpt-4o-mini", *more)
    assert (code, "are the same file" in said) == (2, True), said
    assert source.read_bytes() == before
    code, said = command(target, tmp_path / "out.jsonl", "--summary", source, "-m", "openai/gpt-4o-mini")
    assert (code, "would replace INPUT or OUTPUT" in said) == (2, True), said
    assert source.read_bytes() == before


def test_an_input_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    with pytest.raises(OutputRefused, match="are the same file"):
        BatchFiles(path, path)
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("-", "in.jsonl"), ("in.jsonl", "-")])
def test_standard_input_and_output_are_compared_too(tmp_path: Path, arguments: tuple[str, str]) -> None:
    source = numbered_input(tmp_path / "in.jsonl", 3)
    before = source.read_bytes()
    code = f"from turnout_io.batch import BatchFiles; BatchFiles{arguments!r}"
    with source.open("rb") as given_input, source.open("ab") as given_output:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=given_input,
            stdout=given_output,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment(),
            timeout=60,
        )
    assert b"are the same file" in done.stderr
    assert source.read_bytes() == before


FOREIGN = [
    b"my notes\n",
    b"my notes",
    b"a\nb\n\nlast one without an end",
    b'{"custom_id": "r1", "prompt": "x"}\n',
    b'{"id": "batch_req_1", "custom_id": "r1", "response": {}, "error": null}\n',
    b'{"id":"batch_req_1"}',
    b"[1, 2]\n",
    b"\xff\xfe\x00\x01",
    b"\0" * 100,
    b"   ",
    b"\xef\xbb\xbf" + result("r1"),
    b"\xef\xbb\xbf",
    result("r1") + b"one line of mine\n" + result("r2"),
    result("r1") + b"mine",
    b"mine\n" + result("r1")[:30],
]


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("more", [(), ("--ordered",), ("--changed", "keep"), ("--changed", "rerun"), ("--dry-run",)])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes, more: tuple[str, ...]) -> None:
    target = tmp_path / "precious.txt"
    target.write_bytes(content)
    source = numbered_input(tmp_path / "in.jsonl", 3)
    code, said = command(source, target, "-m", "openai/gpt-4o-mini", *more)
    assert (code, "holds something else than results" in said) == (2, True), said
    assert target.read_bytes() == content


def test_the_first_foreign_line_is_named(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_bytes(result("r1") + b"\n" + result("r2") + b"mine\n" + result("r3"))
    with pytest.raises(OutputRefused, match=r"out\.jsonl .*: line 4 is none"):
        run(numbered_input(tmp_path / "in.jsonl", 3), target)


LINES = st.one_of(
    st.builds(result, st.sampled_from(["r0", "r1", "r2"]), failed=st.booleans()),
    st.builds(lambda line, end: line[:end], st.just(result("r1")), st.integers(0, 200)),
    st.builds(lambda value: json.dumps(value).encode() + b"\n", st.dictionaries(st.text(), st.text())),
    st.binary(max_size=20),
    st.sampled_from([b"\n", b" \r\n", b'{"custom_id": "r1"}\n', b'{"id":"batch_req_', b"{"]),
)


def was_written_by_a_batch(line: bytes) -> bool:
    """The rule once more, by other means: a result, or a damaged one."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line.startswith(b'{"id":"batch_req_')
    own = fields.get("turnout") if isinstance(fields, dict) else None
    return bool(fields.get("custom_id") and own.get("key")) if own else False


@given(st.lists(LINES, max_size=4).map(b"".join), st.sampled_from(["good", "wrong", "missing"]), st.booleans())
def test_a_run_that_does_not_accept_a_file_leaves_every_byte(content: bytes, rows: str, ordered: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target, source = folder / "out", folder / "in.jsonl"
        target.write_bytes(content)
        if rows != "missing":
            write_input(source, [input_line("r0", "x"), "{}" if rows == "wrong" else input_line("r1", "y")])
        *whole, last = content.split(b"\n")
        try:
            run(source, target, ordered=ordered)
        except (OutputRefused, BatchInputError):
            assert target.read_bytes() == content
            assert not [path for path in folder.iterdir() if path not in (target, source)]
        else:
            assert rows == "good"
            assert all(was_written_by_a_batch(line) for line in whole if line.strip())
            assert not last or was_written_by_a_batch(last) or b'{"id":"batch_req_'.startswith(last)
            assert {"r0", "r1"} <= {head.custom_id for head in read_heads(target.read_bytes())[0]}


def test_an_output_through_a_link_is_put_in_order_where_it_is(tmp_path: Path) -> None:
    source = numbered_input(tmp_path / "in.jsonl", 3)
    (tmp_path / "real").mkdir()
    real, link, other = tmp_path / "real" / "out", tmp_path / "out", tmp_path / "real" / "out.new"
    other.write_text("mine")
    os.symlink(real, link)
    run(source, link)
    assert link.is_symlink()
    assert len(real.read_bytes().splitlines()) == 3
    assert other.read_text() == "mine"
