"""Clients that are written by hand for this work alone: Turnout is compared with them.

No routing, no retries, no checks of what arrives: as little as gives the text.
"""

from __future__ import annotations

import array
import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
import trio

from benchmarks.clients.by_hand_http import (
    Collected,
    Events,
    Exchange,
    H11Exchange,
    OwnExchange,
    Sink,
    decode,
    decode_embeddings,
    decode_text_embeddings,
)
from benchmarks.clients.interface import (
    KEY,
    TEXTS,
    AsyncClient,
    AsyncSession,
    Client,
    History,
    Session,
    Streamed,
    as_dicts,
    body,
)
from benchmarks.server.routes import BURST, CHUNK, route_named

__all__ = ["CLIENTS"]

TIMEOUT = 30.0
READ_SIZE = 65536


MakeExchange = Callable[[bytes, bytes, Sink], Exchange]


def floats_in(document: bytes) -> int:
    """Decode vectors, base64 or text; return how many floats they have together."""
    if b'"embedding":"' in document:
        return sum(len(memoryview(each.embedding).cast("f")) for each in decode_embeddings(document).data)
    return sum(len(each.embedding) for each in decode_text_embeddings(document).data)


class _Work:
    """What every session does but send and receive."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.address = (parts.hostname, parts.port)
        self.target = f"{parts.path}/chat/completions".encode()
        self.embeddings_target = f"{parts.path}/embeddings".encode()

    def prepare(self, history: History) -> list[dict[str, str]]:
        return as_dicts(history)

    def length_of(self, pieces: Sequence[bytes]) -> int:
        message = decode(b"".join(pieces)).choices[0].message
        assert message is not None
        return len(message.content or "")

    def floats_of(self, pieces: Sequence[bytes]) -> int:
        return floats_in(b"".join(pieces))


_encode = msgspec.json.encode
_EMBEDDINGS = _encode({"model": "text-embedding-3-small", "input": TEXTS, "encoding_format": "base64"})


class _SocketSession(_Work):
    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._socket = socket.create_connection(self.address)
        self._socket.settimeout(TIMEOUT)

    def close(self) -> None:
        self._socket.close()

    def _exchange(self, target: bytes, content: bytes, sink: Sink) -> None:
        exchange = OwnExchange(target, content, sink)
        self._socket.sendall(exchange.outgoing)
        while not exchange.ended:
            exchange.receive(self._socket.recv(READ_SIZE))

    def chat(self, prepared: Any) -> int:
        sink = Collected()
        self._exchange(self.target, _encode(body(prepared)), sink)
        return self.length_of(sink.pieces)

    def stream(self) -> Streamed:
        events = Events()
        self._exchange(self.target, _encode(body((), stream=True)), events)
        return events.result()

    def embed(self) -> int:
        sink = Collected()
        self._exchange(self.embeddings_target, _EMBEDDINGS, sink)
        return self.floats_of(sink.pieces)


class _AsyncSession(_Work):
    """A session over a function that does one exchange."""

    def __init__(self, base_url: str, make: MakeExchange) -> None:
        super().__init__(base_url)
        self._make = make

    async def _do(self, exchange: Exchange) -> None:
        raise NotImplementedError

    async def chat(self, prepared: Any) -> int:
        sink = Collected()
        await self._do(self._make(self.target, _encode(body(prepared)), sink))
        return self.length_of(sink.pieces)

    async def stream(self) -> Streamed:
        events = Events()
        await self._do(self._make(self.target, _encode(body((), stream=True)), events))
        return events.result()

    async def embed(self) -> int:
        sink = Collected()
        await self._do(self._make(self.embeddings_target, _EMBEDDINGS, sink))
        return self.floats_of(sink.pieces)


class _TrioSession(_AsyncSession):
    """Connections are kept in a list while nobody uses them."""

    def __init__(self, base_url: str, make: MakeExchange) -> None:
        super().__init__(base_url, make)
        self.idle: list[trio.SocketStream] = []

    async def _do(self, exchange: Exchange) -> None:
        with trio.fail_after(TIMEOUT):
            stream = self.idle.pop() if self.idle else await trio.open_tcp_stream(*self.address)
            await stream.send_all(exchange.outgoing)
            while not exchange.ended:
                exchange.receive(bytes(await stream.receive_some(READ_SIZE)))
        self.idle.append(stream)


class _AsyncioSession(_AsyncSession):
    def __init__(self, base_url: str, make: MakeExchange) -> None:
        super().__init__(base_url, make)
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def _do(self, exchange: Exchange) -> None:
        async with asyncio.timeout(TIMEOUT):
            if self.idle:
                reader, writer = self.idle.pop()
            else:
                reader, writer = await asyncio.open_connection(*self.address)
            writer.write(exchange.outgoing)
            await writer.drain()
            while not exchange.ended:
                exchange.receive(await reader.read(READ_SIZE))
        self.idle.append((reader, writer))


class _RequestsSession:
    """requests and the standard library's json, as its documentation shows it."""

    def __init__(self, base_url: str, session: requests.Session) -> None:
        self._url = base_url
        self._session = session

    def prepare(self, history: History) -> list[dict[str, str]]:
        return as_dicts(history)

    def chat(self, prepared: Any) -> int:
        with self._session.post(f"{self._url}/chat/completions", json=body(prepared), timeout=TIMEOUT) as response:
            response.raise_for_status()
            return len(response.json()["choices"][0]["message"]["content"])

    def stream(self) -> Streamed:
        characters, first_at = 0, 0.0
        url = f"{self._url}/chat/completions"
        with self._session.post(url, json=body((), stream=True), stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            for line in response.iter_lines(chunk_size=READ_SIZE):
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:])["choices"]
                    text = choices[0]["delta"].get("content") if choices else None
                    if text:
                        first_at = first_at or time.perf_counter()
                        characters += len(text)
        return Streamed(characters, first_at)

    def embed(self) -> int:
        asked = {"model": "text-embedding-3-small", "input": TEXTS, "encoding_format": "base64"}
        with self._session.post(f"{self._url}/embeddings", json=asked, timeout=TIMEOUT) as response:
            response.raise_for_status()
            packed = (entry["embedding"] for entry in response.json()["data"])
            return sum(len(array.array("f", base64.b64decode(vector))) for vector in packed)


class _CodecSession:
    """No network at all: the JSON of the same work, by the standard library or by msgspec."""

    def __init__(self, base_url: str) -> None:
        name = urlsplit(base_url).path.split("/")[1]
        self._body = route_named(name).head.partition(b"\r\n\r\n")[2]

    def prepare(self, history: History) -> list[dict[str, str]]:
        return as_dicts(history)

    def chat(self, prepared: Any) -> int:
        return len(_encode(body(prepared)))

    def stream(self) -> Streamed:
        text = CHUNK[6:-2]
        for _ in range(BURST):
            json.loads(text)
        return Streamed(0, time.perf_counter())

    def embed(self) -> int:
        return floats_in(self._body)


@contextmanager
def _socket(base_urls: Sequence[str]) -> Iterator[Session]:
    session = _SocketSession(base_urls[0])
    try:
        yield session
    finally:
        session.close()


@contextmanager
def _codec(base_urls: Sequence[str]) -> Iterator[Session]:
    yield _CodecSession(base_urls[0])


@contextmanager
def _requests(base_urls: Sequence[str]) -> Iterator[Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {KEY}"
        yield _RequestsSession(base_urls[0], session)


def _trio(make: MakeExchange) -> Callable[[Sequence[str]], Any]:
    @asynccontextmanager
    async def opened(base_urls: Sequence[str]) -> AsyncIterator[AsyncSession]:
        session = _TrioSession(base_urls[0], make)
        yield session
        for stream in session.idle:
            await stream.aclose()

    return opened


def _asyncio(make: MakeExchange) -> Callable[[Sequence[str]], Any]:
    @asynccontextmanager
    async def opened(base_urls: Sequence[str]) -> AsyncIterator[AsyncSession]:
        session = _AsyncioSession(base_urls[0], make)
        yield session
        for _, writer in session.idle:
            writer.close()
            await writer.wait_closed()

    return opened


def run_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function on asyncio."""

    async def awaited() -> Any:
        return await main()

    return asyncio.run(awaited())


CLIENTS: dict[str, Client | AsyncClient] = {
    "hand-socket": Client(_socket),
    "hand-trio": AsyncClient(_trio(OwnExchange), trio.run),
    "hand-trio-h11": AsyncClient(_trio(H11Exchange), trio.run),
    "hand-asyncio": AsyncClient(_asyncio(OwnExchange), run_asyncio),
    "hand-asyncio-h11": AsyncClient(_asyncio(H11Exchange), run_asyncio),
    "hand-codec": Client(_codec),
    "hand-requests": Client(_requests),
}
