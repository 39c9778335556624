"""A Parquet file as the input of a batch."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.transports.batch.helpers import MODEL
from turnout.batch.output import Answered
from turnout.batch.rows import BatchInputError
from turnout_io.batch import BatchFiles

ANSWER = Answered(body=b'{"choices":[]}', model=MODEL)


def write_parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), path)
    return path


def answer_all(source: Path, target: Path, **options: Any) -> list[tuple[str, Any]]:
    with BatchFiles(source, target, **options) as files:
        rows = []
        for row in files.rows():
            files.write(row, ANSWER)
            rows.append((row.custom_id, row.body["messages"]))
        files.finish(ordered=True)
    return rows


def test_rows_are_read_and_resumed(tmp_path: Path) -> None:
    question = [{"role": "user", "content": "Why?"}]
    columns: dict[str, list[Any]] = {
        "custom_id": ["a", "b", "c", "d"],
        "prompt": ["Why?", None, None, None],
        "messages": [None, json.dumps(question), None, json.dumps(question)],
        "body": [None, None, json.dumps({"model": MODEL, "messages": question}), None],
        "city": ["Ulm", "Ulm", None, "Ulm"],
    }
    source, target = write_parquet(tmp_path / "in.parquet", columns), tmp_path / "out.jsonl"
    assert answer_all(source, target) == [(name, question) for name in "abcd"]
    assert answer_all(source, target) == []
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["custom_id"] for line in lines] == ["a", "b", "c", "d"]
    assert lines[0]["turnout"]["fields"] == {"city": "Ulm"}
    columns["prompt"][0] = "How?"
    write_parquet(source, columns)
    assert [name for name, _ in answer_all(source, target, changed="rerun")] == ["a"]


def test_nested_messages(tmp_path: Path) -> None:
    questions = [[{"role": "user", "content": f"Question {number}"}] for number in range(2500)]
    source = write_parquet(tmp_path / "in.parquet", {"messages": questions})
    assert [messages for _, messages in answer_all(source, tmp_path / "out.jsonl")] == questions


def test_a_file_that_is_not_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    source = tmp_path / "in.parquet"
    source.write_text('{"prompt": "Why?"}')
    with pytest.raises(BatchInputError, match="not a Parquet file"):
        BatchFiles(source, tmp_path / "out.jsonl")


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "in.parquet").write_bytes(b"PAR1")
    with pytest.raises(BatchInputError, match=r"turnout\[parquet\]"):
        BatchFiles(tmp_path / "in.parquet", tmp_path / "out.jsonl")
