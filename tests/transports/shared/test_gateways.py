"""Gateways that share the limits and budgets of their keys over a real store."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

from benchmarks.fleet.servers import Server
from tests.transports.serve.world import Client, Reply
from turnout.config.values import SettingsError
from turnout_io.files import load_settings
from turnout_io.serve.gateway import Gateway
from turnout_io.serve.run import build_gateway
from turnout_sandbox import Sandbox

NUMBERS = itertools.count()
AUTHORIZED = {"Authorization": "Bearer secret"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.0) as started:
        yield started


class Fleet:
    """Makes gateways of one configuration, whose store is `server`."""

    def __init__(self, server: Server, sandbox: Sandbox, folder: Path, key: dict[str, Any], **serve: Any) -> None:
        self.path = folder / "turnout.yaml"
        self.environ = sandbox.environ()
        price = {"prompt": 1_000_000, "completion": 1_000_000}  # 1 for each token
        settings = {
            "shared": {"url": server.url, "namespace": f"gateways-{os.getpid()}-{next(NUMBERS)}"},
            "runtime": {"router": {"prices": {"openai/gpt-4o-mini": price}}},
            "serve": {
                "listen": "127.0.0.1:0",
                "aliases": {"fast": ["openai/gpt-4o-mini"]},
                "keys": [{"name": "team", "key": "secret", **key}],
                **serve,
            },
        }
        self.path.write_text(yaml.safe_dump(settings))

    def build(self) -> Gateway:
        return build_gateway(load_settings(self.path, dotenv=None, environ=self.environ))

    @contextlib.asynccontextmanager
    async def gateway(self) -> AsyncIterator[Client]:
        """Run a gateway, and return a client of it."""
        gateway = self.build()
        async with gateway.router, trio.open_nursery() as nursery:
            (url,) = await nursery.start(gateway.serve)
            stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
            async with stream:
                yield Client(stream)
            nursery.cancel_scope.cancel()


async def ask(client: Client) -> Reply:
    return await client.chat(model="fast", headers=AUTHORIZED, max_tokens=5)


@pytest.mark.full
def test_the_requests_of_a_key_are_counted_for_all(server: Server, sandbox: Sandbox, tmp_path: Path) -> None:
    limit = 12
    fleet = Fleet(server, sandbox, tmp_path, {"requestsPerMinute": limit, "maxConcurrency": 4, "metrics": True})

    async def send(client: Client) -> None:
        for _ in range(limit + 1):
            reply = await ask(client)
            if reply.status != 200:
                assert reply.status == 429
                assert reply.json["error"]["code"] == "rate_limit_exceeded"
                return
        raise AssertionError("the limit has no end")

    async def main() -> None:
        async with fleet.gateway() as one, fleet.gateway() as other:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, one)
                nursery.start_soon(send, other)
            metrics = await one.ask("GET", "/metrics", headers=AUTHORIZED)
            assert b"turnout_shared_store_up 1\n" in metrics.body

    trio.run(main)
    assert limit / 2 < len(sandbox.requests_to("openai")) <= limit


@pytest.mark.full
def test_a_budget_is_one_for_all_and_outlives_the_gateways(server: Server, sandbox: Sandbox, tmp_path: Path) -> None:
    amount = 100
    fleet = Fleet(server, sandbox, tmp_path, {"budget": {"amount": amount, "per": "month"}})
    costs: list[float] = []

    async def spend(client: Client) -> None:
        for _ in range(40):
            reply = await ask(client)
            if reply.status != 200:
                assert reply.json["error"]["code"] == "insufficient_quota"
                return
            costs.append(float(reply.headers["x-turnout-cost"]))
        raise AssertionError("the budget has no end")

    async def main() -> None:
        async with fleet.gateway() as one, fleet.gateway() as other, trio.open_nursery() as nursery:
            nursery.start_soon(spend, one)
            nursery.start_soon(spend, other)
        spent = sum(costs)
        assert amount * 0.5 < spent <= amount
        async with fleet.gateway() as late:
            await spend(late)
        assert sum(costs) <= amount

    trio.run(main)


def test_a_budget_file_beside_a_store_is_refused(server: Server, sandbox: Sandbox, tmp_path: Path) -> None:
    fleet = Fleet(server, sandbox, tmp_path, {"budget": {"amount": 1}}, budgetFile=str(tmp_path / "budget.jsonl"))
    with pytest.raises(SettingsError, match="budgetFile"):
        fleet.build()
