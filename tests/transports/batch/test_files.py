"""The files of a batch: what is sent again after which changes, and what is refused before anything is sent."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transports.batch.helpers import by_id, environment, input_line, numbered_input, read_output, write_input
from turnout.batch.output import Answered, RowFailure
from turnout.batch.plan import BatchPlan, Begin
from turnout.batch.rows import BatchInputError, BatchRow
from turnout_io.batch.files import BatchFiles
from turnout_io.batch.output_file import BatchOutputError, OutputFile, OutputLocked

ANSWER = Answered(body=b'{"choices":[]}', model="x/y", cost=0.5)
TEMPORARY = RowFailure(code="server", message="no", temporary=True)
FINAL = RowFailure(code="invalid-request", message="no", temporary=False)


def answer_all(source: Path, target: Path, outcome: Answered | RowFailure = ANSWER, **options: object) -> list[str]:
    """Answer what is to be sent, and return which rows that was."""
    with BatchFiles(source, target, **options) as files:  # type: ignore[arg-type]  # options are those of BatchFiles
        ids = []
        for row in files.rows():
            files.write(row, outcome)
            ids.append(row.custom_id)
        files.finish()
    return ids


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return numbered_input(tmp_path / "in.jsonl", 5)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_a_second_run_sends_nothing(source: Path, target: Path) -> None:
    assert answer_all(source, target) == ["r0", "r1", "r2", "r3", "r4"]
    assert answer_all(source, target) == []
    assert len(by_id(target)) == 5


def test_only_new_rows_are_sent_wherever_they_stand(source: Path, target: Path) -> None:
    answer_all(source, target)
    lines = source.read_text().splitlines()
    random.Random(1).shuffle(lines)
    write_input(source, [lines[0], input_line("new", "x"), *lines[2:]])
    assert answer_all(source, target) == ["new"]


def test_equal_rows_without_ids_are_each_asked_once(tmp_path: Path, target: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", [input_line(None, text) for text in ("a", "b", "a", "a")])
    assert len(set(answer_all(source, target))) == 4
    write_input(source, [input_line(None, text) for text in ("a", "a", "b", "a", "a", "c")])
    assert len(answer_all(source, target)) == 2
    assert len(by_id(target)) == 6


def test_temporary_failures_are_sent_again_and_final_ones_are_kept(source: Path, target: Path) -> None:
    answer_all(source, target, TEMPORARY)
    assert len(answer_all(source, target, FINAL)) == 5
    assert len(read_output(target)) == 5, "of each row the last line is kept"
    assert answer_all(source, target) == []
    assert answer_all(source, target, retry_failed="none") == []
    assert len(answer_all(source, target, retry_failed="all")) == 5
    assert all(row["error"] is None for row in by_id(target).values())


def test_failures_are_left_alone_if_asked_for(source: Path, target: Path) -> None:
    answer_all(source, target, TEMPORARY)
    with BatchFiles(source, target, retry_failed="none") as files:
        assert files.checked is not None
        assert (files.checked.done, files.checked.failed, files.checked.left) == (0, 5, 0)


def test_changed_rows_are_refused_sent_again_or_kept(source: Path, target: Path) -> None:
    answer_all(source, target)
    lines = source.read_text().splitlines()
    write_input(source, [*lines[:3], input_line("r3", "another question"), lines[4]])
    with pytest.raises(BatchInputError, match=r"1 of 5 rows .* \(line 4\)"):
        BatchFiles(source, target)
    assert answer_all(source, target, changed="keep") == []
    assert answer_all(source, target, changed="rerun") == ["r3"]
    assert answer_all(source, target) == []


def test_a_changed_row_that_failed_has_no_answer_to_keep(source: Path, target: Path) -> None:
    answer_all(source, target, FINAL, settings="openai/a")
    assert answer_all(source, target, settings="openai/b", retry_failed="none") == []
    assert len(answer_all(source, target, settings="openai/b", changed="keep")) == 5
    with pytest.raises(BatchInputError, match="5 of 5 rows"):
        BatchFiles(source, target, settings="openai/c")


def test_another_model_for_all_rows_changes_all(source: Path, target: Path) -> None:
    answer_all(source, target, settings="openai/a")
    with pytest.raises(BatchInputError, match="5 of 5 rows"):
        BatchFiles(source, target, settings="openai/b")


def test_a_row_that_only_looks_different_is_not_sent_again(source: Path, target: Path) -> None:
    answer_all(source, target)
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    write_input(source, [json.dumps(dict(reversed(row.items())), indent=None, separators=(" ,", ": ")) for row in rows])
    assert answer_all(source, target) == []


def test_two_rows_with_one_id_are_refused_with_both_lines(tmp_path: Path, target: Path) -> None:
    lines = [input_line("a", "1"), "", input_line("b", "2"), input_line("a", "3")]
    source = write_input(tmp_path / "in.jsonl", lines)
    with pytest.raises(BatchInputError, match="lines 1 and 4 have the same custom_id 'a'"):
        BatchFiles(source, target)


def test_the_whole_input_is_checked_before_the_first_row(source: Path, target: Path) -> None:
    with source.open("a") as file:
        file.write('{"custom_id": "bad", "url": "/v1/images", "body": {}}\n')
    with pytest.raises(BatchInputError, match="line 6"):
        BatchFiles(source, target)


ROW = b'{"custom_id": "bad", "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "x"}]}}'


@pytest.mark.parametrize(
    "line",
    [
        ROW.replace(b'{"messages"', b'5, "x": {"messages"'),
        ROW.replace(b'"bad"', b'"' + 600 * b"i" + b'"'),
        ROW.replace(b'"x"', b'"\xff\xfe"'),
        ROW.replace(b'"x"', rb'"\ud800"'),
        ROW.replace(b'"x"', 100_000 * b"[" + 100_000 * b"]"),
        b'{"custom_id": "bad", "prompt": 5}',
        b'{"custom_id": "bad", "prompt": "x", "note": "\xff"}',
        ROW[:60],
        b"\0\0",
    ],
    ids=["number", "long-id", "not-utf-8", "surrogate", "deep", "no-text", "kept-field", "cut", "zeros"],
)
def test_a_line_that_cannot_be_sent_is_found_before_the_first_row(source: Path, target: Path, line: bytes) -> None:
    source.write_bytes(source.read_bytes() + line + b"\n")
    with pytest.raises(BatchInputError, match="line 6"):
        BatchFiles(source, target)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_marks_line_ends_and_empty_lines(tmp_path: Path, target: Path, mark: bytes, end: bytes, last: bool) -> None:
    lines = [input_line(f"r{number}", "x").encode() for number in range(3)]
    data = mark + end.join([lines[0], b"", lines[1], b"  ", lines[2]]) + (end if last else b"")
    source = tmp_path / "in.jsonl"
    source.write_bytes(data)
    assert answer_all(source, target) == ["r0", "r1", "r2"]
    assert answer_all(source, target) == []


def test_the_output_may_be_put_in_the_order_of_the_input(source: Path, target: Path) -> None:
    with BatchFiles(source, target) as files:
        rows = list(files.rows())
        for row in reversed(rows):
            files.write(row, ANSWER)
        files.write(BatchRow("gone", "chat/completions", {}, "k"), ANSWER)
        files.finish(ordered=True)
        with pytest.raises(OutputLocked):
            OutputFile(target)
    assert [row["custom_id"] for row in read_output(target)] == ["r0", "r1", "r2", "r3", "r4", "gone"]
    assert answer_all(source, target) == []


def test_rows_without_ids_are_put_in_order_too(tmp_path: Path, target: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", [input_line(None, text) for text in ("a", "b", "a")])
    with BatchFiles(source, target) as files:
        rows = list(files.rows())
        for row in reversed(rows):
            files.write(row, ANSWER)
        files.finish(ordered=True)
    assert [row["custom_id"] for row in read_output(target)] == [row.custom_id for row in rows]


def test_a_run_may_be_limited(source: Path, target: Path) -> None:
    assert answer_all(source, target, limit=2) == ["r0", "r1"]
    assert answer_all(source, target, limit=2) == ["r2", "r3"]
    assert answer_all(source, target, limit=0) == []


@pytest.mark.parametrize("cut", range(0, 1100, 37))
def test_a_run_that_was_cut_anywhere_is_resumed(source: Path, target: Path, cut: int) -> None:
    answer_all(source, target)
    whole = target.read_bytes()
    target.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    lines = [line for line in whole[:cut].split(b"\n") if line]
    if lines and len(lines) > kept and lines[-1] in whole.split(b"\n"):
        kept += 1  # only its line break was cut off
    assert len(answer_all(source, target)) == 5 - kept
    assert len(by_id(target)) == 5


def test_a_broken_line_in_the_middle_is_asked_again(source: Path, target: Path) -> None:
    answer_all(source, target)
    lines = target.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:40] + b"\n"
    target.write_bytes(b"".join(lines))
    with BatchFiles(source, target) as files:
        assert files.index.broken == 1
    assert answer_all(source, target) == ["r2"]


@pytest.mark.slow
def test_another_process_may_not_write_the_output(source: Path, target: Path) -> None:
    code = f"import sys; from turnout_io.batch.output_file import OutputFile; OutputFile({str(target)!r})"
    with BatchFiles(source, target):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60
        )
    assert f"another run writes {target}" in done.stderr
    if sys.platform == "linux":
        assert f"(process {os.getpid()})" in done.stderr


def test_the_output_costs_what_its_rows_cost(source: Path, target: Path) -> None:
    answer_all(source, target, limit=3)
    with BatchFiles(source, target) as files:
        assert files.cost == 1.5
        for row in files.rows():
            files.write(row, ANSWER)
        assert files.cost == 2.5


@pytest.mark.parametrize(("cost", "known"), [(None, False), (0.0, True)])
def test_an_unknown_cost_is_not_zero(source: Path, target: Path, cost: float | None, known: bool) -> None:
    answer = Answered(body=b"{}", cost=cost)
    plan = BatchPlan(iter([BatchRow("a", "chat/completions", {}, "k")]))
    step = plan.next(0.0)
    assert isinstance(step, Begin)
    assert plan.cost == 0.0, "nothing is answered"
    plan.answered(step.row, answer, 0.0)
    assert plan.cost == cost
    with BatchFiles(source, target) as files:
        files.write(step.row, answer)
        assert files.priced is known
    with BatchFiles(source, target) as files:
        assert files.priced is known


def test_an_output_that_cannot_be_written_says_so(source: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot be written"):
        BatchFiles(source, tmp_path / "no" / "such" / "folder.jsonl")


def test_an_input_that_is_not_there_says_so(target: Path, tmp_path: Path) -> None:
    with pytest.raises(BatchInputError, match=r"in\.jsonl cannot be read"):
        BatchFiles(tmp_path / "in.jsonl", target)


def test_an_interrupted_rewrite_leaves_the_output_as_it_was(target: Path) -> None:
    def lines() -> Iterator[bytes]:
        yield b"new\n"
        raise KeyboardInterrupt

    with OutputFile(target) as output:
        output.write(b"old\n")
        with pytest.raises(KeyboardInterrupt):
            output.replace(lines())
        output.write(b"newer\n")
    assert target.read_bytes() == b"old\nnewer\n"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("target", ["/dev/null", "/dev/zero"])
def test_an_output_that_is_no_file_has_nothing_to_put_on_a_disk(target: str) -> None:
    with OutputFile(target) as output:
        output.write(b"x\n")


def _broken_disk(descriptor: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_the_last_failure_of_the_disk_is_reported(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = OutputFile(target)
    output.write(b"x\n")
    monkeypatch.setattr(os, "fsync", _broken_disk)
    with pytest.raises(BatchOutputError, match=r"out\.jsonl: the last lines may not be on the disk"):
        output.close()
    OutputFile(target).discard_if_new()  # it is unlocked


def test_a_run_that_failed_already_reports_that(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", _broken_disk)
    with pytest.raises(KeyboardInterrupt), BatchFiles(source, target):
        raise KeyboardInterrupt
