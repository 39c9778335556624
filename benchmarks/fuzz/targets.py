"""The readers of bytes that others wrote, each as a function that accepts any bytes. See `benchmarks.fuzz.target`."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.fuzz.files import FILES
from benchmarks.fuzz.served import SERVED
from benchmarks.fuzz.target import Finding, Run, Target, in_file
from turnout._utils.documents import DocumentError, decode_text, parse_yaml
from turnout.chat import ChatRequest, ModelConfig
from turnout.config.settings import Settings, SettingsError
from turnout.errors import LocalProtocolError, RemoteProtocolError, TransportError, TurnoutError
from turnout.events import Event
from turnout.framing.eventstream import EventStreamParser
from turnout.framing.json_array import JsonArrayParser
from turnout.framing.ndjson import NdjsonParser
from turnout.framing.parser import FrameParser
from turnout.framing.sse import SseParser
from turnout.http import Headers, HttpRequest
from turnout.http.http1 import Http1Exchange
from turnout.http.http1_server import MalformedRequest, RequestReader
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.content_coding import ENCODINGS, ContentDecoder
from turnout.providers.exchange import HttpExchange
from turnout.redaction import escape_controls
from turnout.simulation.scenario_file import ScenarioError, read_scenario
from turnout.trace import Trace, TraceError
from turnout_io.files import read_yaml
from turnout_io.recorder import read_traces
from turnout_io.testing.cassette import CassetteError, read_cassette
from turnout_sandbox.script_file import read_script

__all__ = ["TARGETS", "Finding", "Target"]

# -- parsers of frames ------------------------------------------------------------------------------------------------


def _parser(make: Callable[[], FrameParser[Any]]) -> Run:
    def run(pieces: list[bytes]) -> object:
        parser, found = make(), []
        try:
            for piece in pieces:
                found += parser.receive_data(piece)
            found += parser.receive_end()
        except RemoteProtocolError as error:
            return found, str(error)
        return found, ""

    return run


_EVENTS = b'event: a\ndata: {"x": 1}\nid: 7\nretry: 10\n\n: comment\n\ndata: [DONE]\r\n\r\ndata: 1\rdata: 2\r\r'
_LINES = b'{"a": 1}\n{"b": [true, null, 1.5e3]}\r\n\n{"c": "\\ud83d\\ude00"}'
_ARRAY = b'[{"a": 1}\n,\r\n{"b": "]"}, {"c": [[]]}]'
_FRAME = bytes.fromhex("00000010000000 0005c248eb7d98c8ff".replace(" ", ""))

# -- HTTP/1.1 ---------------------------------------------------------------------------------------------------------


def _client(pieces: list[bytes]) -> object:
    exchange = Http1Exchange.to_url(HttpRequest("POST", "http://127.0.0.1/v1", (), b"{}"))
    while exchange.next_chunk() is not None:
        pass
    body = b""
    for piece in pieces:
        if exchange.ended or exchange.failure is not None:
            break
        body += exchange.receive_data(piece)
    if not exchange.ended and exchange.failure is None:
        exchange.receive_eof()
    if not isinstance(exchange.failure, RemoteProtocolError | TransportError | None):
        raise exchange.failure
    # Bytes behind the end are seen only if they arrive with it, so they do not count here.
    return exchange.status, exchange.headers, body, type(exchange.failure), exchange.ended


def _server(pieces: list[bytes]) -> object:
    reader, found = RequestReader(), []
    try:
        for piece in pieces:
            reader.receive_data(piece)
            while (request := reader.next_request()) is not None:
                found.append((request.head.method, request.head.target, request.body))
    except MalformedRequest as error:
        return found, error.status
    return found, 0


_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
_RESPONSES = (
    _RESPONSE + b"Content-Length: 5\r\n\r\nhello",
    _RESPONSE + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + _RESPONSE + b"\r\nuntil the end",
    b"HTTP/1.0 204 No Content\r\n\r\n",
)
_REQUESTS = (
    b"POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
)

# -- content codings --------------------------------------------------------------------------------------------------


def _decoding(pieces: list[bytes]) -> object:
    results = []
    for encoding in sorted(ENCODINGS):
        decoder = ContentDecoder(encoding)
        decoded = b"".join(part for piece in pieces for part in decoder.decode(piece))
        results.append((decoded, decoder.finished, decoder.failure is None))
    return results


_PLAIN = b'{"a": "' + b"text " * 40 + b'"}'

# -- responses of providers -------------------------------------------------------------------------------------------


def _exchange(name: str, *, stream: bool) -> HttpExchange[Any]:
    provider = create(name, api_key="fuzz-key-12345678")
    request = ChatRequest(ModelConfig(name, "m"), [Message.user("x")])
    exchange: Any = provider.stream(request) if stream else provider.chat(request)
    return exchange  # type: ignore[no-any-return]  # every provider of the catalog makes one


def _response(name: str, *, stream: bool, status: int = 200) -> Run:
    def run(pieces: list[bytes]) -> object:
        exchange = _exchange(name, stream=stream)
        events: list[Event] = []
        exchange.receive_head(status, Headers((("content-type", "application/json"),)))
        for piece in pieces:
            events += exchange.receive_data(piece)
        events += exchange.receive_end()
        failure = exchange.failure
        if failure is not None and not isinstance(failure, TurnoutError):
            raise failure
        text = "" if failure is None else failure.message
        if "fuzz-key-12345678" in text:
            raise Finding(f"{name}: an error shows the key")
        if escape_controls(text) != text:
            raise Finding(f"{name}: an error has a control character: {text!r}")
        return "".join(getattr(event, "delta", "") for event in events), type(failure), text

    return run


_CHAT = b'{"choices": [{"message": {"content": "hi", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}'  # noqa: E501
_DELTAS = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\ndata: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'  # noqa: E501
_CLAUDE = (
    b'event: message_start\ndata: {"type": "message_start", "message": {"id": "a", "usage": {"input_tokens": 1}}}\n\n'
    b'data: {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}\n\n'
    b'data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}\n\n'
    b'data: {"type": "content_block_stop", "index": 0}\n\ndata: {"type": "message_delta", "delta": '
    b'{"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}\n\ndata: {"type": "message_stop"}\n\n'
)
_GEMINI = b'data: {"candidates": [{"content": {"parts": [{"text": "hi"}, {"functionCall": {"name": "f", "args": {}}}]}, "finishReason": "STOP"}]}\n\n'  # noqa: E501
_OLLAMA = b'{"message": {"content": "hi"}}\n{"done": true, "done_reason": "stop", "eval_count": 2}\n'
_COHERE = (
    b'data: {"type": "message-start", "id": "a"}\n\ndata: {"type": "content-delta", "index": 0, "delta": {"message": '
    b'{"content": {"text": "hi"}}}}\n\ndata: {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}\n\n'
)
_ERRORS = (
    b'{"error": {"message": "no such model", "code": "model_not_found", "type": "invalid_request_error"}}',
    b'{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "a.RetryInfo"}]}}',
    b"<html><head><title>502 Bad Gateway</title></head><body>&#60;h1&#62; fuzz-key-12345678</body></html>",
    b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n',
    b'{"detail": [{"loc": ["body", "x"], "msg": "field required"}], "message": "{\\"error\\": \\"in text\\"}"}',
)

# -- settings and stored forms ----------------------------------------------------------------------------------------


def _settings(pieces: list[bytes]) -> object:
    try:
        document = parse_yaml(decode_text(b"".join(pieces)))
        if isinstance(document, Mapping):
            settings = Settings.from_mapping(document, {"KEY": "fuzz-key-12345678"})
            settings.build_providers()
            settings.policy()
    except (DocumentError, SettingsError) as error:
        if "fuzz-key-12345678" in str(error):
            raise Finding("settings: an error shows the value of a variable") from error
        return type(error)
    return None


def _scenario(pieces: list[bytes]) -> object:
    try:
        read_scenario(parse_yaml(decode_text(b"".join(pieces))))
    except (DocumentError, ScenarioError) as error:
        return type(error)
    return None


def _message(pieces: list[bytes]) -> object:
    try:
        stored = json.loads(b"".join(pieces))
    except (ValueError, RecursionError):
        return None
    try:
        return Message.from_dict(stored)
    except (ValueError, TypeError, LocalProtocolError) as error:
        return type(error)


def _explained(path: Path) -> None:
    for _, trace in read_traces(path):
        trace.explain()


_TRACE = json.dumps(Trace().to_dict()).encode()
CASSETTE: dict[str, Any] = {
    "turnout-cassette": 1,
    "exchanges": [
        {
            "request": {"method": "POST", "url": "http://a/", "headers": ["a: b"], "json": {"x": 1}},
            "response": {"status": 200, "headers": ["a: b"], "body": ["x", {"base64": "eA=="}], "end": "complete"},
        },
        {
            "request": {"method": "GET", "url": "http://a/", "headers": [], "base64": "eA=="},
            "error": {"error": "TimedOut", "message": "m", "timer": "connect", "phase": "not-sent"},
        },
    ],
}
_CASSETTE = json.dumps(CASSETTE).encode()
_SETTINGS = b"""providers:
  openai: {apiKey: ${KEY}, baseUrl: http://localhost:1/v1, headers: {x-a: b}}
routes: {fast: {strategy: weighted, choices: [openai/a, {model: openai/b, weight: 2}]}}
maxRetries: 2
timeout: 1m30s
breaker: {window: 30s}
base: &b [1, 2]
more: *b
"""
_SCENARIO = b"""duration: 60s
calls: 10
arrivals: steady
providers: {openai: {}}
models: [openai/a]
policy: {max_retries: 1}
"""
_SCRIPT = b'openai:\n  - {status: 429, headers: {retry-after: "2"}}\n  - {delay: 0.5, abort: reset, after_tokens: 3}\n'
_MESSAGE = b'{"role": "assistant", "content": [{"type": "text", "text": "hi"}], "tool_calls": [{"id": "a", "name": "f", "arguments": "{}"}]}'  # noqa: E501

_ALL = (
    Target("sse", _parser(SseParser), (_EVENTS, _DELTAS, _CLAUDE)),
    Target("ndjson", _parser(NdjsonParser), (_LINES, _OLLAMA)),
    Target("json-array", _parser(JsonArrayParser), (_ARRAY,)),
    Target("event-stream", _parser(EventStreamParser), (_FRAME,)),
    Target("http1-client", _client, _RESPONSES),
    Target("http1-server", _server, _REQUESTS),
    Target("content-coding", _decoding, (gzip.compress(_PLAIN, mtime=0), zlib.compress(_PLAIN))),
    Target("openai-stream", _response("openai", stream=True), (_DELTAS, _ERRORS[0])),
    Target("openai-chat", _response("openai", stream=False), (_CHAT, _ERRORS[0])),
    Target("anthropic-stream", _response("anthropic", stream=True), (_CLAUDE, _ERRORS[3])),
    Target("gemini-stream", _response("gemini", stream=True), (_GEMINI, _ERRORS[1])),
    Target("ollama-stream", _response("ollama", stream=True), (_OLLAMA,)),
    Target("cohere-stream", _response("cohere", stream=True), (_COHERE,)),
    Target("openai-error", _response("openai", stream=False, status=400), _ERRORS),
    Target("gemini-error", _response("gemini", stream=False, status=429), _ERRORS),
    Target("settings", _settings, (_SETTINGS,)),
    Target("settings-file", in_file(read_yaml, SettingsError), (_SETTINGS,)),
    Target("scenario", _scenario, (_SCENARIO,)),
    Target("script", in_file(read_script, LocalProtocolError, suffix=".yaml"), (_SCRIPT,)),
    Target("cassette", in_file(read_cassette, CassetteError), (_CASSETTE,)),
    Target("trace", in_file(_explained, TraceError), (_TRACE,)),
    Target("message", _message, (_MESSAGE,)),
)
TARGETS: Mapping[str, Target] = {target.name: target for target in (*_ALL, *SERVED, *FILES)}
