"""The same chat through each client: Turnout over each of its transports, the openai SDK, and a few lines by hand.

A client is opened with a base URL and a key, and gives a function that asks for so many words, whole or as a stream,
and returns them.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import attrs
import requests
import trio

from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message
from turnout.providers import create
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.base import AsyncTransport, Transport
from turnout_io.drivers.async_driver import AsyncRouter
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

__all__ = ["Ask", "AsyncAsk", "AsyncClient", "Client", "installed_clients"]

MODEL = "gpt-4o-mini"

Ask: TypeAlias = Callable[[int, bool], str]
"""Asks for so many words; with True as a stream."""
AsyncAsk: TypeAlias = Callable[[int, bool], Awaitable[str]]


@attrs.frozen
class Client:
    name: str
    opened: Callable[[str, str], AbstractContextManager[Ask]]


@attrs.frozen
class AsyncClient:
    """run  runs a coroutine function in the client's async library"""

    name: str
    opened: Callable[[str, str], AbstractAsyncContextManager[AsyncAsk]]
    run: Callable[[Callable[[], Awaitable[Any]]], Any]


def _request(words: int) -> ChatRequest:
    return ChatRequest(ModelConfig("openai", MODEL), [Message.user(str(words))])


def _body(words: int, stream: bool) -> dict[str, Any]:
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return {"model": MODEL, "messages": [{"role": "user", "content": str(words)}], **options}


def _turnout(make_transport: Callable[[], Transport]) -> Callable[[str, str], AbstractContextManager[Ask]]:
    @contextmanager
    def opened(url: str, key: str) -> Iterator[Ask]:
        with sync.Router([create("openai", api_key=key, endpoint=url)], transport=make_transport()) as router:

            def ask(words: int, stream: bool) -> str:
                if not stream:
                    return router.chat(_request(words)).text
                with router.stream(_request(words)) as events:
                    return "".join(event.delta for event in events if event.type == "token")

            yield ask

    return opened


def _turnout_async(
    make_router: Callable[..., AsyncRouter], make_transport: Callable[[], AsyncTransport]
) -> Callable[[str, str], AbstractAsyncContextManager[AsyncAsk]]:
    @asynccontextmanager
    async def opened(url: str, key: str) -> AsyncIterator[AsyncAsk]:
        provider = create("openai", api_key=key, endpoint=url)
        async with make_router([provider], transport=make_transport()) as router:

            async def ask(words: int, stream: bool) -> str:
                if not stream:
                    return (await router.chat(_request(words))).text
                async with router.stream(_request(words)) as events:
                    return "".join([event.delta async for event in events if event.type == "token"])

            yield ask

    return opened


@contextmanager
def _by_hand(url: str, key: str) -> Iterator[Ask]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {key}"

        def ask(words: int, stream: bool) -> str:
            with session.post(f"{url}/chat/completions", json=_body(words, stream), stream=stream) as response:
                if not stream:
                    return str(response.json()["choices"][0]["message"]["content"])
                deltas = []
                for line in response.iter_lines(chunk_size=65536):
                    if line.startswith(b"data: {"):
                        choices = json.loads(line[6:])["choices"]
                        deltas.append(choices[0]["delta"].get("content") or "" if choices else "")
                return "".join(deltas)

        yield ask


# The SDK is looked up by name: it is no dependency of the project, so its types may not be there to be checked.


@contextmanager
def _openai(url: str, key: str) -> Iterator[Ask]:
    with importlib.import_module("openai").OpenAI(base_url=url, api_key=key) as client:

        def ask(words: int, stream: bool) -> str:
            answer = client.chat.completions.create(**_body(words, stream))
            if not stream:
                return str(answer.choices[0].message.content)
            return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)

        yield ask


@asynccontextmanager
async def _openai_async(url: str, key: str) -> AsyncIterator[AsyncAsk]:
    async with importlib.import_module("openai").AsyncOpenAI(base_url=url, api_key=key) as client:

        async def ask(words: int, stream: bool) -> str:
            answer = await client.chat.completions.create(**_body(words, stream))
            if not stream:
                return str(answer.choices[0].message.content)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])

        yield ask


def _on_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    async def awaited() -> Any:
        return await main()

    return asyncio.run(awaited())


def installed_clients() -> list[Client | AsyncClient]:
    """All that can be measured here, those for blocking code first."""
    theirs = importlib.util.find_spec("openai") is not None
    blocking = [
        Client("Turnout, requests", _turnout(lambda: RequestsTransport(trust_env=False))),
        Client("Turnout, sockets", _turnout(lambda: SocketTransport(trust_env=False))),
        *([Client("openai SDK", _openai)] if theirs else []),
        Client("by hand, requests and json", _by_hand),
    ]
    trio_transport, asyncio_transport = (
        (lambda: TrioTransport(trust_env=False)),
        (lambda: AsyncioTransport(trust_env=False)),
    )
    concurrent = [
        AsyncClient("Turnout, trio", _turnout_async(trio_driver.Router, trio_transport), trio.run),
        AsyncClient("Turnout, asyncio", _turnout_async(asyncio_driver.Router, asyncio_transport), _on_asyncio),
        *([AsyncClient("openai SDK, asyncio", _openai_async, _on_asyncio)] if theirs else []),
    ]
    return [*blocking, *concurrent]
