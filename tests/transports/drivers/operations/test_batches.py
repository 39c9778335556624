"""`stream.batches()` yields the events of each read together, on every driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, ModelConfig
from turnout.errors import Disconnected, StreamInterrupted
from turnout.providers import create
from turnout_io.testing import AsyncScriptedTransport, Reply, ScriptedTransport

REQUEST = ChatRequest(ModelConfig("openai", "m"), "x")


def chunk(text: str, finish: str = "null") -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%s"},"finish_reason":%s}]}\n\n' % (text.encode(), finish.encode())


READS = [
    chunk("one "),
    chunk("two ") + chunk("three ") + chunk("fo")[:20],
    chunk("fo")[20:] + chunk("ur"),
    chunk("", '"stop"') + b"data: [DONE]\n\n",
]
DELTAS = [["one "], ["two ", "three "], ["fo", "ur"], []]


class _Both:
    """A blocking stream behind the async interface, so that one test serves every driver."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    async def __aiter__(self) -> AsyncIterator[Any]:
        for event in self.stream:
            yield event

    def batches(self) -> Any:
        return _Both(self.stream.batches())

    async def __anext__(self) -> Any:
        try:
            return next(self.stream)
        except StopIteration:
            raise StopAsyncIteration from None


def play(driver: str, body: list[Any], consume: Callable[[Any], Any]) -> Any:
    provider = create("openai", api_key="a-key")
    reply = Reply(body=body, headers={"content-type": "text/event-stream"})
    if driver == "sync":
        transport = ScriptedTransport()
        transport.add(reply)

        async def blocking() -> Any:
            with turnout_io.sync.Router([provider], transport=transport) as router, router.stream(REQUEST) as stream:
                return await consume(_Both(stream))

        return asyncio.run(blocking())
    module = turnout_io.trio if driver == "trio" else turnout_io.asyncio
    async_transport = AsyncScriptedTransport()
    async_transport.add(reply)

    async def main() -> Any:
        async with module.Router([provider], transport=async_transport) as router, router.stream(REQUEST) as stream:
            return await consume(stream)

    return trio.run(main) if driver == "trio" else asyncio.run(main())


DRIVERS = pytest.mark.parametrize("driver", ["sync", "trio", "asyncio"])


def deltas(batch: Any) -> list[str]:
    return [event.delta for event in batch if event.type == "token"]


@DRIVERS
def test_batch_has_the_events_of_one_read(driver: str) -> None:
    async def consume(stream: Any) -> list[Any]:
        return [batch async for batch in stream.batches()]

    batches = play(driver, READS, consume)
    assert [deltas(batch) for batch in batches] == DELTAS
    assert all(isinstance(batch, tuple) and batch for batch in batches)
    assert batches[-1][-1].type == "end"


@DRIVERS
@pytest.mark.parametrize("singles", range(7))
def test_batches_continue_after_single_events(driver: str, singles: int) -> None:
    async def consume(stream: Any) -> list[str]:
        found: list[Any] = []
        iterator = stream.__aiter__()
        for _ in range(singles):
            found.append(await iterator.__anext__())
        async for batch in stream.batches():
            found += batch
        async for _ in stream:
            raise AssertionError("an event is repeated")
        return deltas(found)

    assert play(driver, READS, consume) == ["one ", "two ", "three ", "fo", "ur"]


@DRIVERS
def test_batches_raise_after_the_events_before_a_fault(driver: str) -> None:
    received: list[str] = []

    async def consume(stream: Any) -> None:
        async for batch in stream.batches():
            received.extend(deltas(batch))

    with pytest.raises(StreamInterrupted) as caught:
        play(driver, [*READS[:2], Disconnected("cut")], consume)
    assert received == ["one ", "two ", "three "]
    assert caught.value.partial is not None
    assert caught.value.partial.text == "one two three "
