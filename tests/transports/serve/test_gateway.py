"""What a client of the gateway sees: answers, streams, errors, headers; in memory, and in virtual time."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import trio

from tests.transports.serve.world import HELLO, Answer, chunks, document, in_memory, world
from turnout.errors import ConnectFailed, Disconnected
from turnout.prices import Price
from turnout.routing.policy.settings import Policy

ALIASES = {"aliases": {"fast": ["openai/gpt-4o-mini", "groq/llama-3.1-8b-instant"]}}


def error_answer(status: int, message: str = "no", code: str | None = None, **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message, "code": code, "type": code}}).encode()
    return Answer([body], status, tuple((name.replace("_", "-"), value) for name, value in headers.items()))


@in_memory
async def test_a_whole_answer() -> None:
    async with world(ALIASES) as w:
        w.upstream.add(document("Hello"))
        reply = await w.client().chat(model="fast", temperature=0, user="ann", verbosity="low")
        assert reply.status == 200
        assert reply.json["choices"][0]["message"]["content"] == "Hello"
        assert reply.json["model"] == "openai/gpt-4o-mini"
        assert reply.headers["x-turnout-model"] == "openai/gpt-4o-mini"
        assert reply.headers["x-turnout-attempts"] == "1"
        assert "x-turnout-ignored" not in reply.headers
        assert w.upstream.bodies[0]["verbosity"] == "low"
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-request-id"] == reply.headers["request-id"]
        assert w.upstream.bodies[0]["model"] == "gpt-4o-mini"
        assert w.upstream.bodies[0]["temperature"] == 0


@in_memory
async def test_fields_of_one_protocol_reach_its_own_providers_only() -> None:
    aliases = {"both": ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]}
    async with world({"aliases": aliases}) as w:
        claude = {"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "usage": {}}
        w.upstream.add(error_answer(503), json.dumps(claude).encode())
        reply = await w.client().chat(model="both", verbosity="low")
        assert reply.status == 200
        assert reply.headers["x-turnout-ignored"] == "verbosity"
        assert w.upstream.bodies[0]["verbosity"] == "low"
        assert "verbosity" not in w.upstream.bodies[1]
        reply = await w.client().chat(model="both", logit_bias={"1": 1})
        assert reply.status == 400
        assert reply.json["error"]["param"] == "logit_bias"
        assert len(w.upstream.requests) == 2
        body = {
            "model": "both", "max_tokens": 9, "messages": HELLO, "context_management": {},
            "thinking": {"type": "disabled"}, "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        }  # fmt: skip
        w.upstream.add(document(), json.dumps(claude).encode())
        reply = await w.client().ask("POST", "/v1/messages", body, {"anthropic-beta": "a-1, b-2"})
        assert set(reply.headers["x-turnout-ignored"].split(", ")) == {
            "context_management",
            "tools.web_search_20250305",
        }
        assert "tools" not in w.upstream.bodies[2]
        body["model"] = "anthropic/claude-haiku-4-5"
        reply = await w.client().ask("POST", "/v1/messages", body, {"anthropic-beta": "a-1, b-2"})
        assert "x-turnout-ignored" not in reply.headers
        assert w.upstream.bodies[3]["tools"] == body["tools"]
        assert w.upstream.bodies[3]["context_management"] == {}
        assert w.upstream.requests[3].headers.get("anthropic-beta") == "a-1,b-2"


@in_memory
async def test_a_stream_begins_with_its_first_token() -> None:
    async with world(ALIASES) as w:
        w.upstream.add(Answer([2.0, chunks("Hel"), 1.0, chunks("lo", finish="stop")]))
        client = w.client()
        started = trio.current_time()
        await client.send("POST", "/v1/chat/completions", {"model": "fast", "messages": HELLO, "stream": True})
        first = await client.receive()
        assert trio.current_time() - started == pytest.approx(2.0)
        assert first.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b'"content":"Hel"' in first
        client.received = first
        reply = await client.read()
        assert reply.text == "Hello"
        assert reply.frames[-1] == "[DONE]"
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["x-accel-buffering"] == "no"
        assert reply.headers["x-turnout-model"] == "openai/gpt-4o-mini"


@in_memory
async def test_a_failure_before_the_first_token_falls_back_unseen() -> None:
    async with world(ALIASES) as w:
        w.upstream.add(error_answer(503), Answer([chunks("Hello", finish="stop")]))
        reply = await w.client().chat(model="fast", stream=True)
        assert reply.status == 200
        assert reply.text == "Hello"
        assert reply.headers["x-turnout-model"] == "groq/llama-3.1-8b-instant"
        assert reply.headers["x-turnout-attempts"] == "2"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("answer", "status", "headers"),
    [
        (error_answer(400, "bad", "bad_thing"), 400, {"x-should-retry": "false"}),
        (error_answer(401, "sk-secret is wrong"), 502, {"x-should-retry": "false"}),
        (error_answer(429, retry_after="7"), 429, {"retry-after": "7", "retry-after-ms": "7000"}),
        (error_answer(429, retry_after="59"), 429, {"retry-after": "59"}),
        (error_answer(429, retry_after_ms="59001"), 429, {"retry-after": "60", "x-should-retry": "false"}),
        (error_answer(429, retry_after="60"), 429, {"retry-after": "60", "x-should-retry": "false"}),
        (error_answer(503, retry_after_ms="1500"), 503, {"retry-after": "2", "retry-after-ms": "1500"}),
        (error_answer(500), 502, {"x-should-retry": "false"}),
        (ConnectFailed("10.0.0.7 refused the connection"), 502, {"x-should-retry": "false"}),
    ],
)
@in_memory
async def test_a_failure_has_its_own_status(answer: Any, status: int, headers: dict[str, str], stream: bool) -> None:
    async with world() as w:
        w.upstream.add(answer)
        reply = await w.client().chat(stream=stream)
        assert reply.status == status
        assert {name: reply.headers.get(name) for name in headers} == headers
        assert ("x-should-retry" in reply.headers) is ("x-should-retry" in headers)
        assert reply.json["error"]["message"]
        assert b"sk-secret" not in reply.body
        assert b"10.0.0.7" not in reply.body


@pytest.mark.parametrize(
    ("headers", "may_retry"),
    [({}, False), ({"retry_after": "1"}, True), ({"retry_after": "60"}, False)],
    ids=["no wait", "a wait", "a long wait"],
)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@in_memory
async def test_what_the_router_has_retried_is_not_retried_without_a_wait(
    path: str, status: int, headers: dict[str, str], may_retry: bool
) -> None:
    async with world({"aliases": {"down": ["openai/gpt-4o-mini"]}}, policy=Policy(max_retries=2)) as w:
        w.upstream.add(*[error_answer(status, **headers)] * 3)
        prompt = {"input": "hello"} if path == "/v1/responses" else {"messages": HELLO, "max_tokens": 5}
        reply = await w.client().ask("POST", path, {"model": "down", **prompt})
        assert reply.status == (529 if status == 503 and path == "/v1/messages" else status)
        if not headers:
            assert reply.headers["x-turnout-attempts"] == "3"
        assert ("x-should-retry" not in reply.headers) is may_retry


@pytest.mark.parametrize("status", [429, 503])
@in_memory
async def test_what_the_router_has_not_retried_can_be_retried(status: int) -> None:
    async with world() as w:
        w.upstream.add(error_answer(status))
        reply = await w.client().chat()
        assert (reply.status, reply.headers["x-turnout-attempts"]) == (status, "1")
        assert "x-should-retry" not in reply.headers


@in_memory
async def test_the_log_names_the_path_of_a_check_of_the_health(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        with caplog.at_level(logging.INFO, "turnout.serve"):
            assert (await w.client().ask("GET", "/health")).status == 200
    assert [record.getMessage().partition(" key=")[0] for record in caplog.records] == ["GET /health 200"]


@in_memory
async def test_the_log_says_why_the_first_model_did_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    aliases = {"fast": ["openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile"]}
    used_up = (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "20s"))
    async with world({"aliases": aliases}) as w:
        w.upstream.add(Answer([document()], headers=used_up), document(), Answer([b"{}"], status=500), document())
        client = w.client()
        with caplog.at_level(logging.INFO, "turnout.serve"):
            for _ in range(2):
                assert (await client.chat(model="fast")).status == 200
            await trio.sleep(30)
            assert (await client.chat(model="fast")).status == 200
    first, second, third = (record.getMessage() for record in caplog.records)
    assert "passed" not in first
    assert 'answered=groq/llama-3.3-70b-versatile attempts=1 passed="openai/gpt-4o-mini: paced"' in second
    assert 'attempts=2 passed="openai/gpt-4o-mini: server"' in third


@in_memory
async def test_the_whole_text_of_an_error_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "turnout.serve"):
        async with world() as w:
            w.upstream.add(ConnectFailed("10.0.0.7 refused the connection"))
            reply = await w.client().chat(headers={"x-request-id": "my-id"})
            assert reply.headers["x-request-id"] == "my-id"
    assert "my-id ConnectFailed: openai/gpt-4o-mini: 10.0.0.7 refused the connection" in caplog.text
    assert "POST /v1/chat/completions 502 key=local model=openai/gpt-4o-mini" in caplog.text
    assert "hello" not in caplog.text


@in_memory
async def test_a_client_writes_no_lines_and_no_escapes_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "turnout.serve"):
        async with world() as w:
            client = w.client()
            await client.chat(model="none\x1b[2J\nPOST /v1/messages 200")
    (message,) = [record.getMessage() for record in caplog.records]
    assert "model=none\\x1b[2J POST /v1/messages 200" in message
    assert message.isprintable()


@in_memory
async def test_messages_has_a_status_of_its_own_for_an_overload() -> None:
    async with world() as w:
        w.upstream.add(error_answer(503))
        body = {"model": "openai/gpt-4o-mini", "max_tokens": 9, "messages": HELLO}
        reply = await w.client().ask("POST", "/v1/messages", body)
        assert reply.status == 529
        assert reply.json["error"]["type"] == "overloaded_error"
        assert reply.json["request_id"] == reply.headers["request-id"]


BROKEN = [
    ("/v1/chat/completions", {"messages": HELLO}),
    ("/v1/messages", {"messages": HELLO, "max_tokens": 9}),
    ("/v1/responses", {"input": "hello"}),
]


@pytest.mark.parametrize(("path", "fields"), BROKEN)
@in_memory
async def test_a_stream_that_breaks_ends_with_an_error(path: str, fields: dict[str, Any]) -> None:
    async with world() as w:
        w.upstream.add(Answer([chunks("Hel"), Disconnected("reset")]))
        body = {"model": "openai/gpt-4o-mini", "stream": True, **fields}
        reply = await w.client().ask("POST", path, body)
        assert reply.status == 200
        assert reply.ended
        last = reply.frames[-1]
        assert "error" in last
        assert last["error"]["message"]
        assert "[DONE]" not in reply.frames


@pytest.mark.parametrize(
    ("path", "fields", "sign"),
    [
        ("/v1/chat/completions", {"messages": HELLO}, b": keep-alive\n\n"),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 9}, b'event: ping\ndata: {"type":"ping"}\n\n'),
        ("/v1/responses", {"input": "hello"}, b": keep-alive\n\n"),
    ],
)
@in_memory
async def test_silence_is_filled(path: str, fields: dict[str, Any], sign: bytes) -> None:
    """A model that thinks for 50 seconds: proxies would close the connection."""
    async with world(policy=Policy(max_retries=0, timeout=300)) as w:
        w.upstream.add(Answer([50.0, chunks("Hello"), 40.0, chunks("!", finish="stop")]))
        client = w.client()
        started = trio.current_time()
        await client.send("POST", path, {"model": "openai/gpt-4o-mini", "stream": True, **fields})
        first = await client.receive()
        assert 15 <= trio.current_time() - started <= 17
        assert first.startswith(b"HTTP/1.1 200 OK")
        assert sign in first
        client.received = first
        reply = await client.read()
        before, _, after = reply.body.partition(b"Hello")
        assert before.count(sign) == 3
        assert after.count(sign) == 2
        assert reply.ended
        # A stream with an id or a retry, and then a comment, breaks openai 3.57.0: findings/openai-stream-fails-on-….
        fields_of_lines = {line.partition(b":")[0] for line in reply.body.split(b"\n")}
        assert fields_of_lines <= {b"", b"data", b"event"}


@in_memory
async def test_an_error_after_an_early_head_is_in_the_stream() -> None:
    async with world(policy=Policy(max_retries=0, timeout=300)) as w:
        w.upstream.add(Answer([20.0, Disconnected("reset")]))
        reply = await w.client().chat(stream=True)
        assert reply.status == 200
        assert reply.frames[0] == ": keep-alive"
        assert reply.frames[-1]["error"]["code"] == "upstream_unreachable"


@pytest.mark.parametrize("stream", [True, False])
@in_memory
async def test_a_client_that_leaves_cancels_its_call(stream: bool) -> None:
    async with world() as w:
        w.upstream.add(Answer([], delay=50.0))
        client = w.client()
        await client.send(
            "POST", "/v1/chat/completions", {"model": "openai/gpt-4o-mini", "messages": HELLO, "stream": stream}
        )
        await trio.testing.wait_all_tasks_blocked()
        assert w.upstream.waiting == 1
        started = trio.current_time()
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert w.upstream.cancelled == 1
        assert w.gateway.state.in_flight == 0
        assert trio.current_time() == started


@in_memory
async def test_a_client_that_leaves_a_stream_closes_the_upstream() -> None:
    async with world() as w:
        w.upstream.add(Answer([chunks("Hel"), 50.0]))
        client = w.client()
        await client.send(
            "POST", "/v1/chat/completions", {"model": "openai/gpt-4o-mini", "messages": HELLO, "stream": True}
        )
        assert await client.receive()
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert [response.closed for response in w.upstream.responses] == [True]
        assert w.gateway.state.in_flight == 0


@in_memory
async def test_a_client_that_does_not_read_stops_the_upstream() -> None:
    """Nothing is read from the provider while a write waits; a write that waits too long ends the call."""
    async with world() as w:
        w.upstream.add(Answer([chunks("x") for _ in range(1000)]))
        client = w.slow_client()
        await client.send(
            "POST", "/v1/chat/completions", {"model": "openai/gpt-4o-mini", "messages": HELLO, "stream": True}
        )
        await trio.testing.wait_all_tasks_blocked()
        assert w.upstream.responses[0].reads <= 2
        await trio.sleep(70)
        assert w.upstream.responses[0].closed
        assert w.upstream.responses[0].reads <= 2
        assert w.gateway.state.connections == 0


@in_memory
async def test_nothing_follows_the_end_of_a_response() -> None:
    """The last write waits for a slow client so long that a sign of life becomes due. It must not be sent any more."""
    async with world() as w:
        w.upstream.add(Answer([chunks("Hello", finish="stop")]), document("second"))
        client = w.slow_client()
        body = {"model": "openai/gpt-4o-mini", "messages": HELLO, "stream": True}
        await client.send("POST", "/v1/chat/completions", body)
        await trio.sleep(30)
        first = await client.read()
        assert first.ended
        assert first.frames[-1] == "[DONE]"
        second = await client.chat()
        assert second.status == 200
        assert second.json["choices"][0]["message"]["content"] == "second"


@in_memory
async def test_requests_follow_each_other_on_one_connection() -> None:
    async with world() as w:
        client = w.client()
        for text in ("one", "two"):
            w.upstream.add(Answer([chunks(text, finish="stop")]))
            assert (await client.chat(stream=True)).text == text
        w.upstream.add(document("three"), document("four"))
        body = {"model": "openai/gpt-4o-mini", "messages": HELLO}
        await client.send("POST", "/v1/chat/completions", body)
        await client.send("POST", "/v1/chat/completions", body)
        assert (await client.read()).json["choices"][0]["message"]["content"] == "three"
        assert (await client.read()).json["choices"][0]["message"]["content"] == "four"


@in_memory
async def test_http_1_0() -> None:
    async with world() as w:
        for stream in (True, False):
            w.upstream.add(Answer([chunks("Hi", finish="stop")]) if stream else document("Hi"))
            client = w.client()
            body = {"model": "openai/gpt-4o-mini", "messages": HELLO, "stream": stream}
            await client.send("POST", "/v1/chat/completions", body, version="1.0")
            reply = await client.read()
            assert "transfer-encoding" not in reply.headers
            assert b"Hi" in reply.body
            assert await client.receive() == b""


@in_memory
async def test_tokens_are_counted_or_estimated() -> None:
    async with world() as w:
        client = w.client()
        w.upstream.add(json.dumps({"input_tokens": 42}).encode())
        body = {"model": "anthropic/claude-sonnet-4-5", "messages": HELLO}
        reply = await client.ask("POST", "/v1/messages/count_tokens", body)
        assert reply.json == {"input_tokens": 42}
        assert "x-turnout-estimate" not in reply.headers
        reply = await client.ask("POST", "/v1/messages/count_tokens", {**body, "model": "groq/llama-3.1-8b-instant"})
        assert reply.json["input_tokens"] > 0
        assert reply.headers["x-turnout-estimate"] == "true"


@in_memory
async def test_embeddings() -> None:
    async with world({"aliases": {"e": {"models": ["openai/e", "groq/e"], "family": "e"}}}) as w:
        vectors = {"data": [{"index": 0, "embedding": [0.5, 0.25]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        w.upstream.add(error_answer(500), json.dumps(vectors).encode())
        reply = await w.client().ask("POST", "/v1/embeddings", {"model": "openai/e", "input": "x"})
        assert reply.status == 502
        reply = await w.client().ask("POST", "/v1/embeddings", {"model": "openai/e", "input": "x"})
        assert reply.json["data"][0]["embedding"] == [0.5, 0.25]
        assert reply.headers["x-turnout-model"] == "openai/e"


@in_memory
async def test_the_cost_of_all_attempts_is_reported() -> None:
    prices = {"openai/gpt-4o-mini": Price(prompt=1e6, completion=2e6)}
    async with world(policy=Policy(max_retries=0, prices=prices)) as w:
        w.upstream.add(document())
        reply = await w.client().chat()
        assert reply.headers["x-turnout-cost"] == "7"
        assert reply.json["usage"]["cost"] == 7
        w.upstream.add(Answer([chunks("Hi", finish="stop")]))
        reply = await w.client().chat(stream=True, stream_options={"include_usage": True})
        assert reply.frames[-2]["usage"]["cost"] == 7
        text = w.gateway.endpoints.metrics_text().decode()
        assert 'turnout_gateway_cost_total{key="local"} 14' in text
        assert 'turnout_gateway_tokens_total{kind="prompt",key="local"} 6' in text
        assert 'turnout_gateway_requests_total{path="/chat/completions",status="200",key="local"} 2' in text
        assert 'turnout_attempts_total{provider="openai",model="gpt-4o-mini"} 2' in text
        assert "turnout_gateway_first_content_seconds_count 1" in text
