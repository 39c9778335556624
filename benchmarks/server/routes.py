"""The replies that the benchmark server sends, and the file that it reads them from.

A base URL for a client is `http://127.0.0.1:PORT/ROUTE/v1`. Everything under it gets the reply of that route.
"""

from __future__ import annotations

import array
import base64
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import attrs

__all__ = [
    "BURST",
    "CALL",
    "CHUNK",
    "CHUNK_SIZE",
    "FAILURE",
    "PACKETS",
    "Route",
    "encode_routes",
    "paced",
    "route_named",
]

CHUNK_SIZE = 265
"""Bytes of one event of the stream with its framing, as OpenAI sends it."""
BURST = 2_000
"""Chunks of the stream that the server sends at once."""
PACKETS = 400
"""Chunks of the stream that the server sends in a packet each."""

# The fields that a reply of OpenAI has through its CDN, Content-Length or Transfer-Encoding not counted.
_FIELDS = (
    ("Date", "Tue, 14 Jul 2026 09:21:07 GMT"),
    ("Content-Type", "application/json"),
    ("Connection", "keep-alive"),
    ("access-control-expose-headers", "X-Request-ID"),
    ("openai-organization", "user-1234567890abcdef"),
    ("openai-processing-ms", "412"),
    ("openai-version", "2020-10-01"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "1999967"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "1ms"),
    ("x-request-id", "req_0123456789abcdef0123456789abcdef"),
    ("cf-ray", "9a1b2c3d4e5f6789-FRA"),
)


@attrs.frozen
class Route:
    """One reply.

    Attributes:
        name: The first segment of the path that gets this reply.
        head: The bytes before the chunks: status line, header fields, and what the body begins with.
        chunk: The bytes that are sent `count` times.
        count: How many chunks the reply has.
        tail: The bytes after the chunks; they leave with the last one.
        interval: Seconds between the chunks; 0 if the whole reply is one write.
    """

    name: str
    head: bytes
    chunk: bytes = b""
    count: int = 0
    tail: bytes = b""
    interval: float = 0.0


def _head(status: str, fields: Iterable[tuple[str, str]]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("ascii")


def _whole(name: str, body: bytes, status: str = "200 OK") -> Route:
    return Route(name, _head(status, (*_FIELDS, ("Content-Length", str(len(body))))) + body)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _chat(size: int) -> bytes:
    def encode(content: str) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
        usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return _json(
            {
                "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
                "object": "chat.completion",
                "created": 1741569952,
                "model": "gpt-4o-mini-2024-07-18",
                "choices": [choice],
                "usage": usage,
                "service_tier": "default",
                "system_fingerprint": "fp_44709d6fcb",
            }
        )

    return encode("x" * (size - len(encode(""))))


def _event(delta: dict[str, str], finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    chunk = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": "gpt-4o-mini-2024-07-18",
        "system_fingerprint": "fp_44709d6fcb",
        "choices": [] if usage else choices,
        **({"usage": usage} if usage else {}),
    }
    return b"data: " + _json(chunk) + b"\n\n"


def _content_event(size: int) -> bytes:
    return _event({"content": "x" * (size - len(_event({"content": ""})))})


CHUNK = _content_event(CHUNK_SIZE)
"""One event of the stream, without the HTTP chunk around it."""
_STREAM_FIELDS = (
    *(field for field in _FIELDS if field[0] != "Content-Type"),
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Transfer-Encoding", "chunked"),
)
_LAST = (
    _event({}, "stop"),
    _event({}, usage={"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}),
    b"data: [DONE]\n\n",
)
_STREAM_HEAD = _head("200 OK", _STREAM_FIELDS)
_STREAM_TAIL = b"".join(map(_http_chunk, _LAST)) + b"0\r\n\r\n"


def _stream(name: str, count: int, interval: float = 0.0) -> Route:
    return Route(name, _STREAM_HEAD, _http_chunk(CHUNK), count, _STREAM_TAIL, interval)


def paced(count: int, milliseconds: int) -> str:
    """Return the name of the route whose stream has `count` chunks, one each so many milliseconds."""
    return f"paced-{count}-{milliseconds}"


def _vectors(name: str, count: int, *, packed: bool, size: int = 1_536) -> Route:
    """Vectors of `size` floats: as base64 of little-endian float32, or as decimal numbers."""
    row = array.array("f", ((place * 7919 % 2_000 - 1_000) / 31_337 for place in range(size)))
    vector: object = base64.b64encode(row.tobytes()).decode() if packed else [round(value, 8) for value in row]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    usage = {"prompt_tokens": 8 * count, "total_tokens": 8 * count}
    return _whole(name, _json({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}))


CALL = "call"
FAILURE = "failure"

# Made when they are asked for, because a client that uses one must not hold the memory of all.
_MAKERS: Mapping[str, Callable[[str], Route]] = {
    CALL: lambda name: _whole(name, _chat(600)),
    FAILURE: lambda name: _whole(
        name, _json({"error": {"message": "overloaded", "type": "server_error"}}), "500 Internal Server Error"
    ),
    "burst": lambda name: _stream(name, BURST),
    **{f"burst-{count}": partial(_stream, count=count) for count in (1, 100, 1_000, 10_000, 100_000)},
    "packets": lambda name: _stream(name, PACKETS, 0.0004),
    paced(200, 5): lambda name: _stream(name, 200, 0.005),
    paced(10, 500): lambda name: _stream(name, 10, 0.5),
    paced(20, 500): lambda name: _stream(name, 20, 0.5),
    paced(40, 500): lambda name: _stream(name, 40, 0.5),
    "one-event": lambda name: Route(name, _STREAM_HEAD, _http_chunk(_content_event(5_000_000)), 1, _STREAM_TAIL),
    "vectors-base64": lambda name: _vectors(name, 100, packed=True),
    "vectors-text": lambda name: _vectors(name, 100, packed=False),
    "vectors-short": lambda name: _vectors(name, 100, packed=True, size=1),
    "vectors-large": lambda name: _vectors(name, 2_048, packed=False),
}


def route_named(name: str) -> Route:
    """Return one of the routes."""
    return _MAKERS[name](name)


def encode_routes(routes: Iterable[Route] | None = None) -> bytes:
    """Return the routes file: for each route, or for all, a line of numbers, then its head, its chunk and its tail."""
    pieces = []
    for route in map(route_named, _MAKERS) if routes is None else routes:
        sizes = f"{len(route.head)} {len(route.chunk)} {len(route.tail)}"
        pieces.append(f"{route.name} {round(route.interval * 1e6)} {route.count} {sizes}\n".encode("ascii"))
        pieces += (route.head, route.chunk, route.tail)
    return b"".join(pieces)
