"""A call that is cancelled at any `await` releases its connection, its slot and its tasks.

Each case is cancelled at its first wait, then at its second, and so on, until it ends before the n-th wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest
import trio

from tests.transports.drivers.cancellation.stepping import Moment, cancelled_at, tasks_now
from turnout import ChatRequest, Message, ModelConfig
from turnout.providers import create
from turnout.routing.policy.settings import Hedge, Policy
from turnout.trace import Trace
from turnout_io import asyncio as asyncio_driver
from turnout_io import trio as trio_driver
from turnout_io.drivers import AsyncRouter
from turnout_io.sandbox import Fault, Sandbox

OPENAI = ModelConfig("openai", "gpt-4o-mini")
GEMINI = ModelConfig("gemini", "gemini-2.5-flash")
REQUEST = ChatRequest(OPENAI, [Message.user("Say a few things about trains.")], fallbacks=[GEMINI])
# Head, content and tokens are sent one after the other, so that the call waits for each.
WELL = Fault(delay=0.002, first_token_delay=0.002, token_interval=0.002)
HEDGED = Policy(hedge=Hedge(delay=0.001, budget=1.0), max_concurrency=2, breaker=None)
MOST = 400  # steps; no case has as many
RUNTIMES = pytest.mark.parametrize("runtime", ["trio", "asyncio"])
MOMENTS = pytest.mark.parametrize("moment", list(Moment))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.001) as server:
        heal(server)
        yield server


def heal(sandbox: Sandbox) -> None:
    sandbox.clear()
    for model in (OPENAI, GEMINI):
        sandbox.answer(model.provider, "one two three four")


async def chat(router: AsyncRouter) -> None:
    assert (await router.chat(REQUEST)).text == "one two three four"


async def collect(router: AsyncRouter) -> None:
    assert (await router.chat(REQUEST, collect=True)).text == "one two three four"


async def stream(router: AsyncRouter) -> None:
    async with router.stream(REQUEST) as answer:
        async for _ in answer:
            pass
        assert answer.response.text == "one two three four"


async def leave(router: AsyncRouter) -> None:
    async with router.stream(REQUEST) as answer:
        async for _ in answer:
            break


async def queue(router: AsyncRouter) -> None:
    """Two calls that wait for the one place that there is, and for each other."""
    async with router.stream(REQUEST) as answer:
        async for _ in answer:
            break
        waiting = [chat, collect]
        if isinstance(router, trio_driver.Router):
            async with trio.open_nursery() as nursery:
                for deed in waiting:
                    nursery.start_soon(deed, router)
                await answer.aclose()
        else:
            async with asyncio.TaskGroup() as group:
                for deed in waiting:
                    group.create_task(deed(router))
                await answer.aclose()


@attrs.frozen
class Case:
    """An operation to cancel.

    Attributes:
        faults: The faults of the first provider, set again in each round.
        host: The host in the URL of the server. A name needs a look-up.
        warm: True if an earlier call has left an idle connection.
    """

    name: str
    deed: Callable[[AsyncRouter], Awaitable[None]]
    faults: tuple[Fault, ...] = (WELL,)
    host: str = "127.0.0.1"
    warm: bool = False
    policy: Policy = Policy(max_concurrency=1, backoff_initial=0.001, breaker=None)

    def __str__(self) -> str:
        return self.name


CASES = [
    Case("chat", chat),
    Case("chat, by name", chat, host="localhost"),
    Case("chat, again", chat, warm=True),
    Case("collect", collect),
    Case("stream", stream),
    Case("stream, again", stream, warm=True),
    Case("leave", leave),
    Case(
        "retry and fall back",
        collect,
        (Fault(status=503), Fault(abort="reset", after_tokens=2), Fault(status=429), WELL),
    ),
    Case(
        "restart", stream, (Fault(abort="close", after_tokens=2),), policy=Policy(on_interrupt="restart", breaker=None)
    ),
    Case("queue", queue),
    Case("hedge", collect, (Fault(delay=0.01),), policy=HEDGED),
    Case("hedge, again", collect, (Fault(delay=0.01),), warm=True, policy=HEDGED),
]


def run(runtime: str, main: Callable[[], Any]) -> None:
    if runtime == "trio":
        trio.run(main)
    else:
        asyncio.run(main())


def make_router(runtime: str, sandbox: Sandbox, case: Case, traces: list[Trace]) -> AsyncRouter:
    make = trio_driver.Router if runtime == "trio" else asyncio_driver.Router
    names = (OPENAI.provider, GEMINI.provider)
    providers = [
        create(name, api_key=sandbox.key(name), base_url=sandbox.url(name).replace("127.0.0.1", case.host))
        for name in names
    ]
    return make(providers, policy=case.policy, seed=1, on_trace=traces.append)


def nothing_under_way(sandbox: Sandbox) -> bool:
    """True if no request is in flight at the server. Two connections may stay open, because a hedged call uses two."""
    return not any(sandbox.in_flight(model.provider) for model in (OPENAI, GEMINI)) and sandbox.open_connections <= 2


@pytest.mark.full
@RUNTIMES
@MOMENTS
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cancellation_at_every_await(case: Case, moment: Moment, runtime: str, sandbox: Sandbox) -> None:
    results: list[str] = []

    async def cancel_at(step: int) -> None:
        traces: list[Trace] = []
        async with make_router(runtime, sandbox, case, traces) as router:
            if case.warm:
                await chat(router)
            sandbox.script("openai", *case.faults)
            told = len(traces)
            result = await cancelled_at(runtime, step, moment, lambda: case.deed(router))
            results.append(result)
            assert not any(health.in_flight for health in router.health()), "a slot is still held"
            assert router._core.scheduler.waiting == 0, "a call still waits for a slot"
            assert not router._events, "a call can still be woken"
            if case.deed is not queue:
                assert len(traces) - told == 1, "there must be one trace for each call"
            assert sandbox.wait(nothing_under_way), "the connection was not closed"
            heal(sandbox)
            await chat(router)  # the router still works

    async def main() -> None:
        tasks = tasks_now(runtime)
        for step in range(1, MOST):
            await cancel_at(step)
            assert tasks_now(runtime) == tasks, "a task is still running"
            if results[-1] == "not reached":
                return

    run(runtime, main)
    assert sandbox.wait(lambda server: server.open_connections == 0)
    assert results[-1] == "not reached", "the case has more than MOST steps"
    assert len(results) > 1
    assert results[0] == "cancelled"
    if runtime == "asyncio":
        # asyncio raises CancelledError in the task once, and the task must not catch it.
        assert "over" not in results
