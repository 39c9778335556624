"""Other libraries as clients, each as its documentation shows it.

They are imported by name when they are opened: each lives in an environment of its own (`benchmarks.environments`),
and their types are not there to be checked.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

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
    as_dicts,
    body,
    vectors_of,
)

__all__ = ["CLIENTS"]

EMBEDDING_MODEL = "text-embedding-3-small"


def _run_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    async def awaited() -> Any:
        return await main()

    return asyncio.run(awaited())


class _Dicts:
    def prepare(self, history: History) -> Any:
        return as_dicts(history)


class _Count:
    """Adds up the text of chunks in the shape of OpenAI's SDK."""

    def __init__(self) -> None:
        self.characters = 0
        self.first_at = 0.0

    def add(self, chunk: Any) -> None:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            self.first_at = self.first_at or time.perf_counter()
            self.characters += len(text)

    def result(self) -> Streamed:
        return Streamed(self.characters, self.first_at)


class _OpenAI(_Dicts):
    def __init__(self, client: Any) -> None:
        self._client = client

    def chat(self, prepared: Any) -> int:
        reply = self._client.chat.completions.create(**body(prepared))
        return len(reply.choices[0].message.content)

    def stream(self) -> Streamed:
        count = _Count()
        for chunk in self._client.chat.completions.create(**body((), stream=True)):
            count.add(chunk)
        return count.result()

    def embed(self) -> int:
        reply = self._client.embeddings.create(model=EMBEDDING_MODEL, input=TEXTS)
        return sum(len(entry.embedding) for entry in reply.data)


class _AsyncOpenAI(_Dicts):
    def __init__(self, client: Any) -> None:
        self._client = client

    async def chat(self, prepared: Any) -> int:
        reply = await self._client.chat.completions.create(**body(prepared))
        return len(reply.choices[0].message.content)

    async def stream(self) -> Streamed:
        count = _Count()
        async for chunk in await self._client.chat.completions.create(**body((), stream=True)):
            count.add(chunk)
        return count.result()

    async def embed(self) -> int:
        reply = await self._client.embeddings.create(model=EMBEDDING_MODEL, input=TEXTS)
        return sum(len(entry.embedding) for entry in reply.data)


class _LiteLLM(_Dicts):
    def __init__(self, router: Any) -> None:
        self._router = router

    async def chat(self, prepared: Any) -> int:
        reply = await self._router.acompletion(**{**body(prepared), "model": "p0"})
        return len(reply.choices[0].message.content)

    async def stream(self) -> Streamed:
        count = _Count()
        async for chunk in await self._router.acompletion(**{**body((), stream=True), "model": "p0"}):
            count.add(chunk)
        return count.result()

    async def embed(self) -> int:
        reply = await self._router.aembedding(model="embeddings", input=TEXTS)
        return sum(len(entry["embedding"]) for entry in reply.data)


class _AnyLLM(_Dicts):
    def __init__(self, client: Any) -> None:
        self._client = client

    def chat(self, prepared: Any) -> int:
        reply = self._client.completion(**body(prepared))
        return len(reply.choices[0].message.content)

    def stream(self) -> Streamed:
        count = _Count()
        for chunk in self._client.completion(**body((), stream=True)):
            count.add(chunk)
        return count.result()

    def embed(self) -> int:
        reply = self._client.embedding(model=EMBEDDING_MODEL, inputs=TEXTS)
        return sum(len(entry.embedding) for entry in reply.data)


class _PydanticAI:
    def __init__(self, agent: Any, messages: Any) -> None:
        self._agent = agent
        self._messages = messages

    def prepare(self, history: History) -> Any:
        made = []
        for role, text in history:
            if role == "assistant":
                made.append(self._messages.ModelResponse(parts=[self._messages.TextPart(content=text)]))
            else:
                made.append(self._messages.ModelRequest(parts=[self._messages.UserPromptPart(content=text)]))
        return made

    async def chat(self, prepared: Any) -> int:
        return len((await self._agent.run(PROMPT, message_history=list(prepared))).output)

    async def stream(self) -> Streamed:
        characters, first_at = 0, 0.0
        async with self._agent.run_stream(PROMPT) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                first_at = first_at or time.perf_counter()
                characters += len(text)
        return Streamed(characters, first_at)

    async def embed(self) -> int:
        raise NotImplementedError("pydantic-ai embeds through other classes; it is not measured")


class _Httpx2(_Dicts):
    def __init__(self, client: Any, base_url: str) -> None:
        self._client = client
        self._url = base_url

    def chat(self, prepared: Any) -> int:
        response = self._client.post(f"{self._url}/chat/completions", json=body(prepared))
        response.raise_for_status()
        return len(response.json()["choices"][0]["message"]["content"])

    def stream(self) -> Streamed:
        characters, first_at = 0, 0.0
        url = f"{self._url}/chat/completions"
        with self._client.stream("POST", url, json=body((), stream=True)) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    choices = json.loads(line[6:])["choices"]
                    text = choices[0]["delta"].get("content") if choices else None
                    if text:
                        first_at = first_at or time.perf_counter()
                        characters += len(text)
        return Streamed(characters, first_at)

    def embed(self) -> int:
        response = self._client.post(f"{self._url}/embeddings", json={"model": EMBEDDING_MODEL, "input": TEXTS})
        response.raise_for_status()
        return vectors_of(response.json())


@contextmanager
def _openai(base_urls: Sequence[str]) -> Iterator[Session]:
    with importlib.import_module("openai").OpenAI(base_url=base_urls[0], api_key=KEY) as client:
        yield _OpenAI(client)


@asynccontextmanager
async def _openai_async(base_urls: Sequence[str]) -> AsyncIterator[AsyncSession]:
    async with importlib.import_module("openai").AsyncOpenAI(base_url=base_urls[0], api_key=KEY) as client:
        yield _AsyncOpenAI(client)


@asynccontextmanager
async def _litellm(base_urls: Sequence[str]) -> AsyncIterator[AsyncSession]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would be fetched from the network
    module: Any = importlib.import_module("litellm")
    module.suppress_debug_info = True
    deployments: list[dict[str, Any]] = [
        {
            "model_name": f"p{number}",
            "litellm_params": {"model": f"openai/{MODEL}", "api_key": KEY, "api_base": base_url},
        }
        for number, base_url in enumerate(base_urls)
    ]
    embeddings = {"model": f"openai/{EMBEDDING_MODEL}", "api_key": KEY, "api_base": base_urls[0]}
    deployments.append({"model_name": "embeddings", "litellm_params": embeddings})
    fallbacks = [{"p0": [f"p{number}" for number in range(1, len(base_urls))]}] if len(base_urls) > 1 else []
    yield _LiteLLM(module.Router(model_list=deployments, fallbacks=fallbacks, num_retries=0))


@contextmanager
def _any_llm(base_urls: Sequence[str]) -> Iterator[Session]:
    yield _AnyLLM(importlib.import_module("any_llm").AnyLLM.create("openai", api_key=KEY, api_base=base_urls[0]))


@asynccontextmanager
async def _pydantic_ai(base_urls: Sequence[str]) -> AsyncIterator[AsyncSession]:
    models = importlib.import_module("pydantic_ai.models.openai")
    providers = importlib.import_module("pydantic_ai.providers.openai")
    provider = providers.OpenAIProvider(base_url=base_urls[0], api_key=KEY)
    agent = importlib.import_module("pydantic_ai").Agent(models.OpenAIChatModel(MODEL, provider=provider))
    yield _PydanticAI(agent, importlib.import_module("pydantic_ai.messages"))


@contextmanager
def _httpx2(base_urls: Sequence[str]) -> Iterator[Session]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with importlib.import_module("httpx2").Client(headers=headers, trust_env=False) as client:
        yield _Httpx2(client, base_urls[0])


CLIENTS: dict[str, Client | AsyncClient] = {
    "openai": Client(_openai),
    "openai-async": AsyncClient(_openai_async, _run_asyncio),
    "litellm": AsyncClient(_litellm, _run_asyncio),
    "any-llm": Client(_any_llm),
    "pydantic-ai": AsyncClient(_pydantic_ai, _run_asyncio),
    "httpx2": Client(_httpx2),
}
