"""A hedged call over real sockets: the first response wins, and the other attempt releases everything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio

from turnout import ChatRequest, Message, ModelConfig
from turnout.errors import AllAttemptsFailed, DeadlineExceeded
from turnout.http import HttpRequest, TransportTimeouts
from turnout.prices import Price
from turnout.providers import create
from turnout.routing.policy.settings import Hedge, Policy
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.drivers import AsyncRouter
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.transports._async.http1 import AsyncHttp1Response
from turnout_io.transports.asyncio import AsyncioTransport

OPENAI = ModelConfig("openai", "gpt-4o-mini")
GEMINI = ModelConfig("gemini", "gemini-2.5-flash")
SOON = Policy(hedge=Hedge(delay=0.05, budget=1.0), timeout=5.0)
RUNTIMES: dict[str, tuple[Callable[[Any], Any], type[AsyncRouter]]] = {
    "trio": (trio.run, trio_driver.Router),
    "asyncio": (lambda main: asyncio.run(main()), asyncio_driver.Router),
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


@pytest.fixture(params=[False, True], ids=["new-connections", "reused-connections"])
def reused(request: pytest.FixtureRequest) -> bool:
    """Return whether the connections of both providers exist before the call: then the first attempt needs no task."""
    return bool(request.param)


def ask() -> ChatRequest:
    return ChatRequest(OPENAI, [Message.user("Say a few things about trains.")], fallbacks=[GEMINI])


def kinds(trace: Any) -> list[str]:
    return [entry.kind for entry in trace.entries]


def run(
    runtime: str,
    sandbox: Sandbox,
    main: Callable[[AsyncRouter], Awaitable[None]],
    policy: Policy = SOON,
    *,
    reused: bool = False,
    **faults: Fault,
) -> None:
    start, kind = RUNTIMES[runtime]

    async def whole() -> None:
        async with kind.from_env(
            environ=sandbox.environ(), dotenv=None, hedge=policy.hedge, timeout=policy.timeout, max_retries=0
        ) as router:
            if reused:
                for model in (OPENAI, GEMINI):
                    await router.chat(model, "Open a connection.")
            for provider, fault in faults.items():
                sandbox.script(provider, fault)
            await main(router)
            assert router._core.scheduler.in_flight == 0

    start(whole)
    assert sandbox.wait(lambda server: server.open_connections == 0)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("way", ["chat", "collect", "stream"])
def test_the_faster_attempt_wins(sandbox: Sandbox, runtime: str, way: str, reused: bool) -> None:
    async def main(router: AsyncRouter) -> None:
        if way == "stream":
            async with router.stream(ask()) as stream:
                assert stream.model == GEMINI
                text = "".join([event.delta async for event in stream if event.type == "token"])
            response = stream.response
            assert response is not None
            assert response.text == text
        else:
            response = await router.chat(ask(), collect=way == "collect")
        assert response.model == GEMINI
        told = response.trace.explain()
        assert "beside the slow one" in told
        assert "attempt 1: cancelled, another was faster" in told

    run(runtime, sandbox, main, reused=reused, openai=Fault(delay=30.0))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_first_attempt_may_still_win(sandbox: Sandbox, runtime: str, reused: bool) -> None:
    async def main(router: AsyncRouter) -> None:
        async with router.stream(ask()) as stream:
            assert stream.model == OPENAI
            assert [event async for event in stream][-1].done
        assert "attempt 2: cancelled, another was faster" in stream.trace.explain()

    run(
        runtime, sandbox, main, reused=reused, openai=Fault(first_token_delay=0.3), gemini=Fault(first_token_delay=30.0)
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("way", ["chat", "collect", "stream"])
def test_a_candidate_that_is_excluded_before_the_first_attempt(
    sandbox: Sandbox, runtime: str, way: str, reused: bool
) -> None:
    """With two candidates a call may have two attempts, and with the one that is left it may not."""
    prices = {"openai/*": Price(prompt=1e6, completion=1e6), "gemini/*": Price(prompt=0.0, completion=0.0)}

    async def main(router: AsyncRouter) -> None:
        policy = Policy(prices=prices, max_cost=1.0)
        if way == "stream":
            async with router.stream(ask(), policy=policy) as stream:
                assert [event async for event in stream][-1].done
            assert stream.model == GEMINI
        else:
            response = await router.chat(ask(), collect=way == "collect", policy=policy)
            assert response.model == GEMINI

    run(runtime, sandbox, main, reused=reused)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("way", ["chat", "collect", "stream"])
def test_a_second_attempt_that_is_due_at_once(sandbox: Sandbox, runtime: str, way: str, reused: bool) -> None:
    """A process that was stopped for a while may find both attempts due before it has waited for the first one."""

    async def main(router: AsyncRouter) -> None:
        policy = Policy(hedge=Hedge(delay=0.0, budget=1.0))
        if way == "stream":
            async with router.stream(ask(), policy=policy) as stream:
                assert [event async for event in stream][-1].done
            assert stream.trace.attempts == 2
        else:
            response = await router.chat(ask(), collect=way == "collect", policy=policy)
            assert response.trace.attempts == 2

    run(runtime, sandbox, main, reused=reused, gemini=Fault(status=503))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_fast_response_needs_no_second_attempt(sandbox: Sandbox, runtime: str) -> None:
    async def main(router: AsyncRouter) -> None:
        async with router.stream(ask()) as stream:
            assert [event async for event in stream][-1].done
        assert stream.trace.attempts == 1

    run(runtime, sandbox, main, Policy(hedge=Hedge(delay=5.0)))
    assert not sandbox.requests_to("gemini")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_second_attempt_wins_if_the_first_fails_late(sandbox: Sandbox, runtime: str, reused: bool) -> None:
    async def main(router: AsyncRouter) -> None:
        response = await router.chat(ask(), collect=True)
        assert response.model == GEMINI
        assert response.trace.attempts == 2

    run(
        runtime, sandbox, main, reused=reused, openai=Fault(status=503, delay=0.15), gemini=Fault(first_token_delay=0.3)
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_both_attempts_may_fail(sandbox: Sandbox, runtime: str, reused: bool) -> None:
    async def main(router: AsyncRouter) -> None:
        with pytest.raises(AllAttemptsFailed):
            await router.chat(ask())

    run(
        runtime,
        sandbox,
        main,
        reused=reused,
        openai=Fault(status=503, delay=0.15),
        gemini=Fault(status=500, delay=0.15),
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_deadline_ends_both_attempts(sandbox: Sandbox, runtime: str, reused: bool) -> None:
    async def main(router: AsyncRouter) -> None:
        with pytest.raises((DeadlineExceeded, AllAttemptsFailed)) as caught:
            await router.chat(ask(), timeout=1.0)
        assert caught.value.trace.attempts == 2

    run(runtime, sandbox, main, reused=reused, openai=Fault(delay=30.0), gemini=Fault(delay=30.0))


def test_cancellation_ends_both_attempts_in_trio(sandbox: Sandbox, reused: bool) -> None:
    async def main(router: AsyncRouter) -> None:
        with trio.move_on_after(0.2) as scope:
            await router.chat(ask())
        assert scope.cancelled_caught

    run("trio", sandbox, main, reused=reused, openai=Fault(delay=30.0), gemini=Fault(delay=30.0))


def test_cancellation_ends_both_attempts_in_asyncio(sandbox: Sandbox, reused: bool) -> None:
    async def main(router: AsyncRouter) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await router.chat(ask())

    run("asyncio", sandbox, main, reused=reused, openai=Fault(delay=30.0), gemini=Fault(delay=30.0))


def test_a_subclass_of_a_transport_sees_each_request(sandbox: Sandbox) -> None:
    opened = []

    class Counting(AsyncioTransport):
        async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncHttp1Response:
            opened.append(request)
            return await super().open(request, timeouts)

    async def main() -> None:
        async with asyncio_driver.Router.from_env(
            environ=sandbox.environ(), dotenv=None, transport=Counting(), hedge=Hedge(delay=5.0)
        ) as router:
            for _ in range(2):
                await router.chat(ask())

    asyncio.run(main())
    assert len(opened) == 2


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_missing_access_token_causes_a_fallback(sandbox: Sandbox, runtime: str) -> None:
    class Lost(Exception):
        pass

    def token() -> str:
        raise Lost

    async def main(router: AsyncRouter) -> None:
        vertex = create(
            "gemini", name="vertex", vertex_project="p", vertex_location="global", access_token=token,
            base_url="http://127.0.0.1:9",
        )  # fmt: skip
        router.register(vertex)
        request = ChatRequest(ModelConfig("vertex", "gemini-2.5-flash"), [Message.user("x")], fallbacks=[GEMINI])
        reply = await router.chat(request)
        assert reply.model == GEMINI
        assert "attempt 1: failed, authentication" in reply.trace.explain()

    run(runtime, sandbox, main)


def test_the_blocking_router_has_one_attempt_at_a_time(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=0.2))
    with sync.Router.from_env(environ=sandbox.environ(), dotenv=None, hedge=SOON.hedge) as router:
        response = router.chat(ask())
    assert response.model == OPENAI
    assert response.trace.attempts == 1
