"""The benchmark server in Python, for machines without a C compiler: `python python_server.py ROUTES`.

It does as `server.c` does and needs several times the CPU. It imports nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class _Reply:
    interval: float
    count: int
    head: bytes
    chunk: bytes
    tail: bytes


def _read_routes(path: str) -> dict[bytes, _Reply]:
    routes = {}
    with open(path, "rb") as file:
        for line in file:
            name, *numbers = line.split()
            microseconds, count, *sizes = map(int, numbers)
            head, chunk, tail = (file.read(size) for size in sizes)
            routes[name] = _Reply(microseconds / 1e6, count, head, chunk, tail)
    return routes


class _Connection(asyncio.Protocol):
    def __init__(self, routes: dict[bytes, _Reply]) -> None:
        self._routes = routes
        self._held = b""
        self._body_left = 0
        self._reply: _Reply | None = None
        self._sent = 0
        self._begun = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        data = self._held + data
        self._held = b""
        while data:
            if self._body_left:
                taken = min(len(data), self._body_left)
                self._body_left -= taken
                data = data[taken:]
            else:
                head, ended, rest = data.partition(b"\r\n\r\n")
                if not ended:
                    self._held = data
                    return
                self._begin(head)
                data = rest
            if not self._body_left:
                self._send_head()

    def _begin(self, head: bytes) -> None:
        self._reply = self._routes[head.partition(b"/")[2].split(b" ")[0].partition(b"/")[0]]
        _, _, rest = head.lower().partition(b"\r\ncontent-length:")
        self._body_left = int(rest.partition(b"\r\n")[0] or 0)

    def _send_head(self) -> None:
        reply, transport = self._reply, self._transport
        if reply is None or transport is None:
            return
        if not reply.interval:
            transport.write(reply.head + reply.chunk * reply.count + reply.tail)
            return
        transport.write(reply.head)
        self._sent = 0
        self._begun = asyncio.get_running_loop().time()
        self._schedule(reply)

    def _schedule(self, reply: _Reply) -> None:
        asyncio.get_running_loop().call_at(self._begun + (self._sent + 1) * reply.interval, self._send_chunk, reply)

    def _send_chunk(self, reply: _Reply) -> None:
        if self._transport is None:
            return
        self._sent += 1
        last = self._sent >= reply.count
        self._transport.write(reply.chunk + reply.tail if last else reply.chunk)
        if not last:
            self._schedule(reply)


async def _main(path: str) -> None:
    loop = asyncio.get_running_loop()
    routes = _read_routes(path)
    server = await loop.create_server(lambda: _Connection(routes), "127.0.0.1", 0, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # returns once the parent is gone


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
