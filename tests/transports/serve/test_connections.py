"""Connections of the gateway: bytes that are no request, web pages, and the end; in memory, and in virtual time."""

from __future__ import annotations

import json

import pytest
import trio

from tests.transports.serve.world import HELLO, Answer, Client, World, chunks, document, in_memory, world
from turnout.routing.policy.settings import Policy

ALIASES = {"aliases": {"fast": ["openai/gpt-4o-mini", "groq/llama-3.1-8b-instant"]}}


# -- bytes that are no proper request --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99000000000\r\n\r\n", 413),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 90_000 + b"\r\n\r\n", 431),
        (b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\nabc", 413),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
@in_memory
async def test_bytes_that_are_no_request(data: bytes, status: int) -> None:
    async with world() as w:
        client = w.client()
        await client.stream.send_all(data)
        reply = await client.read()
        assert reply.status == status
        assert reply.headers["connection"] == "close"
        assert reply.json["error"]["message"]
        assert (reply.json.get("type") == "error") is (b"/v1/messages" in data)
        assert await client.receive() == b""


@pytest.mark.parametrize(
    ("data", "seconds", "status"),
    [
        (b"", 75, 0),
        (b"POST /v1", 30, 408),
        (b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab", 60, 408),
    ],
)
@in_memory
async def test_a_client_that_sends_nothing_more(data: bytes, seconds: float, status: int) -> None:
    async with world() as w:
        client = w.client()
        started = trio.current_time()
        if data:
            await client.stream.send_all(data)
        reply = await client.read()
        assert reply.status == status
        assert trio.current_time() - started == pytest.approx(seconds, abs=2)


@in_memory
async def test_a_body_that_is_compressed_is_rejected() -> None:
    async with world() as w:
        reply = await w.client().chat(headers={"Content-Encoding": "gzip"})
        assert reply.status == 415


@pytest.mark.parametrize("body", [b"", b" \r\n"])
@in_memory
async def test_a_request_without_a_body_is_told_so(body: bytes) -> None:
    async with world() as w:
        reply = await w.client().ask("POST", "/v1/chat/completions", body)
        assert (reply.status, reply.json["error"]["code"]) == (400, "invalid_json")
        assert reply.json["error"]["message"] == "the request has no body; it must be a JSON object"


@in_memory
async def test_the_names_of_codings_have_no_case() -> None:
    async with world() as w:
        w.upstream.add(document())
        assert (await w.client().chat(headers={"Content-Encoding": "Identity"})).status == 200


@in_memory
async def test_an_interim_response_lets_the_body_come() -> None:
    async with world() as w:
        w.upstream.add(document())
        client = w.client()
        body = json.dumps({"model": "openai/gpt-4o-mini", "messages": HELLO}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        await client.stream.send_all(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert await client.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.stream.send_all(body)
        assert (await client.read()).status == 200


@pytest.mark.parametrize(("request_line", "status"), [("POST /v1/nothing", 404), ("PUT /v1/embeddings", 405)])
@in_memory
async def test_no_body_is_read_for_what_is_not_there(request_line: str, status: int) -> None:
    async with world() as w:
        client = w.client()
        head = f"{request_line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        await client.stream.send_all(head.encode())
        reply = await client.read()
        assert (reply.status, reply.headers["connection"]) == (status, "close")
        assert reply.headers.get("allow") == ("POST" if status == 405 else None)


@in_memory
async def test_a_client_of_http_1_0_learns_whether_its_connection_stays_open() -> None:
    async with world() as w:
        client = w.client()
        for _ in range(2):
            await client.send("GET", "/health", headers={"Connection": "keep-alive"}, version="1.0")
            assert (await client.read("GET")).headers["connection"] == "keep-alive"
        await client.send("GET", "/health", version="1.0")
        assert (await client.read("GET")).headers["connection"] == "close"
        assert await client.receive() == b""


@in_memory
async def test_what_h11_says_is_told_in_words() -> None:
    async with world() as w:
        client = w.client()
        await client.stream.send_all(b"POST  HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.read()).json["error"]["message"] == "this is not HTTP/1.1: illegal request line"


# -- the bodies of all clients ---------------------------------------------------------------------------------------

SMALL = {"maxBody": "8KB", "maxBodies": "10KB"}
PATHS = [("/v1/chat/completions", 503), ("/v1/messages", 529)]


def part_of_a_body(path: str, declared: int, size: int, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {declared}\r\n{headers}\r\n"
    return head.encode() + b"x" * size


@pytest.mark.parametrize(("path", "status"), PATHS)
@in_memory
async def test_bodies_together_have_a_bound(path: str, status: int) -> None:
    async with world(SMALL) as w:
        first, second = w.client(), w.client()
        await first.stream.send_all(part_of_a_body("/v1/chat/completions", 8000, 7000))
        await trio.testing.wait_all_tasks_blocked()
        await second.stream.send_all(part_of_a_body(path, 8000, 0))
        reply = await second.read()
        assert reply.status == status
        assert reply.headers["retry-after"] == "1"
        assert "x-should-retry" not in reply.headers
        assert reply.headers["connection"] == "close"
        assert "serve.maxBodies" in reply.json["error"]["message"]
        # Requests without a body need no room.
        assert (await w.client().ask("GET", "/health")).status == 200
        await first.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert w.gateway._bodies.held == 0


@pytest.mark.parametrize(("path", "status"), PATHS)
@in_memory
async def test_bodies_whose_length_is_not_declared_have_the_same_bound(path: str, status: int) -> None:
    async with world(SMALL) as w:
        clients = [w.client() for _ in range(3)]
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        for client in clients:
            await client.stream.send_all(head + b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await trio.testing.wait_all_tasks_blocked()
        assert (await clients[2].read()).status == status
        assert w.gateway._bodies.held == 8192


@in_memory
async def test_a_declared_length_takes_no_room() -> None:
    async with world(SMALL) as w:
        for _ in range(5):
            await w.client().stream.send_all(part_of_a_body("/v1/messages", 8000, 10))
        await trio.testing.wait_all_tasks_blocked()
        w.upstream.add(document())
        assert (await w.client().chat()).status == 200


@in_memory
async def test_a_body_keeps_its_room_until_its_response_has_ended() -> None:
    async with world(SMALL) as w:
        w.upstream.add(Answer([document()], delay=5.0), *[document()] * 4)
        client = w.client()
        long = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "x" * 7000}]}
        await client.send("POST", "/v1/chat/completions", long)
        await trio.testing.wait_all_tasks_blocked()
        assert w.gateway._bodies.held > 7000
        assert (await w.client().ask("POST", "/v1/chat/completions", long)).status == 503
        assert (await client.read()).status == 200
        assert w.gateway._bodies.held == 0
        for _ in range(4):
            assert (await client.ask("POST", "/v1/chat/completions", long)).status == 200


@in_memory
async def test_a_body_that_arrives_too_slowly_ends() -> None:
    """Each read is in time, but the whole body would take hours."""
    async with world() as w:
        client = w.client()
        started = trio.current_time()
        await client.stream.send_all(part_of_a_body("/v1/messages", 1000, 1))
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                while True:
                    await trio.sleep(50)
                    await client.stream.send_all(b"x")

            nursery.start_soon(drip)
            assert (await client.read()).status == 408
            nursery.cancel_scope.cancel()
        assert trio.current_time() - started == pytest.approx(600, abs=2)


@pytest.mark.parametrize("stream", [False, True])
@in_memory
async def test_a_client_that_reads_slowly_receives_everything(stream: bool) -> None:
    """It takes 64 KiB in 50 s, so that each write takes longer than the bound for a client that takes nothing."""
    text = "x" * 300_000
    async with world() as w:
        w.upstream.add(Answer([chunks(text), chunks(text, finish="stop")]) if stream else document(text))
        client = w.slow_client()
        body = {"model": "openai/gpt-4o-mini", "messages": HELLO, "stream": stream}
        await client.send("POST", "/v1/chat/completions", body, {"Connection": "close"})
        received = b""
        while data := await client.stream.receive_some(64 * 1024):
            received += data
            await trio.sleep(50)
        assert received.count(text.encode()) == (2 if stream else 1)
        assert received.endswith(b"0\r\n\r\n" if stream else b"}")
        assert trio.current_time() > 2 * w.gateway.settings.write_timeout
        samples = w.gateway.endpoints.metrics_text().decode().splitlines()
        counted = 'turnout_gateway_requests_total{path="/chat/completions",status="200",key="local"} 1'
        assert counted in samples


@in_memory
async def test_a_client_without_a_key_cannot_fill_the_memory() -> None:
    """It sends a long body, and never reads its rejection."""
    async with world({"keys": [{"name": "a", "key": "k"}]}) as w:
        client = w.slow_client()
        with trio.move_on_after(30):
            await client.stream.send_all(part_of_a_body("/v1/messages", 30_000_000, 20_000_000))
        (connection,) = w.gateway._connections
        assert connection._reader.buffered < 200_000


# -- browsers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Host": "evil.test"}, 403),
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"}, 200),
        ({"Origin": "https://app.test"}, 200),
    ],
)
@in_memory
async def test_pages_cannot_use_a_gateway_without_keys(headers: dict[str, str], status: int) -> None:
    async with world({**ALIASES, "corsOrigins": ["https://app.test"]}) as w:
        reply = await w.client().ask("GET", "/v1/models", headers=headers)
        assert reply.status == status
        allowed = reply.headers.get("access-control-allow-origin")
        assert allowed == ("https://app.test" if headers.get("Origin") == "https://app.test" else None)


@in_memory
async def test_a_browser_asks_first() -> None:
    async with world({"corsOrigins": ["https://app.test"], "keys": [{"name": "a", "key": "k"}]}) as w:
        headers = {"Origin": "https://app.test", "Access-Control-Request-Method": "POST"}
        reply = await w.client().ask("OPTIONS", "/v1/chat/completions", headers=headers)
        assert reply.status == 204
        assert "authorization" in reply.headers["access-control-allow-headers"]


# -- the end ---------------------------------------------------------------------------------------------------------


async def begin_stream(w: World, *steps: bytes | float) -> Client:
    w.upstream.add(Answer([chunks("Hel"), *steps]))
    client = w.client()
    await client.send(
        "POST", "/v1/chat/completions", {"model": "openai/gpt-4o-mini", "messages": HELLO, "stream": True}
    )
    client.received = await client.receive()
    return client


@in_memory
async def test_a_stop_lets_running_streams_end() -> None:
    async with world() as w:
        idle = w.client()
        assert (await idle.ask("GET", "/health")).status == 200
        client = await begin_stream(w, 20.0, chunks("lo", finish="stop"))
        w.gateway.stop()
        assert await idle.receive() == b""
        reply = await client.read()
        assert reply.text == "Hello"
        assert await client.receive() == b""
        await w.ended.wait()


@in_memory
async def test_a_stop_cuts_streams_after_the_grace() -> None:
    async with world() as w:
        client = await begin_stream(w, 500.0)
        started = trio.current_time()
        w.gateway.stop()
        reply = await client.read()
        assert trio.current_time() - started == pytest.approx(30, abs=1)
        assert reply.ended
        assert reply.frames[-1]["error"]["code"] == "overloaded"
        await w.ended.wait()
        assert w.upstream.responses[0].closed


@in_memory
async def test_a_stop_answers_calls_that_wait() -> None:
    async with world({"grace": "5s"}, policy=Policy(max_retries=0, timeout=300)) as w:
        w.upstream.add(Answer([], delay=200.0))
        client = w.client()
        await client.send("POST", "/v1/chat/completions", {"model": "openai/gpt-4o-mini", "messages": HELLO})
        await trio.testing.wait_all_tasks_blocked()
        w.gateway.stop()
        reply = await client.read()
        assert reply.status == 503
        assert "x-should-retry" not in reply.headers
        assert reply.headers["connection"] == "close"
        await w.ended.wait()


@in_memory
async def test_a_second_stop_cuts_at_once() -> None:
    async with world() as w:
        client = await begin_stream(w, 500.0)
        started = trio.current_time()
        w.gateway.stop()
        await trio.testing.wait_all_tasks_blocked()
        w.gateway.stop()
        assert (await client.read()).frames[-1]["error"]
        assert trio.current_time() - started < 1
        await w.ended.wait()
