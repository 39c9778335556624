"""How much Python work a call and a chunk are, counted and not timed: `python -m benchmarks.work`.

The figures are bytecodes that the interpreter executes in Turnout's own files, so they are the same on every machine
and under every load, with one version of Python. Replies of the first rows come from memory, through Turnout's HTTP/1.1
machine; there is no socket and no event loop in the count. The other rows are calls over each transport to a server on
loopback. The least of several runs counts, because a reply may arrive in two reads.

A test holds the figures against bounds, so that a change which makes a call dearer is seen at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import attrs
import trio

import turnout
import turnout_io
from benchmarks.clients.interface import TEXTS, AsyncClient, Client
from benchmarks.clients.own import CLIENTS
from benchmarks.measure import parser, print_table
from benchmarks.parts.routing import Queue
from benchmarks.server import running_server
from benchmarks.server.routes import CALL, CHUNK, FAILURE, route_named
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.http import Headers, HttpRequest, TransportTimeouts
from turnout.http.http1 import Http1Exchange
from turnout.messages import Message
from turnout.providers import create
from turnout.routing.policy.settings import Policy
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver

__all__ = ["count_work"]

READ = 16_384
CHUNKS = 200
RUNS = 15
# Each call tries its first candidate, once, however often that has failed.
_POLICY = Policy(max_retries=0, breaker=None)


@attrs.define
class _Response:
    """A response whose bytes are there already. The blocking and the async interface in one."""

    status: int
    headers: Headers
    exchange: Http1Exchange
    reads: list[bytes]

    def read(self, timeout: float | None) -> bytes:
        while self.reads:
            data = self.exchange.receive_data(self.reads.pop())
            if data:
                return data
        return b""

    def close(self) -> None:
        """Do nothing: there is no connection."""


@attrs.define
class _AsyncResponse:
    inner: _Response

    @property
    def status(self) -> int:
        return self.inner.status

    @property
    def headers(self) -> Headers:
        return self.inner.headers

    async def read(self, timeout: float | None) -> bytes:
        return self.inner.read(timeout)

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


class _Transport:
    """Replies with the bytes of the route that the URL names."""

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> _Response:
        exchange = Http1Exchange.to_url(request)
        while exchange.next_chunk() is not None:
            pass
        route = request.url.split("/")[3]
        head, rest = _WIRES[route]
        first = exchange.receive_data(head)
        assert exchange.status is not None
        response = _Response(exchange.status, exchange.headers, exchange, [*reversed(rest)])
        assert not first
        return response

    def close(self) -> None:
        """Do nothing: there is no connection."""


class _AsyncTransport:
    def __init__(self) -> None:
        self._inner = _Transport()

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> _AsyncResponse:
        return _AsyncResponse(self._inner.open(request, timeouts))

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


def _wire(name: str, *, chunks: int = 0, size: int = READ) -> tuple[bytes, list[bytes]]:
    route = route_named(name)
    whole = route.head + (route.chunk * chunks if chunks else b"") + route.tail
    head, _, body = whole.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", [body[start : start + size] for start in range(0, len(body), size)]


_IN_PACKETS = len(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
_WIRES = {
    "call": _wire(CALL),
    "failure": _wire(FAILURE),
    "vectors": _wire("vectors-short"),
    "few": _wire("burst", chunks=CHUNKS),
    "many": _wire("burst", chunks=2 * CHUNKS),
    "few-packets": _wire("burst", chunks=CHUNKS, size=_IN_PACKETS),
    "many-packets": _wire("burst", chunks=2 * CHUNKS, size=_IN_PACKETS),
}


# The folders of the packages, and what attrs writes for their classes. The path of a checkout may have any name.
_COUNTED = (*turnout.__path__, *turnout_io.__path__, "<attrs generated")


class _Counter:
    """Counts bytecodes in files of Turnout."""

    def __init__(self) -> None:
        self.count = 0

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "call":
            if not frame.f_code.co_filename.startswith(_COUNTED):
                return None
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "opcode":
            self.count += 1
        return self._trace

    @contextmanager
    def counting(self) -> Iterator[None]:
        before = sys.gettrace()
        self.count = 0
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)

    def of(self, run: Callable[[], object]) -> int:
        with self.counting():
            run()
        return self.count


def _request(*candidates: str) -> ChatRequest:
    first, *others = (ModelConfig(name, "gpt-4o-mini") for name in candidates)
    return ChatRequest(first, [Message.user("hello")], fallbacks=others)


def _steady(run: Callable[[], object], counter: _Counter) -> int:
    """Count after two runs that fill what is kept between calls."""
    run()
    run()
    return min(counter.of(run) for _ in range(RUNS))


async def _steady_async(run: Callable[[], Awaitable[object]], counter: _Counter) -> int:
    """Do the same with what is to be awaited."""
    await run()
    await run()
    counts = []
    for _ in range(RUNS):
        with counter.counting():
            await run()
        counts.append(counter.count)
    return min(counts)


_HUNDRED = _request("call", *["few"] * 99)
_EMBEDDING = EmbeddingRequest(ModelConfig("vectors", "text-embedding-3-small"), TEXTS)


def _providers() -> list[Any]:
    # The host is this one, because the library warns of a key that goes to another one over plain http.
    return [create("openai", name=route, api_key="k", base_url=f"http://127.0.0.1/{route}/v1") for route in _WIRES]


def count_work() -> dict[str, float]:
    """Return the bytecodes of each kind of work."""
    counter = _Counter()
    work: dict[str, float] = {}
    with sync.Router(_providers(), policy=_POLICY, transport=_Transport()) as router:

        def read(route: str) -> None:
            with router.stream(_request(route)) as stream:
                for _ in stream:
                    pass

        work["a call"] = _steady(lambda: router.chat(_request("call")), counter)
        work["a call after a fallback"] = _steady(lambda: router.chat(_request("failure", "call")), counter)
        work["a call with 100 candidates"] = _steady(lambda: router.chat(_HUNDRED), counter)
        work["an embedding of 100 texts"] = _steady(lambda: router.embed(_EMBEDDING), counter)
        for name, few, many in (("in a burst", "few", "many"), ("in its own read", "few-packets", "many-packets")):
            counts = [_steady(lambda: read(route), counter) for route in (few, many)]  # noqa: B023 - run at once
            work[f"a chunk {name}"] = (counts[1] - counts[0]) / CHUNKS
    work["a call while 2,000 wait"] = _count_waiting(2_000, counter)
    work |= {f"{name}, asyncio": count for name, count in asyncio.run(_count_async(counter, asyncio_driver)).items()}
    work |= {f"{name}, trio": count for name, count in trio.run(_count_async, counter, trio_driver).items()}
    with running_server() as server:
        for name in ("socket", "requests", "trio", "asyncio"):
            work[f"a call over {name}"] = _count_over(CLIENTS[name], [server.base_url(CALL)], counter)
            work[f"a fallback over {name}"] = _count_over(
                CLIENTS[name], [server.base_url(FAILURE), server.base_url(CALL)], counter
            )
    return work


def _count_waiting(length: int, counter: _Counter) -> int:
    """Return the bytecodes of a call that joins a queue of this length, and of the one at its head, without I/O."""
    queue = Queue(length)

    def one() -> None:
        queue.arrive()
        queue.finish_one()

    return _steady(one, counter)


async def _count_async(counter: _Counter, driver: Any) -> dict[str, float]:
    async with driver.Router(_providers(), policy=_POLICY, transport=_AsyncTransport()) as router:

        async def read(route: str) -> None:
            async with router.stream(_request(route)) as stream:
                async for _ in stream:
                    pass

        call = await _steady_async(lambda: router.chat(_request("call")), counter)
        counts = [await _steady_async(lambda: read(route), counter) for route in ("few", "many")]  # noqa: B023
        return {"a call": call, "a chunk in a burst": (counts[1] - counts[0]) / CHUNKS}


def _count_over(client: Client | AsyncClient, base_urls: Sequence[str], counter: _Counter) -> int:
    """Return the bytecodes of a call over a real transport."""
    if isinstance(client, AsyncClient):
        count: int = client.run(lambda: _count_over_async(client, base_urls, counter))
        return count
    with client.open(base_urls) as session:
        return _steady(lambda: session.chat(session.prepare(())), counter)


async def _count_over_async(client: AsyncClient, base_urls: Sequence[str], counter: _Counter) -> int:
    async with client.open(base_urls) as session:
        return await _steady_async(lambda: session.chat(session.prepare(())), counter)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("work", __doc__)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    given = options.parse_args(arguments)
    work = count_work()
    if given.json:
        print(json.dumps(work))
    else:
        print_table("Bytecodes", ("work", "bytecodes"), [(name, f"{count:,.1f}") for name, count in work.items()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
