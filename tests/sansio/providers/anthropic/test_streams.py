"""What an answer of Anthropic's meant comes out, streamed or whole and however it is cut, and goes back as it came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.providers.anthropic.answers import (
    ANSWERS,
    STOPS,
    USAGE,
    Answer,
    as_input,
    event,
    feed,
    read,
    sent_back,
    whole,
)
from tests.sansio.providers.playing import CUTS, agreed
from tests.sansio.providers.recordings import ROOT, Recording, play, provider_of, recordings
from turnout.chat import FinishReason
from turnout.errors import Overloaded, ProviderError, RateLimited, RemoteProtocolError, ServerError, StreamTruncated
from turnout.events import End, PartReady, Reasoning, Token, ToolCallReady

CLASSES = {"overloaded_error": Overloaded, "rate_limit_error": RateLimited, "api_error": ServerError}


@pytest.mark.full
@given(ANSWERS, CUTS)
@settings(deadline=None, max_examples=200)
def test_what_was_meant_comes_out_and_goes_back(answer: Answer, cuts: tuple[int, ...]) -> None:
    events, result, failure = seen = feed(answer.body, cuts)
    assert failure is None
    assert result.text == "".join(each.get("text", "") for each in answer.blocks)
    assert result.reasoning == "".join(each.get("thinking", "") for each in answer.blocks)
    meant = [(each["id"], each["name"], each["input"]) for each in answer.blocks if each["type"] == "tool_use"]
    assert [(call.id, call.name) for call in result.tool_calls] == [(id, name) for id, name, _ in meant]
    reason = STOPS[answer.stop]
    if reason is not FinishReason.LENGTH:  # there, no arguments may be arguments that never came
        assert [call.parsed() for call in result.tool_calls] == [input for _, _, input in meant]
        assert sent_back(result.message) == as_input(answer.blocks)
    assert result.raw_finish_reason == answer.stop
    assert result.finish_reason is (FinishReason.TOOL_CALLS if meant and reason is FinishReason.STOP else reason)
    assert (result.response_id, result.served_model) == ("msg_1", "served")
    usage = result.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (19, 17)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (5, 3, None)
    assert len(result.citations) == sum(len(each.get("citations", ())) for each in answer.blocks)
    assert "".join(each.delta for each in events if isinstance(each, Token)) == result.text
    assert "".join(each.delta for each in events if isinstance(each, Reasoning)) == result.reasoning
    assert [each.call for each in events if each.type == "tool_call"] == list(result.tool_calls)
    assert isinstance(events[-1], End)
    assert agreed(feed(answer.body)) == agreed(seen)


@pytest.mark.full
@given(ANSWERS)
@settings(deadline=None, max_examples=100)
def test_streamed_and_whole_answers_are_equal(answer: Answer) -> None:
    if STOPS[answer.stop] is FinishReason.LENGTH:
        return
    _, result, _ = feed(answer.body)
    unary = read(whole(answer.blocks, answer.stop))
    assert sent_back(unary.message) == sent_back(result.message) == as_input(answer.blocks)
    assert [(call.name, call.parsed()) for call in unary.tool_calls] == [
        (call.name, call.parsed()) for call in result.tool_calls
    ]
    for field in ("text", "reasoning", "usage", "finish_reason", "raw_finish_reason", "citations", "served_model"):
        assert getattr(unary, field) == getattr(result, field), field


@pytest.mark.full
@given(ANSWERS, st.data(), st.sampled_from(sorted(CLASSES)), CUTS)
@settings(deadline=None, max_examples=150)
def test_an_error_in_the_stream_keeps_what_came(
    answer: Answer, data: st.DataObject, kind: str, cuts: tuple[int, ...]
) -> None:
    at = data.draw(st.integers(0, len(answer.events) - 1))
    before = b"".join(answer.events[:at])
    error = event("error", error={"type": kind, "message": "busy"}, request_id="req_1")
    events, result, failure = seen = feed(before + error, cuts)
    assert isinstance(failure, ProviderError)
    assert type(failure) is CLASSES[kind]
    assert (failure.message, failure.code, failure.request_id) == ("busy", kind, "req_1")
    assert result.finish_reason is FinishReason.ERROR
    told, cut, _ = feed(before)
    # What the end of a stream completes, an error leaves open.
    seen_before = [each for each in told if not isinstance(each, End | ToolCallReady | PartReady)]
    assert [each for each in events if not isinstance(each, PartReady)] == seen_before
    assert (result.text, result.reasoning, result.tool_calls) == (cut.text, cut.reasoning, cut.tool_calls)
    assert agreed(feed(before + error)) == agreed(seen)


@pytest.mark.full
@given(ANSWERS, st.data())
@settings(deadline=None, max_examples=150)
def test_a_stream_that_breaks_off_is_truncated(answer: Answer, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(answer.events) - 2))
    events, result, failure = feed(b"".join(answer.events[:at]))
    if result.raw_finish_reason is None:
        assert isinstance(failure, StreamTruncated)
        assert not any(each.done for each in events)
    else:
        assert failure is None
        assert result.raw_finish_reason == answer.stop
    sent_back(result.message)  # what came can be sent, whatever came


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
TYPES = st.sampled_from(["text", "thinking", "tool_use", "server_tool_use", "odd"])
DELTAS = st.sampled_from(["text", "thinking", "signature", "input_json", "citations", "odd"]).map("{}_delta".format)
FIELDS = [
    "text",
    "thinking",
    "signature",
    "partial_json",
    "citation",
    "id",
    "name",
    "input",
    "citations",
    "stop_reason",
]
WRONG = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                ["content_block_start", "content_block_delta", "content_block_stop", "message_start"]
            )
        },
        optional={
            "index": st.integers(0, 1) | JSON,
            "content_block": st.fixed_dictionaries({"type": TYPES | JSON}, optional=dict.fromkeys(FIELDS, JSON)) | JSON,
            "delta": st.fixed_dictionaries({"type": DELTAS | JSON}, optional=dict.fromkeys(FIELDS, JSON)) | JSON,
            "message": st.fixed_dictionaries({"content": st.lists(JSON, max_size=2) | JSON, "usage": JSON}) | JSON,
            "usage": st.dictionaries(st.sampled_from(sorted(USAGE)), JSON) | JSON,
        },
    ),
    JSON,
)


@pytest.mark.full
@given(st.lists(WRONG, max_size=6), CUTS)
@settings(deadline=None, max_examples=400)
def test_events_with_anything_in_them_are_read_or_passed_over(events: list[Any], cuts: tuple[int, ...]) -> None:
    body = b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in events)
    seen = feed(body)
    assert seen[2] is None or isinstance(seen[2], ProviderError | RemoteProtocolError | StreamTruncated)
    assert agreed(feed(body, cuts)) == agreed(seen)
    sent_back(seen[1].message)


REAL = [
    recording
    for recording in recordings()
    if recording.api == "messages" and recording.kind == "chat" and recording.expected["outcome"] == "ok"
]


@pytest.mark.skipif(not REAL, reason=f"no recordings in {ROOT}; set TURNOUT_RECORDINGS to their folder")
@pytest.mark.parametrize("recording", REAL, ids=[recording.path for recording in REAL])
def test_real_answers_go_back_as_they_came(recording: Recording) -> None:
    provider = provider_of(recording)
    assert provider is not None
    message = play(recording, provider).result.message
    content = json.loads(recording.body)["content"]
    assert sent_back(message) == as_input([each for each in content if each != {"type": "text", "text": ""}])


def test_an_error_behind_a_cut_answer_completes_none_of_its_calls() -> None:
    stream = [
        event(
            "message_start", message={"id": "m", "type": "message", "role": "assistant", "model": "c", "content": []}
        ),
        event("content_block_start", index=0, content_block={"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 1}),
        event("error", error={"type": "api_error", "message": "busy"}),
    ]
    _, result, failure = feed(b"".join(stream))
    assert isinstance(failure, ProviderError)
    assert [call.arguments for call in result.tool_calls] == [""]
