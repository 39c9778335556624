"""The load on a gateway, in a process of its own: `python -m benchmarks.gateway.load`, driven over its pipes.

It reads with plain sockets and little else, so that on a small machine the gateway has the CPU.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

__all__ = ["main"]

_TEXT = re.compile(rb'"content": ?"[^"]')
_DONE = b"data: [DONE]"


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

    async def call(self, request: bytes) -> None:
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if length is not None:
            await self.reader.readexactly(int(length[1]))
        else:
            await self.reader.readuntil(b"0\r\n\r\n")

    async def stream(self, request: bytes) -> float:
        """Read a stream to its end, and return the seconds to its first token."""
        begun = time.perf_counter()
        self.writer.write(request)
        first = 0.0
        seen = b""
        while True:
            data = await self.reader.read(262_144)
            if not data:
                raise RuntimeError(f"the stream broke: {seen[-300:]!r}")
            seen = (seen[-64:] if first else seen) + data
            if not first:
                if not seen.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(seen[:600].decode("latin-1"))
                if _TEXT.search(seen):
                    first = time.perf_counter() - begun
            if _DONE in seen and seen.endswith(b"0\r\n\r\n"):
                return first


async def _run(order: dict[str, Any]) -> dict[str, Any]:
    host, port = order["host"], order["port"]
    stream = order["work"] == "stream"
    request = _request(f"{host}:{port}", order["path"], order["key"], order["model"], stream=stream)
    at_once, times, spread = order["at_once"], order["times"], order.get("spread", 0.0)
    firsts: list[float] = []

    async def client(index: int) -> None:
        await asyncio.sleep(spread * index / at_once)
        reader, writer = await asyncio.open_connection(host, port, limit=2**22)
        one = _Client(reader, writer)
        for _ in range(times):
            if stream:
                firsts.append(await one.stream(request))
            else:
                await one.call(request)
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
