"""Batches through a provider's batch API: nothing is lost, and no batch is made twice, wherever a run ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.transports.batch.batch_api import BatchApi
from tests.transports.batch.helpers import MODEL, by_id, input_line, numbered_input, read_output, write_input
from turnout.batch.output import RowFailure
from turnout.batch.progress import BatchSummary
from turnout.batch.provider_batch import BATCH_SERVICES, ProviderBatchError, read_results
from turnout.batch.rows import BatchInputError
from turnout.chat import ModelConfig
from turnout.errors import Disconnected
from turnout.http import HttpRequest, TransportTimeouts
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


def answer(
    api: BatchApi, source: Path, target: Path, *, cancel: bool = False, key: str = "k", **options: Any
) -> BatchSummary:
    """Run once, without waiting between two looks."""
    environ = {f"{name}_API_KEY": key for name in ("OPENAI", "GROQ", "TOGETHER", "ZAI")}
    given = {name: options.pop(name) for name in ("limit", "changed", "retry_failed") if name in options}
    with (
        Router.from_env(environ=environ, dotenv=None, transport=api) as router,
        BatchFiles(source, target, **given) as files,
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


@pytest.mark.parametrize("provider", ["openai", "groq", "together", "zai"])
@pytest.mark.parametrize("crash_after", ["", "/batches", "/batches/batch-0"])
def test_the_forms_of_each_provider(source: Path, target: Path, provider: str, crash_after: str) -> None:
    api = BatchApi(together=provider == "together")
    models = [ModelConfig(provider, "m")]

    def crash(method: str, path: str) -> None:
        if path == crash_after:
            raise Crash

    if crash_after:
        api.after = crash
        with pytest.raises(Crash):
            answer(api, source, target, models=models)
        api.after = lambda method, path: None
    summary = answer(api, source, target, models=models)
    assert (summary.answered, summary.failed, len(api.batches)) == (5, {}, 1)
    chat = "/v4/chat/completions" if provider == "zai" else "/v1/chat/completions"
    assert api.batches["batch-0"]["endpoint"] == json.loads(api.files["file-0"].splitlines()[0])["url"] == chat


def crashed(api: BatchApi, source: Path, target: Path, path: str) -> None:
    """Run until a request for this path was answered."""

    def crash(method: str, called: str) -> None:
        if called == path:
            raise Crash

    api.after = crash
    with pytest.raises(Crash):
        answer(api, source, target)
    api.after = lambda method, path: None


def test_the_answers_of_a_batch_are_kept_whatever_the_input_is_now(source: Path, target: Path) -> None:
    api = BatchApi()
    crashed(api, source, target, "/batches")
    write_input(source, [input_line("r0", "question 0"), input_line("new", "x")])
    answer(api, source, target, limit=0)
    assert sorted(by_id(target)) == ["r0", "r1", "r2", "r3", "r4"]


def test_a_row_that_changed_while_its_batch_ran(source: Path, target: Path) -> None:
    api = BatchApi()
    crashed(api, source, target, "/batches")
    write_input(source, [input_line("r0", "another question")])
    with pytest.raises(BatchInputError, match="'r0' is another request"):
        answer(api, source, target)
    answer(api, source, target, changed="rerun")
    last = {row["custom_id"]: row for row in read_output(target)}
    assert last["r0"]["response"]["body"]["choices"][0]["message"]["content"] == "another question"
    calls = len(api.calls)
    assert answer(api, source, target).answered == 0
    assert len(api.calls) == calls


def test_a_result_is_kept_although_its_row_is_not_to_be_sent_again(source: Path, target: Path) -> None:
    def expire(line: dict[str, Any]) -> dict[str, Any] | None:
        return None

    answer(BatchApi(answer=expire, status="expired"), source, target)
    api = BatchApi()
    crashed(api, source, target, "/batches")
    assert answer(api, source, target, retry_failed="none").answered == 5


def test_the_reason_of_a_batch_that_failed(source: Path, target: Path) -> None:
    def fail(method: str, path: str) -> None:
        for batch in api.batches.values():
            batch["errors"] = {"data": [{"code": "model_not_found", "message": "there is no such model"}]}

    api = BatchApi(answer=lambda line: None, status="failed", before=fail)
    assert answer(api, source, target).failed == {"failed": 5}
    error = by_id(target)["r0"]["error"]
    assert error["temporary"]
    assert "there is no such model" in error["message"]


def test_requests_that_can_be_repeated_are_repeated(source: Path, target: Path) -> None:
    failed: set[str] = set()

    def fail(method: str, path: str) -> None:
        if path not in failed and (path == "/files" or path.endswith("/content")):
            failed.add(path)
            raise Disconnected("the provider is silent")

    api = BatchApi(before=fail)
    assert answer(api, source, target).answered == 5
    assert len(failed) == 2


def test_a_creation_is_not_repeated_before_the_search(source: Path, target: Path) -> None:
    def fail(method: str, path: str) -> None:
        if (method, path) == ("POST", "/batches"):
            raise Disconnected("the provider is silent")

    api = BatchApi(after=fail)
    with pytest.raises(Disconnected):
        answer(api, source, target)
    api.after = lambda method, path: None
    assert answer(api, source, target).answered == 5
    assert len(api.batches) == 1


def test_streams_are_not_sent(tmp_path: Path, target: Path) -> None:
    api = BatchApi()
    line = input_line("r", "x", stream=True, stream_options={"include_usage": True})
    answer(api, write_input(tmp_path / "in.jsonl", [line]), target)
    assert b"stream" not in api.files["file-0"]


def test_a_part_that_was_never_recorded_is_removed(source: Path, target: Path) -> None:
    orphan = target.with_name("out.jsonl.part-0123456789abcdef")
    mine = target.with_name("out.jsonl.part-aa")  # as `split` names the parts of a file
    for path in (orphan, mine):
        path.write_text("torn")
    answer(BatchApi(), source, target)
    assert not orphan.exists()
    assert mine.exists()


def test_a_refusal_that_repeats_the_key_does_not_show_it(source: Path, target: Path) -> None:
    class Echo(BatchApi):
        def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
            echo = {"error": {"message": f"{'x' * 480} wrong: {request.headers.get('authorization')} \x1b[2J"}}
            refused = super().open(request, timeouts)
            refused.body = json.dumps(echo).encode()
            return refused

    with pytest.raises(ProviderBatchError, match=r"refused POST /files: x+ wrong: \*\*\*") as caught:
        answer(Echo(), source, target, key="sk-very-secret-key")
    assert "sk-very" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


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


def test_the_code_of_an_error_may_be_a_number() -> None:
    line = b'{"custom_id":"a","error":{"code":1261,"message":"too long"},"response":null}\n'
    ((custom_id, outcome),) = read_results(line, "zai/glm-4.6")
    assert isinstance(outcome, RowFailure)
    assert (custom_id, outcome.code, outcome.message) == ("a", "1261", "too long")


def test_files_are_no_larger_than_their_provider_takes() -> None:
    # Groq's SDK: "The file can be up to 100 MB in size." OpenAI's: 200 MB.
    sizes = {name: service.most_bytes for name, service in BATCH_SERVICES.items()}
    assert sizes.pop("openai") == 190_000_000
    assert set(sizes.values()) == {95_000_000}


def test_an_id_that_is_too_long_for_its_provider(source: Path, target: Path) -> None:
    write_input(source, [input_line("x" * 65, "x", model="together/m")])
    with pytest.raises(BatchInputError, match="line 1: the custom_id has 65 characters; the batch API of together"):
        answer(BatchApi(together=True), source, target)


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


def test_endpoints_that_a_batch_api_does_not_have(source: Path, target: Path) -> None:
    row = json.loads(input_line("m", "x")) | {"url": "/v1/messages"}
    write_input(source, [json.dumps(row)])
    with pytest.raises(BatchInputError, match=r"line 1: the batch API of openai has chat/completions, .* not messages"):
        answer(BatchApi(), source, target)


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
