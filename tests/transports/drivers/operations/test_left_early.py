"""A stream that was left before its end, or that broke: reading on is an error, so no part passes as the whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, FinishReason, ModelConfig
from turnout.errors import Disconnected, LocalProtocolError, StreamInterrupted
from turnout.events import End
from turnout.providers import create
from turnout.routing import Policy
from turnout_io.testing import AsyncScriptedTransport, Reply, ScriptedTransport

REQUEST = ChatRequest(ModelConfig("openai", "m"), "x")
LEFT = "this stream was left before its end"


def chunk(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


WHOLE = (chunk("There"), chunk(" are"), chunk(" two", "stop"), b"data: [DONE]\n\n")
IN_ONE_READ = (b"".join(WHOLE),)
BROKEN = (chunk("There"), chunk(" are"), Disconnected("reset"))

Body = Callable[[Any], Coroutine[Any, Any, Any]]


class _Blocking:
    """The blocking stream with the names of the async one, so that one test serves every driver."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aenter__(self) -> Any:
        self._stream.__enter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        self._stream.__exit__(*exc_info)

    async def collect(self) -> Any:
        return self._stream.collect()

    async def aclose(self) -> None:
        self._stream.close()


async def listed(events: Any) -> list[Any]:
    """Return every event of an iterator of either kind."""
    if isinstance(events, _Blocking):
        return list(events._stream)
    return [event async for event in events] if hasattr(events, "__aiter__") else list(events)


async def next_of(stream: Any) -> Any:
    """Return the next event."""
    return next(stream._stream) if isinstance(stream, _Blocking) else await anext(stream)


def run(driver: str, steps: tuple[Any, ...], test: Body) -> None:
    """Run `test` with a stream of these steps."""
    transport: Any = ScriptedTransport() if driver == "sync" else AsyncScriptedTransport()
    transport.add(Reply(200, list(steps)))
    kind: Any = {"sync": turnout_io.sync, "trio": turnout_io.trio, "asyncio": turnout_io.asyncio}[driver].Router
    router = kind([create("openai", api_key="k")], policy=Policy(max_retries=0), transport=transport)

    async def main() -> None:
        stream = router.stream(REQUEST)
        await test(_Blocking(stream) if driver == "sync" else stream)

    if driver == "trio":
        trio.run(main)
    else:
        asyncio.run(main())


DRIVERS = pytest.mark.parametrize("driver", ["sync", "trio", "asyncio"])
READERS: dict[str, Body] = {
    "events": listed,
    "text": lambda stream: listed(stream.text),
    "batches": lambda stream: listed(stream.batches()),
    "collect": lambda stream: stream.collect(),
    "next": next_of,
}
EACH_READER = pytest.mark.parametrize("reader", READERS)


@DRIVERS
@EACH_READER
@pytest.mark.parametrize("steps", [WHOLE, IN_ONE_READ], ids=["split", "in one read"])
def test_reading_a_stream_that_was_left_early_is_an_error(driver: str, reader: str, steps: tuple[Any, ...]) -> None:
    async def test(stream: Any) -> None:
        async with stream:
            await next_of(stream)
        for _ in range(2):
            with pytest.raises(LocalProtocolError, match=LEFT):
                await READERS[reader](stream)
        assert stream.response.text.startswith("There")
        if steps is WHOLE:
            assert (stream.response.text, stream.response.finish_reason) == ("There", FinishReason.UNKNOWN)

    run(driver, steps, test)


@DRIVERS
@EACH_READER
def test_reading_a_stream_that_broke_raises_its_error_again(driver: str, reader: str) -> None:
    async def test(stream: Any) -> None:
        async with stream:
            with pytest.raises(StreamInterrupted) as first:
                await listed(stream)
        with pytest.raises(StreamInterrupted) as again:
            await READERS[reader](stream)
        assert again.value is first.value
        assert stream.response.text == "There are"

    run(driver, BROKEN, test)


@DRIVERS
@EACH_READER
def test_reading_a_stream_that_was_closed_before_it_was_entered_is_an_error(driver: str, reader: str) -> None:
    async def test(stream: Any) -> None:
        await stream.aclose()
        with pytest.raises(LocalProtocolError, match="closed before it was entered"):
            await READERS[reader](stream)

    run(driver, WHOLE, test)


@DRIVERS
@pytest.mark.parametrize("steps", [WHOLE, IN_ONE_READ], ids=["split", "in one read"])
def test_a_stream_that_was_read_to_its_end_can_still_be_asked(driver: str, steps: tuple[Any, ...]) -> None:
    async def test(stream: Any) -> None:
        async with stream:
            event = None
            while not isinstance(event, End):
                event = await next_of(stream)
        assert await listed(stream) == []
        assert (await stream.collect()).text == "There are two"
        assert stream.response.finish_reason is FinishReason.STOP

    run(driver, steps, test)
