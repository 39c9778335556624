"""What is wrong with an input is reported before the first row is sent: all of it, with the lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.transports.batch.helpers import MODEL, input_line, write_input
from turnout.batch.output import Answered
from turnout.batch.rows import BatchInputError
from turnout.chat import ModelConfig
from turnout_io.batch.files import BatchFiles
from turnout_io.batch.request_check import request_check
from turnout_io.sync import Router

CHAT = "/v1/chat/completions"


def row(name: str, model: str, url: str = CHAT, **body: Any) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}], **body}
    return json.dumps({"custom_id": name, "url": url, "body": body})


def refusal(folder: Path, lines: Iterable[str], *models: str) -> str:
    """Return why an input is refused; "" if it is not."""
    source = write_input(folder / "in.jsonl", lines)
    with Router.from_env(environ={"OPENAI_API_KEY": "k"}, dotenv=None) as router:
        try:
            check = request_check(router, [ModelConfig.parse(model) for model in models])
            with BatchFiles(source, folder / "out.jsonl", check_request=check):
                return ""
        except BatchInputError as error:
            return str(error)


def test_all_wrong_lines_are_reported_at_once(tmp_path: Path) -> None:
    lines = [input_line("a", "x"), "{", input_line("b", "x"), '{"custom_id": 5}', input_line("a", "y"), "[]"]
    lines += [input_line("b", "x"), input_line("a", "z"), '{"custom_id": "c", "url": "/v1/images", "body": {}}']
    said = refusal(tmp_path, lines).splitlines()
    assert said[0] == "the input has 7 problems, and nothing was sent:"
    assert [line.strip().split(":")[0].split(" is not")[0] for line in said[1:5]] == [
        "line 2", "line 4", "line 6", "line 9"
    ]  # fmt: skip
    assert said[5:] == [
        "  lines 1 and 5 have the same custom_id 'a'",
        "  lines 3 and 7 have the same custom_id 'b'",
        "  lines 1 and 8 have the same custom_id 'a'",
    ]


def test_many_wrong_lines_are_counted(tmp_path: Path) -> None:
    said = refusal(tmp_path, [input_line("a", "x"), *["{"] * 1000]).splitlines()
    assert said[0] == "the input has 1000 problems, and nothing was sent:"
    assert (len(said), said[-1]) == (22, "  and 980 more")


def test_an_unknown_provider_or_route_is_found(tmp_path: Path) -> None:
    lines = [row("a", MODEL), row("b", "nobody/x"), row("c", "nobody/x"), row("d", "route/fast"), row("e", "gpt-4o")]
    said = refusal(tmp_path, lines)
    assert "lines 2, 3: nobody/x: no provider named 'nobody' is registered" in said
    assert "line 4: route/fast: this router has no route named 'fast'" in said
    assert "line 5: " in said
    assert refusal(tmp_path, lines, MODEL) == "", "the models of the rows do not count then"
    assert "no provider named 'nobody'" in refusal(tmp_path, lines, "nobody/x")


@pytest.mark.parametrize(
    ("url", "field"),
    [(CHAT, "temprature"), (CHAT, "logit_bias"), ("/v1/messages", "container"), ("/v1/responses", "truncation")],
)
def test_a_field_that_a_model_would_not_receive_is_refused(tmp_path: Path, url: str, field: str) -> None:
    other = "gemini/gemini-2.5-flash"

    def line(name: str, **more: Any) -> str:
        given = {"input": "x"} if url == "/v1/responses" else {"messages": [{"role": "user", "content": "x"}]}
        body = {"model": other, **given, "max_output_tokens" if url == "/v1/responses" else "max_tokens": 5, **more}
        return json.dumps({"custom_id": name, "url": url, "body": body})

    lines = [line("a"), line("b", **{field: {"1": 2}}), line("c", user="u", **{field: {"1": 3}})]
    assert refusal(tmp_path, lines) == f"lines 2, 3: {field}: {other} does not take this field"


def test_rows_that_are_sent_as_they_are_lose_no_field(tmp_path: Path) -> None:
    """A provider's batch API receives the fields that the router has no place for."""
    lines = [json.dumps({"custom_id": "a", "url": "/v1/responses", "body": {
        "model": MODEL, "input": "x", "truncation": "auto"}})]  # fmt: skip
    assert refusal(tmp_path, lines) == f"line 1: truncation: {MODEL} does not take this field"
    with Router.from_env(environ={"OPENAI_API_KEY": "k"}, dotenv=None) as router:
        check = request_check(router, [], only_models=True)
        with BatchFiles(tmp_path / "in.jsonl", tmp_path / "out.jsonl", check_request=check) as files:
            assert [each.custom_id for each in files.rows()] == ["a"]


def test_a_field_that_all_models_receive_is_sent(tmp_path: Path) -> None:
    lines = [row("a", MODEL, verbosity="low"), row("b", "gemini/g", service_tier="flex", store=False)]
    assert refusal(tmp_path, lines) == ""


def test_embeddings_lose_no_field_either(tmp_path: Path) -> None:
    body = {"model": "gemini/gemini-embedding-001", "input": "x", "truncate": "END"}
    line = json.dumps({"custom_id": "a", "url": "/v1/embeddings", "body": body})
    assert refusal(tmp_path, [line]) == "line 1: truncate: gemini/gemini-embedding-001 does not take this field"


def test_rows_that_are_answered_are_not_checked_again(tmp_path: Path) -> None:
    source, target = write_input(tmp_path / "in.jsonl", [row("a", "nobody/x")]), tmp_path / "out.jsonl"
    with BatchFiles(source, target) as files:
        for each in files.rows():
            files.write(each, Answered(body=b"{}"))
    with BatchFiles(source, target, check_request=lambda endpoint, body: "wrong") as files:
        assert files.checked is not None
        assert files.checked.done == 1


def test_a_changed_setting_of_a_simple_row_is_a_change(tmp_path: Path) -> None:
    """Only the texts of a simple row were compared, so another model left the old answer."""
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_input(source, ['{"custom_id": "a", "prompt": "x", "model": "openai/a"}'])
    with BatchFiles(source, target) as files:
        for each in files.rows():
            files.write(each, Answered(body=b"{}"))
    write_input(source, ['{"custom_id": "a", "prompt": "x", "model": "openai/b"}'])
    with pytest.raises(BatchInputError, match="1 of 1 rows"):
        BatchFiles(source, target)
    write_input(source, ['{"custom_id": "a", "model": "openai/a", "prompt": "x", "label": 5}'])
    with BatchFiles(source, target) as files:
        assert files.checked is not None
        assert files.checked.done == 1, "a label does not decide the answer"


def test_fields_that_are_not_sent_are_counted(tmp_path: Path) -> None:
    lines = ['{"custom_id": "a", "prompt": "x", "label": 1}', input_line("b", "x")[:-1] + ', "label": 2, "more": 3}']
    with BatchFiles(write_input(tmp_path / "in.jsonl", lines), tmp_path / "out.jsonl") as files:
        assert files.checked is not None
        assert files.checked.kept == {"label": 2, "more": 1}
