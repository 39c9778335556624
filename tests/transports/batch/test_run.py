"""A batch on every driver, over the sandbox."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import trio

from tests.transports.batch.helpers import MODEL, input_line, sent
from turnout.batch.output import Answered, RowFailure
from turnout.batch.progress import BatchSummary
from turnout.batch.rows import BatchInputError, BatchRow, RowReader
from turnout.chat import ModelConfig
from turnout.prices import Price
from turnout.routing.policy.settings import Limit, Policy
from turnout.trace import Trace
from turnout_io.asyncio import Router as AsyncioRouter
from turnout_io.batch import Control, run
from turnout_io.sync import Router as SyncRouter
from turnout_io.trio import Router as TrioRouter
from turnout_sandbox import Fault, Sandbox

DRIVERS = ["sync", "asyncio", "trio"]
on_every_driver = pytest.mark.parametrize("driver", DRIVERS)

Outcome = Answered | RowFailure


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.0) as started:
        yield started


def rows_of(*lines: str) -> list[BatchRow]:
    reader = RowReader()
    return [reader.row(line.encode(), number) for number, line in enumerate(lines, 1)]


def some_rows(count: int) -> list[BatchRow]:
    return rows_of(*(input_line(f"r{number}", f"question {number}") for number in range(count)))


def answer(
    driver: str,
    sandbox: Sandbox,
    rows: Iterable[BatchRow],
    *,
    policy: dict[str, Any] | None = None,
    sink: Callable[[BatchRow, Outcome], None] | None = None,
    **options: Any,
) -> tuple[BatchSummary, dict[str, Outcome]]:
    """Run a batch, and return its summary and what was written."""
    written: dict[str, Outcome] = {}

    def write(row: BatchRow, outcome: Outcome) -> None:
        assert row.custom_id not in written
        written[row.custom_id] = outcome

    made: dict[str, Any] = {"environ": sandbox.environ(), "dotenv": None, **(policy or {})}
    if driver == "sync":
        with SyncRouter.from_env(**made) as router:
            return run(router, rows, sink or write, **options), written

    async def main() -> BatchSummary:
        kind = AsyncioRouter if driver == "asyncio" else TrioRouter
        async with kind.from_env(**made) as router:
            return await run(router, rows, sink or write, **options)

    return (asyncio.run(main()) if driver == "asyncio" else trio.run(main)), written


def test_ctrl_c_ends_the_threads(sandbox: Sandbox) -> None:
    rows, drawn = some_rows(2000), []

    def draw() -> Iterator[BatchRow]:
        for row in rows:
            drawn.append(row)
            yield row

    def interrupt_once(row: BatchRow, outcome: Outcome) -> None:
        if row is rows[0]:
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        answer("sync", sandbox, draw(), sink=interrupt_once, concurrency=2)
    for thread in threading.enumerate():
        if thread.name.startswith("turnout-batch-"):
            thread.join()
    assert len(drawn) < len(rows)


@on_every_driver
def test_a_field_that_changes_the_answer_is_not_left_out(driver: str, sandbox: Sandbox) -> None:
    def line(name: str, model: str) -> str:
        messages = [{"role": "user", "content": "hello"}]
        body = {"model": model, "messages": messages, "logit_bias": {"50256": -100}}
        return json.dumps({"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body})

    rows = rows_of(line("same", MODEL), line("other", "anthropic/claude-haiku-4-5"))
    summary, written = answer(driver, sandbox, rows)
    assert summary.answered == 1
    assert isinstance(written["same"], Answered)
    failure = written["other"]
    assert isinstance(failure, RowFailure)
    assert failure.code == "invalid-request"
    assert "logit_bias" in failure.message
    assert not failure.temporary
    assert not sandbox.requests_to("anthropic")


@on_every_driver
def test_rows_have_the_priority_of_a_batch(driver: str, sandbox: Sandbox) -> None:
    traces: list[Trace] = []
    answer(driver, sandbox, some_rows(3), policy={"on_trace": traces.append})
    assert [trace.priority for trace in traces] == [6.0] * 3


@on_every_driver
def test_every_row_is_answered(driver: str, sandbox: Sandbox) -> None:
    summary, written = answer(driver, sandbox, some_rows(20), concurrency=4)
    assert (summary.answered, summary.failed, summary.stopped) == (20, {}, "complete")
    assert set(written) == {f"r{number}" for number in range(20)}
    for outcome in written.values():
        assert isinstance(outcome, Answered)
        body = json.loads(outcome.body)
        assert body["object"] == "chat.completion"
        assert body["choices"][0]["message"]["content"]
        assert outcome.model == MODEL
    assert sent(sandbox) == 20
    assert sandbox.peak_in_flight("openai") <= 4


@on_every_driver
def test_concurrency_is_used(driver: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=0.2), forever=True)
    answer(driver, sandbox, some_rows(24), concurrency=8)
    assert sandbox.peak_in_flight("openai") == 8


@pytest.mark.slow
@on_every_driver
def test_connections_are_reused_at_any_concurrency(driver: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=0.02), forever=True)
    answer(driver, sandbox, some_rows(120), concurrency=40)
    assert len({request.connection for request in sandbox.requests_to("openai")}) <= 40


@on_every_driver
def test_a_bad_row_is_a_row(driver: str, sandbox: Sandbox) -> None:
    rows = rows_of(
        input_line("good", "x"),
        input_line("no model", "x", model=None),
        input_line("bad", "x", temperature="hot"),
        json.dumps({"custom_id": "unknown", "url": "/v1/chat/completions", "body": {"model": "nobody/x", "messages": [
            {"role": "user", "content": "x"}]}}),
    )  # fmt: skip
    summary, written = answer(driver, sandbox, rows)
    assert summary.answered == 1
    assert isinstance(written["good"], Answered)
    codes = {name: outcome.code for name, outcome in written.items() if isinstance(outcome, RowFailure)}
    assert codes == {"no model": "invalid-request", "bad": "invalid-request", "unknown": "not-configured"}


@on_every_driver
def test_refusals_are_waited_for(driver: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", *[Fault(status=429, headers={"retry-after-ms": "5"})] * 3)
    summary, written = answer(driver, sandbox, some_rows(6), concurrency=3, policy={"max_retries": 0})
    assert summary.answered == 6
    assert all(isinstance(outcome, Answered) for outcome in written.values())


@on_every_driver
def test_a_failure_of_the_server_is_written_as_temporary(driver: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=500), forever=True)
    policy = {"max_retries": 0, "breaker": None}
    summary, written = answer(driver, sandbox, some_rows(3), policy=policy)
    assert summary.failed == {"server": 3}
    for outcome in written.values():
        assert isinstance(outcome, RowFailure)
        assert (outcome.temporary, outcome.status) == (True, 500)


@on_every_driver
def test_the_highest_cost_stops_it(driver: str, sandbox: Sandbox) -> None:
    policy = {"prices": {MODEL: Price(prompt=1_000_000.0, completion=1_000_000.0)}}  # 1 a token
    summary, written = answer(driver, sandbox, some_rows(50), policy=policy, max_cost=60.0, concurrency=4)
    assert summary.stopped == "max-cost"
    assert 0 < len(written) < 50
    assert summary.cost is not None
    assert summary.cost <= 60.0
    assert summary.cost == pytest.approx(sum(outcome.cost or 0.0 for outcome in written.values()))


@on_every_driver
def test_a_highest_cost_needs_prices(driver: str, sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="price of a model of row 'r0'"):
        answer(driver, sandbox, some_rows(3), max_cost=1.0)
    assert sent(sandbox) == 0


@on_every_driver
def test_limits_of_the_router_hold(driver: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=0.05), forever=True)
    policy = {"limits": {"openai": Limit(max_concurrency=2)}}
    summary, _ = answer(driver, sandbox, some_rows(12), policy=policy, concurrency=6)
    assert summary.answered == 12
    assert sandbox.peak_in_flight("openai") == 2


@on_every_driver
def test_one_model_for_all_rows(driver: str, sandbox: Sandbox) -> None:
    rows = rows_of(json.dumps({"custom_id": "a", "prompt": "Why?"}), input_line("b", "x"))
    models = [ModelConfig("gemini", "gemini-2.5-flash"), ModelConfig("openai", "gpt-4o")]
    _, written = answer(driver, sandbox, rows, models=models)
    assert {outcome.model for outcome in written.values()} == {"gemini/gemini-2.5-flash"}


@on_every_driver
def test_embeddings_and_responses(driver: str, sandbox: Sandbox) -> None:
    rows = rows_of(
        json.dumps({"custom_id": "e", "url": "/v1/embeddings", "body": {
            "model": "openai/text-embedding-3-small", "input": ["a", "b"]}}),
        json.dumps({"custom_id": "r", "url": "/v1/responses", "body": {"model": MODEL, "input": "Why?"}}),
        json.dumps({"custom_id": "m", "url": "/v1/messages", "body": {
            "model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "Why?"}]}}),
    )  # fmt: skip
    _, written = answer(driver, sandbox, rows)
    bodies = {name: json.loads(outcome.body) for name, outcome in written.items() if isinstance(outcome, Answered)}
    assert len(bodies["e"]["data"]) == 2
    assert bodies["r"]["object"] == "response"
    assert bodies["m"]["type"] == "message"


@on_every_driver
def test_stop_lets_calls_in_flight_end(driver: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=0.1), forever=True)
    control = Control()
    seen: list[str] = []

    def write(row: BatchRow, outcome: Outcome) -> None:
        seen.append(row.custom_id)
        control.stop() if len(seen) == 1 else None

    summary, _ = answer(driver, sandbox, some_rows(40), sink=write, concurrency=4, control=control)
    assert summary.stopped == "stopped"
    assert len(seen) == sent(sandbox) < 40, "what was sent is written"


@on_every_driver
@pytest.mark.parametrize("status", [429, 500])
def test_stop_ends_calls_that_wait_between_two_attempts(driver: str, sandbox: Sandbox, status: int) -> None:
    """One row is answered after the stop. The others wait for an hour, with nothing on its way, and are left."""
    hour = Fault(status=status, headers={"retry-after": "3600"})
    sandbox.script("openai", Fault(delay=0.5), *[hour] * 3)
    policy = {"max_retries": 5, "breaker": None, "timeout": 7200.0}
    control = Control(drain=3600.0)

    def stop() -> None:
        sandbox.wait(lambda box: sent(box) >= 2, timeout=3600.0)
        control.stop()

    stopper = threading.Thread(target=stop, daemon=True)
    stopper.start()
    summary, written = answer(driver, sandbox, some_rows(4), policy=policy, concurrency=4, control=control)
    stopper.join()
    assert (summary.stopped, summary.answered, summary.failed) == ("stopped", 1, {})
    assert len(written) == 1, "rows that wait are left for the next run"
    assert sent(sandbox) <= 4


@on_every_driver
def test_stop_ends_calls_that_wait_for_a_slot(driver: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=0.5), forever=True)
    policy = {"limits": {"openai": Limit(max_concurrency=1)}}
    control = Control(drain=3600.0)

    def stop() -> None:
        sandbox.wait(lambda box: box.in_flight("openai") == 1, timeout=3600.0)
        control.stop()

    stopper = threading.Thread(target=stop, daemon=True)
    stopper.start()
    summary, written = answer(driver, sandbox, some_rows(40), policy=policy, concurrency=8, control=control)
    stopper.join()
    assert (summary.stopped, summary.failed) == ("stopped", {})
    assert len(written) == sent(sandbox) <= 2


def test_a_second_stop_leaves_threads_to_themselves() -> None:
    """A blocking call cannot be cancelled; the run does not wait for it."""
    provider = contextlib.ExitStack()
    sandbox = provider.enter_context(Sandbox(token_interval=0.0))
    sandbox.script("openai", Fault(delay=3600.0), forever=True)
    control = Control()
    written: list[str] = []

    def stop_twice() -> None:
        # No bound: on a busy machine the threads start late. The test run has a time limit of its own.
        sandbox.wait(lambda box: box.in_flight("openai") == 3, timeout=3600.0)
        control.stop()
        control.stop()

    stopper = threading.Thread(target=stop_twice)
    with provider, SyncRouter.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0) as router:
        stopper.start()
        summary = run(
            router, some_rows(5), lambda row, outcome: written.append(row.custom_id), concurrency=3, control=control
        )
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("turnout-batch-")]
        assert len(threads) == 3
        provider.close()  # ends the calls
        for thread in (stopper, *threads):
            thread.join()
    assert (summary.stopped, written) == ("stopped", [])


@pytest.mark.parametrize("driver", ["asyncio", "trio"])
def test_a_second_stop_cuts_calls_off(driver: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=0.0), Fault(delay=3600.0), Fault(delay=3600.0))
    control = Control()

    def write(row: BatchRow, outcome: Outcome) -> None:
        control.stop()
        control.stop()

    summary, _ = answer(driver, sandbox, some_rows(5), sink=write, concurrency=3, control=control)
    assert summary.stopped == "stopped"
    assert summary.answered == 1


@on_every_driver
def test_an_error_of_the_sink_ends_the_run(driver: str, sandbox: Sandbox) -> None:
    def full(row: BatchRow, outcome: Outcome) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        answer(driver, sandbox, some_rows(30), sink=full, concurrency=3)
    assert sent(sandbox) <= 6


@on_every_driver
def test_calls_in_flight_are_kept_if_the_rows_end_with_an_error(driver: str, sandbox: Sandbox) -> None:
    """Of an input that is a pipe, a wrong line is found while earlier rows are on their way."""
    sandbox.script("openai", Fault(delay=0.2), forever=True)
    written: list[str] = []

    def rows() -> Iterator[BatchRow]:
        yield from some_rows(3)
        raise BatchInputError("line 4 is not a row")

    with pytest.raises(BatchInputError, match="line 4"):
        answer(driver, sandbox, rows(), sink=lambda row, outcome: written.append(row.custom_id), concurrency=5)
    assert sorted(written) == ["r0", "r1", "r2"]
    assert sent(sandbox) == 3


def test_rows_are_drawn_as_they_are_needed(sandbox: Sandbox) -> None:
    drawn = 0

    def endless() -> Iterator[BatchRow]:
        nonlocal drawn
        while True:
            drawn += 1
            yield from rows_of(input_line(f"r{drawn}", "x"))

    control = Control()
    written: list[str] = []

    def write(row: BatchRow, outcome: Outcome) -> None:
        written.append(row.custom_id)
        if len(written) == 10:
            control.stop()

    with SyncRouter.from_env(environ=sandbox.environ(), dotenv=None) as router:
        run(router, endless(), write, concurrency=3, control=control)
    assert drawn <= len(written) + 3


def test_a_batch_needs_a_worker(sandbox: Sandbox) -> None:
    with SyncRouter(policy=Policy()) as router, pytest.raises(ValueError, match="concurrency"):
        run(router, [], lambda row, outcome: None, concurrency=0)
