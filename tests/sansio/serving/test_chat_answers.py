"""Answers of chat completions: their exact form, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.serving.answers import ANSWERER, Answer, Block, frames, inbound_of, write_stream, written
from turnout.chat import ChatResponse, FinishReason, ModelConfig, Usage
from turnout.errors import LocalProtocolError
from turnout.events import (
    AudioDelta,
    CommentaryDelta,
    End,
    LogprobsDelta,
    PartReady,
    PartSigned,
    RefusalDelta,
    Restarted,
    Token,
    ToolCallDelta,
    ToolCallReady,
)
from turnout.messages import (
    Commentary,
    Image,
    Message,
    Opaque,
    Role,
    Text,
    ToolCall,
)
from turnout.serving import ChatCompletions

CHAT = ChatCompletions()


# -- answers ----------------------------------------------------------------------------------------------------------

USAGE = Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1, reasoning_tokens=0, cost=0.25)
ANSWER = Answer(
    (Block("text", ("Hel", "lo")), Block("call", ('{"a":', "1}"), None, "c1", "f")),
    (0, 0, 1, 1),
    None,
    FinishReason.TOOL_CALLS,
    USAGE,
)
USAGE_WIRE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 0},
    "cost": 0.25,
}


def test_a_whole_answer() -> None:
    assert written(CHAT, ANSWER) == {
        "id": "chatcmpl-a1b2c3",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "vendor/model-1",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello",
                    "refusal": None,
                    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": USAGE_WIRE,
    }


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-a1b2c3",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "vendor/model-1",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream(include_usage: bool) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":'}}
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({"tool_calls": [call]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        chunk({}, "tool_calls"),
    ]
    expected: list[Any] = [{**one, "usage": None} if include_usage else one for one in chunks]
    if include_usage:
        expected.append({**chunk({}), "choices": [], "usage": USAGE_WIRE})
    body = write_stream(CHAT, ANSWER, include_usage=include_usage)
    assert frames(body) == [*(("", one) for one in expected), ("", "[DONE]")]


@pytest.mark.parametrize("pieces", [("",), (" ",), ("nu", "ll"), ("{", "}")])
def test_a_call_without_arguments_has_an_empty_object(pieces: tuple[str, ...]) -> None:
    answer = Answer((Block("call", pieces, None, "c1", "f"),), (0,) * len(pieces), None, FinishReason.TOOL_CALLS, USAGE)
    calls = [
        call["function"]["arguments"]
        for _, data in frames(write_stream(CHAT, answer))
        if data != "[DONE]"
        for choice in data["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    assert "".join(calls) == "{}"


def test_no_chunk_has_two_calls() -> None:
    """llama-index-llms-openai 0.8.3 reads the first call of a chunk only: findings/llama-index-openai-keeps-….sh."""
    blocks = (Block("call", ('{"a":1}',), None, "c1", "f"), Block("call", ('{"b":2}',), None, "c2", "g"))
    answer = Answer(blocks, (0, 1), None, FinishReason.TOOL_CALLS, USAGE)
    deltas = [data["choices"][0]["delta"] for _, data in frames(write_stream(CHAT, answer, include_usage=False))[:-1]]
    calls = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert [[call.get("id", "") for call in one] for one in calls] == [["c1"], ["c2"]]


def test_a_call_that_was_never_announced_is_told() -> None:
    writer = CHAT.make_writer(inbound_of(), ANSWERER)
    call = ToolCall("c1", "f", '{"a":1}')
    response = ANSWER.response
    told = writer.events((ToolCallReady(0, call),), lambda: response)
    assert b'"name":"f"' in told
    assert b'{\\"a\\":1}' in told
    assert writer.events((ToolCallDelta(0, ""),), lambda: response) == b""


@pytest.mark.parametrize(
    ("reason", "raw", "fields"),
    [
        (FinishReason.UNKNOWN, None, {"finish_reason": "stop"}),
        (FinishReason.UNKNOWN, "weird", {"finish_reason": "unknown", "native_finish_reason": "weird"}),
        (FinishReason.ERROR, "MALFORMED", {"finish_reason": "error", "native_finish_reason": "MALFORMED"}),
        (FinishReason.STOP, "eos", {"finish_reason": "stop"}),
    ],
)
def test_finish_reasons(reason: FinishReason, raw: str | None, fields: dict[str, Any]) -> None:
    answer = Answer((Block("text", ("x",)),), (0,), None, reason, USAGE, raw=raw)
    whole = written(CHAT, answer)["choices"][0]
    streamed = [data for _, data in frames(write_stream(CHAT, answer)) if data != "[DONE]"][-2]["choices"][0]
    for choice in (whole, streamed):
        assert {name: choice[name] for name in choice if "finish" in name} == fields


def test_usage_that_is_absent_is_left_out() -> None:
    answer = Answer((Block("text", ("x",)),), (0,), None, FinishReason.STOP, Usage(source="absent"))
    assert "usage" not in written(CHAT, answer)
    assert all(not data.get("usage") for _, data in frames(write_stream(CHAT, answer)) if data != "[DONE]")


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ([{"content": [{"token": "a"}]}, {"content": [{"token": "b"}]}], [{"token": "a"}, {"token": "b"}]),
        ({"content": [{"token": "a"}]}, [{"token": "a"}]),
        ({"tokens": ["a"]}, None),
        ("odd", None),
        (None, None),
    ],
)
def test_log_probabilities_of_openai_s_form(logprobs: Any, expected: list[Any] | None) -> None:
    response = ChatResponse(
        message=Message.assistant("ab"), model=ModelConfig("a", "b"), logprobs=logprobs, citations=("https://a.test",)
    )
    document = json.loads(CHAT.build_response(inbound_of(), response, ANSWERER))
    found = document["choices"][0]["logprobs"]
    assert (found["content"] if found is not None else None) == expected
    assert document["citations"] == ["https://a.test"]
    writer = CHAT.make_writer(inbound_of(), ANSWERER)
    body = writer.events((End(finish_reason=FinishReason.STOP),), lambda: response)
    last = frames(body)[0][1]
    assert last["choices"][0]["logprobs"] == found
    assert last["citations"] == ["https://a.test"]


def test_a_restart_cannot_be_told() -> None:
    writer = CHAT.make_writer(inbound_of(), ANSWERER)
    with pytest.raises(LocalProtocolError):
        writer.events((Restarted(2),), lambda: ANSWER.response)


def test_events_of_other_parts() -> None:
    writer = CHAT.make_writer(inbound_of(), ANSWERER)
    response = ANSWER.response
    events = (
        CommentaryDelta("I look."),
        Token("It"),
        LogprobsDelta({"content": [{"token": "It"}]}),
        PartReady(Image(data=b"\x89PNG", media_type="image/png")),
        PartReady(Opaque(b"{}")),
        PartSigned("text", "s"),
        AudioDelta(b"x"),
        RefusalDelta("No."),
    )
    choices = [data["choices"][0] for _, data in frames(writer.events(events, lambda: response))]
    assert [choice["delta"] for choice in choices] == [
        {"content": "I look."},
        {"content": "It"},
        {},
        {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}, "index": 0}]},
        {"refusal": "No."},
    ]
    assert choices[2]["logprobs"]["content"] == [{"token": "It"}]
    message = Message(Role.ASSISTANT, (Commentary("I look."), Text("It"), Image("https://a.test/x")))
    whole = ChatResponse(message=message, model=ModelConfig("a", "b"))
    document = json.loads(CHAT.build_response(inbound_of(), whole, ANSWERER))["choices"][0]["message"]
    assert document["content"] == "I look.It"
    assert document["images"] == [{"type": "image_url", "image_url": {"url": "https://a.test/x"}}]
