"""The routers of all drivers behind one blocking interface, so that one test works with every driver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from turnout import ChatRequest, EmbeddingRequest, Message, ModelConfig
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.drivers import AsyncRouter
from turnout_io.sandbox import Sandbox

__all__ = ["DRIVERS", "GEMINI", "OPENAI", "Blocking", "Driver", "OnAsyncio", "OnTrio", "ask"]

OPENAI = ModelConfig("openai", "gpt-4o-mini")
GEMINI = ModelConfig("gemini", "gemini-2.5-flash")


def ask(*models: ModelConfig, **options: Any) -> ChatRequest:
    return ChatRequest(models[0], [Message.user("Say a few things about trains.")], fallbacks=models[1:], **options)


class Blocking:
    """The blocking router. Each call has a separate router."""

    def __init__(self, sandbox: Sandbox, **policy: Any) -> None:
        self._make: Callable[[], sync.Router] = lambda: sync.Router.from_env(
            environ=sandbox.environ(), dotenv=None, **policy
        )

    def chat(self, request: ChatRequest, **options: Any) -> Any:
        with self._make() as router:
            return router.chat(request, **options)

    def stream(self, request: ChatRequest, **options: Any) -> tuple[list[Any], Any]:
        with self._make() as router, router.stream(request, **options) as stream:
            return list(stream), stream

    def embed(self, request: EmbeddingRequest) -> Any:
        with self._make() as router:
            return router.embed(request)

    def models(self, provider: str) -> Any:
        with self._make() as router:
            return router.models(provider)


class OnTrio(Blocking):
    """The router on trio. Each call has a separate run and a separate router."""

    def __init__(self, sandbox: Sandbox, **policy: Any) -> None:
        self._async: Callable[[], AsyncRouter] = lambda: trio_driver.Router.from_env(
            environ=sandbox.environ(), dotenv=None, **policy
        )

    def _run(self, operation: Callable[[AsyncRouter], Awaitable[Any]]) -> Any:
        return trio.run(self._with_router, operation)

    async def _with_router(self, operation: Callable[[AsyncRouter], Awaitable[Any]]) -> Any:
        async with self._async() as router:
            return await operation(router)

    def chat(self, request: ChatRequest, **options: Any) -> Any:
        return self._run(lambda router: router.chat(request, **options))

    def stream(self, request: ChatRequest, **options: Any) -> tuple[list[Any], Any]:
        async def read(router: AsyncRouter) -> tuple[list[Any], Any]:
            async with router.stream(request, **options) as stream:
                return [event async for event in stream], stream

        events: tuple[list[Any], Any] = self._run(read)
        return events

    def embed(self, request: EmbeddingRequest) -> Any:
        return self._run(lambda router: router.embed(request))

    def models(self, provider: str) -> Any:
        return self._run(lambda router: router.models(provider))


class OnAsyncio(OnTrio):
    """The router on asyncio."""

    def __init__(self, sandbox: Sandbox, **policy: Any) -> None:
        self._async = lambda: asyncio_driver.Router.from_env(environ=sandbox.environ(), dotenv=None, **policy)

    def _run(self, operation: Callable[[AsyncRouter], Awaitable[Any]]) -> Any:
        return asyncio.run(self._with_router(operation))


DRIVERS = pytest.mark.parametrize("driver", [Blocking, OnTrio, OnAsyncio])
Driver = type[Blocking]
