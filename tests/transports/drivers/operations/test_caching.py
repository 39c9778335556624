"""A cache of answers in front of the providers, on every driver."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, ResponseFormat, TurnoutError
from turnout.chat import ChatResponse
from turnout.embeddings import EmbeddingResponse
from turnout.errors import DemandUnmet, LocalProtocolError
from turnout.events import End, Event, Token
from turnout.prices import Price
from turnout.providers import create
from turnout.routing import Policy, Route
from turnout.trace import Trace
from turnout_io.caching import MemoryCache
from turnout_io.logs import summary
from turnout_io.metrics import Metrics
from turnout_io.testing import AsyncScriptedTransport, Fault, ScriptedAnswer, ScriptedCall, ScriptedTransport

MODEL = "openai/gpt-4o-mini"
QUESTION = "Why do points freeze?"
POLICY = Policy(max_retries=0, prices={"openai/*": Price(1, 1)})


class AsyncCache:
    """A cache with coroutines."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self.entries.get(key)

    async def put(self, key: str, answer: bytes) -> None:
        self.entries[key] = answer


class SlowCache(AsyncCache):
    async def get(self, key: str) -> bytes | None:
        await trio.sleep(1)
        return None


class BrokenCache:
    def get(self, key: str) -> bytes | None:
        raise ConnectionError("the cache is down")

    def put(self, key: str, answer: bytes) -> None:
        raise ConnectionError("the cache is down")


def script(transport: Any, answers: tuple[Any, ...]) -> None:
    for answer in answers:
        if isinstance(answer, Fault):
            transport.answer("openai", fault=answer)
        else:
            transport.answer("openai", answer)


class Sync:
    """Asks on the blocking router."""

    def __init__(self, cache: Any, *answers: Any, on_trace: Callable[[Trace], None] | None = None) -> None:
        self.transport: Any = ScriptedTransport()
        self._make: Callable[[], turnout_io.sync.Router] = lambda: turnout_io.sync.Router(
            [create("openai", api_key="k")], policy=POLICY, transport=self.transport, cache=cache, on_trace=on_trace
        )
        script(self.transport, answers)

    @property
    def sent(self) -> int:
        return len(self.transport.requests)

    def chat(self, *given: Any, **settings: Any) -> ChatResponse:
        with self._make() as router:
            return router.chat(*given, **settings)

    def embed(self, *given: Any, **settings: Any) -> EmbeddingResponse:
        with self._make() as router:
            return router.embed(*given, **settings)

    def stream(self, *given: Any, **settings: Any) -> tuple[list[Event], ChatResponse, str]:
        with self._make() as router, router.stream(*given, **settings) as stream:
            return list(stream), stream.response, str(stream.model)


class OnTrio(Sync):
    """Asks on the router for trio."""

    module: Any = turnout_io.trio

    def __init__(self, cache: Any, *answers: Any, on_trace: Callable[[Trace], None] | None = None) -> None:
        self.transport = AsyncScriptedTransport()
        self._make_async: Callable[[], Any] = lambda: self.module.Router(
            [create("openai", api_key="k")], policy=POLICY, transport=self.transport, cache=cache, on_trace=on_trace
        )
        script(self.transport, answers)

    def _run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        return trio.run(main)

    def chat(self, *given: Any, **settings: Any) -> ChatResponse:
        async def main() -> ChatResponse:
            async with self._make_async() as router:
                answer: ChatResponse = await router.chat(*given, **settings)
                return answer

        answer: ChatResponse = self._run(main)
        return answer

    def embed(self, *given: Any, **settings: Any) -> EmbeddingResponse:
        async def main() -> EmbeddingResponse:
            async with self._make_async() as router:
                answer: EmbeddingResponse = await router.embed(*given, **settings)
                return answer

        answer: EmbeddingResponse = self._run(main)
        return answer

    def stream(self, *given: Any, **settings: Any) -> tuple[list[Event], ChatResponse, str]:
        async def main() -> tuple[list[Event], ChatResponse, str]:
            async with self._make_async() as router, router.stream(*given, **settings) as stream:
                return [event async for event in stream], stream.response, str(stream.model)

        read: tuple[list[Event], ChatResponse, str] = self._run(main)
        return read


class OnAsyncio(OnTrio):
    """Asks on the router for asyncio."""

    module = turnout_io.asyncio

    def _run(self, main: Callable[[], Any]) -> Any:
        return asyncio.run(main())


DRIVERS = pytest.mark.parametrize("driver", [Sync, OnTrio, OnAsyncio])
Driver = type[Sync]


@DRIVERS
def test_the_second_same_question_sends_no_request(driver: Driver) -> None:
    traces: list[Trace] = []
    user = driver(MemoryCache(), "Because water does.", on_trace=traces.append)
    first, second = (user.chat(MODEL, QUESTION, temperature=0.5) for _ in range(2))
    assert user.sent == 1
    assert (second.text, second.message, second.model) == (first.text, first.message, first.model)
    assert second.usage.prompt_tokens == first.usage.prompt_tokens
    assert (first.trace.from_cache, second.trace.from_cache) == (False, True)
    assert "answered from the cache; the answer is of openai/gpt-4o-mini" in second.trace.explain()
    assert second.trace.attempts == 0
    assert (first.usage.cost or 0) > 0
    assert second.usage.cost == 0
    assert "prompt_tokens" in traces[0].outcome
    assert traces[1].outcome["finish_reason"] == "stop"
    assert "prompt_tokens" not in traces[1].outcome, "counted once"
    assert "chat answered from the cache, by openai/gpt-4o-mini" in summary(traces[1])


@DRIVERS
def test_a_stream_replays_a_stored_answer_and_stores_its_own(driver: Driver) -> None:
    user = driver(MemoryCache(), "Because water does.")
    events, answer, _ = user.stream(MODEL, QUESTION)
    again, replayed, model = user.stream(MODEL, QUESTION)
    assert user.sent == 1
    assert "".join(event.delta for event in again if isinstance(event, Token)) == answer.text == replayed.text
    assert isinstance(again[-1], End)
    assert isinstance(events[-1], End)
    assert again[-1].finish_reason is events[-1].finish_reason
    assert model == MODEL
    assert replayed.trace.from_cache
    assert user.chat(MODEL, QUESTION).text == answer.text, "a chat and a stream share their answers"


@DRIVERS
@pytest.mark.parametrize("method", ["chat", "stream"])
def test_a_failure_and_an_answer_that_was_cut_are_not_stored(driver: Driver, method: str) -> None:
    cache = MemoryCache()
    user = driver(cache, Fault(status=503), "Because water does, and so do points.", "Yes.")
    with pytest.raises(TurnoutError):
        getattr(user, method)(MODEL, QUESTION, max_tokens=2)
    assert len(cache) == 0
    getattr(user, method)(MODEL, QUESTION, max_tokens=2)
    assert len(cache) == 0, "the limit cut it"
    assert user.chat(MODEL, QUESTION, max_tokens=2).text == "Yes."
    assert len(cache) == 1


@DRIVERS
@pytest.mark.parametrize("strict", [True, False])
def test_an_answer_that_does_not_meet_a_demand_is_not_stored(driver: Driver, strict: bool) -> None:
    cache = MemoryCache()
    user = driver(cache, "no JSON", '{"a": 1}')
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    format = ResponseFormat(schema, strict=strict)
    if strict:
        with pytest.raises(DemandUnmet):
            user.chat(MODEL, QUESTION, response_format=format)
    else:
        assert user.chat(MODEL, QUESTION, response_format=format).unmet == ("response_format",)
    assert len(cache) == 0
    for _ in range(2):
        assert user.chat(MODEL, QUESTION, response_format=format).text == '{"a": 1}'
    assert (len(cache), user.sent) == (1, 2)


@DRIVERS
def test_a_stream_that_broke_is_not_stored(driver: Driver) -> None:
    cache = MemoryCache()
    user = driver(cache, Fault(abort="close", after_tokens=2))
    with pytest.raises(TurnoutError):
        user.stream(MODEL, QUESTION)
    assert len(cache) == 0


def test_a_stream_that_was_left_early_is_not_stored() -> None:
    cache = MemoryCache()
    user = Sync(cache, "Because water does, and so do points.")
    with user._make() as router, router.stream(MODEL, QUESTION) as stream:
        next(iter(stream))
    assert len(cache) == 0


def test_a_stream_that_was_left_at_its_end_is_stored_and_reported() -> None:
    cache = MemoryCache()
    traces: list[Trace] = []
    user = Sync(cache, "Because water does.", on_trace=traces.append)
    with user._make() as router, router.stream(MODEL, QUESTION) as stream:
        for event in stream:
            if event.done:
                break
    assert len(cache) == 1
    assert traces[0].outcome["finish_reason"] == "stop"


@DRIVERS
def test_a_call_can_do_without_the_cache(driver: Driver) -> None:
    cache = MemoryCache()
    user = driver(cache, "One.", "Two.", "Three.")
    assert user.chat(MODEL, QUESTION, cache=False).text == "One."
    assert len(cache) == 0
    assert user.chat(MODEL, QUESTION).text == "Two."
    assert user.chat(MODEL, QUESTION, cache=False).text == "Three."
    assert user.chat(MODEL, QUESTION).text == "Two."


@DRIVERS
def test_keys_of_accounts_and_labels_share_answers(driver: Driver) -> None:
    user = driver(MemoryCache(), "Because water does.")
    user.chat(MODEL, QUESTION, metadata={"user": "ada"})
    assert user.chat(MODEL, QUESTION, api_keys={"openai": "another"}, timeout=3).trace.from_cache


@pytest.mark.parametrize("driver", [OnTrio, OnAsyncio])
def test_an_async_router_takes_a_cache_with_coroutines(driver: Driver) -> None:
    user = driver(AsyncCache(), "Because water does.")
    assert user.chat(MODEL, QUESTION).text == user.chat(MODEL, QUESTION).text
    assert [event.type for event in user.stream(MODEL, QUESTION)[0]] == ["token", "end"]
    assert user.sent == 1


@DRIVERS
def test_a_cache_that_fails_is_logged_and_harms_no_call(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    user = driver(BrokenCache(), "One.", "Two.")
    with caplog.at_level(logging.ERROR, "turnout"):
        assert user.chat(MODEL, QUESTION).text == "One."
        assert user.stream(MODEL, QUESTION)[1].text == "Two."
    assert len(caplog.records) == 4
    assert QUESTION not in caplog.text


@DRIVERS
@pytest.mark.parametrize("stored", [b"", b"[]", b'{"version": 0}', "text", 5])
def test_another_value_in_the_store_counts_as_none(driver: Driver, stored: Any) -> None:
    class Other(MemoryCache):
        def get(self, key: str) -> Any:
            return stored

    assert driver(Other(), "Because water does.").chat(MODEL, QUESTION).text == "Because water does."


def test_answers_of_routes_and_of_tool_rounds_are_stored() -> None:
    call = ScriptedCall("look", {})
    user = Sync(MemoryCache(), "Fast.", ScriptedAnswer(tool_calls=(call,)), "Ten degrees.")

    def look() -> str:
        """Look at the thermometer."""
        return "10"

    with user._make() as router:
        router.add_route(Route("fast", [MODEL]))
        for _ in range(2):
            assert router.chat("route/fast", QUESTION).text == "Fast."
            assert router.run(MODEL, QUESTION, tools=[look]).text == "Ten degrees."
    assert user.sent == 3


def test_metrics_count_answers_of_the_cache_apart() -> None:
    metrics = Metrics()
    user = Sync(MemoryCache(), "Because water does.", on_trace=metrics)
    user.chat(MODEL, QUESTION)
    once = [line for line in metrics.text().splitlines() if line.startswith("turnout_tokens_total")]
    user.chat(MODEL, QUESTION)
    text = metrics.text()
    assert 'outcome="cached"} 1' in text
    assert [line for line in text.splitlines() if line.startswith("turnout_tokens_total")] == once


EMBEDDING = "openai/text-embedding-3-small"


@DRIVERS
def test_the_same_texts_get_the_stored_vectors(driver: Driver) -> None:
    traces: list[Trace] = []
    user = driver(MemoryCache(), None, None, on_trace=traces.append)
    first, second = (user.embed(EMBEDDING, ["a", "b"], dimensions=4) for _ in range(2))
    assert user.sent == 1
    assert second.vectors == first.vectors
    assert second.model == first.model == EMBEDDING
    assert (first.trace.from_cache, second.trace.from_cache) == (False, True)
    assert second.usage.cost == 0
    assert second.usage.prompt_tokens == first.usage.prompt_tokens
    assert "embed answered from the cache, by openai/text-embedding-3-small" in summary(traces[1])
    assert "prompt_tokens" not in traces[1].outcome, "counted once"
    assert len(second.vectors) == 2
    assert user.embed(EMBEDDING, "a", dimensions=4).vectors[0] == first.vectors[0]
    assert user.sent == 2, "other texts are another request"


@DRIVERS
def test_vectors_are_not_stored_after_a_failure_or_without_the_cache(driver: Driver) -> None:
    cache = MemoryCache()
    user = driver(cache, Fault(status=503), None)
    with pytest.raises(TurnoutError):
        user.embed(EMBEDDING, "a")
    user.embed(EMBEDDING, "a", cache=False)
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("cache", "advice"),
    [
        ({}, "dict is not a cache: it must be an object with the methods get and put"),
        (MemoryCache, "MemoryCache is not a cache"),
        (True, "bool is not a cache"),
        (AsyncCache(), "AsyncCache is async; this router needs a cache with blocking methods"),
    ],
)
def test_another_value_is_refused_where_it_is_given(cache: Any, advice: str) -> None:
    with pytest.raises(TypeError) as refused:
        turnout_io.sync.Router(cache=cache)
    assert advice in str(refused.value)
    with pytest.raises(TypeError):
        turnout_io.sync.Router.from_env(cache=cache, environ={}, dotenv=None)


def test_the_cache_of_a_call_is_true_or_false() -> None:
    with turnout_io.sync.Router() as router, pytest.raises(TypeError, match="cache must be True or False for a call"):
        router.chat(ChatRequest(MODEL, QUESTION), cache=MemoryCache())  # type: ignore[call-overload]


def test_a_memory_cache_forgets_the_oldest_and_the_too_old() -> None:
    now = [0.0]
    cache = MemoryCache(2, max_age=10, clock=lambda: now[0])
    cache.put("a", b"1")
    cache.put("b", b"2")
    assert cache.get("a") == b"1"
    cache.put("c", b"3")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"1", None, b"3")
    now[0] = 10.5
    assert cache.get("a") is None
    assert len(cache) == 1
    cache.clear()
    assert cache.get("c") is None


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 12)), max_size=40))
def test_a_memory_cache_holds_no_more_bytes_than_it_may(puts: list[tuple[str, int]]) -> None:
    cache = MemoryCache(4, max_bytes=10)
    for key, size in puts:
        cache.put(key, b"x" * size)
        held = [answer for one in "abcde" if (answer := cache.get(one)) is not None]
        assert sum(map(len, held)) <= 10
        assert len(held) == len(cache) <= 4
        assert cache.get(key) == (b"x" * size if size <= 10 else None), "the newest is kept, and replaces an older one"


def test_a_stream_that_is_closed_while_the_cache_is_asked_starts_no_call() -> None:
    user = OnTrio(SlowCache(), "Because water does.")

    async def main() -> None:
        async with user._make_async() as router:
            stream = router.stream(MODEL, QUESTION)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(enter, stream)
                await trio.testing.wait_all_tasks_blocked()
                await stream.aclose()

    async def enter(stream: Any) -> None:
        with pytest.raises(LocalProtocolError, match="closed before it was entered"):
            await stream.__aenter__()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert user.sent == 0


@pytest.mark.parametrize("bounds", [{"max_entries": 0}, {"max_bytes": 0}, {"max_age": 0}, {"max_age": -1}])
def test_a_memory_cache_refuses_bounds_that_make_no_sense(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bounds))):
        MemoryCache(**bounds)
