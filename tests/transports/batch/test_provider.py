"""Batches through a provider's batch API: nothing is lost, and no batch is made twice, wherever a run ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.transports.batch.batch_api import BatchApi
from tests.transports.batch.helpers import MODEL, by_id, input_line, numbered_input, write_input
from turnout.batch.progress import BatchSummary
from turnout.batch.provider_batch import ProviderBatchError
from turnout.batch.rows import BatchInputError
from turnout_io.batch import BatchFiles
from turnout_io.batch.provider import ProviderRun
from turnout_io.sync import Router


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return numbered_input(tmp_path / "in.jsonl", 5)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def answer(api: BatchApi, source: Path, target: Path, *, cancel: bool = False, **options: Any) -> BatchSummary:
    """Run once, without waiting between two looks."""
    environ = {"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"}
    with (
        Router.from_env(environ=environ, dotenv=None, transport=api) as router,
        BatchFiles(source, target) as files,
    ):
        run = ProviderRun(router, files, target, sleep=lambda seconds: None, **options)
        if cancel:
            assert run.cancel()
        return run.run()


def test_every_row_is_answered(source: Path, target: Path) -> None:
    api = BatchApi()
    summary = answer(api, source, target)
    assert (summary.answered, summary.failed) == (5, {})
    rows = by_id(target)
    assert set(rows) == {f"r{number}" for number in range(5)}
    row = rows["r3"]
    assert row["response"]["body"]["choices"][0]["message"]["content"] == "question 3"
    assert row["turnout"]["model"] == MODEL
    assert api.batches["batch-0"]["endpoint"] == "/v1/chat/completions"
    assert b'"model":"gpt-4o-mini"' in api.files["file-0"]
    assert not list(target.parent.glob("*.part-*"))
    calls = len(api.calls)
    answer(api, source, target)
    assert len(api.calls) == calls, "a second run sends nothing"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("position", range(6))
def test_a_crash_at_any_request_makes_no_second_batch(source: Path, target: Path, moment: str, position: int) -> None:
    api = BatchApi()

    def crash(method: str, path: str) -> None:
        if len(api.calls) == position + 1:
            raise Crash

    setattr(api, moment, crash)
    with pytest.raises(Crash):
        answer(api, source, target)
    setattr(api, moment, lambda method, path: None)
    answer(api, source, target)
    assert sorted(by_id(target)) == sorted(api.rows) == [f"r{number}" for number in range(5)]


def test_parts_are_bounded(source: Path, target: Path) -> None:
    api = BatchApi()
    answer(api, source, target, most_rows=2)
    assert len(api.batches) == 3
    assert len(by_id(target)) == 5
    size = len(api.files["file-0"]) + 10
    small = BatchApi()
    answer(small, source, target.with_name("other.jsonl"), most_bytes=size)
    assert all(len(small.files[batch["input_file_id"]]) <= size for batch in small.batches.values())
    assert len(small.rows) == 5


def test_an_old_batch_is_found_among_others(source: Path, target: Path) -> None:
    api = BatchApi()
    answer(api, write_input(source.with_name("other.jsonl"), [input_line("x", "x")]), target.with_name("x.jsonl"))

    def crash(method: str, path: str) -> None:
        if (method, path) == ("POST", "/batches"):
            raise Crash

    api.after = crash
    with pytest.raises(Crash):
        answer(api, source, target)
    api.after = lambda method, path: None
    answer(api, write_input(source.with_name("more.jsonl"), [input_line("y", "y")]), target.with_name("y.jsonl"))
    answer(api, source, target)
    assert sorted(api.rows) == ["r0", "r1", "r2", "r3", "r4", "x", "y"]


def refused(line: dict[str, Any], status: int) -> dict[str, Any]:
    body = {"error": {"code": "bad", "message": "no"}}
    return {"custom_id": line["custom_id"], "response": {"status_code": status, "body": body}, "error": None}


def test_failures_are_rows_and_temporary_ones_are_sent_again(source: Path, target: Path) -> None:
    def fail(line: dict[str, Any]) -> dict[str, Any] | None:
        return {"r0": refused(line, 400), "r1": refused(line, 500), "r2": None}.get(line["custom_id"], plain(line))

    plain = BatchApi().answer
    api = BatchApi(answer=fail, status="expired")
    summary = answer(api, source, target)
    assert (summary.answered, summary.failed) == (2, {"bad": 2, "expired": 1})
    errors = {name: row["error"] for name, row in by_id(target).items() if row["error"]}
    assert {name: error["temporary"] for name, error in errors.items()} == {"r0": False, "r1": True, "r2": True}
    again = BatchApi()
    answer(again, source, target)
    assert sorted(again.rows) == ["r1", "r2"]


def test_a_double_result_is_an_error(source: Path, target: Path) -> None:
    def same(line: dict[str, Any]) -> dict[str, Any]:
        result = plain(line)
        assert result is not None
        return {**result, "custom_id": "r0"}

    plain = BatchApi().answer
    with pytest.raises(ProviderBatchError, match="double or unknown"):
        answer(BatchApi(answer=same), source, target)


def test_cancelled_batches_are_fetched(source: Path, target: Path) -> None:
    api = BatchApi()

    def crash(method: str, path: str) -> None:
        if path == "/batches/batch-0":
            raise Crash

    api.before = crash
    with pytest.raises(Crash):
        answer(api, source, target)
    api.before, api.status = (lambda method, path: None), "cancelled"
    answer(api, source, target, cancel=True)
    assert ("POST", "/batches/batch-0/cancel") in api.calls
    assert len(by_id(target)) == 5


@pytest.mark.parametrize(
    ("model", "problem"),
    [("gemini/gemini-2.5-flash", "needs a model of openai"), ("groq/llama", "one provider"), ("x", "line 6")],
)
def test_rows_that_have_no_batch_api(source: Path, target: Path, model: str, problem: str) -> None:
    with source.open("a") as file:
        file.write(input_line("other", "x", model=model) + "\n")
    api = BatchApi()
    with pytest.raises(BatchInputError, match=problem):
        answer(api, source, target)
    assert not api.calls


def test_the_command_refuses_what_a_batch_api_cannot_do(source: Path, target: Path) -> None:
    from click.testing import CliRunner

    from turnout_io.cli.commands.batch import batch

    for options in (
        ["--via", "provider", "--route", "fast"],
        ["--via", "provider", "--max-cost", "1"],
        ["--cancel"],
    ):
        result = CliRunner().invoke(batch, [str(source), str(target), *options])
        assert result.exit_code == 2
        assert "--via provider" in result.output
