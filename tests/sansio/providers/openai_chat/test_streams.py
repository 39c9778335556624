"""What a server that speaks like OpenAI meant comes out, with any vendor's habits and however it is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.openai_chat.answers import ANSWERS, DETAIL, ERRORS, Answer
from tests.sansio.providers.playing import CUTS, feed, read, sent_back
from turnout.chat import ChatResponse, FinishReason
from turnout.errors import ProviderError, StreamTruncated
from turnout.events import End, PartReady, Reasoning, Token, ToolCallDelta, ToolCallReady


def assert_said(answer: Answer, result: ChatResponse) -> None:
    assert (result.text, result.reasoning) == (answer.text, answer.reasoning)
    assert (result.refusal or "") == answer.refusal
    assert [(call.name, call.parsed()) for call in result.tool_calls] == [(c.name, c.arguments) for c in answer.calls]
    assert [call.id for call in result.tool_calls] == [
        made.id if meant.id is None else meant.id for made, meant in zip(result.tool_calls, answer.calls, strict=True)
    ]
    assert len({call.id for call in result.tool_calls}) == len(answer.calls)
    assert (result.raw_finish_reason, result.finish_reason) == (answer.finish, answer.reason)
    assert result.usage == answer.usage
    assert (result.response_id, result.served_model) == ("chatcmpl-1", "served")


@pytest.mark.full
@given(ANSWERS, CUTS)
@settings(deadline=None, max_examples=300)
def test_what_was_meant_comes_out(answer: Answer, cuts: tuple[int, ...]) -> None:
    heard = feed(answer.name, answer.body)
    assert heard.failure is None
    assert_said(answer, heard.result)
    assert tuple(each for each in heard.events if isinstance(each, Token | Reasoning)) == answer.told
    for place, call in enumerate(heard.result.tool_calls):
        own = [each for each in heard.events if isinstance(each, ToolCallDelta) and each.index == place]
        assert own[0].name == call.name
        assert "".join(each.delta for each in own).strip() in (call.arguments.strip(), "", "null")
    assert [each.call for each in heard.events if isinstance(each, ToolCallReady)] == list(heard.result.tool_calls)
    last = heard.events[-1]
    assert isinstance(last, End)
    assert (last.finish_reason, last.usage, last.skipped) == (answer.reason, answer.usage, 0)
    assert sum(each.done for each in heard.events) == 1
    assert feed(answer.name, answer.body, cuts).agreed() == heard.agreed()


@pytest.mark.full
@given(ANSWERS)
@settings(deadline=None, max_examples=200)
def test_an_answer_that_is_no_stream_says_the_same(answer: Answer) -> None:
    assert_said(answer, read(answer.name, answer.document))


@pytest.mark.full
@given(ANSWERS)
@settings(deadline=None, max_examples=150)
def test_it_goes_back_as_it_came(answer: Answer) -> None:
    for result in (feed(answer.name, answer.body).result, read(answer.name, answer.document)):
        turn: dict[str, Any] = sent_back(answer.name, result.message)["messages"][1]
        assert turn["role"] == "assistant"
        assert (turn["content"] or "") == answer.text
        assert turn["content"] is not None or answer.calls
        calls = turn.get("tool_calls", [])
        assert [(call["id"], call["function"]["name"]) for call in calls] == [
            (call.id, call.name) for call in result.tool_calls
        ]
        if answer.reasonings in ("both", "details") and answer.reasoning:
            assert turn["reasoning_details"] == [DETAIL | {"text": answer.reasoning}]
        else:
            assert "reasoning_details" not in turn


@pytest.mark.full
@given(ANSWERS, st.data(), st.sampled_from(ERRORS), st.sampled_from([b"", b"data: [DONE]\n\n"]), CUTS)
@settings(deadline=None, max_examples=300)
def test_an_error_in_the_stream_keeps_what_came(
    answer: Answer, data: st.DataObject, error: tuple[bytes, type[Exception]], after: bytes, cuts: tuple[int, ...]
) -> None:
    events = answer.events[: data.draw(st.integers(0, len(answer.events) - 1))]
    # A chunk with another index at the very end is held back: the end of a stream lets it pass, an error does not.
    assume(not events or b"another choice" not in events[-1])
    before = b"".join(events)
    body, kind = error
    heard = feed(answer.name, before + body + after, cuts)
    if after and not body.startswith((b"data", b"event")):
        # The terminator came, so that what stands between is no part of the stream.
        return
    assert isinstance(heard.failure, ProviderError)
    assert (type(heard.failure), heard.failure.message) == (kind, "busy")
    assert heard.result.finish_reason is FinishReason.ERROR
    cut = feed(answer.name, before)
    # What the end of a stream completes, an error leaves open.
    seen_before = [each for each in cut.events if not isinstance(each, End | ToolCallReady | PartReady)]
    assert [each for each in heard.events if not isinstance(each, PartReady)] == seen_before
    assert (heard.result.text, heard.result.reasoning) == (cut.result.text, cut.result.reasoning)
    assert heard.result.tool_calls == cut.result.tool_calls
    assert heard.result.usage == cut.result.usage
    assert feed(answer.name, before + body + after).agreed() == heard.agreed()


@pytest.mark.full
@given(ANSWERS, st.data())
@settings(deadline=None, max_examples=200)
def test_a_stream_that_breaks_off_is_truncated(answer: Answer, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(answer.events) - 1))
    # A last chunk with the next index is one of the answer: servers that number their chunks look the same.
    assume(at == 0 or b"another choice" not in answer.events[at - 1])
    heard = feed(answer.name, b"".join(answer.events[:at]))
    assert answer.text.startswith(heard.result.text)
    assert answer.reasoning.startswith(heard.result.reasoning)
    if heard.result.raw_finish_reason is None:
        assert at <= answer.opened
        assert isinstance(heard.failure, StreamTruncated)
        assert not any(each.done for each in heard.events)
    else:
        assert heard.failure is None
    sent_back(answer.name, heard.result.message)  # what came can be sent, whatever came


@pytest.mark.full
@given(ANSWERS, st.data(), CUTS)
@settings(deadline=None, max_examples=100)
def test_events_that_cannot_be_read_are_passed_over_and_counted(
    answer: Answer, data: st.DataObject, cuts: tuple[int, ...]
) -> None:
    events = list(answer.events)
    at = data.draw(st.integers(0, answer.opened))
    broken = data.draw(
        st.lists(st.sampled_from(["{oops", '{"choices": [', "[]]", '"', "12 13"]), min_size=1, max_size=3)
    )
    events[at:at] = [f"data: {each}\n\n".encode() for each in broken]
    heard = feed(answer.name, b"".join(events), cuts)
    assert heard.failure is None
    assert_said(answer, heard.result)
    assert isinstance(heard.events[-1], End)
    assert heard.events[-1].skipped == len(broken)


@pytest.mark.full
def test_each_of_many_calls_costs_as_much_as_the_first() -> None:
    many = 10_000  # as many as a response may have
    pieces = [
        {"index": place, "id": f"c{place}", "function": {"name": "f", "arguments": "{}"}} for place in range(many)
    ]
    told = sse(*({"choices": [{"delta": {"tool_calls": [piece]}}]} for piece in pieces), "[DONE]")
    assert len(feed("openai", told).result.tool_calls) == many


@pytest.mark.parametrize(
    "content", [{"reasoning_content": "Hm."}, {"reasoning": "Hm."}, {"refusal": "No."}, {"reasoning_details": [{}]}]
)
def test_a_choice_with_content_of_any_kind_is_the_answer(content: dict[str, Any]) -> None:
    ours = {"choices": [{"index": 0, "delta": content}]}
    another = {"choices": [{"index": 1, "delta": {"content": "another choice"}, "finish_reason": "length"}]}
    end = {"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}
    result = feed("openai-compatible", sse(ours, another, end, "[DONE]")).result
    assert (result.text, result.finish_reason) == ("Yes.", FinishReason.STOP)
