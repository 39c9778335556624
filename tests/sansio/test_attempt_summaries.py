"""The attempts of a trace as values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.failures import FailureClass, Phase
from turnout.trace import Trace, TraceError, summarize_attempts
from turnout.trace.entries import (
    Answered,
    AttemptCancelled,
    AttemptCompleted,
    Failed,
    FirstContent,
    ResponseStarted,
    Started,
    StreamBroke,
)


def test_a_hedge_that_lost_and_an_answer() -> None:
    trace = Trace(
        "chat",
        ("a/x",),
        entries=[
            Started(0.0, 1, 0, "a/x"),
            Started(0.5, 2, 1, "b/y", hedge=True),
            ResponseStarted(0.75, 2, 200),
            FirstContent(0.75, 2),
            AttemptCancelled(0.75, 1, "the hedge was faster"),
            AttemptCompleted(1.0, 2, tokens=9, cost=0.5),
        ],
    )
    lost, won = summarize_attempts(trace)
    assert (lost.outcome, lost.ended, lost.reason, lost.roles) == ("cancelled", 0.75, "the hedge was faster", ())
    assert (won.outcome, won.roles, won.first_content, won.tokens, won.cost) == ("answered", ("hedge",), 0.75, 9, 0.5)


def test_a_stream_that_broke_keeps_its_reason() -> None:
    failed = Failed(1.0, 1, FailureClass.DISCONNECTED, Phase.BODY, code="closed")
    trace = Trace("stream", ("a/x",), entries=[Started(0.0, 1, 0, "a/x"), failed, StreamBroke(1.0, 1, "restart", 9.0)])
    (attempt,) = summarize_attempts(trace)
    assert attempt.outcome == "broke"
    assert attempt.reason.endswith("closed")


@given(st.lists(st.integers(1, 3), max_size=8))
def test_entries_without_their_start_are_no_attempts(numbers: list[int]) -> None:
    trace = Trace("chat", ("a/x",), entries=[FirstContent(0.0, number) for number in numbers])
    assert summarize_attempts(trace) == ()


@pytest.mark.parametrize("at", [math.inf, -math.inf, math.nan])
def test_a_stored_time_must_be_finite(at: float) -> None:
    stored = Trace("chat", ("openai/m",), entries=[Answered(1.0, "openai/m")]).to_dict()
    stored["entries"][0]["at"] = at
    with pytest.raises(TraceError, match=r"entries\[0\]: at must be a finite number"):
        Trace.from_dict(stored)
