"""The load on a gateway, in a process of its own: `python -m benchmarks.gateway.load`, driven over its pipes.

It reads with plain sockets and little else, so that on a small machine the gateway has the CPU. Every answer must be
whole: a gateway that fails fast would look cheap.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

__all__ = ["BrokenAnswer", "check_stream", "check_whole", "main"]

_TEXT = re.compile(rb'"content": ?"[^"]')
_FINISH = re.compile(rb'"finish_reason": ?"stop"')
_USAGE = re.compile(rb'"completion_tokens": ?[1-9]')
_ERROR = re.compile(rb'"error": ?[{"]')
_DONE = b"data: [DONE]"
_STATUS = b"HTTP/1.1 200"
_END = b"0\r\n\r\n"


class BrokenAnswer(Exception):
    """An answer is an error, or a part of it is missing."""


def check_stream(received: bytes, chunks: int, text: bytes) -> None:
    """Check that a streamed answer has arrived whole.

    Args:
        received: All bytes of the response.
        chunks: How many chunks with text the back end has sent.
        text: The text of each chunk.

    Raises:
        BrokenAnswer: It has not.
    """
    count = received.count(text)
    if not received.startswith(_STATUS):
        problem = "the status is not 200"
    elif _ERROR.search(received):
        problem = "it has an error"
    elif count != chunks:
        problem = f"{count} of {chunks} chunks arrived"
    elif _FINISH.search(received) is None or _USAGE.search(received) is None:
        problem = "the finish reason or the usage is missing"
    elif _DONE not in received or not received.endswith(_END):
        problem = "the end is missing"
    else:
        return
    raise BrokenAnswer(f"{problem}: {received[:400]!r} … {received[-600:]!r}")


def check_whole(received: bytes, text: bytes) -> None:
    """Check that an answer in one piece has arrived whole.

    Raises:
        BrokenAnswer: It has not.
    """
    good = received.startswith(_STATUS) and text in received and _FINISH.search(received) and _USAGE.search(received)
    if not good or _ERROR.search(received):
        raise BrokenAnswer(f"the answer is not the back end's: {received[:1000]!r}")


def _request(host: str, path: str, key: str, model: str, *, stream: bool) -> bytes:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class _Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def call(self, request: bytes, text: bytes) -> None:
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if length is not None:
            body = await self.reader.readexactly(int(length[1]))
        else:
            body = await self.reader.readuntil(_END)
        check_whole(head + body, text)

    async def stream(self, request: bytes, chunks: int, text: bytes) -> float:
        """Read a stream to its end, and return the seconds to its first token."""
        begun = time.perf_counter()
        self.writer.write(request)
        first = 0.0
        pieces: list[bytes] = []
        seen = b""
        while not seen.endswith(_END):
            data = await self.reader.read(262_144)
            if not data:
                break
            pieces.append(data)
            seen = (seen[-64:] if first else seen) + data
            if not first and _TEXT.search(seen):
                first = time.perf_counter() - begun
            if not first and not seen.startswith(_STATUS):
                break
        check_stream(b"".join(pieces), chunks, text)
        return first


async def _run(order: dict[str, Any]) -> dict[str, Any]:
    host, port = order["host"], order["port"]
    chunks, text = order["chunks"], order["text"].encode()
    request = _request(f"{host}:{port}", order["path"], order["key"], order["model"], stream=chunks > 0)
    at_once, times, spread = order["at_once"], order["times"], order["spread"]
    firsts: list[float] = []

    async def client(index: int) -> None:
        await asyncio.sleep(spread * index / at_once)
        reader, writer = await asyncio.open_connection(host, port, limit=2**22)
        one = _Client(reader, writer)
        for _ in range(times):
            if chunks:
                firsts.append(await one.stream(request, chunks, text))
            else:
                await one.call(request, text)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client(index) for index in range(at_once)))
    firsts.sort()
    return {"wall": time.perf_counter() - begun, "first": [_quantile(firsts, 0.5), _quantile(firsts, 0.99)]}


def _quantile(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def main() -> None:
    """Carry out one order a line, and answer each with a line."""
    for line in sys.stdin:
        print(json.dumps(asyncio.run(_run(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
