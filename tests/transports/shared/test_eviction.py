"""A store that may evict keys forgets what was spent, so a router with budgets does not use it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks.fleet.servers import Server, running
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import TurnoutError
from turnout.messages import Message
from turnout.routing import Budget, Policy, Price
from turnout.routing.policy.settings import Limit
from turnout.shared.store.session import EvictsBudgets
from turnout_io.shared import Valkey
from turnout_io.sync import Router
from turnout_sandbox import Sandbox

REQUEST = ChatRequest(ModelConfig("openai", "gpt-4o-mini"), [Message.user("hi")])
BUDGETS: dict[str, Any] = {"budgets": [Budget(7, per="month")], "prices": {"gpt-4o-mini": Price(0, 0, request=1.0)}}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.0) as started:
        yield started


def router(server: Server, sandbox: Sandbox, *, processes: int | None = None, **policy: Any) -> Router:
    valkey = Valkey(server.url, namespace=f"evict-{os.getpid()}", processes=processes)
    return Router.from_env(environ=sandbox.environ(), dotenv=None, shared=valkey, **policy)


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(2000):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize("processes", [None, 2])
@pytest.mark.parametrize("eviction", ["allkeys-lru", "volatile-ttl"])
def test_budgets_need_a_store_that_evicts_nothing(
    valkey_binary: str, sandbox: Sandbox, eviction: str, processes: int | None
) -> None:
    with (
        running(valkey_binary, "--maxmemory-policy", eviction) as server,
        pytest.raises(EvictsBudgets, match=rf"maxmemory-policy {eviction}.*noeviction"),
        router(server, sandbox, processes=processes, **BUDGETS),
    ):
        pass


@pytest.mark.parametrize(("eviction", "warned"), [("allkeys-lru", True), ("volatile-ttl", False)])
def test_limits_without_an_expiry_are_only_warned_about(
    valkey_binary: str, sandbox: Sandbox, eviction: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    limits: dict[str, Any] = {"limits": {"openai": Limit(requests_per_minute=100)}}
    with (
        running(valkey_binary, "--maxmemory-policy", eviction) as server,
        caplog.at_level("WARNING", "turnout"),
        router(server, sandbox, **limits) as entered,
    ):
        assert entered.chat(REQUEST).text
    assert ("may evict limits" in caplog.text) == warned


def test_a_budget_that_comes_later_is_never_spent_on_such_a_store(valkey_binary: str, sandbox: Sandbox) -> None:
    with running(valkey_binary, "--maxmemory-policy", "allkeys-lfu") as server, router(server, sandbox) as entered:
        assert entered.chat(REQUEST).text
        entered.update(policy=Policy(**BUDGETS))
        wait_until(lambda: _state(entered) == "out of reach")
        with pytest.raises(TurnoutError):
            entered.chat(REQUEST, timeout=0.2)
        status = entered.shared_status()
        assert status is not None
        assert "may evict budgets" in status.reason
    assert len(sandbox.requests_to("openai")) == 1


def test_a_store_that_evicts_nothing_serves_budgets(valkey_binary: str, sandbox: Sandbox) -> None:
    with running(valkey_binary, "--maxmemory-policy", "noeviction") as server, router(server, sandbox, **BUDGETS) as it:
        assert it.chat(REQUEST).text


def _state(router: Router) -> str:
    status = router.shared_status()
    return status.state if status is not None else ""
