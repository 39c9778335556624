"""The end of a stream after its finish reason: only the usage may be missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout import ChatRequest, FinishReason, Message, ModelConfig, StreamInterrupted
from turnout.errors import Disconnected, TransportError
from turnout.events import End
from turnout.providers import create
from turnout.routing import Policy
from turnout_io.sync import Router
from turnout_io.testing import STALL, Reply, ScriptedTransport


def chunk(text: str = "", finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 1}}\n\n'
ENDS = {"cut": Disconnected("reset"), "silent": STALL}


def router(*steps: Any) -> Router:
    transport = ScriptedTransport()
    transport.add(Reply(200, [step.encode() if isinstance(step, str) else step for step in steps]))
    return Router([create("openai", api_key="k")], policy=Policy(max_retries=0), transport=transport)


REQUEST = ChatRequest(ModelConfig("openai", "m"), [Message.user("x")])


@pytest.mark.parametrize("end", sorted(ENDS))
@pytest.mark.parametrize("mode", ["stream", "collect"])
def test_a_broken_end_after_the_finish_reason_is_no_error(end: str, mode: str) -> None:
    with router(chunk("Hi"), chunk(finish="stop"), ENDS[end]) as made:
        if mode == "collect":
            response = made.chat(REQUEST, collect=True)
        else:
            with made.stream(REQUEST) as stream:
                events = list(stream)
            assert isinstance(events[-1], End)
            assert stream.response is not None
            response = stream.response
    assert (response.text, response.finish_reason, response.usage.source) == ("Hi", FinishReason.STOP, "absent")


@pytest.mark.parametrize("end", sorted(ENDS))
@pytest.mark.parametrize("body", [[chunk("Hi", "stop")], [chunk(finish="stop"), chunk("Hi")], [chunk("Hi")]])
def test_every_other_broken_end_is_an_error(end: str, body: list[str]) -> None:
    with (
        router(*body, ENDS[end]) as made,
        pytest.raises((StreamInterrupted, TransportError)),
        made.stream(REQUEST) as s,
    ):
        list(s)


def test_an_incomplete_event_after_the_finish_reason_is_skipped() -> None:
    with (
        router(chunk("Hi"), chunk(finish="stop"), USAGE[:30], Disconnected("reset")) as made,
        made.stream(REQUEST) as s,
    ):
        *_, end = s
    assert isinstance(end, End)
    assert (end.usage.source, end.skipped) == ("absent", 1)


def test_usage_after_the_finish_reason_counts() -> None:
    with (
        router(chunk("Hi"), chunk(finish="stop"), USAGE, Disconnected("reset")) as made,
        made.stream(REQUEST) as stream,
    ):
        *_, end = stream
    assert isinstance(end, End)
    assert (end.usage.prompt_tokens, end.usage.source) == (4, "reported")
