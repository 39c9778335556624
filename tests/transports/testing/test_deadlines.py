"""A script that is silent for longer than the caller's deadline fails as a real server does, and takes no time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from turnout.errors import DeadlineExceeded, Phase, StreamInterrupted, TimedOut, Timer, TurnoutError
from turnout.routing import Policy, Timeouts
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.testing import AsyncScriptedTransport, Fault, ScriptedTransport

KEYS = {"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"}
MODEL = "openai/gpt-4o-mini"


def read_blocking(script: Callable[[Any], None], **options: Any) -> str:
    transport = ScriptedTransport()
    script(transport)
    with (
        sync.Router.from_env(environ=KEYS, dotenv=None, transport=transport, max_retries=0) as router,
        router.stream(MODEL, "Hold on.", **options) as stream,
    ):
        return "".join(event.delta for event in stream if event.type == "token")


def _async_reader(drivers: Any, run: Callable[[Callable[[], Awaitable[str]]], str]) -> Callable[..., str]:
    def read(script: Callable[[Any], None], **options: Any) -> str:
        transport = AsyncScriptedTransport()
        script(transport)

        async def deed() -> str:
            made = drivers.Router.from_env(environ=KEYS, dotenv=None, transport=transport, max_retries=0)
            async with made as router, router.stream(MODEL, "Hold on.", **options) as stream:
                return "".join([event.delta async for event in stream if event.type == "token"])

        return run(deed)

    return read


def _run_asyncio(deed: Callable[[], Any]) -> str:
    text: str = asyncio.run(deed())
    return text


READERS = {
    "blocking": read_blocking,
    "trio": _async_reader(trio_driver, trio.run),
    "asyncio": _async_reader(asyncio_driver, _run_asyncio),
}


@pytest.fixture(params=sorted(READERS))
def read(request: pytest.FixtureRequest) -> Callable[..., str]:
    return READERS[request.param]


def test_no_head_before_the_deadline(read: Callable[..., str]) -> None:
    with pytest.raises(DeadlineExceeded, match="the deadline of 1 s passed while openai/gpt-4o-mini was silent"):
        read(lambda script: script.answer("openai", fault=Fault(delay=30)), timeout=1)


def test_a_stall_after_content_and_the_deadline_of_the_stream(read: Callable[..., str]) -> None:
    def script(transport: Any) -> None:
        transport.answer("openai", "One two three", fault=Fault(stall=30, after_tokens=1))

    with pytest.raises(StreamInterrupted) as caught:
        read(script, total_timeout=1)
    cause = caught.value.__cause__
    assert isinstance(cause, DeadlineExceeded)
    assert (str(cause), cause.phase) == (
        "the deadline of 1 s passed while openai/gpt-4o-mini was responding",
        Phase.BODY,
    )


def test_a_timer_that_is_shorter_than_the_deadline_is_the_one_that_expired(read: Callable[..., str]) -> None:
    policy = Policy(timeouts=Timeouts(response_headers=2))
    with pytest.raises(TurnoutError) as caught:
        read(lambda script: script.answer("openai", fault=Fault(delay=30)), policy=policy)
    error = caught.value
    assert isinstance(error, TimedOut)
    assert (error.timer, error.seconds) == (Timer.RESPONSE_HEADERS, 2)


def test_a_share_of_the_deadline_leaves_the_rest_to_the_fallback(read: Callable[..., str]) -> None:
    def script(transport: Any) -> None:
        transport.answer("openai", fault=Fault(delay=30))
        transport.answer("gemini", "Here")

    assert read(script, timeout=2, fallbacks=["gemini/gemini-2.5-flash"]) == "Here"
