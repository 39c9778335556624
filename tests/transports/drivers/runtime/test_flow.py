"""The flow of bytes through every driver: it reads only as fast as the caller, at once, and blocks no other task."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest
import trio

from turnout import ChatRequest, Message, ModelConfig
from turnout.errors import ProviderError
from turnout.providers import create
from turnout.providers.protocol import Provider
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.conformance.harness import chunk, reply
from turnout_io.conformance.server import Gate, Hold, Pause, Request, Reset, ScriptedServer, Send, Step
from turnout_io.drivers import AsyncRouter
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport

OPENAI = ModelConfig("openai", "gpt-4o-mini")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
DELTA = "trains " * 1000
EVENTS = 6000  # of 7 kB: more than any buffer of a system takes
ACCEPTED = 12_000_000  # bytes that the systems of both sides may take for a consumer that reads nothing
DRIVERS = pytest.mark.parametrize("driver", ["sockets", "requests", "trio", "asyncio"])


def event(delta: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": delta} if finish is None else {}, "finish_reason": finish}
    return b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode()


LAST = event("", "stop") + b"data: [DONE]\n\n"


def ask(text: str = "Say a few things about trains.") -> ChatRequest:
    return ChatRequest(OPENAI, [Message.user(text)])


@attrs.define
class Flow:
    """The measurements of a consumer.

    Attributes:
        characters: All that were read.
        since_tick: Those since the last time that another task ran.
        most: The most of them between two such times.
    """

    characters: int = 0
    since_tick: int = 0
    most: int = 0


def read(driver: str, endpoint: str, after_first: Callable[[], None]) -> Flow:
    """Read a stream. After the first event, call `after_first`, and continue when it returns."""
    flow = Flow()
    provider = create("openai", api_key="a-key", base_url=endpoint)
    if driver in ("trio", "asyncio"):
        run: Callable[..., Any] = trio.run if driver == "trio" else lambda main, *given: asyncio.run(main(*given))
        run(_read_async, driver, provider, after_first, flow)
        return flow
    transport = (SocketTransport if driver == "sockets" else RequestsTransport)(trust_env=False)
    with sync.Router([provider], transport=transport) as router, router.stream(ask()) as stream:
        for number, told in enumerate(stream):
            if told.type == "token":
                flow.characters += len(told.delta)
            if number == 0:
                after_first()
    return flow


async def _read_async(driver: str, provider: Provider, after_first: Callable[[], None], flow: Flow) -> None:
    on_trio = driver == "trio"
    router: AsyncRouter = (trio_driver.Router if on_trio else asyncio_driver.Router)([provider])
    in_thread: Callable[..., Awaitable[Any]] = trio.to_thread.run_sync if on_trio else asyncio.to_thread
    pause: Callable[[float], Awaitable[None]] = trio.sleep if on_trio else asyncio.sleep
    reading = True

    async def tick() -> None:
        while reading:
            await pause(0)
            flow.most = max(flow.most, flow.since_tick)
            flow.since_tick = 0

    async def consume() -> None:
        nonlocal reading
        number = 0
        try:
            async with router, router.stream(ask()) as stream:
                async for told in stream:
                    if told.type == "token":
                        flow.characters += len(told.delta)
                        flow.since_tick += len(told.delta)
                    if number == 0:
                        await in_thread(after_first)
                    number += 1
        finally:
            reading = False

    if on_trio:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            nursery.start_soon(consume)
    else:
        await asyncio.gather(tick(), consume())


class Flood:
    """A server that writes a response as fast as the client reads it.

    `blocked` is set when the client stops reading. `accepted` is the number of bytes sent before.
    """

    def __init__(self) -> None:
        self.blocked = threading.Event()
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()
        self._thread.join(30.0)

    def _serve(self) -> None:
        accepted, _ = self._listener.accept()
        with accepted:
            while b"\r\n\r\n" not in accepted.recv(65536):
                pass
            piece = chunk(event(DELTA))
            self._write(accepted, HEAD + b"\r\n")
            for _ in range(EVENTS):
                self._write(accepted, piece)
            self._write(accepted, chunk(LAST) + chunk(b""))
            self.blocked.set()
            # To close with an unread byte of the request would reset the connection, and the client would lose data.
            accepted.shutdown(socket.SHUT_WR)
            while accepted.recv(65536):
                pass

    def _write(self, accepted: socket.socket, data: bytes) -> None:
        left = memoryview(data)
        while left:
            # After half a second without progress, the client does not read ahead any more.
            accepted.settimeout(30.0 if self.blocked.is_set() else 0.5)
            try:
                taken = accepted.send(left)
            except TimeoutError:
                if self.blocked.is_set():
                    raise
                self.blocked.set()
                continue
            left = left[taken:]
            if not self.blocked.is_set():
                self.accepted += taken


@pytest.mark.full
@DRIVERS
def test_a_slow_consumer_slows_the_server_and_a_fast_server_blocks_no_task(driver: str) -> None:
    with Flood() as flood:
        flow = read(driver, flood.url, lambda: _assert_set(flood.blocked))
    assert flow.characters == EVENTS * len(DELTA)
    assert flood.accepted < ACCEPTED < EVENTS * len(DELTA)
    if driver in ("trio", "asyncio"):
        # Each read takes at most 256 kB, and other tasks run after every second one at the latest.
        assert 0 < flow.most < 4 * 262_144


def _assert_set(flag: threading.Event) -> None:
    assert flag.wait(30.0)


def compressed(*pieces: bytes, wbits: int) -> Iterator[bytes]:
    """Yield each piece so that it can be decompressed alone, then the end."""
    coder = zlib.compressobj(wbits=wbits)
    for piece in pieces:
        yield coder.compress(piece) + coder.flush(zlib.Z_SYNC_FLUSH)
    yield coder.flush()


@DRIVERS
@pytest.mark.parametrize(("coding", "wbits"), [("gzip", 31), ("deflate", 15), ("deflate", -15), ("identity", 0)])
def test_each_piece_of_a_compressed_response_arrives_at_once(driver: str, coding: str, wbits: int) -> None:
    events = (event("one "), event("two "), event("three") + LAST)
    first, *others = (*events, b"") if coding == "identity" else compressed(*events, wbits=wbits)
    head = HEAD + b"Content-Encoding: %b\r\n\r\n" % coding.encode()
    rest = b"".join(chunk(piece) for piece in others if piece) + chunk(b"")
    # The server sends the rest only after the client has received the first event.
    script: list[Step] = [Request(), Send(head + chunk(first)), Gate("seen"), Send(rest), Hold()]
    with ScriptedServer(script) as server:
        flow = read(driver, server.url, lambda: server.open_gate("seen"))
    assert flow.characters == len("one two three")


@pytest.mark.parametrize("driver", ["sockets", "trio", "asyncio"])
def test_an_error_response_during_the_request_is_read(driver: str) -> None:
    """Not with `requests`: it reads the response only after it has sent the whole body."""
    body = b'{"error": {"message": "that is too much", "type": "invalid_request_error"}}'
    large = reply(body, "Content-Type: application/json", "Connection: close", status="413 Content Too Large")
    request = ask("train " * 4_000_000)
    with ScriptedServer([Request(body=False), Send(large), Pause(1.5), Reset()]) as server:
        provider = create("openai", api_key="a-key", base_url=server.url)

        async def chat() -> None:
            async with (trio_driver.Router if driver == "trio" else asyncio_driver.Router)([provider]) as router:
                await router.chat(request, timeout=100.0)

        def chat_blocking() -> None:
            with sync.Router([provider], transport=SocketTransport(trust_env=False)) as router:
                router.chat(request, timeout=100.0)

        begin: dict[str, Callable[[], object]] = {
            "sockets": chat_blocking,
            "trio": lambda: trio.run(chat),
            "asyncio": lambda: asyncio.run(chat()),
        }
        with pytest.raises(ProviderError, match="that is too much") as caught:
            begin[driver]()
        assert caught.value.status == 413
        assert len(server.connections) == 1, "a request that is too large is not sent again"
