"""Chat completions: what a client writes by hand, and the exact form of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.serving.answers import ANSWERER, Answer, Block, frames, inbound_of, resolve_as, write_stream, written
from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelConfig, ResponseFormat, Usage
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
    Audio,
    Commentary,
    File,
    Image,
    Message,
    Opaque,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from turnout.serving import ChatCompletions, InboundChat, ReadOptions, RequestRejected

CHAT = ChatCompletions()
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}


def read(*, strict: bool = False, **fields: Any) -> InboundChat:
    document = {"model": "m", "messages": HELLO, **fields}
    return CHAT.read_request(json.dumps(document).encode(), resolve_as("p"), ReadOptions(ignore_unknown=not strict))


def request(**fields: Any) -> ChatRequest:
    return read(**fields).request


def rejected(**fields: Any) -> tuple[str | None, str]:
    with pytest.raises(RequestRejected) as caught:
        read(**fields)
    return caught.value.error.param, caught.value.error.code


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    ("fields", "setting", "value"),
    [
        ({"max_tokens": 5}, "max_tokens", 5),
        ({"max_completion_tokens": 6}, "max_tokens", 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens", 6),
        ({"max_tokens": 5.0}, "max_tokens", 5),
        ({"temperature": 0}, "temperature", 0),
        ({"stop": "END"}, "stop", ("END",)),
        ({"stop": ["a", "b"]}, "stop", ("a", "b")),
        ({"stop": None}, "stop", ()),
        ({"logprobs": True}, "logprobs", 0),
        ({"logprobs": True, "top_logprobs": 3}, "logprobs", 3),
        ({"logprobs": False}, "logprobs", None),
        ({"reasoning_effort": "low"}, "reasoning_effort", "low"),
        ({"reasoning": {"effort": "high"}}, "reasoning_effort", "high"),
    ],
)
def test_settings(fields: dict[str, Any], setting: str, value: object) -> None:
    assert getattr(request(**fields).model, setting) == value


def test_a_client_s_settings_stand_over_those_of_each_candidate() -> None:
    candidates = (ModelConfig("a", "x", temperature=1, seed=3), ModelConfig("b", "y", max_tokens=7))
    body = json.dumps({"model": "fast", "messages": HELLO, "temperature": 0, "max_tokens": 9}).encode()
    read = CHAT.read_request(body, lambda name: candidates, ReadOptions()).request
    assert read.model == ModelConfig("a", "x", temperature=0, seed=3, max_tokens=9)
    assert read.fallbacks == (ModelConfig("b", "y", temperature=0, max_tokens=9),)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": None}, "model", "missing_required_parameter"),
        ({"messages": None}, "messages", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": "hello"}, "messages", "invalid_type"),
        ({"messages": ["hello"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role", "unsupported_parameter"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [user({})]}, "messages[0].content[0].type", "missing_required_parameter"),
        ({"messages": [user({"type": "video"})]}, "messages[0].content[0].type", "unsupported_parameter"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "missing_required_parameter"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio", "unsupported_parameter"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"temperature": -1}, "temperature", "invalid_value"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"top_p": 2}, "top_p", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
        ({"functions": []}, "functions", "unsupported_parameter"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function", "invalid_value"),
        ({"tools": [TOOL, TOOL]}, None, "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom"}}, "tool_choice.type", "unsupported_parameter"),
        ({"tools": [{"type": "custom"}], "tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"strict": True, "verbosity": "low"}, "verbosity", "unknown_parameter"),
    ],
)  # fmt: skip
def test_what_is_rejected(fields: dict[str, Any], param: str | None, code: str) -> None:
    assert rejected(**fields) == (param, code)


def test_messages_of_every_role() -> None:
    read = request(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}]},
            {"role": "assistant", "content": "", "refusal": "no"},
            {"role": "user", "content": ""},
        ]
    ).messages
    assert read == (
        Message(Role.DEVELOPER, "Be brief."),
        Message(Role.USER, (Text("a"), Text("b")), name="ann"),
        Message(Role.ASSISTANT, Thinking("hm"), tool_calls=[ToolCall("c1", "f", '{"a":1}')]),
        Message.tool("c1", "42"),
        Message(Role.ASSISTANT, Refusal("no")),
        Message.user(""),
    )


def test_parts_of_every_type() -> None:
    (message,) = request(
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "https://a.test/x.png", "detail": "high"}},
                    {"type": "image_url", "image_url": "data:image/png;base64,AA=="},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {
                        "type": "file",
                        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
                    },
                ],
            }
        ]
    ).messages
    assert message.content == (
        Image("https://a.test/x.png", detail="high"),
        Image("data:image/png;base64,AA=="),
        Audio(data=b"RIFF", media_type="audio/wav"),
        File(file_id="file-1"),
        File(data=b"%PDF", media_type="application/pdf", filename="a.pdf"),
    )


@pytest.mark.parametrize("url", ["data:application/pdf;base64,###", "data:application/pdf,x", "data:;base64,AA=="])
def test_a_file_that_is_no_base64(url: str) -> None:
    part = {"type": "file", "file": {"file_data": url}}
    assert rejected(messages=[{"role": "user", "content": [part]}])[0] == "messages[0].content[0].file.file_data"


def test_tools_and_their_choice() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "search"}}]}
    read = request(tools=[TOOL, other], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [tool.name for tool in read.tools] == ["search"]
    assert read.tool_choice == ToolChoice("required")
    assert request(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "search"}}).tool_choice == (
        ToolChoice.named("search")
    )
    assert request(tools=[], tool_choice="none").tool_choice is None
    assert request(tools=[TOOL], parallel_tool_calls=False).parallel_tool_calls is False


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, ResponseFormat.json()),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
            ResponseFormat({}, name="a", strict=False),
        ),
    ],
)
def test_response_formats(format: dict[str, Any], expected: ResponseFormat | None) -> None:
    assert request(response_format=format).response_format == expected


def test_fields_of_this_protocol_go_to_its_own_providers() -> None:
    inbound = read(
        verbosity="low",
        logit_bias={"1": 1},
        tools=[
            {"type": "web_search_preview", "max": 2},
            {**TOOL, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "custom": {"name": "patch"}},
        ],
        messages=[{"role": "user", "mark": 1, "content": [{"type": "text", "text": "x", "cache_control": {}}] * 2}],
        service_tier=None,
    )
    assert inbound.ignored == ("tools.custom",)
    here, shared = frozenset({"openai-chat"}), frozenset({"anthropic", "bedrock", "openrouter", "openai-compatible"})
    assert inbound.scoped == {
        "verbosity": here,
        "logit_bias": here,
        "tools.web_search_preview": here,
        "tools.cache_control": shared,
        "messages.content.cache_control": shared,
        "messages.mark": here,
    }
    assert inbound.required == ("logit_bias",)
    read_request = inbound.request
    assert read_request.model.extra == {"openai-chat": {"verbosity": "low", "logit_bias": {"1": 1}}}
    (message,) = read_request.messages
    assert message.extra == {"openai-chat": {"mark": 1}}
    assert [part.extra for part in message.content if isinstance(part, Text)] == [{"cache_control": {}}] * 2
    hosted, tool = read_request.tools
    assert hosted == Tool("web_search_preview", extra={"openai-chat": {"type": "web_search_preview", "max": 2}})
    assert tool.extra == {"cache_control": {"type": "ephemeral"}}
    assert inbound.not_received(("anthropic", "anthropic")) == (
        "tools.custom", "verbosity", "logit_bias", "tools.web_search_preview", "messages.mark",
    )  # fmt: skip


def test_labels_stay_with_the_request() -> None:
    inbound = read(metadata={"team": "a"}, user="ann", stream=True, stream_options={"include_usage": True})
    assert inbound.request.metadata == {"team": "a", "user": "ann"}
    assert inbound.stream
    assert inbound.include_usage


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"nonsense", b'{"model": "m", "messages": ' + b"[" * 5000, b"\xff", b'{"a": NaN}'],
)
def test_bodies_that_are_no_json_object(body: bytes) -> None:
    with pytest.raises(RequestRejected) as caught:
        CHAT.read_request(body, resolve_as("p"), ReadOptions())
    assert caught.value.error.code == "invalid_json"


def test_a_lone_surrogate_and_a_byte_order_mark_are_read() -> None:
    body = b'\xef\xbb\xbf{"model": "m", "messages": [{"role": "user", "content": "a\\ud800b"}]}'
    assert CHAT.read_request(body, resolve_as("p"), ReadOptions()).request.messages[0].text == "a\ufffdb"


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
