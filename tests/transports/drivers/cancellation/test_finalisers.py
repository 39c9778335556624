"""The garbage collector may finalise a stream at any allocation, also while its thread holds one of our locks.

The locks of a router, its transport, its recorder and its cassette are replaced by locks that raise an error if a
thread acquires one that it already holds. While one of them is held, each line in turn runs a collection that
finalises three streams, each in a reference cycle: one alone, one in the `with` block of a generator, one that a
`__del__` closes.
"""

from __future__ import annotations

import asyncio
import gc
import queue
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
import trio
import urllib3

import turnout_io.asyncio
import turnout_io.process_lock
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, ModelConfig
from turnout.providers import create
from turnout.routing import Policy
from turnout_io.recorder import TraceRecorder
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.testing import AsyncRecordingTransport, RecordingTransport
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

REQUEST = ChatRequest(ModelConfig("openai", "m"), "x")
OURS = ("turnout.", "turnout_io.")


class Deadlock(Exception):
    """A thread waits for a lock that it holds."""


class WatchedLock:
    """A lock that knows its owner, and counts the locks that a thread holds."""

    held = threading.local()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None

    def __enter__(self) -> None:
        if self._owner == threading.get_ident():
            raise Deadlock
        self._lock.acquire()
        self._owner = threading.get_ident()
        self.held.count = self.count() + 1

    def __exit__(self, *_: object) -> None:
        self.held.count = self.count() - 1
        self._owner = None
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()

    @classmethod
    def count(cls) -> int:
        return getattr(cls.held, "count", 0)


Place = tuple[types.CodeType, int]


class Collector:
    """Runs `collect` once, at the first line that this thread reaches while it holds a lock and that is not in `done`.

    Adds the line to `done`. `place` names it, or is empty if there was no such line.
    """

    def __init__(self, done: set[Place], collect: Callable[[], None]) -> None:
        self.place = ""
        self._done = done
        self._collect = collect

    def __enter__(self) -> Collector:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: types.FrameType, event: str, arg: object) -> Any:
        if frame.f_globals.get("__name__", "").startswith(OURS):
            return self._step
        return None

    def _step(self, frame: types.FrameType, event: str, arg: object) -> Any:
        code, line = frame.f_code, frame.f_lineno
        if event == "line" and not self.place and WatchedLock.count() and (code, line) not in self._done:
            self._done.add((code, line))
            self.place = f"{code.co_qualname}, line {line} of {code.co_filename}"
            self._collect()
        return self._step


@pytest.fixture
def watched_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("turnout_io") and hasattr(module, "process_lock") and name != "turnout_io.process_lock":
            monkeypatch.setattr(module, "process_lock", WatchedLock)
    # TLS settings refer to the function in an attrs field; their lock is held for a look at one attribute.


class Node:
    """Part of a reference cycle."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self.itself = self


class Owner:
    """An object of the user's with a finaliser."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __del__(self) -> None:
        self.stream.close()


def in_generator(router: Any) -> Iterator[Any]:
    with router.stream(REQUEST) as stream:
        yield from stream


async def in_async_generator(router: Any) -> Any:
    async with router.stream(REQUEST) as stream:
        async for event in stream:
            yield event


def never_closed(streams: list[Any]) -> Callable[[], None]:
    """Return a function that makes each stream unreachable in a cycle, and collects."""

    def collect() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            while streams:
                Node(streams.pop())  # a collection may run by itself from here on
            gc.collect(0)

    return collect


def _providers(sandbox: Sandbox) -> list[Any]:
    return [create("openai", api_key=sandbox.key("openai"), base_url=sandbox.url("openai"))]


POLICY = Policy(max_concurrency=4, when_at_capacity="reject", max_retries=0, breaker=None)


def blocking_rounds(make: Callable[..., Any], sandbox: Sandbox, recorder: TraceRecorder, tape: Path) -> int:
    transport = RecordingTransport(make(trust_env=False), tape)
    with turnout_io.sync.Router(_providers(sandbox), policy=POLICY, transport=transport, on_trace=recorder) as router:
        done: set[Place] = set()
        while True:
            sandbox.script("openai", *[Fault(abort="hang", after_tokens=1)] * 3)
            streams: list[Any] = [router.stream(REQUEST), in_generator(router), router.stream(REQUEST)]
            for number in range(3):
                next(streams[number])
            streams[2] = Owner(streams[2])
            with Collector(done, never_closed(streams)) as collector:
                router.chat(REQUEST)
                with router.stream(REQUEST) as left_early:
                    next(left_early)
                router.health()
            if not collector.place:
                never_closed(streams)()
                return len(done)
            assert all(health.in_flight == 0 for health in router.health()), collector.place


async def async_rounds(kind: Any, transport: Any, sandbox: Sandbox, recorder: TraceRecorder) -> int:
    async with kind(_providers(sandbox), policy=POLICY, transport=transport, on_trace=recorder) as router:
        done: set[Place] = set()
        while True:
            sandbox.script("openai", Fault(abort="hang", after_tokens=1), Fault(abort="hang", after_tokens=1))
            stream = router.stream(REQUEST)
            generator: Any = in_async_generator(router)
            await stream.__aenter__()
            await generator.__anext__()
            streams: list[Any] = [stream]
            collect = never_closed(streams)
            del stream
            with Collector(done, collect) as collector:
                await router.chat(REQUEST)
                async with router.stream(REQUEST) as left_early:
                    await left_early.__anext__()
                router.health()
            await generator.aclose()
            if not collector.place:
                collect()
                return len(done)
            assert all(health.in_flight == 0 for health in router.health()), collector.place


@pytest.mark.full
@pytest.mark.usefixtures("watched_locks")
@pytest.mark.parametrize("driver", ["sockets", "requests", "trio", "asyncio"])
def test_collection_at_every_line_inside_a_lock(driver: str, tmp_path: Path) -> None:
    tape = tmp_path / "tape.json"
    with Sandbox() as sandbox, TraceRecorder(tmp_path / "traces.jsonl") as recorder:
        sandbox.answer("openai", "one two three")
        match driver:
            case "trio":
                transport = AsyncRecordingTransport(TrioTransport(), tape)
                rounds = trio.run(async_rounds, turnout_io.trio.Router, transport, sandbox, recorder)
            case "asyncio":
                transport = AsyncRecordingTransport(AsyncioTransport(), tape)
                rounds = asyncio.run(async_rounds(turnout_io.asyncio.Router, transport, sandbox, recorder))
            case _:
                make = SocketTransport if driver == "sockets" else RequestsTransport
                rounds = blocking_rounds(make, sandbox, recorder, tape)
        assert rounds > 50
        assert sandbox.wait(lambda server: server.open_connections == 0)
    # Each abandoned stream is in the cassette and in the traces.
    calls = 4 if driver in ("trio", "asyncio") else 5
    assert (tmp_path / "traces.jsonl").read_bytes().count(b"\n") == calls * (rounds + 1)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        server.answer("openai", "one two three")
        yield server


@pytest.fixture
def frequent_collections() -> Iterator[None]:
    """Collect at nearly every allocation. What exists already is left out, because it would cost the most time."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(5, 1, 1)
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("frequent_collections")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("make", [SocketTransport, RequestsTransport])
@pytest.mark.parametrize("streams", [12, pytest.param(240, marks=pytest.mark.full)])
def test_threads_that_abandon_streams_do_not_stop(make: Callable[..., Any], streams: int, sandbox: Sandbox) -> None:
    policy = Policy(max_concurrency=4, timeout=3600.0, breaker=None)
    failures: list[BaseException] = []
    with turnout_io.sync.Router(_providers(sandbox), policy=policy, transport=make(trust_env=False)) as router:

        def work() -> None:
            try:
                for number in range(streams):
                    stream: Any = in_generator(router) if number % 3 == 0 else router.stream(REQUEST)
                    next(stream)
                    Node(Owner(stream) if number % 3 == 1 else stream)
                    del stream
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        # If a thread waits for ever, the time limit of the test run ends this loop and shows where each thread is.
        while any(thread.is_alive() for thread in threads):
            gc.collect()  # nothing is allocated while all threads wait for slots of unreachable streams
            threads[0].join(0.001)
        assert not failures
        gc.collect()
        assert all(health.in_flight == 0 for health in router.health())
    assert sandbox.wait(lambda server: server.open_connections == 0)


class CollectingQueue(queue.LifoQueue[Any]):
    """The idle connections of urllib3. While its lock is held, the first `put` runs `collect`."""

    collect: ClassVar[list[Callable[[], None]]] = []

    def _put(self, item: Any) -> None:
        super()._put(item)
        if item is not None and self.collect:
            self.collect.pop()()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is not None and self.mutex.locked():
            raise Deadlock
        super().put(item, block, timeout)


def test_stream_that_a_finaliser_closes_inside_urllib3_is_closed_later(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "QueueCls", CollectingQueue)
    transport = RequestsTransport(requests.Session())
    with turnout_io.sync.Router(_providers(sandbox), policy=POLICY, transport=transport) as router:
        sandbox.script("openai", Fault(abort="hang", after_tokens=1))
        stream = router.stream(REQUEST)
        next(stream)
        streams: list[Any] = [Owner(stream)]
        del stream
        CollectingQueue.collect.append(never_closed(streams))
        assert router.chat(REQUEST).text == "one two three"
        assert not streams
        assert all(health.in_flight == 0 for health in router.health())
        assert sandbox.wait(lambda server: server.open_connections == 1)  # the idle one


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("driver", ["sync", "trio", "asyncio"])
def test_call_that_waits_for_the_slot_of_an_abandoned_stream_is_woken(driver: str, sandbox: Sandbox) -> None:
    policy = Policy(max_concurrency=1, timeout=3600.0)

    def abandon(router: Any, nodes: list[Node]) -> None:
        while not router._events:
            time.sleep(0.001)
        nodes.clear()
        gc.collect()

    def blocking() -> None:
        with turnout_io.sync.Router(_providers(sandbox), policy=policy) as router:
            nodes = [Node(router.stream(REQUEST))]
            next(iter(nodes[0].thing))
            thread = threading.Thread(target=abandon, args=(router, nodes))
            thread.start()
            assert router.chat(REQUEST).text == "one two three"
            thread.join()

    async def concurrent() -> None:
        module = turnout_io.trio if driver == "trio" else turnout_io.asyncio
        async with module.Router(_providers(sandbox), policy=policy) as router:
            stream = router.stream(REQUEST)
            await stream.__anext__()
            nodes = [Node(stream)]
            del stream
            thread = threading.Thread(target=abandon, args=(router, nodes))
            thread.start()
            assert (await router.chat(REQUEST)).text == "one two three"
            thread.join()

    if driver == "sync":
        blocking()
    elif driver == "trio":
        trio.run(concurrent)
    else:
        asyncio.run(concurrent())
    assert sandbox.wait(lambda server: server.open_connections == 0)
