"""Messages: what a client writes by hand, and the exact form of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.serving.answers import ANSWERER, Answer, Block, frames, inbound_of, resolve_as, write_stream, written
from turnout.chat import ChatRequest, FinishReason, ResponseFormat, Usage
from turnout.events import (
    CommentaryDelta,
    End,
    LogprobsDelta,
    PartReady,
    PartSigned,
    RefusalDelta,
    Token,
)
from turnout.messages import File, Image, Message, Opaque, Role, Text, Thinking, Tool, ToolCall, ToolChoice
from turnout.serving import InboundChat, Messages, ReadOptions, RequestRejected
from turnout.serving.continuity import pack

MESSAGES = Messages()
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"name": "search", "description": "Find.", "input_schema": {"type": "object", "properties": {}}}


def read(*, strict: bool = False, **fields: Any) -> InboundChat:
    document = {"model": "m", "max_tokens": 50, "messages": HELLO, **fields}
    options = ReadOptions(ignore_unknown=not strict)
    return MESSAGES.read_request(json.dumps(document).encode(), resolve_as("p"), options)


def request(**fields: Any) -> ChatRequest:
    return read(**fields).request


def user(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(blocks)}]


def assistant(*blocks: dict[str, Any]) -> Message:
    """What an assistant's blocks become."""
    return request(messages=[*HELLO, {"role": "assistant", "content": list(blocks)}, *HELLO]).messages[1]


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "minimal"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 16_384}}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31_999}}, "xhigh"),
        ({"output_config": {"effort": "medium"}}, "medium"),
    ],
)
def test_thinking_becomes_an_effort(fields: dict[str, Any], effort: str | None) -> None:
    assert request(**fields).model.reasoning_effort == effort


def test_settings_and_labels() -> None:
    schema = {"type": "object"}
    read = request(
        temperature=0.5, top_p=1, top_k=3, stop_sequences=["a"], metadata={"user_id": "ann"},
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )  # fmt: skip
    model = read.model
    assert (model.temperature, model.top_p, model.top_k, model.stop, model.max_tokens) == (0.5, 1, 3, ("a",), 50)
    assert read.metadata == {"user": "ann"}
    assert read.response_format == ResponseFormat(schema)
    assert request(output_format={"type": "json_schema", "schema": schema}).response_format == ResponseFormat(schema)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"max_tokens": None}, "max_tokens", "missing_required_parameter"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": user()}, "messages[0].content", "invalid_value"),
        ({"messages": user({"type": "video"})}, "messages[0].content[0].type", "unsupported_parameter"),
        ({"messages": user({"type": "text"})}, "messages[0].content[0].text", "missing_required_parameter"),
        ({"system": [{"type": "image"}]}, "system[0].type", "unsupported_parameter"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens", "missing_required_parameter"),
        ({"thinking": {"budget_tokens": 2000}}, "thinking.type", "missing_required_parameter"),
        ({"tool_choice": {"type": "any"}}, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": {"name": "f"}}, "tool_choice.type", "missing_required_parameter"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name", "missing_required_parameter"),
        ({"output_format": {"type": "json_schema"}}, "output_format.schema", "missing_required_parameter"),
        ({"strict": True, "service_tier": "auto"}, "service_tier", "unknown_parameter"),
    ],
)  # fmt: skip
def test_what_is_rejected(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        read(**fields)
    assert (caught.value.error.param, caught.value.error.code) == (param, code)


def test_a_turn_of_results_and_words() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    read = request(
        system=[{"type": "text", "text": "Be brief."}],
        messages=[
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
            *user(
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "42"}, image]},
                {"type": "tool_result", "tool_use_id": "t2", "is_error": True},
                {"type": "text", "text": "so?"},
            ),
            {"role": "system", "content": "Answer in French."},
        ],
    )
    assert read.messages == (
        Message.system("Be brief."),
        Message.assistant(None, tool_calls=[ToolCall("t1", "f", '{"a":1}')]),
        Message.tool("t1", [Text("42"), Image("data:image/png;base64,AA==")]),
        Message.tool("t2", "", is_error=True),
        Message.user("so?"),
        Message.system("Answer in French."),
    )


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "image", "source": {"type": "url", "url": "https://a.test/x"}}, Image("https://a.test/x")),
        (
            {"type": "document", "title": "a",
             "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}},
            File(data=b"%PDF", media_type="application/pdf", filename="a"),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
            File(data="é".encode(), media_type="text/plain"),
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://a.test/x"}}, File(url="https://a.test/x")),
        ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, File(file_id="file_1")),
    ],
)  # fmt: skip
def test_media(block: dict[str, Any], part: Image | File) -> None:
    assert request(messages=user(block)).messages[0].content == (part,)


def test_tools_and_their_choice() -> None:
    read = request(tools=[TOOL], tool_choice={"type": "tool", "name": "search", "disable_parallel_tool_use": True})
    assert read.tools == (Tool("search", "Find.", TOOL["input_schema"]),)  # type: ignore[arg-type]
    assert read.tool_choice == ToolChoice.named("search")
    assert read.parallel_tool_calls is False
    modes = {"auto": "auto", "any": "required", "none": "none"}
    for word, mode in modes.items():
        choice = request(tools=[TOOL], tool_choice={"type": word}).tool_choice
        assert choice is not None
        assert choice.mode == mode


def test_fields_of_this_protocol_go_to_its_own_providers() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    inbound = read(
        context_management={"edits": []}, system=[{"type": "text", "text": "x", **mark}],
        tools=[search, {**TOOL, **mark, "defer_loading": True}],
    )  # fmt: skip
    assert inbound.ignored == ()
    assert set(inbound.not_received(("openai-chat", "openai"))) == {
        "context_management", "system.cache_control", "tools.web_search_20250305", "tools.cache_control",
        "tools.defer_loading",
    }  # fmt: skip
    assert inbound.not_received(("anthropic", "anthropic")) == ()
    read_request = inbound.request
    assert read_request.model.extra == {"anthropic": {"context_management": {"edits": []}}}
    hosted, tool = read_request.tools
    assert hosted == Tool("web_search", extra={"anthropic": search})
    assert tool.extra == {**mark, "anthropic": {"defer_loading": True}}


def test_thinking_is_exact_at_anthropic() -> None:
    thinking = {"type": "enabled", "budget_tokens": 4000}
    assert request(thinking=thinking).model.extra == {"anthropic": {"thinking": thinking}}
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}
    without = [*HELLO, {"role": "assistant", "content": [call]}, result]
    assert request(thinking=thinking, messages=without).model.extra == {}
    for block in (
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "abc"},
    ):
        messages = [*HELLO, {"role": "assistant", "content": [block, call]}, result]
        assert request(thinking=thinking, messages=messages).model.extra == {"anthropic": {"thinking": thinking}}


def test_beta_features_go_to_anthropic() -> None:
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": HELLO}).encode()
    inbound = MESSAGES.read_request(body, resolve_as("p"), ReadOptions(betas=("a", "b")))
    assert inbound.request.model.extra == {"anthropic": {"betas": ["a", "b"]}}


# -- the turns of an assistant ---------------------------------------------------------------------------------------


def test_thinking_without_a_mark_is_anthropic_s() -> None:
    message = assistant(
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "abc"},
        {"type": "text", "text": "x"},
    )
    assert message.content[0] == Thinking("hm", signature="c2ln")
    assert isinstance(message.content[1], Opaque)
    assert json.loads(message.content[1].json) == {"type": "redacted_thinking", "data": "abc"}
    assert message.origin == "anthropic"


def test_words_alone_have_no_origin() -> None:
    message = assistant({"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "text", "text": "b"})
    assert message == Message(Role.ASSISTANT, (Text("a"), Text("b")))


def test_calls_keep_their_position_for_their_own_family() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    thinking = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    message = assistant(thinking, call, {"type": "text", "text": "after"})
    assert [type(part).__name__ for part in message.content] == ["Thinking", "Opaque", "Text"]
    assert message.content[1] == Opaque(b'{"type":"tool_use","id":"t1"}')
    foreign = assistant({**thinking, "signature": pack("gemini", "s")}, call, {"type": "text", "text": "after"})
    assert [type(part).__name__ for part in foreign.content] == ["Thinking", "Text"]
    assert foreign.origin == "gemini"


def test_blocks_of_another_family_than_the_turn_s_are_left_out() -> None:
    message = assistant(
        {"type": "thinking", "thinking": "hm", "signature": pack("gemini", "s")},
        {"type": "server_tool_use", "id": "s", "name": "w", "input": {}},
    )
    assert message.content == (Thinking("hm", signature="s"),)


# -- answers ----------------------------------------------------------------------------------------------------------

USAGE = Usage(prompt_tokens=10, completion_tokens=2, cached_tokens=3, cache_write_tokens=1)
USAGE_WIRE = {
    "input_tokens": 6, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 3, "output_tokens": 2,
}  # fmt: skip
ANSWER = Answer(
    (
        Block("reasoning", ("h", "m"), "sig"),
        Block("text", ("Hel", "lo")),
        Block("call", ('{"a":', "1}"), None, "t1", "f"),
    ),
    (0, 0, 1, 1, 2, 2),
    "anthropic",
    FinishReason.TOOL_CALLS,
    USAGE,
)


def test_a_whole_answer() -> None:
    assert written(MESSAGES, ANSWER) == {
        "id": "msg_a1b2c3",
        "type": "message",
        "role": "assistant",
        "model": "fast",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "text", "text": "Hello"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": USAGE_WIRE,
    }


def test_a_stream() -> None:
    def delta(index: int, kind: str, field: str, value: str) -> tuple[str, dict[str, Any]]:
        fields = {"type": kind, field: value}
        return "content_block_delta", {"type": "content_block_delta", "index": index, "delta": fields}

    def start(index: int, **block: Any) -> tuple[str, dict[str, Any]]:
        return "content_block_start", {"type": "content_block_start", "index": index, "content_block": block}

    def stop(index: int) -> tuple[str, dict[str, Any]]:
        return "content_block_stop", {"type": "content_block_stop", "index": index}

    opening, *rest = frames(write_stream(MESSAGES, ANSWER))
    assert opening[0] == "message_start"
    assert opening[1]["message"]["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert opening[1]["message"]["model"] == "fast"
    assert rest == [
        start(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", "thinking", "h"),
        delta(0, "thinking_delta", "thinking", "m"),
        delta(0, "signature_delta", "signature", "sig"),
        stop(0),
        start(1, type="text", text=""),
        delta(1, "text_delta", "text", "Hel"),
        delta(1, "text_delta", "text", "lo"),
        stop(1),
        start(2, type="tool_use", id="t1", name="f", input={}),
        delta(2, "input_json_delta", "partial_json", '{"a":'),
        delta(2, "input_json_delta", "partial_json", "1}"),
        stop(2),
        (
            "message_delta",
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use", "stop_sequence": None},
                "usage": USAGE_WIRE,
            },
        ),
        ("message_stop", {"type": "message_stop"}),
    ]


@pytest.mark.parametrize(
    ("reason", "raw", "word"),
    [
        (FinishReason.STOP, "stop", "end_turn"),
        (FinishReason.STOP, "stop_sequence", "stop_sequence"),
        (FinishReason.LENGTH, "length", "max_tokens"),
        (FinishReason.LENGTH, "model_context_window_exceeded", "model_context_window_exceeded"),
        (FinishReason.CONTENT_FILTER, None, "refusal"),
        (FinishReason.UNKNOWN, None, "end_turn"),
        (FinishReason.UNKNOWN, "weird", "weird"),
    ],
)
def test_stop_reasons(reason: FinishReason, raw: str | None, word: str) -> None:
    answer = Answer((Block("text", ("x",)),), (0,), None, reason, USAGE, raw=raw)
    assert written(MESSAGES, answer)["stop_reason"] == word
    assert frames(write_stream(MESSAGES, answer))[-2][1]["delta"]["stop_reason"] == word


def test_a_failed_answer_is_an_error() -> None:
    answer = Answer((Block("text", ("x",)),), (0,), None, FinishReason.ERROR, USAGE)
    with pytest.raises(RequestRejected) as caught:
        written(MESSAGES, answer)
    assert caught.value.error.status == 502
    assert frames(write_stream(MESSAGES, answer))[-1][0] == "error"


def test_two_calls_at_once_are_told_one_after_the_other() -> None:
    answer = Answer(
        (Block("call", ('{"a":', "1}"), None, "t1", "f"), Block("call", ('{"b":', "2}"), None, "t2", "g")),
        (0, 1, 0, 1),
        None,
        FinishReason.TOOL_CALLS,
        USAGE,
    )
    blocks: dict[int, str] = {}
    open_blocks: set[int] = set()
    for name, data in frames(write_stream(MESSAGES, answer)):
        if name == "content_block_start":
            assert not open_blocks
            open_blocks.add(data["index"])
        elif name == "content_block_stop":
            open_blocks.remove(data["index"])
        elif name == "content_block_delta":
            assert data["index"] in open_blocks
            blocks[data["index"]] = blocks.get(data["index"], "") + data["delta"]["partial_json"]
    assert blocks == {0: '{"a":1}', 1: '{"b":2}'}


def test_reasoning_of_another_family_carries_its_origin() -> None:
    answer = Answer((Block("reasoning", ("hm",), None),), (0,), "deepseek", FinishReason.STOP, USAGE)
    (block,) = written(MESSAGES, answer)["content"]
    assert block["signature"] == pack("deepseek", "")


def test_events_of_other_parts() -> None:
    writer = MESSAGES.make_writer(inbound_of(), ANSWERER)
    response = ANSWER.response
    redacted = {"type": "redacted_thinking", "data": "abc"}
    events = (
        PartSigned("reasoning", "sig"),
        PartReady(Opaque(json.dumps(redacted).encode())),
        CommentaryDelta("I look."),
        PartReady(Image("https://a.test/x")),
        Token("It"),
        PartSigned("text", "s"),
        LogprobsDelta({}),
        RefusalDelta("No."),
        End(finish_reason=FinishReason.CONTENT_FILTER),
    )
    data = [found for _, found in frames(writer.events(events, lambda: response))]
    blocks = [found["content_block"] for found in data if found["type"] == "content_block_start"]
    assert [block["type"] for block in blocks] == ["thinking", "redacted_thinking", "text", "text", "text"]
    assert blocks[1] == redacted
    deltas = [found["delta"] for found in data if found["type"] == "content_block_delta"]
    assert deltas[0] == {"type": "signature_delta", "signature": "sig"}
    assert [delta["text"] for delta in deltas[1:]] == ["I look.", "It", "No."]
