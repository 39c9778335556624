"""Clients that leave, at every moment of a request: nothing of them is kept, and no provider goes on for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from tests.transports.serve.world import HELLO, Answer, World, chunks, document, in_memory, sse, world
from turnout.prices import Price
from turnout.routing.policy.settings import Policy

PRICES = {"openai/gpt-4o-mini": Price(prompt=1e6, completion=1e6)}
SETTINGS: dict[str, Any] = {
    "keys": [
        {
            "name": "team",
            "key": "k",
            "models": ["openai/*"],
            "requestsPerMinute": 1000,
            "tokensPerMinute": 1_000_000,
            "maxConcurrency": 2,
            "budget": {"amount": 1000},
        }
    ],
    "headAfter": "5s",
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO, "max_tokens": 9},
    "/v1/messages": {"messages": HELLO, "max_tokens": 9},
    "/v1/responses": {"input": "hello", "max_output_tokens": 9},
    "/v1/embeddings": {"input": "hello"},
    "/v1/messages/count_tokens": {"messages": HELLO},
}


def request_of(path: str, *, stream: bool = False, chunked: bool = False) -> bytes:
    fields = {"model": "openai/gpt-4o-mini", **BODIES[path], **({"stream": True} if stream else {})}
    data = json.dumps(fields).encode()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(data)
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\n%b\r\n\r\n" % (path.encode(), framing)
    return head + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if chunked else data)


def left_over(w: World) -> dict[str, Any]:
    """What a gateway without a request must not have."""
    (client,) = w.gateway.endpoints.keyring.clients
    assert client.account is not None
    status = client.account.status(0.0)
    found = {
        "in flight": w.gateway.state.in_flight,
        "connections": w.gateway.state.connections,
        "bodies": w.gateway._bodies.held,
        "streams": len(w.gateway.endpoints.active),
        "calls of the key": client.in_flight,
        "reserved": status.reserved,
        "at providers": sum(one.in_flight for one in w.gateway.router.health()),
        "open responses": sum(not response.closed for response in w.upstream.responses),
        "waiting": w.upstream.waiting,
    }
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", BODIES)
@in_memory
async def test_a_client_leaves_after_any_byte_of_its_request(path: str, chunked: bool) -> None:
    policy = Policy(max_retries=0, prices=PRICES)
    data = request_of(path, chunked=chunked)
    async with world(SETTINGS, policy=policy) as w:
        for size in range(0, len(data) + 1, 3):
            w.upstream.answers.clear()
            w.upstream.add(Answer([document()], delay=50.0))
            client = w.client()
            await client.stream.send_all(data[:size])
            await trio.testing.wait_all_tasks_blocked()
            await client.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert left_over(w) == {}, size


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("slow", [False, True])
@in_memory
async def test_a_client_leaves_after_any_second_of_a_stream(path: str, slow: bool) -> None:
    """Before the head, after an early head, between chunks, during a write, and at the end."""
    policy = Policy(max_retries=0, prices=PRICES, timeout=600)
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":'}}
    steps: list[bytes | float | Exception] = [
        12.0,
        chunks("Hel"),
        4.0,
        chunks("lo"),
        8.0,
        sse({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}),
        3.0,
        chunks(finish="stop"),
    ]
    async with world(SETTINGS, policy=policy) as w:
        for second in range(32):
            w.upstream.answers.clear()
            w.upstream.add(Answer(steps, delay=2.0))
            client = w.slow_client() if slow else w.client()
            await client.stream.send_all(request_of(path, stream=True))
            await trio.sleep(second)
            await client.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert left_over(w) == {}, second


@in_memory
async def test_a_client_closes_only_its_own_side() -> None:
    """It counts as gone, as with nginx: the gateway cannot know whether it still reads."""
    async with world(SETTINGS) as w:
        w.upstream.add(Answer([document()], delay=50.0))
        client = w.client()
        await client.stream.send_all(request_of("/v1/messages/count_tokens"))
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(client.stream, trio.abc.HalfCloseableStream)
        await client.stream.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        assert left_over(w) == {}


@in_memory
async def test_requests_that_were_sent_ahead_are_dropped_with_their_client() -> None:
    async with world(SETTINGS, policy=Policy(max_retries=0, prices=PRICES)) as w:
        w.upstream.add(*[Answer([document()], delay=50.0)] * 3)
        client = w.client()
        await client.stream.send_all(request_of("/v1/chat/completions") * 3)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert len(w.upstream.requests) == 1
        assert left_over(w) == {}
