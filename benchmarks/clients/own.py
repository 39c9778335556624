"""Turnout as a client, over each of its transports."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import requests
import trio

from benchmarks.clients.by_hand import run_asyncio
from benchmarks.clients.interface import (
    KEY,
    MODEL,
    PROMPT,
    TEXTS,
    AsyncClient,
    AsyncSession,
    Client,
    History,
    Session,
    Streamed,
)
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.protocol import Provider
from turnout.routing.policy.settings import Policy
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.base import AsyncTransport, Transport
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

__all__ = ["CLIENTS"]

AnyRouter = Any  # of trio or of asyncio; both have the same methods


class _Requests:
    """The requests of a session to the candidates behind its base URLs."""

    def __init__(self, candidates: int) -> None:
        first, *others = (ModelConfig(f"p{number}", MODEL) for number in range(candidates))
        self._model, self._fallbacks = first, tuple(others)
        self.embedding = EmbeddingRequest(ModelConfig("p0", "text-embedding-3-small"), TEXTS)

    def prepare(self, history: History) -> list[Message]:
        return [Message.user(text) if role == "user" else Message.assistant(text) for role, text in history]

    def chat_request(self, prepared: Sequence[Message] = ()) -> ChatRequest:
        return ChatRequest(self._model, [*prepared, Message.user(PROMPT)], fallbacks=self._fallbacks)


class _Session(_Requests):
    def __init__(self, router: sync.Router, candidates: int) -> None:
        super().__init__(candidates)
        self._router = router

    def chat(self, prepared: Any) -> int:
        return len(self._router.chat(self.chat_request(prepared)).text)

    def stream(self) -> Streamed:
        characters, first_at = 0, 0.0
        with self._router.stream(self.chat_request()) as events:
            for event in events:
                if event.type == "token":
                    if not characters:
                        first_at = time.perf_counter()
                    characters += len(event.delta)
        return Streamed(characters, first_at)

    def embed(self) -> int:
        return self._router.embed(self.embedding).vectors.buffer.nbytes // 4


class _AsyncSession(_Requests):
    def __init__(self, router: AnyRouter, candidates: int) -> None:
        super().__init__(candidates)
        self._router = router

    async def chat(self, prepared: Any) -> int:
        return len((await self._router.chat(self.chat_request(prepared))).text)

    async def stream(self) -> Streamed:
        characters, first_at = 0, 0.0
        async with self._router.stream(self.chat_request()) as events:
            async for event in events:
                if event.type == "token":
                    if not characters:
                        first_at = time.perf_counter()
                    characters += len(event.delta)
        return Streamed(characters, first_at)

    async def embed(self) -> int:
        reply: EmbeddingResponse = await self._router.embed(self.embedding)
        return reply.vectors.buffer.nbytes // 4


def _providers(base_urls: Sequence[str]) -> list[Provider]:
    return [
        create("openai", name=f"p{number}", api_key=KEY, base_url=base_url) for number, base_url in enumerate(base_urls)
    ]


def _policy(base_urls: Sequence[str]) -> Policy | None:
    """Return the policy of the router. With fallbacks, each call tries the first candidate again, once."""
    return Policy(max_retries=0, breaker=None) if len(base_urls) > 1 else None


def _blocking(make: Callable[[], Transport]) -> Callable[[Sequence[str]], AbstractContextManager[Session]]:
    @contextmanager
    def opened(base_urls: Sequence[str]) -> Iterator[Session]:
        with sync.Router(_providers(base_urls), policy=_policy(base_urls), transport=make()) as router:
            yield _Session(router, len(base_urls))

    return opened


def _async(
    driver: Any, make: Callable[[], AsyncTransport]
) -> Callable[[Sequence[str]], AbstractAsyncContextManager[AsyncSession]]:
    @asynccontextmanager
    async def opened(base_urls: Sequence[str]) -> AsyncIterator[AsyncSession]:
        async with driver.Router(_providers(base_urls), policy=_policy(base_urls), transport=make()) as router:
            yield _AsyncSession(router, len(base_urls))

    return opened


def _session_without_environment() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


CLIENTS: dict[str, Client | AsyncClient] = {
    "socket": Client(_blocking(lambda: SocketTransport(trust_env=False))),
    "trio": AsyncClient(_async(trio_driver, lambda: TrioTransport(trust_env=False)), trio.run),
    "asyncio": AsyncClient(_async(asyncio_driver, lambda: AsyncioTransport(trust_env=False)), run_asyncio),
    "requests": Client(_blocking(lambda: RequestsTransport(trust_env=False))),
    "requests-session": Client(_blocking(lambda: RequestsTransport(_session_without_environment()))),
}
