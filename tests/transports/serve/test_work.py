"""The work of the gateway for a paced chunk beside the router's own, counted in calls and steps of tasks."""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import attrs
import trio

from turnout.providers import create
from turnout_io.serve import Gateway, read_gateway_settings, record_trace
from turnout_io.trio import Router

CHUNKS = 40
WARM = 5
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'


@attrs.define(slots=False, eq=False)
class Work(trio.abc.Instrument):
    """Counts calls and steps, by the name of the task."""

    calls: Counter[str] = attrs.field(factory=Counter)
    steps: Counter[str] = attrs.field(factory=Counter)
    _task: str = ""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        frame = getattr(task.coro, "cr_frame", None)
        handler = frame.f_locals.get("handler") if frame is not None else None
        # All connections run in tasks of one name; they differ in their handlers.
        self._task = getattr(handler, "func", handler).__name__ if handler is not None else task.name
        self.steps[self._task] += 1

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._task = ""

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        if event in ("call", "c_call"):
            self.calls[self._task] += 1


async def paced(turns: trio.MemoryReceiveChannel[None], stream: trio.SocketStream) -> None:
    """A provider that sends one chunk for each turn."""
    await stream.receive_some(65536)
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    async for _ in turns:
        await stream.send_all(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))


async def work_of(read: Callable[[Router, trio.Nursery, Callable[[], None]], Awaitable[None]]) -> Work:
    """Count the work for paced chunks. `read` opens a stream, and reports every chunk that has arrived."""
    turn, turns = trio.open_memory_channel[None](0)
    arrived = trio.Event()
    work = Work()

    def report() -> None:
        arrived.set()

    async with trio.open_nursery() as nursery:
        serve = functools.partial(trio.serve_tcp, functools.partial(paced, turns), 0, host="127.0.0.1")
        (listener, *_) = await nursery.start(serve)
        base_url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
        provider = create("openai-compatible", name="up", base_url=base_url, api_key="k")
        async with Router([provider], on_trace=record_trace) as router:
            nursery.start_soon(read, router, nursery, report)
            for number in range(WARM + CHUNKS):
                if number == WARM:
                    trio.lowlevel.add_instrument(work)
                    sys.setprofile(work)
                arrived = trio.Event()
                await turn.send(None)
                await arrived.wait()
            sys.setprofile(None)
            trio.lowlevel.remove_instrument(work)
            nursery.cancel_scope.cancel()
    return work


async def read_bare(router: Router, nursery: trio.Nursery, report: Callable[[], None]) -> None:
    async with router.stream("up/m", "hello") as stream:
        report()
        async for _ in stream.batches():
            report()


async def read_gateway(router: Router, nursery: trio.Nursery, report: Callable[[], None]) -> None:
    settings = {"keys": [{"name": "a", "key": "k"}], "aliases": {"a": "up/m"}, "listen": "127.0.0.1:0"}
    gateway = Gateway(router, read_gateway_settings(settings))
    (address, *_) = await nursery.start(gateway.serve)
    client = await trio.open_tcp_stream("127.0.0.1", int(address.rpartition(":")[2]))
    body: dict[str, Any] = {"model": "a", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    data = json.dumps(body).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\nContent-Length: %d\r\n\r\n"
    async with client:
        await client.send_all(head % len(data) + data)
        while await client.receive_some(65536):
            report()


def test_a_paced_chunk_costs_at_most_half_as_much_again_as_with_the_bare_router() -> None:
    bare, gateway = trio.run(work_of, read_bare), trio.run(work_of, read_gateway)
    router = next(name for name in bare.calls if name.endswith("read_bare"))
    assert gateway.calls["_accept"] <= 1.5 * bare.calls[router]
    # The task that reads from the provider writes to the client: no chunk passes from one task to another.
    assert gateway.steps["_accept"] == bare.steps[router] == CHUNKS
