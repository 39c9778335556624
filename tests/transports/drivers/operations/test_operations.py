"""Counting tokens and reranking through each driver: the same fallback, deadline and trace as for chats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, EmbeddingRequest, RerankRequest
from turnout.chat import Usage
from turnout.errors import CapabilityUnsupported, DeadlineExceeded, RateLimited, TimedOut
from turnout.prices import Price
from turnout.providers import create
from turnout.routing.policy.settings import Limit, Policy
from turnout_io.testing import AsyncScriptedTransport, Reply, ScriptedTransport

RANKED = {
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
    "usage": {"total_tokens": 9},
}
PROVIDERS = ("cohere", "together", "anthropic", "groq")

Call = Callable[[Any], Any]
Play = Callable[..., Any]


def _blocking(call: Call, *replies: Reply, **settings: Any) -> Any:
    transport = ScriptedTransport()
    transport.add(*replies)
    providers = [create(name, api_key="k") for name in PROVIDERS]
    with turnout_io.sync.Router(providers, policy=_policy(**settings), transport=transport) as router:
        return call(router)


async def _async(module: Any, call: Call, *replies: Reply, **settings: Any) -> Any:
    transport = AsyncScriptedTransport()
    transport.add(*replies)
    providers = [create(name, api_key="k") for name in PROVIDERS]
    async with module.Router(providers, policy=_policy(**settings), transport=transport) as router:
        return await call(router)


def _on_trio(call: Call, *replies: Reply, **settings: Any) -> Any:
    async def main() -> Any:
        return await _async(turnout_io.trio, call, *replies, **settings)

    return trio.run(main)


def _on_asyncio(call: Call, *replies: Reply, **settings: Any) -> Any:
    return asyncio.run(_async(turnout_io.asyncio, call, *replies, **settings))


def _policy(**settings: Any) -> Any:
    return Policy(**{"max_retries": 0, **settings})


@pytest.fixture(params=[_blocking, _on_trio, _on_asyncio], ids=["sync", "trio", "asyncio"])
def play(request: pytest.FixtureRequest) -> Play:
    driver: Play = request.param
    return driver


def test_tokens_are_counted(play: Play) -> None:
    request = ChatRequest("anthropic/claude-opus-5", "Hello", metadata={"job": "7"})
    count = play(lambda router: router.count_tokens(request), Reply(200, {"input_tokens": 9}))
    assert count.prompt_tokens == 9
    assert count.trace.operation == "count_tokens"
    assert count.trace.attempts == 1
    assert count.trace.metadata == {"job": "7"}


def test_only_the_requested_model_counts_tokens(play: Play) -> None:
    request = ChatRequest("anthropic/claude-opus-5", "Hello", fallbacks=("cohere/command-a",))
    with pytest.raises(RateLimited):
        play(lambda router: router.count_tokens(request), Reply(429, {"error": {"type": "rate_limit_error"}}))


def test_reranking_falls_back(play: Play) -> None:
    request = RerankRequest("cohere/rerank-v4.0-pro", "railways", ["cats", "trains"], fallbacks=("together/rank",))
    response = play(lambda router: router.rerank(request), Reply(503, {"message": "busy"}), Reply(200, RANKED))
    assert [document.text for document in response.documents] == ["trains", "cats"]
    assert str(response.model) == "together/rank"
    assert response.trace.operation == "rerank"
    assert response.trace.attempts == 2


def test_a_reranking_has_its_cost(play: Play) -> None:
    request = RerankRequest("together/rank", "railways", ["cats", "trains"])
    prices = {"together/rank": Price(1e6, 0.0)}
    response = play(lambda router: router.rerank(request), Reply(200, RANKED), prices=prices)
    assert response.usage == Usage(prompt_tokens=9, cost=9.0)


def test_the_deadline_shortens_the_timeouts_of_an_attempt(play: Play) -> None:
    request = RerankRequest("cohere/rerank-v4.0-pro", "railways", ["cats", "trains"])
    # On a busy machine the deadline of the call passes before the timer of the attempt is looked at.
    with pytest.raises((TimedOut, DeadlineExceeded)) as raised:
        play(lambda router: router.rerank(request, timeout=0.05), Reply(200, RANKED, delay=1.0))
    assert raised.value.trace.deadline == 0.05


def test_a_provider_without_the_operation_is_skipped(play: Play) -> None:
    with pytest.raises(CapabilityUnsupported, match="count_tokens"):
        play(lambda router: router.count_tokens(ChatRequest("groq/llama-3.3-70b-versatile", "Hello")))
    request = RerankRequest("groq/none", "railways", ["cats", "trains"], fallbacks=("together/rank",))
    response = play(lambda router: router.rerank(request), Reply(200, RANKED))
    assert str(response.model) == "together/rank"


def test_a_request_alone_is_embedded(play: Play) -> None:
    vectors = {"embeddings": {"float": [[0.5, 1.0]]}, "id": "e"}
    reply = play(lambda router: router.embed(EmbeddingRequest("cohere/embed-v4.0", ["x"])), Reply(200, vectors))
    assert reply.vectors.tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize("module", [turnout_io.sync, turnout_io.trio, turnout_io.asyncio])
def test_a_policy_for_a_provider_that_is_not_there_is_refused_at_once(module: Any) -> None:
    policy = Policy(limits={"opnai": Limit(max_concurrency=1)})
    with pytest.raises(ValueError, match="'opnai' matches no provider of this router; did you mean openai"):
        module.Router([create("openai", api_key="k")], policy=policy)
