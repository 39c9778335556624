"""A gateway in memory and in virtual time: clients are memory streams, and providers are scripts."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
import h11
import trio
import trio.testing

from turnout.errors import TimedOut
from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers import create
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy
from turnout_io.serve import Gateway, read_gateway_settings, record_trace, scopes_of
from turnout_io.trio import Router

__all__ = ["HELLO", "Answer", "Client", "Reply", "Upstream", "World", "chunks", "document", "in_memory", "sse", "world"]

T = TypeVar("T")
HELLO = [{"role": "user", "content": "hello"}]
HANG = float("inf")


def sse(*frames: Mapping[str, Any] | str) -> bytes:
    """Events of a stream."""
    return b"".join(f"data: {f if isinstance(f, str) else json.dumps(f)}\n\n".encode() for f in frames)


def chunks(*texts: str, finish: str | None = None) -> bytes:
    """Chunks of chat completions: a text each, and then the finish reason with the usage and [DONE]."""
    frames: list[Any] = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    if finish is not None:
        frames.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        frames.append({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        frames.append("[DONE]")
    return sse(*frames)


def document(text: str = "Hello") -> bytes:
    """A whole answer of chat completions."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode()


@attrs.define
class Answer:
    """One answer of a provider: bytes, seconds of silence, or an error, one after the other."""

    steps: Iterable[bytes | float | Exception]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0


@attrs.define(eq=False)
class _Response:
    upstream: Upstream
    status: int
    headers: tuple[tuple[str, str], ...]
    steps: deque[bytes | float | Exception]
    reads: int = 0
    closed: bool = False

    async def read(self, timeout: float | None) -> bytes:
        await trio.lowlevel.checkpoint()
        while self.steps:
            step = self.steps.popleft()
            if isinstance(step, Exception):
                raise step
            if isinstance(step, bytes):
                self.reads += 1
                return step
            with trio.move_on_after(timeout if timeout is not None else HANG) as scope:
                await trio.sleep(step)
            if scope.cancelled_caught:
                raise TimedOut("the script is silent")
        return b""

    async def aclose(self) -> None:
        self.closed = True


@attrs.define(eq=False)
class Upstream:
    """A transport whose providers answer from a script, in order."""

    answers: deque[Answer | Exception] = attrs.field(factory=deque)
    requests: list[HttpRequest] = attrs.field(factory=list)
    responses: list[_Response] = attrs.field(factory=list)
    waiting: int = 0
    cancelled: int = 0

    def add(self, *answers: Answer | Exception | bytes) -> None:
        self.answers += [Answer([one]) if isinstance(one, bytes) else one for one in answers]

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> _Response:
        self.requests.append(request)
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            await trio.lowlevel.checkpoint()
            raise answer
        self.waiting += 1
        try:
            with trio.move_on_after(
                timeouts.response_headers if timeouts.response_headers is not None else HANG
            ) as scope:
                await trio.sleep(answer.delay)
            if scope.cancelled_caught:
                raise TimedOut("the script gives no head")
        except trio.Cancelled:
            self.cancelled += 1
            raise
        finally:
            self.waiting -= 1
        response = _Response(self, answer.status, answer.headers, deque(answer.steps))
        self.responses.append(response)
        return response

    async def aclose(self) -> None:
        """Nothing is kept open."""

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.body) for request in self.requests]


@attrs.define
class Reply:
    """A response as the client read it."""

    status: int
    headers: dict[str, str]
    body: bytes
    ended: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[Any]:
        """The data of the events; comments as they are."""
        found: list[Any] = []
        for frame in self.body.decode().split("\n\n"):
            for line in frame.split("\n"):
                if line.startswith("data: "):
                    text = line.removeprefix("data: ")
                    found.append(text if text == "[DONE]" else json.loads(text))
                elif line.startswith(":"):
                    found.append(line)
        return found

    @property
    def text(self) -> str:
        """The text of a stream of chat completions."""
        choices = [choice for f in self.frames if isinstance(f, dict) for choice in f.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)


@attrs.define(eq=False)
class Client:
    """A client of the gateway, which reads with h11."""

    stream: trio.abc.Stream
    received: bytes = b""
    writes: list[bytes] = attrs.field(factory=list)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        version: str = "1.1",
    ) -> None:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"Host": "127.0.0.1", "Content-Length": str(len(data)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await self.stream.send_all(f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode() + data)

    async def read(self, method: str = "POST") -> Reply:
        """Read one response to its end, or until the connection ends."""
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
        status, headers, body = 0, {}, b""
        if self.received:
            connection.receive_data(self.received)
            self.received = b""
        while True:
            event = connection.next_event()
            match event:
                case h11.NEED_DATA:
                    data = await self.receive()
                    connection.receive_data(data)
                    if not data and not status:
                        return Reply(0, {}, b"", ended=False)
                case h11.Response():
                    status = event.status_code
                    headers = {n.decode(): v.decode("latin-1") for n, v in event.headers}
                case h11.Data():
                    body += bytes(event.data)
                case h11.EndOfMessage():
                    self.received = connection.trailing_data[0]
                    return Reply(status, headers, body)
                case h11.ConnectionClosed() | h11.PAUSED:
                    return Reply(status, headers, body, ended=False)
                case _:
                    raise AssertionError(event)

    async def receive(self) -> bytes:
        data = bytes(await self.stream.receive_some(65536))
        self.writes.append(data)
        return data

    async def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        await self.send(method, path, body, headers)
        return await self.read(method)

    async def chat(self, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
        body = {"model": "openai/gpt-4o-mini", "messages": HELLO, **fields}
        return await self.ask("POST", "/v1/chat/completions", body, headers)

    async def aclose(self) -> None:
        await self.stream.aclose()


class _Listener(trio.abc.Listener[trio.abc.Stream]):
    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](100)

    def connect(self, stream: trio.abc.Stream) -> None:
        self._send.send_nowait(stream)

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self._send.close()


@attrs.define(eq=False)
class World:
    """The gateway with its clients and providers."""

    gateway: Gateway
    upstream: Upstream
    nursery: trio.Nursery
    listener: _Listener
    served: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)

    def client(self) -> Client:
        """Connect a client, whose stream holds any number of bytes."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.listener.connect(theirs)
        return Client(ours)

    def slow_client(self) -> Client:
        """Connect a client that takes bytes only when it reads, so that writes to it wait."""
        ours, theirs = trio.testing.lockstep_stream_pair()
        self.listener.connect(theirs)
        return Client(ours)

    async def serve(self) -> None:
        await self.gateway.serve([self.listener])
        self.ended.set()


@asynccontextmanager
async def world(
    settings: Mapping[str, Any] | None = None,
    *,
    policy: Policy | None = None,
    routes: Iterable[Route] = (),
    prices: Mapping[str, Any] | None = None,
) -> AsyncIterator[World]:
    """Run a gateway with the providers openai, groq and anthropic."""
    upstream = Upstream()
    policy = policy or Policy(max_retries=0)
    providers = [create(name, api_key="k", unsupported="drop") for name in ("openai", "groq", "anthropic", "gemini")]
    router = Router(providers, policy=policy, transport=upstream, seed=1, on_trace=record_trace)
    for route in routes:
        router.add_route(route)
    gateway = Gateway(
        router,
        read_gateway_settings(settings),
        prices=prices or policy.prices,
        scopes=scopes_of(providers),
    )
    async with trio.open_nursery() as nursery:
        made = World(gateway, upstream, nursery, _Listener())
        nursery.start_soon(made.serve)
        yield made
        nursery.cancel_scope.cancel()


def in_memory(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on trio with a clock that jumps to the next timer whenever all tasks wait."""

    def run(**arguments: Any) -> None:
        async def call() -> None:
            await test(**arguments)

        trio.run(call, clock=trio.testing.MockClock(autojump_threshold=0))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    signature = getattr(test, "pytestmark", None)
    if signature is not None:
        run.pytestmark = signature  # type: ignore[attr-defined]
    import inspect

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run
