"""The sandbox as a server: start and stop, faults on a real socket, records."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import http.client
import json
import socket
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from turnout.errors import LocalProtocolError, ProviderNotRegistered
from turnout_io.sandbox import Fault, Received, ResponseOutcome, Sandbox, ScriptedAnswer, ScriptedCall

Ask = Callable[..., tuple[int, dict[str, str], bytes]]
Wire = Callable[..., tuple[bytes, str]]

CHAT = "/chat/completions"
HELLO: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Tell me of railways"}]}
STREAM = {**HELLO, "stream": True}


def text_of(data: bytes) -> str:
    """The text of an OpenAI stream, as far as its events are whole."""
    events = [line[6:] for line in data.decode().split("\n") if line.startswith("data: {") and line.endswith("}")]
    deltas = [choice["delta"] for event in events for choice in json.loads(event).get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)


# Life


def test_it_leaves_no_thread_no_socket_and_no_warning() -> None:
    before = threading.active_count()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            with Sandbox() as sandbox:
                waiting = socket.create_connection(("127.0.0.1", sandbox.port), timeout=10)
                sandbox.script("openai", Fault(abort="hang"))
                waiting.sendall(b"POST /openai/v1/models HTTP/1.1\r\nhost: a\r\n\r\n")
                assert sandbox.wait(lambda seen: seen.in_flight("openai") == 1)
            assert waiting.recv(1) == b""
            waiting.close()
            assert sandbox.requests[0].outcome is ResponseOutcome.CUT
            assert sandbox.open_connections == 0
        gc.collect()
    assert threading.active_count() == before


def test_a_stopped_sandbox_has_no_port() -> None:
    sandbox = Sandbox()
    with pytest.raises(LocalProtocolError, match="enter"):
        sandbox.url("openai")
    with sandbox, pytest.raises(LocalProtocolError, match="runs already"):
        sandbox.__enter__()


def test_it_runs_again_after_its_end() -> None:
    sandbox = Sandbox()
    for _ in range(2):
        with sandbox:
            connection = http.client.HTTPConnection("127.0.0.1", sandbox.port)
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            connection.close()


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with Sandbox() as first, pytest.raises(OSError, match=str(first.port)), Sandbox(port=first.port):
        pass


def test_it_serves_a_program_with_an_event_loop(sandbox: Sandbox) -> None:
    async def fetch() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        data = await reader.read()
        writer.close()
        await writer.wait_closed()
        return data

    assert b'"providers"' in asyncio.run(fetch())


@pytest.mark.parametrize(
    "misuse",
    [
        lambda sandbox: sandbox.script("openai", {"status": 503}),
        lambda sandbox: sandbox.answer("openai", 7),
        lambda sandbox: Sandbox(token_interval=-1),
    ],
)
def test_misuse_is_rejected_with_advice(sandbox: Sandbox, misuse: Callable[[Sandbox], object]) -> None:
    with pytest.raises(LocalProtocolError):
        misuse(sandbox)


def test_an_unknown_provider_is_named(sandbox: Sandbox) -> None:
    for misuse in (sandbox.url, sandbox.key, sandbox.script, sandbox.requests_to, sandbox.in_flight):
        with pytest.raises(ProviderNotRegistered, match="'opneai'"):
            misuse("opneai")
    with pytest.raises(ProviderNotRegistered, match="'opneai'"):
        Sandbox(models={"opneai": ["a"]})


# Scripts and memory


def test_a_script_is_played_in_order_and_then_the_provider_is_healthy(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.script("openai", Fault(status=503), Fault())
    sandbox.script("openai", Fault(status=429, headers={"retry-after": "7"}))
    assert [ask("openai", CHAT, HELLO)[0] for _ in range(4)] == [503, 200, 429, 200]
    assert ask("groq", CHAT, HELLO)[0] == 200


def test_a_script_forever_repeats(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.script("openai", Fault(status=500), Fault(), forever=True)
    sandbox.script("openai", Fault(status=401))
    assert [ask("openai", CHAT, HELLO)[0] for _ in range(5)] == [401, 500, 200, 500, 200]
    sandbox.clear()
    assert ask("openai", CHAT, HELLO)[0] == 200


def test_headers_of_a_fault_replace_the_providers_own(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.script("openai", Fault(error="rate-limit", headers={"retry-after": "9", "retry-after-ms": "8500"}))
    status, headers, body = ask("openai", CHAT, HELLO)
    assert (status, headers["retry-after"], headers["retry-after-ms"]) == (429, "9", "8500")
    assert json.loads(body)["error"]["code"] == "rate_limit_exceeded"


def test_received_requests_are_recorded(sandbox: Sandbox, ask: Ask) -> None:
    ask("openai", CHAT, STREAM)
    ask("gemini", "/v1beta/models/gemini-2.5-flash:generateContent?x=1", {"contents": []})
    assert sandbox.wait(lambda seen: all(one.outcome is ResponseOutcome.COMPLETE for one in seen.requests))
    first, second = sandbox.requests
    assert (first.provider, first.method, first.path, first.model) == ("openai", "POST", f"/v1{CHAT}", "gpt-4o-mini")
    assert (first.body, first.streamed, first.status) == (STREAM, True, 200)
    assert first.headers["authorization"] == f"Bearer {sandbox.key('openai')}"
    assert (second.model, second.query, second.status) == ("gemini-2.5-flash", {"x": "1"}, 400)
    assert first.ended is not None
    assert 0 <= first.at <= first.ended <= second.at
    assert first.connection != second.connection
    assert sandbox.requests_to("gemini") == (second,)


def test_no_key_is_shown_in_a_repr(sandbox: Sandbox, ask: Ask) -> None:
    ask("openai", CHAT, HELLO, headers={"content-type": "application/json", "authorization": "Bearer sk-very-secret-1"})
    assert "very-secret" not in repr(sandbox.requests)
    assert "very-secret" not in ask("openai", CHAT, HELLO)[2].decode()


def test_a_wrong_key_is_shown_to_its_sender_only_in_part(ask: Ask) -> None:
    headers = {"content-type": "application/json", "authorization": "Bearer sk-very-secret-key-of-mine-1234"}
    status, _, body = ask("openai", CHAT, HELLO, headers=headers)
    assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")
    assert b"very-secret" not in body


def test_answers_can_be_scripted(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.answer("openai", "just\nthis  text ✓")
    assert text_of(ask("openai", CHAT, STREAM)[2]) == "just\nthis  text ✓"
    sandbox.answer("openai", lambda received: f"you said {received.body['messages'][0]['content']}")
    assert text_of(ask("openai", CHAT, STREAM)[2]) == "you said Tell me of railways"
    sandbox.answer("openai", ScriptedAnswer(tool_calls=(ScriptedCall("f", {"a": [1]}),)))
    message = json.loads(ask("openai", CHAT, HELLO)[2])["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"a": [1]}
    sandbox.answer("openai", None)
    assert "railways" in text_of(ask("openai", CHAT, STREAM)[2])


def test_the_error_of_an_answer_function_is_raised_at_the_end() -> None:
    def fails(received: Received) -> str:
        raise RuntimeError("from the test")

    sandbox = Sandbox()
    sandbox.answer("ollama", fails)
    with sandbox:
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port)
        connection.request("POST", "/ollama/api/chat", json.dumps({**HELLO, "stream": False}))
        assert connection.getresponse().status == 500
        connection.close()
        with pytest.raises(RuntimeError, match="from the test"):
            sandbox.__exit__(None, None, None)


def test_only_the_models_given_are_known() -> None:
    with Sandbox(models={"ollama": ["tiny"]}) as sandbox:
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port)
        answers = {}
        for model in ("tiny", "huge"):
            connection.request("POST", "/ollama/api/chat", json.dumps({**HELLO, "model": model, "stream": False}))
            response = connection.getresponse()
            answers[model] = response.status
            response.read()
        connection.close()
    assert answers == {"tiny": 200, "huge": 404}


def test_a_path_of_no_provider_lists_them(sandbox: Sandbox) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port)
    connection.request("GET", "/opneai/v1/models")
    response = connection.getresponse()
    assert response.status == 404
    assert "openai" in json.loads(response.read())["providers"]
    connection.close()


# Connections


def test_a_connection_is_kept_and_requests_may_be_sent_ahead(sandbox: Sandbox) -> None:
    one = b"GET /ollama/api/version HTTP/1.1\r\nhost: a\r\n\r\n"
    last = b"GET /ollama/api/version HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    data = bytearray()
    with socket.create_connection(("127.0.0.1", sandbox.port)) as raw:
        raw.sendall(one * 1500 + last)
        while piece := raw.recv(65536):
            data += piece
    assert data.count(b'"version"') == 1501
    assert {request.connection for request in sandbox.requests} == {1}


def test_a_client_that_waits_for_100_gets_it(sandbox: Sandbox) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=10) as raw:
        raw.sendall(b"POST /ollama/api/chat HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert raw.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(b"{}")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")


def test_bytes_that_are_not_http_get_an_error_and_a_close(sandbox: Sandbox) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=10) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        data = bytearray()
        while piece := raw.recv(65536):
            data += piece
    assert data.startswith(b"HTTP/1.1 400 ")


def test_a_client_that_leaves_is_noticed(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="hang", after_tokens=1))
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port)
    headers = {"authorization": f"Bearer {sandbox.key('openai')}", "content-type": "application/json"}
    connection.request("POST", f"/openai/v1{CHAT}", json.dumps(STREAM), headers)
    response = connection.getresponse()
    assert response.readline()
    assert sandbox.requests[0].outcome is ResponseOutcome.PENDING
    response.close()
    connection.close()
    assert sandbox.wait(lambda seen: seen.requests[0].outcome is ResponseOutcome.LEFT)
    assert sandbox.wait(lambda seen: seen.open_connections == 0)


def test_waiting_gives_up_in_time(sandbox: Sandbox) -> None:
    assert not sandbox.wait(lambda seen: bool(seen.requests), timeout=0.01)


@pytest.mark.full
def test_a_slow_reader_slows_the_server_and_loses_nothing(sandbox: Sandbox) -> None:
    sandbox.answer("ollama", "word " * 60_000)
    body = json.dumps({**HELLO, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", sandbox.port)) as raw:
        raw.sendall(b"POST /ollama/api/chat HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        assert sandbox.wait(lambda seen: seen.requests != () and seen.requests[0].status == 200)
        assert sandbox.requests[0].outcome is ResponseOutcome.PENDING
        data = bytearray()
        while not data.endswith(b"\r\n0\r\n\r\n"):
            data += raw.recv(1 << 20)
    assert data.count(b'"content":" word"') == 59_999
    assert data.count(b'"done":true') == 1


def test_hundreds_of_streams_at_once(sandbox: Sandbox) -> None:
    """Each is held in its middle until all have begun, so they are open together."""
    count = 400
    sandbox.script("openai", Fault(first_token_delay=0.3), forever=True)
    sandbox.answer("openai", "one two three")
    body = json.dumps(STREAM).encode()
    head = f"POST /openai/v1{CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {sandbox.key('openai')}\r\n"
    request = head.encode() + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    async def one() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        writer.write(request)
        data = await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return text_of(data)

    async def everyone() -> list[str]:
        return await asyncio.gather(*(one() for _ in range(count)))

    assert asyncio.run(everyone()) == ["one two three"] * count
    assert sandbox.peak_in_flight("openai") > count // 2
    assert sandbox.wait(lambda seen: seen.in_flight("openai") == 0)


def test_scripts_and_requests_from_many_threads(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.script("openai", *(Fault(status=503) for _ in range(20)))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: ask("openai", CHAT, HELLO)[0], range(40)))
    assert sorted(statuses) == [200] * 20 + [503] * 20


# Faults on the wire


def test_cuts_before_the_head(sandbox: Sandbox, wire: Wire) -> None:
    sandbox.script("openai", Fault(abort="close"), Fault(abort="reset"))
    assert wire("openai", CHAT, HELLO) == (b"", "closed")
    assert wire("openai", CHAT, HELLO) == (b"", "reset")
    assert [(seen.status, seen.outcome) for seen in sandbox.requests] == [(0, ResponseOutcome.CUT)] * 2


@pytest.mark.parametrize(("cut", "end"), [("close", "closed"), ("reset", "reset")])
def test_cuts_inside_a_stream_follow_the_tokens_of_the_fault(sandbox: Sandbox, wire: Wire, cut: str, end: str) -> None:
    sandbox.answer("openai", "one two three four")
    sandbox.script("openai", Fault(abort=cut, after_tokens=2), Fault(abort=cut, after_tokens=2, partial=True))
    data, how = wire("openai", CHAT, STREAM)
    assert (text_of(data), how) == ("one two", end)
    assert not data.endswith(b"0\r\n\r\n")
    more, how = wire("openai", CHAT, STREAM)
    assert (text_of(more), how) == ("one two", end)
    assert not more.endswith(b"\n\r\n")  # inside a chunk


@pytest.mark.full
def test_a_reset_waits_for_a_slow_reader(sandbox: Sandbox, wire: Wire) -> None:
    sandbox.answer("openai", "word " * 50_000)
    sandbox.script("openai", Fault(abort="reset", after_tokens=40_000))
    data, how = wire("openai", CHAT, STREAM)
    assert how == "reset"
    assert len(text_of(data).split()) == 40_000


def test_a_hanging_stream_stays_open(sandbox: Sandbox, wire: Wire) -> None:
    sandbox.answer("openai", "one two three")
    sandbox.script("openai", Fault(abort="hang", after_tokens=1), Fault(abort="hang"))
    data, how = wire("openai", CHAT, STREAM, until=b'"content":"one"')
    assert how == "open"
    assert text_of(data) == "one"


def test_ends_without_finish_or_marker(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.answer("openai", "one two three")
    sandbox.script(
        "openai", Fault(abort="end", after_tokens=1), Fault(abort="end"), Fault(usage=False), Fault(done=False)
    )
    asked = {**STREAM, "stream_options": {"include_usage": True}}
    data = [ask("openai", CHAT, asked)[2] for _ in range(4)]
    assert text_of(data[0]) == "one"
    assert b"[DONE]" not in data[0]
    assert b'"finish_reason":"stop"' not in data[0]
    assert data[1] == b""
    assert b"prompt_tokens" not in data[2]
    assert b'"finish_reason":"stop"' in data[2]
    assert b"[DONE]" not in data[3]
    assert b"prompt_tokens" in data[3]


def test_byte_by_byte(sandbox: Sandbox, wire: Wire) -> None:
    sandbox.script("openai", Fault(fragment=1), Fault())
    sandbox.answer("openai", "one two three ✓")
    data, _ = wire("openai", CHAT, STREAM, until=b"0\r\n\r\n")
    assert text_of(data) == "one two three ✓"


def test_an_html_page_with_502(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.script("gemini", Fault.gateway_page())
    status, headers, body = ask("gemini", "/v1beta/models")
    assert (status, headers["content-type"]) == (502, "text/html")
    assert body.startswith(b"<html>")


def test_delay_and_pace_are_measured_in_seconds(wire: Wire, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "one two three")
    sandbox.script("openai", Fault(delay=0.1, first_token_delay=0.1, token_interval=0.05))
    wire("openai", CHAT, STREAM, until=b"[DONE]")
    assert sandbox.wait(lambda seen: seen.requests[0].ended is not None)
    (seen,) = sandbox.requests
    assert seen.ended is not None
    assert 0.3 <= seen.ended - seen.at < 2.0


def test_the_clients_env_is_complete(sandbox: Sandbox) -> None:
    environ = sandbox.environ()
    for provider in sandbox.providers:
        prefix = provider.upper().replace("-", "_")
        assert environ[f"{prefix}_ENDPOINT"] == sandbox.url(provider)
        assert environ[f"{prefix}_API_KEY"] == sandbox.key(provider)


def test_the_requests_that_remain_begin_anew_in_a_long_run(ask: Ask) -> None:
    body = {**HELLO, "model": "mistral-small-latest"}
    left = [ask("mistral", CHAT, body)[1]["x-ratelimit-remaining-req-minute"] for _ in range(61)]
    assert left == [*map(str, range(59, 0, -1)), "60", "59"]
