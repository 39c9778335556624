"""A router of one async library that is used on the other names the right one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import turnout_io.asyncio
import turnout_io.trio
from turnout import ChatRequest, ModelConfig
from turnout.errors import LocalProtocolError
from turnout.providers import create
from turnout_io.testing import AsyncScriptedTransport

REQUEST = ChatRequest(ModelConfig("openai", "m"), "x")
ROUTERS: dict[str, Any] = {"trio": turnout_io.trio.Router, "asyncio": turnout_io.asyncio.Router}


def run(library: str, main: Callable[[], Awaitable[None]]) -> None:
    async def started() -> None:
        await main()

    if library == "trio":
        trio.run(started)
    else:
        asyncio.run(started())


def made(kind: Any) -> Any:
    transport = AsyncScriptedTransport()
    transport.answer("openai", "Hello")
    return kind([create("openai", api_key="k")], transport=transport)


async def chat(router: Any) -> None:
    await router.chat(REQUEST)


async def stream(router: Any) -> None:
    async with router.stream(REQUEST):
        pass


async def collect(router: Any) -> None:
    await router.stream(REQUEST).collect()


async def enter(router: Any) -> None:
    async with router:
        pass


@pytest.mark.parametrize("use", [chat, stream, collect, enter])
@pytest.mark.parametrize("own", ROUTERS)
@pytest.mark.parametrize("is_subclass", [False, True])
def test_the_error_names_the_router_and_the_right_one(
    own: str, use: Callable[[Any], Awaitable[None]], is_subclass: bool
) -> None:
    other = next(name for name in ROUTERS if name != own)
    kind = type("Mine", (ROUTERS[own],), {}) if is_subclass else ROUTERS[own]
    router = made(kind)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(LocalProtocolError) as caught:
                await use(router)
            message = str(caught.value)
            assert message.startswith(f"this is turnout_io.{own}.Router, ")
            assert message.endswith(f"on {other} use turnout_io.{other}.Router")

    run(other, main)
    run(own, lambda: chat(router))  # nothing of the failed use is left


@pytest.mark.parametrize("own", ROUTERS)
def test_a_router_that_worked_before_is_refused_too(own: str) -> None:
    other = next(name for name in ROUTERS if name != own)
    router = made(ROUTERS[own])
    run(own, lambda: chat(router))

    async def main() -> None:
        with pytest.raises(LocalProtocolError, match=f"on {other} use"):
            await chat(router)

    run(other, main)
