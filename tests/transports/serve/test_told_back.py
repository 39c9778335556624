"""What the gateway tells beside an answer: headers, the log, and the word of a provider in the client's protocol."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import trio

from tests.transports.serve.world import HELLO, Answer, chunks, document, in_memory, sse, world
from turnout.routing.policy.settings import BreakerPolicy, Policy

CHAT = {"model": "openai/gpt-4o-mini", "messages": HELLO}


@pytest.mark.parametrize("stream", [False, True])
@in_memory
async def test_who_answered(stream: bool) -> None:
    served = {"model": "gpt-4o-mini-2024-07-18"}
    frame = {**served, "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    body = sse(frame) + chunks(finish="stop") if stream else json.dumps({**served, **json.loads(document())}).encode()
    async with world({"aliases": {"fast": ["groq/llama-3.1-8b-instant", "openai/gpt-4o-mini"]}}) as w:
        w.upstream.add(Answer([b"{}"], status=500), Answer([body], headers=(("x-request-id", "req_up"),)))
        reply = await w.client().chat(model="fast", stream=stream)
        told = {name.removeprefix("x-turnout-"): reply.headers.get(name) for name in reply.headers if "turnout" in name}
        assert told == {
            "model": "openai/gpt-4o-mini",
            "attempts": "2",
            "upstream-request-id": "req_up",
            "served-model": "gpt-4o-mini-2024-07-18",
        }


@in_memory
async def test_the_head_of_a_stream_leaves_with_its_first_event() -> None:
    async with world() as w:
        w.upstream.add(Answer([5.0, chunks("Hel"), 5.0, chunks("lo", finish="stop")]))
        client = w.client()
        await client.send("POST", "/v1/chat/completions", {**CHAT, "stream": True})
        first = await client.receive()
        assert first.startswith(b"HTTP/1.1 200 OK")
        assert b"Hel" in first
        second = await client.receive()
        assert b"lo" in second
        assert second.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("stream", [False, True])
@in_memory
async def test_a_client_that_left_is_499_in_the_log(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "turnout.serve"):
        async with world() as w:
            w.upstream.add(Answer([chunks("Hel"), 50.0]) if stream else Answer([], delay=50.0))
            client = w.client()
            await client.send("POST", "/v1/chat/completions", {**CHAT, "stream": stream})
            await trio.testing.wait_all_tasks_blocked()
            await client.aclose()
            await trio.testing.wait_all_tasks_blocked()
            text = w.gateway.endpoints.metrics_text().decode()
    assert "POST /v1/chat/completions 499 key=local" in caplog.text
    assert 'turnout_gateway_requests_total{path="/chat/completions",status="499",key="local"} 1' in text


@in_memory
async def test_connections_have_a_bound() -> None:
    async with world({"maxConnections": 2}) as w:
        first, second, third = w.client(), w.client(), w.client()
        for client in (first, second):
            assert (await client.ask("GET", "/health")).status == 200
        reply = await third.chat()
        assert (reply.status, reply.headers["retry-after"], reply.headers["connection"]) == (503, "1", "close")
        assert "serve.maxConnections" in reply.json["error"]["message"]
        assert await third.receive() == b""
        reply = await w.client().ask("POST", "/v1/messages", {"model": "fast"})
        assert (reply.status, reply.json["error"]["type"]) == (529, "overloaded_error")
        assert (await w.client().ask("GET", "/v1/models")).status == 503
        health = await w.client().ask("GET", "/health")
        assert (health.status, health.headers["connection"]) == (200, "close")
        text = w.gateway.endpoints.metrics_text().decode()
        assert 'turnout_gateway_requests_total{path="refused",status="503",key="-"} 4' in text
        await first.aclose()
        await trio.testing.wait_all_tasks_blocked()
        w.upstream.add(document())
        assert (await w.client().chat()).status == 200


@in_memory
async def test_a_connection_above_the_bound_is_not_held_for_long() -> None:
    async with world({"maxConnections": 1}) as w:
        first, silent, slow = w.client(), w.client(), w.client()
        assert (await first.ask("GET", "/health")).status == 200
        await slow.stream.send_all(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n{")
        started = trio.current_time()
        assert (await slow.read()).status == 503, "the body is not waited for"
        assert await silent.receive() == b""
        assert trio.current_time() - started <= 6


@in_memory
async def test_connections_far_above_the_bound_are_closed() -> None:
    async with world({"maxConnections": 1}) as w:
        clients = [w.client() for _ in range(80)]
        await trio.testing.wait_all_tasks_blocked()
        ended = 0
        for client in clients:
            with trio.move_on_after(0.001):
                ended += await client.receive() == b""
        assert ended == 80 - 1 - 64


@in_memory
async def test_a_long_prompt_is_told_in_the_words_that_clients_look_for() -> None:
    error = {
        "error": {"message": "too many tokens", "code": "context_length_exceeded", "type": "invalid_request_error"}
    }
    async with world() as w:
        w.upstream.add(*[Answer([json.dumps(error).encode()], status=400)] * 2)
        body = {"model": "openai/gpt-4o-mini", "max_tokens": 9, "messages": HELLO}
        reply = await w.client().ask("POST", "/v1/messages", body)
        assert reply.status == 400
        assert reply.json["error"]["message"].startswith("prompt is too long")
        reply = await w.client().chat()
        assert reply.json["error"]["code"] == "context_length_exceeded"


@in_memory
async def test_a_gateway_without_a_configured_provider_is_not_ready() -> None:
    async with world({"aliases": {"fast": ["gemini/gemini-2.5-flash"]}}) as w:
        assert (await w.client().ask("GET", "/ready")).status == 200
        w.gateway.stop()
    async with world() as w:
        for name in ("openai", "groq", "anthropic", "gemini"):
            w.gateway.router._core.unregister(name)
        assert (await w.client().ask("GET", "/ready")).status == 503


PARALLEL = [
    {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":'}},
    {"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": '{"b":'}},
    {"index": 0, "function": {"arguments": "1}"}},
    {"index": 1, "function": {"arguments": "2}"}},
]
TOOLS: dict[str, Any] = {
    "/v1/messages": {
        "max_tokens": 9,
        "messages": HELLO,
        "tools": [{"name": name, "input_schema": {"type": "object"}} for name in "fg"],
    },
    "/v1/responses": {"input": "hello", "tools": [{"type": "function", "name": name} for name in "fg"]},
}


@pytest.mark.parametrize("path", TOOLS)
@in_memory
async def test_calls_that_alternate_arrive_whole(path: str) -> None:
    """The provider writes two calls at once; the client's protocol allows one open block."""
    frames = [{"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]} for piece in PARALLEL]
    async with world() as w:
        w.upstream.add(Answer([sse(frame) for frame in frames] + [chunks(finish="tool_calls")]))
        body = {"model": "openai/gpt-4o-mini", "stream": True, **TOOLS[path]}
        reply = await w.client().ask("POST", path, body)
        found: dict[int, str] = {}
        for frame in reply.frames:
            if not isinstance(frame, dict):
                continue
            place: int = frame["index"] if "index" in frame else frame.get("output_index", 0)
            match frame:
                case {"type": "content_block_delta", "delta": {"partial_json": text}}:
                    found[place] = found.get(place, "") + text
                case {"type": "response.function_call_arguments.delta", "delta": text}:
                    found[place] = found.get(place, "") + text
        assert [json.loads(text) for text in found.values()] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("stream", [False, True])
@in_memory
async def test_what_the_provider_called_itself(stream: bool) -> None:
    async with world() as w:
        body = json.loads(document()) | {"model": "gpt-4o-mini-2024-07-18"}
        whole = json.dumps(body).encode()
        frames = sse({"model": body["model"], "choices": [{"index": 0, "delta": {"content": "Hi"}}]})
        headers = (("x-request-id", "req_upstream"),)
        w.upstream.add(Answer([frames, chunks(finish="stop")] if stream else [whole], headers=headers))
        reply = await w.client().chat(stream=stream)
        assert reply.status == 200
        assert reply.headers["x-turnout-upstream-request-id"] == "req_upstream"
        assert reply.headers["x-request-id"] != "req_upstream"
        if not stream:
            assert reply.headers["x-turnout-served-model"] == "gpt-4o-mini-2024-07-18"


@pytest.mark.parametrize(
    ("given", "kept"), [("trace-4711", True), ("x" * 128, True), ("x" * 129, False), ("a\tb", False), ("é", False)]
)
@in_memory
async def test_a_client_names_its_request(given: str, kept: bool) -> None:
    async with world() as w:
        client = w.client()
        head = f"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {given}\r\n\r\n"
        await client.stream.send_all(head.encode("latin-1"))
        reply = await client.read("GET")
        assert (reply.headers["x-request-id"] == given) is kept
        assert reply.headers["request-id"] == reply.headers["x-request-id"]


@in_memory
async def test_breakers_and_running_calls_are_in_the_metrics() -> None:
    async with world(policy=Policy(max_retries=0, breaker=BreakerPolicy(consecutive_failures=1))) as w:
        w.upstream.add(Answer([b"{}"], status=500), Answer([], delay=100.0))
        assert (await w.client().chat()).status == 502
        await w.client().send("POST", "/v1/chat/completions", {**CHAT, "model": "groq/llama-3.1-8b-instant"})
        await trio.testing.wait_all_tasks_blocked()
        lines = (await w.client().ask("GET", "/metrics")).body.decode().splitlines()
        assert 'turnout_breaker_state{candidate="openai/gpt-4o-mini"} 2' in lines
        assert 'turnout_candidate_in_flight{candidate="groq/llama-3.1-8b-instant"} 1' in lines
        assert "turnout_in_flight 1" in lines


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/chat/completions"])
@in_memory
async def test_requests_that_arrive_during_a_stop(path: str) -> None:
    """A balancer learns from the health that no more may come, and a client may try elsewhere."""
    async with world() as w:
        w.upstream.add(Answer([chunks("Hel"), 20.0, chunks("lo", finish="stop")]))
        running, late = w.client(), w.client()
        await running.send("POST", "/v1/chat/completions", {**CHAT, "stream": True})
        body = json.dumps(CHAT).encode()
        method = "POST" if path.startswith("/v1") else "GET"
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        await late.stream.send_all(head[:20])
        await trio.testing.wait_all_tasks_blocked()
        w.gateway.stop()
        await late.stream.send_all(head[20:] + body)
        reply = await late.read(method)
        assert (reply.status, reply.headers["connection"]) == (503, "close")
        assert (reply.headers.get("retry-after") == "1") is path.startswith("/v1")
        assert (await running.read()).text == "Hello"


@pytest.mark.parametrize(
    ("key", "path", "length", "status", "error"),
    [
        ("wrong", "/v1/messages", 200_000, 401, "invalid_api_key"),
        ("k", "/v1/nothing", 200_000, 404, "not_found"),
        ("k", "/v1/messages", 99_000_000_000, 413, "malformed_request"),
    ],
)
@in_memory
async def test_a_request_that_is_rejected_before_its_body_is_logged_too(
    key: str, path: str, length: int, status: int, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"keys": [{"name": "team", "key": "k"}], "corsOrigins": ["https://app.test"]}
    headers = {"x-api-key": key, "X-Request-Id": "mine", "Origin": "https://app.test"}
    async with world(settings) as w:
        with caplog.at_level(logging.INFO, "turnout.serve"):
            reply = await w.client().ask("POST", path, b"{", {**headers, "Content-Length": str(length)})
        assert (reply.status, reply.headers["connection"]) == (status, "close")
        assert reply.headers["request-id"] == reply.headers["x-request-id"] == "mine"
        if status != 413:  # its head was not checked any more
            assert reply.headers["access-control-allow-origin"] == "https://app.test"
        name = "team" if status == 404 else "-"
        assert f"POST {path} {status} key={name} error={error} " in caplog.text
        assert caplog.text.rstrip().endswith("id=mine")
        shown = "/messages" if path == "/v1/messages" else "other"
        sample = f'turnout_gateway_requests_total{{path="{shown}",status="{status}",key="{name}"}} 1'
        assert sample in w.gateway.endpoints.metrics_text().decode().splitlines()
