"""Routers of every driver that share limits, cooldowns and probes over a real store."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest
import trio

from benchmarks.fleet.servers import Client, Server, running
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import (
    BudgetExceeded,
    ConcurrencyExceeded,
    DeadlineExceeded,
    LocalProtocolError,
    RateLimited,
    TurnoutError,
)
from turnout.messages import Message
from turnout.routing import Budget, Price
from turnout.routing.policy.settings import BreakerPolicy, Limit
from turnout_io.asyncio import Router as AsyncioRouter
from turnout_io.shared import Valkey
from turnout_io.sync import Router as SyncRouter
from turnout_io.trio import Router as TrioRouter
from turnout_sandbox import Fault, Sandbox

NUMBERS = itertools.count()
DRIVERS = ["sync", "asyncio", "trio"]
on_every_driver = pytest.mark.parametrize("driver", DRIVERS)
REQUEST = ChatRequest(ModelConfig("openai", "gpt-4o-mini"), [Message.user("hi")])

Chat = Callable[..., Awaitable[Any]]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.0) as started:
        yield started


@pytest.fixture
def valkey(server: Server) -> Valkey:
    return Valkey(server.url, namespace=f"routers-{os.getpid()}-{next(NUMBERS)}")


def blocking(sandbox: Sandbox, valkey: Valkey | None, **policy: Any) -> SyncRouter:
    return SyncRouter.from_env(environ=sandbox.environ(), dotenv=None, shared=valkey, **policy)


def with_router(
    driver: str,
    sandbox: Sandbox,
    valkey: Valkey,
    body: Callable[[Any, Chat], Awaitable[None]],
    **policy: Any,
) -> None:
    """Run `body(router, chat)` with a router of this driver."""
    made: dict[str, Any] = {"environ": sandbox.environ(), "dotenv": None, "shared": valkey, **policy}
    if driver == "sync":
        with SyncRouter.from_env(**made) as router:

            async def chat(*arguments: Any, **options: Any) -> Any:
                return router.chat(*arguments, **options)

            try:
                body(router, chat).__await__().__next__()
            except StopIteration:
                return
        raise AssertionError("blocking code suspended")

    async def main() -> None:
        kind = AsyncioRouter if driver == "asyncio" else TrioRouter
        async with kind.from_env(**made) as router:
            await body(router, router.chat)

    asyncio.run(main()) if driver == "asyncio" else trio.run(main)


@on_every_driver
def test_a_limit_holds_for_all(driver: str, sandbox: Sandbox, valkey: Valkey) -> None:
    limits = {"openai": Limit(requests_per_minute=4)}
    with blocking(sandbox, valkey, limits=limits) as other:
        for _ in range(2):
            other.chat(REQUEST)

        async def body(router: Any, chat: Chat) -> None:
            for _ in range(2):
                await chat(REQUEST)
            with pytest.raises((ConcurrencyExceeded, DeadlineExceeded, RateLimited)) as caught:
                await chat(REQUEST, timeout=0.6)
            assert "shared" in caught.value.trace.explain()

        with_router(driver, sandbox, valkey, body, limits=limits)
        with pytest.raises(TurnoutError):
            other.chat(REQUEST, timeout=0.6)
    assert len(sandbox.requests_to("openai")) == 4


@on_every_driver
def test_slots_hold_for_all(driver: str, sandbox: Sandbox, valkey: Valkey) -> None:
    sandbox.script("openai", Fault(delay=0.3), forever=True)
    limits = {"openai": Limit(max_concurrency=2)}
    with blocking(sandbox, valkey, limits=limits) as other:
        threads = [threading.Thread(target=other.chat, args=(REQUEST,)) for _ in range(4)]
        for thread in threads:
            thread.start()

        async def body(router: Any, chat: Chat) -> None:
            for _ in range(2):
                await chat(REQUEST)

        with_router(driver, sandbox, valkey, body, limits=limits)
        for thread in threads:
            thread.join()
    assert len(sandbox.requests_to("openai")) == 6
    assert sandbox.peak_in_flight("openai") == 2


@pytest.mark.full
@on_every_driver
def test_a_budget_holds_for_all(driver: str, sandbox: Sandbox, valkey: Valkey) -> None:
    policy = {"budgets": [Budget(7, per="month", by="user")], "prices": {"gpt-4o-mini": Price(0, 0, request=1.0)}}
    asked = attrs.evolve(REQUEST, metadata={"user": "ada"})
    with blocking(sandbox, valkey, **policy) as other:
        for _ in range(2):
            other.chat(asked)

        async def body(router: Any, chat: Chat) -> None:
            for _ in range(5):
                await chat(asked)
            with pytest.raises(BudgetExceeded, match="7 per month for ada"):
                await chat(asked, timeout=10)
            assert [(one.group, one.spent) for one in router.budgets()] == [("ada", 5.0)]
            await chat(attrs.evolve(REQUEST, metadata={"user": "bob"}))

        with_router(driver, sandbox, valkey, body, **policy)
        with pytest.raises(BudgetExceeded):
            other.chat(asked, timeout=10)
    with blocking(sandbox, valkey, **policy) as late, pytest.raises(BudgetExceeded):
        late.chat(asked, timeout=10)  # the store remembers what processes spent that have ended
    assert len(sandbox.requests_to("openai")) == 8


@pytest.mark.full
def test_no_more_than_the_budget_is_spent_by_many(sandbox: Sandbox, valkey: Valkey) -> None:
    policy = {"budgets": [Budget(30, per="month")], "prices": {"gpt-4o-mini": Price(0, 0, request=1.0)}}
    routers = [blocking(sandbox, valkey, **policy) for _ in range(3)]
    refused: list[BudgetExceeded] = []

    def spend(router: SyncRouter) -> None:
        try:
            for _ in range(40):
                router.chat(REQUEST, timeout=20)
        except BudgetExceeded as error:
            refused.append(error)

    with contextlib.ExitStack() as stack:
        for router in routers:
            stack.enter_context(router)
        threads = [threading.Thread(target=spend, args=(router,)) for router in routers for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 6
        # A call waits one beat for the money that others hold and do not use. On a loaded machine it may need longer.
        deadline = time.monotonic() + 60
        while (spent := len(sandbox.requests_to("openai"))) < 28:
            assert time.monotonic() < deadline, f"{spent} of 30 could be spent"
            for router in routers:
                with contextlib.suppress(BudgetExceeded):
                    router.chat(REQUEST, timeout=20)
    assert spent <= 30


@on_every_driver
def test_a_cooldown_is_known_to_all(driver: str, sandbox: Sandbox, valkey: Valkey) -> None:
    policy = {"max_retries": 0, "max_cooldown": 3600, "rules": {"quota": "fallback"}}
    with blocking(sandbox, valkey, **policy) as other:
        other.chat(REQUEST)

        async def body(router: Any, chat: Chat) -> None:
            await chat(REQUEST)
            sandbox.script("openai", Fault(status=429, headers={"retry-after": "250"}))
            with pytest.raises(RateLimited):
                await chat(REQUEST, timeout=60)
            deadline = time.monotonic() + 60
            while not rests(other):
                assert time.monotonic() < deadline
                time.sleep(0.001) if driver == "sync" else await short_sleep(driver)

        with_router(driver, sandbox, valkey, body, **policy)
        assert 100 < rests(other) <= 275
    with blocking(sandbox, valkey, when_all_in_cooldown="fail", **policy) as late:
        with pytest.raises(TurnoutError):
            late.chat(REQUEST)
        assert rests(late) > 100, "a process that begins later knows, too"


def rests(router: SyncRouter) -> float:
    return max((health.available_in for health in router.health()), default=0.0)


async def short_sleep(driver: str) -> None:
    await (trio.sleep(0.001) if driver == "trio" else asyncio.sleep(0.001))


def test_one_probe_of_the_fleet_is_sent(sandbox: Sandbox, valkey: Valkey) -> None:
    breaker = BreakerPolicy(consecutive_failures=1, break_duration=0.4)
    policy: dict[str, Any] = {"max_retries": 0, "breaker": breaker, "when_all_in_cooldown": "fail"}
    routers = [blocking(sandbox, valkey, **policy) for _ in range(4)]
    for router in routers:
        router.__enter__()
    try:
        for router in routers:
            router.chat(REQUEST)
        sandbox.script("openai", Fault(status=500))
        with pytest.raises(TurnoutError):
            routers[0].chat(REQUEST)
        until(lambda: all(health.state == "open" for router in routers for health in router.health()))
        sandbox.script("openai", Fault(delay=0.6))
        before = len(sandbox.requests_to("openai"))

        def probe(router: SyncRouter) -> None:
            """Call until the breaker lets a call through and that has an answer."""

            def has_answer() -> bool:
                with contextlib.suppress(TurnoutError):
                    router.chat(REQUEST, timeout=60)
                    return True
                return False

            until(has_answer)

        threads = [threading.Thread(target=probe, args=(router,)) for router in routers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first, *others = sorted(sandbox.requests_to("openai")[before:], key=lambda request: request.at)
        assert len(others) == 3
        assert first.ended is not None
        assert all(request.at >= first.ended for request in others), "one probe, while it is under way"
        assert all(health.state == "closed" for router in routers for health in router.health())
    finally:
        for router in routers:
            router.__exit__(None, None, None)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


@on_every_driver
def test_a_router_that_shares_must_be_entered(driver: str, sandbox: Sandbox, valkey: Valkey) -> None:
    kind: Any = {"sync": SyncRouter, "asyncio": AsyncioRouter, "trio": TrioRouter}[driver]
    router = kind.from_env(environ=sandbox.environ(), dotenv=None, shared=valkey)
    run: dict[str, Callable[[], Any]] = {
        "sync": lambda: router.chat(REQUEST),
        "asyncio": lambda: asyncio.run(router.chat(REQUEST)),
        "trio": lambda: trio.run(router.chat, REQUEST),
    }
    with pytest.raises(LocalProtocolError, match="`with` block"):
        run[driver]()


@pytest.mark.full
@on_every_driver
def test_calls_go_on_while_the_store_is_out_of_reach(driver: str, sandbox: Sandbox, valkey_binary: str) -> None:
    with running(valkey_binary) as store:

        async def body(router: Any, chat: Chat) -> None:
            await chat(REQUEST)
            assert router.shared_status().state == "in reach"
            # What was free counts for a process that the others know about.
            deadline = time.monotonic() + 3.2
            while time.monotonic() < deadline:
                time.sleep(0.01) if driver == "sync" else await short_sleep(driver)
            store.kill()
            deadline = time.monotonic() + 60
            while router.shared_status().state == "in reach":
                assert time.monotonic() < deadline
                time.sleep(0.01) if driver == "sync" else await short_sleep(driver)
            for _ in range(5):
                await chat(REQUEST, timeout=20)
            status = router.shared_status()
            assert status.state == "out of reach"
            spent, share = status.shares["openai|requests"]
            assert spent == 6
            assert share >= 6
            store.start()
            while router.shared_status().state != "in reach":
                assert time.monotonic() < deadline + 60
                time.sleep(0.01) if driver == "sync" else await short_sleep(driver)
            await chat(REQUEST, timeout=20)

        with_router(driver, sandbox, Valkey(store.url), body, limits={"openai": Limit(requests_per_minute=600)})


def test_nothing_secret_reaches_the_store(sandbox: Sandbox, valkey_binary: str) -> None:
    request = ChatRequest(ModelConfig("openai", "gpt-4o-mini"), [Message.user("the secret PROMPT-4711")])
    with running(valkey_binary) as store, Client(store.port) as monitor:
        monitor.call("MONITOR")
        limits = {"openai": Limit(requests_per_minute=100, tokens_per_minute=100_000, max_concurrency=4)}
        with blocking(sandbox, Valkey(store.url), limits=limits, max_retries=0) as router:
            router.chat(request)
            sandbox.script("openai", Fault(status=429, headers={"retry-after": "30"}))
            with pytest.raises(TurnoutError):
                router.chat(request, timeout=60)
        with Client(store.port) as client:
            client.call("ECHO", "end of the test")
        seen: list[str] = []
        while not seen or "end of the test" not in seen[-1]:
            seen.append(str(monitor.read()))
    text = "\n".join(seen)
    assert "EVALSHA" in text.upper()
    assert "openai" in text
    for secret in ("PROMPT-4711", sandbox.key("openai"), "sandbox-openai"):
        assert secret not in text


def test_a_forked_process_has_leases_of_its_own(sandbox: Sandbox, valkey: Valkey) -> None:
    limits = {"openai": Limit(requests_per_minute=600)}
    with blocking(sandbox, valkey, limits=limits) as router:
        router.chat(REQUEST)
        state = router._core.shared
        assert state is not None
        before = state.state.process
        pid = os.fork()
        if pid == 0:  # the child
            code = 1
            try:
                router.chat(REQUEST, timeout=30)
                code = 0 if state.state.process != before and state.state.connected else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        router.chat(REQUEST)
        assert state.state.connected, "the parent's connection was left alone"
    assert len(sandbox.requests_to("openai")) == 3


def test_two_routers_of_one_process_share_nothing_but_the_store(sandbox: Sandbox, valkey: Valkey) -> None:
    limits = {"openai": Limit(requests_per_minute=600)}
    with blocking(sandbox, valkey, limits=limits) as one, blocking(sandbox, valkey, limits=limits) as other:
        one.chat(REQUEST)
        other.chat(REQUEST)
        assert one._core.shared is not other._core.shared
        first, second = one.shared_status(), other.shared_status()
        assert first is not None
        assert second is not None
        assert first.shares["openai|requests"][0] == second.shares["openai|requests"][0] == 1


def test_a_store_may_be_named_in_the_file(sandbox: Sandbox, server: Server, tmp_path: Any) -> None:
    path = tmp_path / "turnout.yaml"
    path.write_text(
        "shared: {url: '${STORE}', namespace: from-file, fail: closed}\n"
        "runtime: {router: {limits: {openai: {requestsPerMinute: 60}}}}\n"
    )
    environ = {**sandbox.environ(), "STORE": server.url}
    with SyncRouter.from_config(path, environ=environ, dotenv=None) as router:
        router.chat(REQUEST)
        status = router.shared_status()
        assert status is not None
        assert status.state == "in reach"
    with SyncRouter.from_config(path, environ=sandbox.environ(), dotenv=None) as router:
        assert router.shared_status() is None


@pytest.mark.full
@pytest.mark.parametrize("fail", ["closed", "local-share"])
def test_the_trace_names_the_store_that_is_out_of_reach(fail: Any, sandbox: Sandbox, valkey_binary: str) -> None:
    limits = {"openai": Limit(requests_per_minute=6)}
    with running(valkey_binary) as store, blocking(sandbox, Valkey(store.url, fail=fail), limits=limits) as router:
        router.chat(REQUEST, timeout=20)
        store.kill()
        deadline = time.monotonic() + 20
        while (status := router.shared_status()) is None or status.state == "in reach":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (status.state, status.fail) == ("out of reach", fail)
        caught: TurnoutError | None = None
        for _ in range(10):
            try:
                router.chat(REQUEST, timeout=6)
            except TurnoutError as error:
                caught = error
                break
    assert caught is not None
    sent = len(sandbox.requests_to("openai"))
    assert sent <= 6
    explained = caught.trace.explain()
    assert f"the shared store is out of reach (fail: {fail})" in explained, explained
