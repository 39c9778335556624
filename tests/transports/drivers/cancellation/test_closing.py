"""Closed routers, streams that another thread or task closes, and routers that several event loops share."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, ModelConfig
from turnout.errors import LocalProtocolError, TransportError
from turnout.providers import create
from turnout.routing import BreakerPolicy, Policy
from turnout_io.drivers import AsyncRouter
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport

REQUEST = ChatRequest(ModelConfig("openai", "m"), "x")
HANG = Fault(abort="hang", after_tokens=2)  # two tokens, and then silence

Main = Callable[[], Any]
LOOPS: dict[str, tuple[Callable[[Main], Any], Any]] = {
    "trio": (trio.run, turnout_io.trio.Router),
    "asyncio": (lambda main: asyncio.run(main()), turnout_io.asyncio.Router),
}
ASYNC = pytest.mark.parametrize("loop", LOOPS)
BLOCKING = pytest.mark.parametrize("make", [SocketTransport, RequestsTransport])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        server.answer("openai", "one two three four")
        yield server


def provider(sandbox: Sandbox) -> Any:
    return create("openai", api_key=sandbox.key("openai"), base_url=sandbox.url("openai"))


def policy(**settings: Any) -> Policy:
    return Policy(max_concurrency=1, max_retries=0, breaker=BreakerPolicy(consecutive_failures=1), **settings)


# -- closed routers ---------------------------------------------------------------------------------------------------


def test_closed_blocking_router_refuses_calls_until_it_is_entered_again(sandbox: Sandbox) -> None:
    router = turnout_io.sync.Router([provider(sandbox)])
    assert router.chat(REQUEST).text
    router.close()
    router.close()
    for call in (router.chat, lambda request: router.stream(request).__enter__()):
        with pytest.raises(LocalProtocolError, match="this router is closed"):
            call(REQUEST)
    with router:
        assert [router.chat(REQUEST).text for _ in range(2)]
        assert sandbox.open_connections == 1, "a router that is open again keeps connections"
    assert sandbox.wait(lambda server: server.open_connections == 0)


@ASYNC
def test_closed_async_router_refuses_calls_until_it_is_entered_again(loop: str, sandbox: Sandbox) -> None:
    run, kind = LOOPS[loop]

    async def main() -> None:
        router = kind([provider(sandbox)])
        async with router:
            await router.chat(REQUEST)
        with pytest.raises(LocalProtocolError, match="this router is closed"):
            await router.chat(REQUEST)
        with pytest.raises(LocalProtocolError, match="this router is closed"):
            async with router.stream(REQUEST):
                pass
        async with router:
            await router.chat(REQUEST)

    run(main)
    assert sandbox.wait(lambda server: server.open_connections == 0)


def test_open_stream_continues_after_its_router_was_closed(sandbox: Sandbox) -> None:
    router = turnout_io.sync.Router([provider(sandbox)])
    with router.stream(REQUEST) as stream:
        router.close()
        assert "".join(event.delta for event in stream if event.type == "token") == "one two three four"
    assert sandbox.wait(lambda server: server.open_connections == 0)


# -- streams that another thread or task closes -----------------------------------------------------------------------


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


@BLOCKING
def test_stream_closed_by_another_thread_while_it_reads(make: Callable[..., Any], sandbox: Sandbox) -> None:
    sandbox.script("openai", HANG)
    with turnout_io.sync.Router([provider(sandbox)], policy=policy(), transport=make(trust_env=False)) as router:
        errors: list[BaseException] = []
        received: list[Any] = []
        stream = router.stream(REQUEST)

        def read() -> None:
            try:
                with stream:
                    received.extend(stream)
            except BaseException as error:
                errors.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        wait_until(lambda: stream._run is not None and stream._stepping and stream._run.call.committed)
        stream.close()
        reader.join(20.0)
        assert not reader.is_alive()
        (error,) = errors
        assert isinstance(error, TransportError)
        assert "closed by another thread" in str(error)
        assert error.partial is not None
        assert error.partial.text
        (health,) = router.health()
        assert (health.in_flight, health.times_opened) == (0, 0), "the provider did not fail"
        assert router.chat(REQUEST).text, "the slot is free"
        with pytest.raises(LocalProtocolError, match="left before its end"):
            list(stream)
    assert sandbox.wait(lambda server: server.open_connections == 0)


def test_stream_closed_by_another_thread_while_it_waits_for_a_slot(sandbox: Sandbox) -> None:
    with turnout_io.sync.Router([provider(sandbox)], policy=policy()) as router, router.stream(REQUEST):
        errors: list[BaseException] = []
        waiting = router.stream(REQUEST)

        def enter() -> None:
            try:
                with waiting:
                    pass
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        wait_until(lambda: len(router._events) == 1)
        waiting.close()
        thread.join(20.0)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [TransportError]
        assert router._core.scheduler.waiting == 0


@BLOCKING
def test_stream_closed_by_another_thread_between_reads(make: Callable[..., Any], sandbox: Sandbox) -> None:
    sandbox.script("openai", HANG)
    router = turnout_io.sync.Router([provider(sandbox)], policy=policy(), transport=make(trust_env=False))
    with router, router.stream(REQUEST) as stream:
        next(stream)
        closer = threading.Thread(target=stream.close)
        closer.start()
        closer.join(20.0)
        with pytest.raises(LocalProtocolError, match="left before its end"):
            list(stream)
        assert stream.response.text
        assert router.chat(REQUEST).text
    assert sandbox.wait(lambda server: server.open_connections == 0)


@ASYNC
def test_stream_closed_by_another_task_while_it_reads(loop: str, sandbox: Sandbox) -> None:
    sandbox.script("openai", HANG)
    run, kind = LOOPS[loop]

    async def close_soon(stream: Any) -> None:
        sleep = trio.sleep if loop == "trio" else asyncio.sleep
        while not (stream._stepping and stream._run.call.committed):
            await sleep(0.001)
        await stream.aclose()

    async def read(stream: Any) -> None:
        with pytest.raises(TransportError, match="closed by another thread or task"):
            async for _ in stream:
                pass

    async def main() -> None:
        async with kind([provider(sandbox)], policy=policy()) as router:
            async with router.stream(REQUEST) as stream:
                if loop == "trio":
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(close_soon, stream)
                        nursery.start_soon(read, stream)
                else:
                    await asyncio.gather(close_soon(stream), read(stream))
            (health,) = router.health()
            assert (health.in_flight, health.times_opened) == (0, 0)
            assert (await router.chat(REQUEST)).text

    run(main)
    assert sandbox.wait(lambda server: server.open_connections == 0)


def test_two_threads_cannot_read_one_stream_at_once(sandbox: Sandbox) -> None:
    sandbox.script("openai", HANG)
    with turnout_io.sync.Router([provider(sandbox)], transport=SocketTransport(trust_env=False)) as router:
        stream = router.stream(REQUEST)

        def read() -> None:
            with pytest.raises(TransportError), stream:
                list(stream)

        reader = threading.Thread(target=read)
        reader.start()
        wait_until(lambda: stream._run is not None and stream._stepping and stream._run.call.committed)
        with pytest.raises(LocalProtocolError, match="another thread or task waits"):
            next(stream)
        stream.close()
        reader.join(20.0)
        assert not reader.is_alive()


# -- several event loops ----------------------------------------------------------------------------------------------


@ASYNC
def test_call_that_waits_in_one_loop_is_woken_by_another(loop: str, sandbox: Sandbox) -> None:
    run, kind = LOOPS[loop]
    router: AsyncRouter = kind([provider(sandbox)], policy=policy(timeout=3600.0))
    is_open, waits = threading.Event(), threading.Event()
    texts: list[str] = []

    async def first() -> None:
        async with router.stream(REQUEST) as stream:
            is_open.set()
            while not router._events:
                await (trio.sleep if loop == "trio" else asyncio.sleep)(0.001)
            waits.set()
            texts.append("".join([event.delta async for event in stream if event.type == "token"]))

    async def second() -> None:
        texts.append((await router.chat(REQUEST)).text)

    holder = threading.Thread(target=run, args=(first,), daemon=True)
    holder.start()
    assert is_open.wait(60.0)
    run(second)
    holder.join(60.0)
    assert texts == ["one two three four"] * 2
    assert waits.is_set()
    run(router.aclose)


@ASYNC
@pytest.mark.parametrize("kept", [True, False])
def test_stream_that_is_open_when_its_loop_ends_releases_its_slot(loop: str, kept: bool, sandbox: Sandbox) -> None:
    run, kind = LOOPS[loop]
    sandbox.script("openai", HANG, HANG, HANG)
    router: AsyncRouter = kind([provider(sandbox)], policy=policy(timeout=20.0, when_at_capacity="reject"))
    streams: list[Any] = []

    async def leave_open() -> None:
        stream = router.stream(REQUEST)
        await stream.__aenter__()
        streams.append(stream)

    async def chat() -> str:
        async with router:
            return (await router.chat(REQUEST)).text

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(3):
            run(leave_open)
            if not kept:
                streams.clear()
                gc.collect()
    assert run(chat) == "one two three four"
    assert router._core.scheduler.in_flight == 0

    async def read() -> None:
        for stream in streams:
            with pytest.raises(LocalProtocolError, match="an event loop that has ended"):
                async for _ in stream:
                    pass
            await stream.aclose()

    run(read)
    assert sandbox.wait(lambda server: server.open_connections == 0)


@ASYNC
def test_health_and_statuses_may_be_read_from_any_thread(loop: str, sandbox: Sandbox) -> None:
    run, kind = LOOPS[loop]
    router: AsyncRouter = kind([provider(sandbox)], policy=policy())

    async def chat() -> None:
        async with router:
            await router.chat(REQUEST)

    run(chat)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend((router.health(), router.statuses())))
    thread.start()
    thread.join(20.0)
    (health,), (status,) = found
    assert (health.candidate, health.in_flight, status.provider) == ("openai/m", 0, "openai")
