"""The timeouts that a driver passes to a transport if time passes between its steps; and eager tasks."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from turnout import ChatRequest, Message, ModelConfig
from turnout.errors import DeadlineExceeded, ServerError, TimedOut, Timer, TurnoutError
from turnout.http import Headers, HttpRequest, TransportTimeouts
from turnout.providers import create
from turnout.routing.policy.settings import BreakerPolicy, Hedge, Policy, Timeouts
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io.base import HttpResponse, Transport
from turnout_io.drivers.asyncio_runtime import AsyncioRuntime
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.transports.socket import SocketTransport

OPENAI = ModelConfig("openai", "gpt-4o-mini")
GEMINI = ModelConfig("gemini", "gemini-2.5-flash")
REQUEST = ChatRequest(OPENAI, [Message.user("Say a few things about trains.")], fallbacks=[GEMINI])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


class _Noting:
    """A transport that records the timeouts which it receives, also for its responses."""

    def __init__(self, waits: list[float | None]) -> None:
        self._waits = waits
        self._transport: Transport = SocketTransport(trust_env=False)

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> HttpResponse:
        self._waits += (timeouts.connect, timeouts.response_headers)
        return _NotingAnswer(self._transport.open(request, timeouts), self._waits)

    def close(self) -> None:
        self._transport.close()


class _NotingAnswer:
    def __init__(self, answer: HttpResponse, waits: list[float | None]) -> None:
        self._answer = answer
        self._waits = waits
        self.status = answer.status
        self.headers = answer.headers

    def read(self, timeout: float | None) -> bytes:
        self._waits.append(timeout)
        return self._answer.read(timeout)

    def close(self) -> None:
        self._answer.close()


class _Hurried(sync.Router):
    """A router on a busy machine: much time passes between two reads of the clock."""

    step = 0.0

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        reads = itertools.count(1)
        self._now = lambda: next(reads) * self.step


@pytest.mark.parametrize("step", [0.01, 0.03, 0.1, 0.3, 0.7, 0.9])
def test_no_timeout_of_a_transport_is_in_the_past(step: float, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(token_interval=0.001), Fault(stall=0.01, after_tokens=1), forever=True)
    waits: list[float | None] = []
    providers = [create(name, api_key=sandbox.key(name), base_url=sandbox.url(name)) for name in ("openai", "gemini")]
    with _Hurried(providers, policy=Policy(timeout=1.0), transport=_Noting(waits), seed=0) as router:
        router.step = step
        for _ in range(4):
            try:
                router.chat(REQUEST, collect=True)
            except TurnoutError as error:
                assert isinstance(error, DeadlineExceeded), error
    assert waits
    assert all(wait is not None and wait > 0 for wait in waits), waits


class _Held:
    """The first is refused. The second is whole as soon as `go` is set, but does not end before `over` is."""

    def __init__(self) -> None:
        self.asked = 0
        self.probed, self.go, self.over = threading.Event(), threading.Event(), threading.Event()

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> HttpResponse:
        self.asked += 1
        if self.asked == 1:
            return _HeldAnswer(500, [])
        body = b'data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        if self.asked > 2:
            return _HeldAnswer(200, [(None, body)])
        self.probed.set()
        return _HeldAnswer(200, [(self.go, body), (self.over, b"")])

    def close(self) -> None: ...


class _HeldAnswer:
    headers = Headers([("content-type", "text/event-stream")])

    def __init__(self, status: int, pieces: list[tuple[threading.Event | None, bytes]]) -> None:
        self.status = status
        self._pieces = pieces

    def read(self, timeout: float | None) -> bytes:
        if not self._pieces:
            return b""
        held, piece = self._pieces.pop(0)
        if held is not None and not held.wait(timeout):
            raise TimedOut("held for too long", timer=Timer.READ)
        return piece

    def close(self) -> None: ...


def test_a_complete_response_admits_waiting_calls_before_its_body_ends() -> None:
    transport = _Held()
    policy = Policy(
        max_retries=0,
        when_all_in_cooldown="wait",
        breaker=BreakerPolicy(consecutive_failures=1, break_duration=0.01),
        timeouts=Timeouts(drain=30.0),
    )
    answers: list[str] = []
    with sync.Router([create("openai", api_key="k")], policy=policy, transport=transport) as router:

        def ask() -> None:
            answers.append(router.chat(ChatRequest(OPENAI, "hi"), collect=True).text)

        with pytest.raises(ServerError):
            router.chat(ChatRequest(OPENAI, "hi"), collect=True)
        probe, waiting = threading.Thread(target=ask), threading.Thread(target=ask)
        probe.start()
        assert transport.probed.wait(60.0)
        waiting.start()
        until = time.monotonic() + 60.0
        while not router._core.scheduler.waiting and time.monotonic() < until:
            os.sched_yield()
        transport.go.set()
        waiting.join(60.0)
        assert answers == ["Hello"], "the probe is still running"
        transport.over.set()
        probe.join(60.0)
        assert answers == ["Hello"] * 2


class _EagerTaskGroup:
    """Tasks that start inside `start`, as with an eager task factory (Python 3.12)."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks

    def start(self, operation: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        steps: Coroutine[Any, Any, None] = _begin(operation)
        try:
            waited_for = steps.send(None)
        except StopIteration:
            return lambda: None
        task = self._tasks.create_task(_go_on(steps, waited_for))

        def cancel() -> None:
            task.cancel()

        return cancel


async def _begin(operation: Callable[[], Awaitable[None]]) -> None:
    await operation()


async def _go_on(steps: Coroutine[Any, Any, None], waited_for: Any) -> None:
    await _Rest(steps, waited_for)


class _Rest:
    """Runs the rest of a coroutine that waits already."""

    def __init__(self, steps: Coroutine[Any, Any, None], waited_for: Any) -> None:
        self._steps = steps
        self._waited_for = waited_for

    def __await__(self) -> Generator[Any, Any, None]:
        while True:
            try:
                try:
                    yield self._waited_for
                except BaseException as error:
                    self._waited_for = self._steps.throw(error)
                else:
                    self._waited_for = self._steps.send(None)
            except StopIteration:
                return


class _EagerRuntime(AsyncioRuntime):
    @asynccontextmanager
    async def task_group(self) -> AsyncIterator[Any]:
        async with asyncio.TaskGroup() as tasks:
            yield _EagerTaskGroup(tasks)


class _EagerRouter(asyncio_driver.Router):
    _runtime = _EagerRuntime()


class _AtOnce:
    """An async transport that never waits: it calls a blocking transport."""

    def __init__(self) -> None:
        self._transport = SocketTransport(trust_env=False)

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return _AnswerAtOnce(self._transport.open(request, timeouts))

    async def aclose(self) -> None:
        self._transport.close()


class _AnswerAtOnce:
    def __init__(self, answer: HttpResponse) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = answer.headers

    async def read(self, timeout: float | None) -> bytes:
        return self._answer.read(timeout)

    async def aclose(self) -> None:
        self._answer.close()


@pytest.mark.parametrize("faults", list(itertools.product((Fault(), Fault(status=503), Fault(delay=0.02)), repeat=2)))
def test_a_hedged_call_with_tasks_that_end_when_they_start(faults: tuple[Fault, ...], sandbox: Sandbox) -> None:
    providers = [create(name, api_key=sandbox.key(name), base_url=sandbox.url(name)) for name in ("openai", "gemini")]
    policy = Policy(hedge=Hedge(delay=0.0, budget=1.0), backoff_initial=0.001, timeout=5.0)

    async def main() -> None:
        async with _EagerRouter(providers, policy=policy, transport=_AtOnce(), seed=0) as router:
            for _ in range(3):
                for provider, fault in zip(("openai", "gemini"), faults, strict=True):
                    sandbox.script(provider, fault)
                assert (await router.chat(REQUEST)).text
                assert (await router.chat(REQUEST, collect=True)).text
                assert not any(health.in_flight for health in router.health())

    asyncio.run(main())
