"""Keys: who may call, which models, how often, and for how much money."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

import pytest
import trio

from tests.transports.serve.world import HELLO, Answer, chunks, document, in_memory, world
from turnout.config.values import SettingsError
from turnout.http import Headers
from turnout.routing.policy.routes import Route
from turnout.serving import RequestRejected
from turnout.trace import Trace
from turnout_io.serve import KeySettings, read_gateway_settings
from turnout_io.serve.keys import Keyring

AUTHORIZED = {"Authorization": "Bearer secret"}


def with_key(**fields: Any) -> dict[str, Any]:
    aliases = {"fast": ["openai/gpt-4o-mini"], "slow": ["openai/gpt-4o"]}
    return {"aliases": aliases, "keys": [{"name": "team", "key": "secret", **fields}]}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic secret"}, 401),
        ({"x-api-key": ""}, 401),
        ({"Authorization": "Bearer secret"}, 200),
        ({"Authorization": "bearer  secret "}, 200),
        ({"x-api-key": "secret"}, 200),
        ({"api-key": "secret"}, 200),
    ],
)
@in_memory
async def test_a_key_is_required(headers: dict[str, str], status: int) -> None:
    async with world(with_key()) as w:
        w.upstream.add(document())
        client = w.client()
        reply = await client.chat(model="fast", headers=headers)
        assert reply.status == status
        assert len(w.upstream.requests) == (status == 200)
        if status == 401:
            assert reply.json["error"]["code"] == "invalid_api_key"
            assert reply.headers["www-authenticate"] == "Bearer"
        assert (await client.ask("GET", "/health")).status == 200
        assert (await client.ask("GET", "/metrics", headers=headers)).status == (403 if status == 200 else status)


@in_memory
async def test_metrics_are_for_keys_with_this_right() -> None:
    settings = with_key(budget={"amount": 7})
    settings["keys"].append({"name": "prometheus", "key": "another secret", "models": [], "metrics": True})
    async with world(settings) as w:
        client = w.client()
        reply = await client.ask("GET", "/metrics", headers=AUTHORIZED)
        assert (reply.status, reply.json["error"]["code"]) == (403, "metrics_not_allowed")
        assert "metrics: true" in reply.json["error"]["message"]
        assert "budget" not in reply.body.decode()
        reply = await client.ask("GET", "/metrics", headers={"x-api-key": "another secret"})
        assert reply.status == 200
        assert 'turnout_gateway_budget_amount{key="team"' in reply.body.decode()
        assert (await client.chat(model="fast", headers={"x-api-key": "another secret"})).status == 403


@pytest.mark.parametrize("value", ["yes", 1, []])
def test_the_right_to_metrics_is_true_or_false(value: object) -> None:
    with pytest.raises(SettingsError, match=r"serve\.keys\[0\]\.metrics: true or false was expected"):
        read_gateway_settings(with_key(metrics=value))


@in_memory
async def test_a_client_without_a_key_is_rejected_before_its_body() -> None:
    async with world(with_key()) as w:
        client = w.client()
        head = b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
        await client.stream.send_all(head)
        reply = await client.read()
        assert reply.status == 401
        assert reply.json["error"]["type"] == "authentication_error"
        assert await client.receive() == b""


@pytest.mark.parametrize(
    ("models", "allow", "name", "status"),
    [
        (None, None, "fast", 200),
        (None, None, "route/smart", 200),
        (None, None, "openai/gpt-4o", 403),
        (None, "any", "openai/gpt-4o", 200),
        (["fast"], None, "fast", 200),
        (["fast"], "any", "slow", 403),
        (["fast"], None, "route/smart", 403),
        (["route/*"], None, "route/smart", 200),
        (["openai/*"], None, "openai/gpt-4o", 200),
        (["openai/*"], None, "groq/llama", 403),
        ("*", None, "groq/llama", 200),
    ],
)
@in_memory
async def test_the_models_of_a_key(models: Any, allow: str | None, name: str, status: int) -> None:
    settings = {**with_key(**({"models": models} if models else {})), **({"allow": allow} if allow else {})}
    async with world(settings, routes=[Route("smart", ["openai/gpt-4o"])]) as w:
        w.upstream.add(document())
        client = w.client()
        reply = await client.chat(model=name, headers=AUTHORIZED)
        assert reply.status == status
        if status == 403:
            assert reply.json["error"]["code"] == "model_not_allowed"
            assert not w.upstream.requests
        listed = {model["id"] for model in (await client.ask("GET", "/v1/models", headers=AUTHORIZED)).json["data"]}
        if "*" not in name and "/" not in name:
            assert (name in listed) is (status == 200)


@pytest.mark.parametrize(("fields", "number"), [({}, 0.0), ({"priority": "batch"}, 6.0), ({"priority": 2}, 2.0)])
@in_memory
async def test_the_calls_of_a_key_have_its_priority(fields: dict[str, Any], number: float) -> None:
    async with world(with_key(**fields)) as w:
        traces: list[Trace] = []
        w.gateway.router._on_trace = traces.append
        w.upstream.add(document(), chunks("Hello"))
        client = w.client()
        await client.chat(model="fast", headers=AUTHORIZED)
        await client.chat(model="fast", headers=AUTHORIZED, stream=True)
        assert [trace.priority for trace in traces] == [number, number]


@in_memory
async def test_requests_per_minute() -> None:
    async with world(with_key(requestsPerMinute=2)) as w:
        client = w.client()
        w.upstream.add(*[document()] * 4)
        for left in ("1", "0"):
            assert (await client.ask("GET", "/v1/models", headers=AUTHORIZED)).status == 200
            assert (await client.chat(model="none", headers=AUTHORIZED)).status == 404
            reply = await client.chat(model="fast", headers=AUTHORIZED)
            assert reply.status == 200
            assert reply.headers["x-ratelimit-limit-requests"] == "2"
            assert reply.headers["x-ratelimit-remaining-requests"] == left
        reply = await client.chat(model="fast", headers=AUTHORIZED)
        assert reply.status == 429
        assert reply.json["error"]["code"] == "rate_limit_exceeded"
        # A whole minute: SDKs would sleep it inside the call.
        assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("60", "false")
        await trio.sleep(2)
        reply = await client.chat(model="fast", headers=AUTHORIZED)
        assert reply.headers["retry-after"] == "58"
        assert "x-should-retry" not in reply.headers
        await trio.sleep(58)
        assert (await client.chat(model="fast", headers=AUTHORIZED)).status == 200


@in_memory
async def test_tokens_per_minute_are_corrected_by_what_was_used() -> None:
    async with world(with_key(tokensPerMinute=150)) as w:
        client = w.client()
        w.upstream.add(*[document()] * 9)
        for _ in range(5):  # each is taken for about 106 tokens at first, and uses 5
            assert (await client.chat(model="fast", max_tokens=100, headers=AUTHORIZED)).status == 200
        assert (await client.chat(model="fast", max_tokens=140, headers=AUTHORIZED)).status == 429


@in_memory
async def test_calls_at_the_same_time() -> None:
    async with world(with_key(maxConcurrency=1)) as w:
        w.upstream.add(Answer([document()], delay=5.0), document())
        first, second = w.client(), w.client()
        await first.send("POST", "/v1/chat/completions", {"model": "fast", "messages": HELLO}, AUTHORIZED)
        await trio.testing.wait_all_tasks_blocked()
        assert (await second.chat(model="fast", headers=AUTHORIZED)).status == 429
        assert (await first.read()).status == 200
        assert (await second.chat(model="fast", headers=AUTHORIZED)).status == 200


@in_memory
async def test_calls_of_all_clients_at_the_same_time() -> None:
    async with world({"maxInFlight": 1}) as w:
        w.upstream.add(Answer([document()], delay=5.0))
        first, second = w.client(), w.client()
        await first.send("POST", "/v1/chat/completions", {"model": "openai/gpt-4o", "messages": HELLO})
        await trio.testing.wait_all_tasks_blocked()
        reply = await second.chat()
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        assert (await first.read()).status == 200
        assert w.gateway.state.in_flight == 0


@pytest.mark.parametrize(("limit", "bound", "status"), [("requestsPerMinute", 2, 429), ("maxConcurrency", 1, 429)])
@in_memory
async def test_a_count_of_tokens_is_a_request(limit: str, bound: int, status: int) -> None:
    """It is one to the provider, too."""
    settings = with_key(**{limit: bound})
    settings["aliases"]["claude"] = ["anthropic/claude-sonnet-4-5"]
    async with world(settings) as w:
        count = json.dumps({"input_tokens": 42}).encode()
        w.upstream.add(count, Answer([count], delay=2.0))
        body = {"model": "claude", "messages": HELLO}
        path = "/v1/messages/count_tokens"
        assert (await w.client().ask("POST", path, body, AUTHORIZED)).json == {"input_tokens": 42}
        running = w.client()
        await running.send("POST", path, body, AUTHORIZED)
        await trio.testing.wait_all_tasks_blocked()
        reply = await w.client().ask("POST", path, body, AUTHORIZED)
        assert reply.status == status
        assert reply.json["error"]["type"] == "rate_limit_error"
        assert reply.headers["retry-after"]
        assert (await running.read()).status == 200
        assert w.gateway.state.in_flight == 0


@in_memory
async def test_a_count_of_tokens_uses_no_tokens_and_no_money() -> None:
    settings = with_key(tokensPerMinute=10, budget={"amount": 30})
    settings["aliases"]["claude"] = ["anthropic/claude-sonnet-4-5"]
    async with world(settings) as w:
        w.upstream.add(*[json.dumps({"input_tokens": 5000}).encode()] * 3)
        body = {"model": "claude", "messages": [{"role": "user", "content": "word " * 500}]}
        for _ in range(3):
            reply = await w.client().ask("POST", "/v1/messages/count_tokens", body, AUTHORIZED)
            assert reply.json == {"input_tokens": 5000}
            assert reply.headers["x-ratelimit-remaining-tokens"] == "10"


@in_memory
async def test_counts_of_tokens_have_the_bound_of_all_clients() -> None:
    async with world({"maxInFlight": 1}) as w:
        w.upstream.add(Answer([document()], delay=5.0))
        first = w.client()
        await first.send("POST", "/v1/chat/completions", {"model": "openai/gpt-4o", "messages": HELLO})
        await trio.testing.wait_all_tasks_blocked()
        body = {"model": "anthropic/claude-sonnet-4-5", "messages": HELLO}
        assert (await w.client().ask("POST", "/v1/messages/count_tokens", body)).status == 529


@pytest.mark.parametrize("bound", ["requestsPerMinute", "tokensPerMinute", "maxConcurrency"])
@in_memory
async def test_the_log_names_the_bound_that_a_call_reached(bound: str, caplog: pytest.LogCaptureFixture) -> None:
    async with world(with_key(**{bound: 1})) as w:
        w.upstream.add(Answer([document()], delay=5.0))
        body = {"model": "fast", "messages": HELLO, "max_tokens": 10}
        with caplog.at_level(logging.INFO, "turnout.serve"):
            await w.client().send("POST", "/v1/chat/completions", body, AUTHORIZED)
            await trio.testing.wait_all_tasks_blocked()
            assert (await w.client().chat(model="fast", max_tokens=10, headers=AUTHORIZED)).status == 429
        assert f"429 key=team model=fast error=rate_limit_exceeded bound={bound} " in caplog.text


def test_a_key_is_found_by_its_digest_alone() -> None:
    key = KeySettings(name="team", digest=hashlib.sha256("gehéim".encode()).digest())
    keyring = Keyring.of([key])
    assert keyring.authenticate(Headers([("authorization", "Bearer gehéim")])).name == "team"
    assert "digest" not in repr(key)


@pytest.mark.parametrize("sent", [[], [("authorization", "Bearer ")], [("x-api-key", " ")]])
def test_the_digest_of_no_key_lets_nobody_in(sent: list[tuple[str, str]]) -> None:
    keyring = Keyring.of([KeySettings(name="team", digest=hashlib.sha256(b"").digest())])
    with pytest.raises(RequestRejected, match="a key is required"):
        keyring.authenticate(Headers(sent))
