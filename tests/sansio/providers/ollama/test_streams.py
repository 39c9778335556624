"""What Ollama meant comes out, streamed or whole and however it is cut, and goes back as Ollama wants it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.providers.ollama.answers import ANSWERS, Answer
from tests.sansio.providers.playing import CUTS, feed, read, sent_back
from turnout.chat import ChatResponse, FinishReason
from turnout.errors import ProviderError, RemoteProtocolError, StreamTruncated
from turnout.events import End, Reasoning, Token, ToolCallReady


def assert_said(answer: Answer, result: ChatResponse) -> None:
    assert (result.text, result.reasoning) == (answer.text, answer.reasoning)
    assert [(call.name, call.parsed()) for call in result.tool_calls] == [(c.name, c.arguments) for c in answer.calls]
    for call, meant in zip(result.tool_calls, answer.calls, strict=True):
        assert meant.id in (None, "", call.id)
    assert len({call.id for call in result.tool_calls}) == len(answer.calls)
    assert (result.raw_finish_reason, result.finish_reason) == (answer.finish or None, answer.reason)
    assert (result.usage, result.served_model) == (answer.usage, "served")


def assert_goes_back(answer: Answer, result: ChatResponse) -> None:
    turn = sent_back("ollama", result.message)["messages"][1]
    calls = turn.pop("tool_calls", [])
    assert turn == {"role": "assistant", "content": answer.text} | (
        {"thinking": answer.reasoning} if answer.reasoning else {}
    )
    assert [call["function"] for call in calls] == [{"name": c.name, "arguments": c.arguments} for c in answer.calls]


@pytest.mark.full
@given(ANSWERS, CUTS)
@settings(deadline=None, max_examples=300)
def test_what_was_meant_comes_out_and_goes_back(answer: Answer, cuts: tuple[int, ...]) -> None:
    heard = feed("ollama", answer.body)
    assert heard.failure is None
    assert_said(answer, heard.result)
    assert tuple(each for each in heard.events if isinstance(each, Token | Reasoning)) == answer.told
    assert [each.call for each in heard.events if isinstance(each, ToolCallReady)] == list(heard.result.tool_calls)
    last = heard.events[-1]
    assert isinstance(last, End)
    assert (last.usage, last.skipped, last.finish_reason) == (answer.usage, 0, answer.reason)
    assert_goes_back(answer, heard.result)
    assert feed("ollama", answer.body, cuts).agreed() == heard.agreed()
    assert feed("ollama", answer.body.rstrip()).agreed() == heard.agreed()  # the last line need not be ended


@pytest.mark.full
@given(ANSWERS)
@settings(deadline=None, max_examples=200)
def test_an_answer_that_is_no_stream_says_the_same(answer: Answer) -> None:
    result = read("ollama", answer.document)
    assert_said(answer, result)
    assert_goes_back(answer, result)


@pytest.mark.full
@given(ANSWERS, st.data(), CUTS)
@settings(deadline=None, max_examples=200)
def test_an_error_in_the_stream_keeps_what_came(answer: Answer, data: st.DataObject, cuts: tuple[int, ...]) -> None:
    lines = answer.lines[: data.draw(st.integers(0, len(answer.lines) - 1))]
    error: dict[str, Any] = {"error": data.draw(st.sampled_from(["busy", {"message": "busy"}]))}
    body = answer.written((*lines, error))
    heard = feed("ollama", body)
    assert isinstance(heard.failure, ProviderError)
    assert heard.failure.message == "busy"
    assert heard.result.finish_reason is FinishReason.ERROR
    cut = feed("ollama", answer.written(lines))
    assert heard.events == cut.events
    assert (heard.result.text, heard.result.reasoning) == (cut.result.text, cut.result.reasoning)
    assert heard.result.tool_calls == cut.result.tool_calls
    assert feed("ollama", body, cuts).agreed() == heard.agreed()
    with pytest.raises(ProviderError, match="busy"):
        read("ollama", error)


@pytest.mark.full
@given(ANSWERS, st.data(), CUTS)
@settings(deadline=None, max_examples=150)
def test_a_stream_that_breaks_off_is_truncated(answer: Answer, data: st.DataObject, cuts: tuple[int, ...]) -> None:
    lines = answer.lines[: data.draw(st.integers(0, len(answer.lines) - 1))]
    heard = feed("ollama", answer.written(lines), cuts)
    assert isinstance(heard.failure, StreamTruncated)
    assert not any(each.done for each in heard.events)
    assert answer.text.startswith(heard.result.text)
    assert answer.reasoning.startswith(heard.result.reasoning)
    sent_back("ollama", heard.result.message)  # what came can be sent, whatever came


@pytest.mark.full
@given(ANSWERS, st.data(), CUTS)
@settings(deadline=None, max_examples=150)
def test_lines_that_cannot_be_read_are_passed_over_and_counted(
    answer: Answer, data: st.DataObject, cuts: tuple[int, ...]
) -> None:
    at = data.draw(st.integers(0, len(answer.lines) - 1))
    broken = data.draw(
        st.lists(st.sampled_from([b"{oops\n", b'{"message":\n', b"[]\n", b"12\n"]), min_size=1, max_size=3)
    )
    body = answer.written(answer.lines[:at]) + b"".join(broken) + answer.written(answer.lines[at:])
    heard = feed("ollama", body, cuts)
    assert heard.failure is None
    assert_said(answer, heard.result)
    assert isinstance(heard.events[-1], End)
    assert heard.events[-1].skipped == len(broken)


@pytest.mark.parametrize("document", [{}, {"status": "loading model"}, [], "busy"])
def test_a_document_that_is_no_answer(document: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        read("ollama", document)
