"""The journal of a job of several processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests.transports.batch.helpers import MODEL, input_line, reader, sent
from turnout.batch.output import Answered, RowFailure
from turnout.batch.rows import BatchRow
from turnout_io.batch.journal import Journal
from turnout_io.ray import AskRouter, BatchSetupError, ask_rows
from turnout_sandbox import Fault, Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.0) as started:
        yield started


def row(custom_id: str, text: str = "x") -> BatchRow:
    return reader().row(input_line(custom_id, text).encode(), 1)


def answered(text: str = "yes") -> Answered:
    return Answered(body=json.dumps({"text": text}).encode(), model=MODEL, cost=0.5)


def test_answers_are_found_by_all(tmp_path: Path) -> None:
    one, other = Journal.open(tmp_path / "job"), Journal.open(tmp_path / "job")
    one.write(row("a"), answered())
    one.write(row("b"), RowFailure(code="content-filter", message="no", temporary=False))
    one.write(row("c"), RowFailure(code="rate-limit", message="later", temporary=True))
    other.refresh()
    found = other.find(row("a"))
    assert found is not None
    assert found.response is not None
    assert json.loads(bytes(found.response.body)) == {"text": "yes"}
    assert (found.turnout.model, found.turnout.cost) == (MODEL, 0.5)
    refused = other.find(row("b"))
    assert refused is not None
    assert refused.error is not None
    assert other.find(row("c")) is None, "a temporary failure is sent again"
    assert other.find(row("a", "another question")) is None
    for journal in (one, other):
        journal.close()
        journal.close()


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_line_that_is_being_written_is_read_later(tmp_path: Path, size: int) -> None:
    journal = Journal.open(tmp_path)
    journal.write(row("a"), answered("y" * size))
    (file,) = tmp_path.glob("*.jsonl")
    whole = file.read_bytes()
    late = Journal.open(tmp_path)
    file.write_bytes(whole[:-20])
    late.refresh()
    assert late.find(row("a")) is None
    file.write_bytes(whole + b"no JSON\n" + whole.replace(b'"a"', b'"b"'))
    late.refresh()
    assert late.find(row("a")) is not None
    assert late.find(row("b")) is not None
    journal.close()
    late.close()


def ask(sandbox: Sandbox, *batches: dict[str, Any], **arguments: Any) -> list[dict[str, Any]]:
    """Give batches to an actor, as Ray does."""
    made = {"environ": sandbox.environ(), "dotenv": None, "max_retries": 0, "model": MODEL, **arguments}

    async def main() -> list[dict[str, Any]]:
        actor = AskRouter(**made)
        async with actor._router:
            return list(await asyncio.gather(*(actor(batch) for batch in batches)))

    return asyncio.run(main())


def column(*values: Any) -> Any:
    return numpy.array(values, dtype=object)


def test_a_batch_gets_columns(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=400))
    batch = {"custom_id": column("a", "b"), "prompt": column("Why?", "How?"), "other": column(1, 2)}
    (answers,) = ask(sandbox, batch, concurrency=1)
    assert list(answers["other"]) == [1, 2]
    assert answers["error"][0].startswith("invalid-request")
    assert answers["response"][0] == ""
    assert answers["error"][1] == ""
    assert json.loads(answers["response"][1])["choices"][0]["message"]["content"]
    assert answers["model"][1] == MODEL


def test_rows_may_be_messages_or_requests(sandbox: Sandbox) -> None:
    messages = [{"role": "user", "content": "Why?"}]
    body = {"model": "gpt-4o-mini", "input": "Why?"}
    batches = (
        {"messages": column(messages)},
        {"messages": column(json.dumps(messages))},
        {"url": column("/v1/responses"), "body": column(json.dumps(body))},
        {"prompt": column()},
    )
    *answers, empty = ask(sandbox, *batches)
    assert all(answer["error"][0] == "" for answer in answers)
    assert json.loads(answers[2]["response"][0])["object"] == "response"
    assert [empty[name].dtype.kind for name in ("response", "error", "cost", "attempts")] == ["O", "O", "f", "i"]


def test_a_journal_spares_what_was_answered(sandbox: Sandbox, tmp_path: Path) -> None:
    batch = {"prompt": column("Why?", "How?")}
    (first,) = ask(sandbox, batch, journal=str(tmp_path))
    (again,) = ask(sandbox, batch, journal=str(tmp_path))
    assert sent(sandbox) == 2
    for name in ("response", "error", "model", "attempts"):
        assert list(first[name]) == list(again[name])


@pytest.mark.slow
def test_a_wrong_key_ends_the_job(sandbox: Sandbox) -> None:
    environ = {name: value.replace("sandbox", "wrong") for name, value in sandbox.environ().items()}
    with pytest.raises(BatchSetupError):
        ask(sandbox, {"prompt": column(*(f"question {number}" for number in range(50)))}, environ=environ)


def test_the_arguments_for_ray() -> None:
    class Dataset:
        def map_batches(self, fn: Any, /, **options: Any) -> Any:
            return fn, options

    fn, options = ask_rows(Dataset(), model=MODEL, actors=3, concurrency=50, batch_size=10, num_cpus=0.1)
    assert fn is AskRouter
    assert options == {
        "fn_constructor_kwargs": {"concurrency": 50, "model": MODEL},
        "batch_size": 10,
        "concurrency": 3,
        "num_cpus": 0.1,
    }
