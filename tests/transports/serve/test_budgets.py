"""Budgets of keys: for how much money a key may call."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from tests.transports.serve.test_keys import AUTHORIZED, with_key
from tests.transports.serve.world import HELLO, Answer, chunks, document, in_memory, world
from turnout.chat import ModelConfig
from turnout.config.values import SettingsError
from turnout.errors import Disconnected
from turnout.prices import Price
from turnout.routing import Budget
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy
from turnout.serving import RequestRejected
from turnout_io.serve import KeySettings
from turnout_io.serve.budget_file import BudgetFile
from turnout_io.serve.keys import Client

PRICES = {"openai/gpt-4o-mini": Price(prompt=1e6, completion=1e6)}  # one unit of money a token


@in_memory
async def test_a_budget() -> None:
    budget = {"amount": 30, "per": "day"}
    async with world(with_key(budget=budget), policy=Policy(max_retries=0, prices=PRICES)) as w:
        client = w.client()
        w.upstream.add(*[document()] * 3)
        for _ in range(2):
            reply = await client.chat(model="fast", max_tokens=10, headers=AUTHORIZED)
            assert reply.status == 200
            assert reply.headers["x-turnout-cost"] == "5"
        # 20 are left, and the answer may cost more.
        reply = await client.chat(model="fast", max_tokens=25, headers=AUTHORIZED)
        assert reply.status == 429
        assert reply.json["error"]["code"] == "insufficient_quota"
        assert (
            "this call can cost 31, and in the budget of this key 20 of 30 per day is left"
            in reply.json["error"]["message"]
        )
        assert reply.headers["x-should-retry"] == "false"
        assert (await client.chat(model="fast", max_tokens=10, headers=AUTHORIZED)).status == 200


BOTH = {"aliases": {"both": ["openai/gpt-4o", "openai/gpt-4o-mini"]}}
BOTH_PRICES = {**PRICES, "openai/gpt-4o": Price(prompt=1e7, completion=1e7)}  # 160 for a call, and 16 for the cheap one


@pytest.mark.parametrize("stream", [False, True])
@in_memory
async def test_a_budget_that_is_too_small_for_the_dearest_model_leaves_the_others(stream: bool) -> None:
    settings = {**with_key(budget={"amount": 30}), **BOTH}
    async with world(settings, policy=Policy(max_retries=0, prices=BOTH_PRICES)) as w:
        w.upstream.add(chunks("Hello", finish="stop") if stream else document())
        reply = await w.client().chat(model="both", max_tokens=10, stream=stream, headers=AUTHORIZED)
        assert (reply.status, reply.headers["x-turnout-model"]) == (200, "openai/gpt-4o-mini")
        assert [body["model"] for body in w.upstream.bodies] == ["gpt-4o-mini"]
        reply = await w.client().chat(model="both", max_tokens=30, headers=AUTHORIZED)
        assert reply.status == 429
        assert "this call can cost 36 or more" in reply.json["error"]["message"]


@in_memory
async def test_a_budget_with_room_for_the_dearest_model_excludes_none() -> None:
    settings = {**with_key(budget={"amount": 200}), **BOTH}
    async with world(settings, policy=Policy(max_retries=0, prices=BOTH_PRICES)) as w:
        w.upstream.add(Answer([document()], delay=5.0), document())
        first = w.client()
        body = {"model": "both", "messages": HELLO, "max_tokens": 10}
        await first.send("POST", "/v1/chat/completions", body, AUTHORIZED)
        await trio.testing.wait_all_tasks_blocked()
        # The first call has reserved 160.
        second = await w.client().chat(model="both", max_tokens=10, headers=AUTHORIZED)
        assert second.headers["x-turnout-model"] == "openai/gpt-4o-mini"
        assert (await first.read()).headers["x-turnout-model"] == "openai/gpt-4o"


@in_memory
async def test_a_fallback_within_a_small_budget_costs_no_more_than_is_left() -> None:
    settings = {**with_key(budget={"amount": 30}), "aliases": {"both": [*BOTH["aliases"]["both"], "groq/llama-3"]}}
    prices = {**BOTH_PRICES, "groq/llama-3": Price(prompt=1e6, completion=1e6)}
    async with world(settings, policy=Policy(max_retries=0, prices=prices)) as w:
        # The answer was billed, and is no answer: nothing is left for the next candidate.
        w.upstream.add(Answer([b"{", Disconnected("gone")]), document())
        reply = await w.client().chat(model="both", max_tokens=10, headers=AUTHORIZED)
        assert reply.status >= 400
        assert len(w.upstream.requests) == 1


@in_memory
async def test_a_choice_of_a_route_with_longer_answers_reserves_them() -> None:
    choices = [ModelConfig("openai", "gpt-4o-mini", max_tokens=5), ModelConfig("openai", "gpt-4o-mini", max_tokens=500)]
    settings = {**with_key(budget={"amount": 100}), "aliases": {"both": "route/both"}}
    policy = Policy(max_retries=0, prices=PRICES)
    async with world(settings, policy=policy, routes=[Route("both", choices)]) as w:
        w.upstream.add(Answer([b"no"], 500), document())
        reply = await w.client().chat(model="both", headers=AUTHORIZED)
        assert reply.status >= 400
        assert [body["max_completion_tokens"] for body in w.upstream.bodies] == [5]


@in_memory
async def test_a_stream_that_is_left_counts_its_reservation_no_more() -> None:
    budget = {"amount": 40, "per": "month"}  # 26 are reserved for a call, and the part that arrived costs 7
    async with world(with_key(budget=budget), policy=Policy(max_retries=0, prices=PRICES)) as w:
        w.upstream.add(Answer([chunks("Hel"), 50.0]), document())
        client = w.client()
        body = {"model": "fast", "messages": HELLO, "stream": True, "max_tokens": 20}
        await client.send("POST", "/v1/chat/completions", body, AUTHORIZED)
        assert await client.receive()
        assert (await w.client().chat(model="fast", max_tokens=20, headers=AUTHORIZED)).status == 429
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert (await w.client().chat(model="fast", max_tokens=20, headers=AUTHORIZED)).status == 200


@in_memory
async def test_the_metrics_have_the_budgets_of_keys() -> None:
    settings = with_key(budget={"amount": 40, "per": "day"}, metrics=True)
    settings["keys"].append({"name": "other", "key": "secret of the other"})
    async with world(settings, policy=Policy(max_retries=0, prices=PRICES)) as w:
        w.upstream.add(document(), Answer([document()], delay=9.0))
        assert (await w.client().chat(model="fast", max_tokens=10, headers=AUTHORIZED)).status == 200
        body = {"model": "fast", "messages": HELLO, "max_tokens": 10}
        await w.client().send("POST", "/v1/chat/completions", body, AUTHORIZED)
        await trio.testing.wait_all_tasks_blocked()
        text = (await w.client().ask("GET", "/metrics", headers=AUTHORIZED)).body.decode()
        samples = [line for line in text.splitlines() if line.startswith("turnout_gateway_budget_")]
        assert samples == [
            'turnout_gateway_budget_amount{key="team",per="day"} 40',
            'turnout_gateway_budget_spent{key="team",per="day"} 5',
            'turnout_gateway_budget_reserved{key="team",per="day"} 16',
        ]
        assert "secret" not in text
    async with world(with_key(metrics=True)) as w:
        assert b"budget" not in (await w.client().ask("GET", "/metrics", headers=AUTHORIZED)).body


# -- the parts -------------------------------------------------------------------------------------------------------

NOON = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC).timestamp()
DAY = 86_400.0


def client_of(per: str = "month", amount: float = 10.0, name: str = "team") -> Client:
    budget = Budget(amount, per="day" if per == "day" else "month")
    return Client(name, None, KeySettings(name=name, digest=b"", budget=budget))


def spent(client: Client, wall: float) -> float:
    assert client.account is not None
    return client.account.status(wall).spent


@in_memory
async def test_a_model_without_a_price_does_not_pass_a_budget() -> None:
    async with world(with_key(budget={"amount": 30}), policy=Policy(max_retries=0)) as w:
        reply = await w.client().chat(model="fast", max_tokens=10, headers=AUTHORIZED)
        assert reply.status == 403
        assert reply.json["error"]["code"] == "no_price"
        assert "openai/gpt-4o-mini has no price" in reply.json["error"]["message"]


@pytest.mark.parametrize(("per", "days"), [("day", 1), ("month", 1)])
def test_a_budget_begins_anew_in_its_next_period(per: str, days: int) -> None:
    client = client_of(per)
    client.admit(0, [8.0], 0.0, NOON).settle(5, 8.0, 0.0)
    with pytest.raises(RequestRejected):
        client.admit(0, [5.0], 0.0, NOON)
    client.admit(0, [5.0], 0.0, NOON + days * DAY)


def test_a_reservation_counts_until_it_is_settled() -> None:
    client = client_of()
    first = client.admit(0, [8.0], 0.0, NOON)
    with pytest.raises(RequestRejected):
        client.admit(0, [5.0], 0.0, NOON)
    assert first.settle(5, 1.0, 0.0) == 1.0
    assert first.settle(5, 1.0, 0.0) == 0.0
    client.admit(0, [5.0], 0.0, NOON)
    assert spent(client, NOON) == 1.0


def test_a_budget_that_is_used_up_says_so() -> None:
    client = client_of()
    client.admit(0, [10.0], 0.0, NOON).settle(5, 10.0, 0.0)
    with pytest.raises(RequestRejected, match="the budget of this key is used up: 10 per month"):
        client.admit(0, [1.0], 0.0, NOON)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_does_not_end_the_gateway(caplog: pytest.LogCaptureFixture) -> None:
    file = BudgetFile(Path("/dev/full"), open("/dev/full", "a"))  # noqa: SIM115 - the budget file closes it
    client = client_of()
    for _ in range(3):
        file.add(client, 1.0, NOON)
    file.sync()
    file.close()
    assert [record.getMessage() for record in caplog.records] == [
        "serve.budgetFile: /dev/full cannot be written, so a restart forgets: No space left on device"
    ]


def test_the_budget_file_remembers(tmp_path: Path) -> None:
    path = tmp_path / "budget.jsonl"
    client = client_of()
    file = BudgetFile.open(path, (client,), NOON)
    for amount in (1.0, 2.5):
        file.add(client, amount, NOON)
    file.close()
    with path.open("a") as broken:
        broken.write('{"key": "team", "per')
    again = client_of()
    BudgetFile.open(path, (again,), NOON).close()
    assert spent(again, NOON) == 3.5
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"key": "team", "period": "2026-11", "amount": 3.5}
    ]
    later, other = client_of(), client_of(name="other")
    BudgetFile.open(path, (later, other), NOON + DAY).close()
    assert spent(later, NOON + DAY) == 0
    assert spent(other, NOON + DAY) == 0


@in_memory
async def test_a_call_that_outlives_its_month_is_paid_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = [NOON]
    monkeypatch.setattr("turnout_io.serve.accounts.time", SimpleNamespace(time=lambda: wall[0]))
    path = tmp_path / "budget.jsonl"
    settings = {**with_key(budget={"amount": 100}), "budgetFile": str(path)}
    async with world(settings, policy=Policy(max_retries=0, prices=PRICES)) as w:
        w.upstream.add(Answer([document()], delay=5.0))
        client = w.client()
        body = {"model": "fast", "messages": HELLO, "max_tokens": 10}
        await client.send("POST", "/v1/chat/completions", body, AUTHORIZED)
        await trio.testing.wait_all_tasks_blocked()
        wall[0] = NOON + DAY
        assert (await client.read()).status == 200
    (line,) = path.read_text().splitlines()
    assert json.loads(line) == {"key": "team", "period": "2026-11", "amount": 5.0}


def test_a_budget_file_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(SettingsError, match=f"serve.budgetFile: .*: the folder {folder} does not exist"):
        BudgetFile.open(folder / "x", (), NOON)
    with pytest.raises(SettingsError, match=r"serve\.budgetFile: .* cannot be used: Is a directory"):
        BudgetFile.open(tmp_path, (), NOON)


def test_a_budget_file_belongs_to_one_gateway(tmp_path: Path) -> None:
    path = tmp_path / "budget.jsonl"
    client = client_of()
    file = BudgetFile.open(path, (client,), NOON)
    file.add(client, 1.0, NOON)
    before = path.read_bytes()
    with pytest.raises(SettingsError, match=r"serve\.budgetFile: another gateway \((another )?process.*budget\.jsonl"):
        BudgetFile.open(path, (client_of(),), NOON)
    assert path.read_bytes() == before
    file.close()
    BudgetFile.open(path, (client_of(),), NOON).close()


def test_a_wrong_budget_file_is_left_unlocked(tmp_path: Path) -> None:
    path = tmp_path / "budget.jsonl"
    path.write_text("no JSON\n")
    for _ in range(2):
        with pytest.raises(SettingsError, match="line 1"):
            BudgetFile.open(path, (), NOON)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "this is not JSON: Expecting value"),
        (b"no JSON", "this is not JSON: Expecting value"),
        (b"\xff", "this is not UTF-8; save the file in UTF-8"),
        (b"[" * 100_000, "the values are nested too deeply"),
        (b'{"key": "team", "period": "2026-11", "amount": ' + b"9" * 5_000 + b"}", "this is not JSON that can be read"),
        *(
            (b'{"key": "team", "period": "2026-11", "amount": ' + amount + b"}", "a line such as")
            for amount in (b"NaN", b"1e999", b"-1", b"true", b'"1"', b"9" * 400, b"null")
        ),
        (b'{"key": 5, "period": "2026-11", "amount": 1}', "a line such as"),
        (b'{"key": "team", "amount": 1}', "a line such as"),
        (b"5", "a line such as"),
    ],
    ids=lambda given: repr(given)[:30],
)
def test_a_wrong_line_of_the_budget_file_is_named(line: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "budget.jsonl"
    good = b'{"key": "team", "period": "2026-11", "amount": 1}\n'
    path.write_bytes(good + line + b"\n" + good)
    with pytest.raises(SettingsError) as caught:
        BudgetFile.open(path, (client_of(),), NOON)
    assert str(caught.value).startswith(f"serve.budgetFile: {path}, line 2: {problem}")
    assert path.read_bytes() == good + line + b"\n" + good
