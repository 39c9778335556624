"""Chat completions: what a client writes by hand, and the exact form of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.serving.answers import resolve_as
from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.messages import (
    Audio,
    File,
    Image,
    Message,
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
        ({"temperature": 10**400}, "temperature", "invalid_value"),
        ({"max_tokens": 10**400}, "max_tokens", "invalid_value"),
        ({"seed": -(10**400)}, "seed", "invalid_value"),
        ({"top_p": 2}, "top_p", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
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
