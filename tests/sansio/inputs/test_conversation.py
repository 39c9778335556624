"""Messages, tools and formats may be dicts in the form of OpenAI: they become the same values as our own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from turnout.messages import Refusal
from turnout.providers import create

MODEL = "openai/gpt-4o-mini"
SEARCH_TOOL = Tool("search", "Searches.", {"type": "object", "properties": {}})
SEARCH = {"name": "search", "description": "Searches.", "parameters": SEARCH_TOOL.parameters}


def read(message: Any) -> Message:
    return ChatRequest(MODEL, [message]).messages[0]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": "hi"}, Message.user("hi")),
        ({"role": "developer", "content": "Be short."}, Message(Role.DEVELOPER, "Be short.")),
        ({"role": "user", "content": "hi", "name": "ada"}, Message(Role.USER, "hi", name="ada")),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}]},
            Message.user(Image("https://a.test/b.png")),
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,AA=="}]},
            Message.user(Image("data:image/png;base64,AA==")),
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAE=", "format": "wav"}}]},
            Message.user(Audio(data=b"\0\1", media_type="audio/wav")),
        ),
        (
            {
                "role": "user",
                "content": [
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAE="}}
                ],
            },
            Message.user(File(data=b"\0\1", media_type="application/pdf", filename="a.pdf")),
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
            Message.user(Text("x", extra={"cache_control": {"type": "ephemeral"}})),
        ),
        (
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            Message.assistant(tool_calls=[ToolCall("c1", "f", "{}")]),
        ),
        (
            {"role": "assistant", "content": "x", "reasoning_content": "because"},
            Message.assistant([Thinking("because"), Text("x")]),
        ),
        ({"role": "assistant", "refusal": "no"}, Message.assistant([Refusal("no")])),
        ({"role": "tool", "tool_call_id": "c1", "content": "12"}, Message.tool("c1", "12")),
        ({"role": "user", "content": [Text("x")]}, Message.user("x")),
    ],
)
def test_a_dict_is_read(message: dict[str, Any], expected: Message) -> None:
    assert read(message) == expected
    assert Message.from_dict(message) == expected


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"role": "human", "content": "x"}, r"ChatRequest.messages\[0\].*not 'human'"),
        ({"role": "user", "content": [{"type": "video"}]}, r"messages\[0\].content\[0\].type must be one of text"),
        ({"role": "user", "content": "x", "mood": "good"}, r"messages\[0\] has fields .* mood"),
        ({"role": "function", "content": "x"}, "use tool_calls"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"format": "mid"}}]}, "wav or mp3"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_data": "AA=="}}]}, "must be a data URL"),
    ],
)
def test_what_does_not_fit_is_named(message: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(message)


def test_one_message_is_not_a_list() -> None:
    with pytest.raises(TypeError, match=r"write \[message\]"):
        ChatRequest(MODEL, {"role": "user", "content": "hi"})  # type: ignore[dict-item]  # what is tested


TEXTS = st.text(min_size=1, max_size=10)
NAMES = st.text("abcdef", min_size=1, max_size=5)
CALLS = st.builds(ToolCall, NAMES, NAMES, st.just('{"a": 1}'))
MESSAGES = (
    st.builds(Message.user, TEXTS, TEXTS)
    | st.builds(Message.system, TEXTS)
    | st.builds(lambda text, calls: Message.assistant(text, tool_calls=calls), TEXTS, st.lists(CALLS, max_size=2))
    | st.builds(Message.tool, NAMES, TEXTS)
    | st.builds(lambda text: Message.user(text, Image("https://a.test/b.png", detail="low")), TEXTS)
)


@pytest.mark.slow
@given(st.lists(MESSAGES, min_size=1, max_size=4))
def test_what_is_sent_to_openai_is_read_back(messages: list[Message]) -> None:
    exchange = create("openai", api_key="k", api="chat").chat(ChatRequest(MODEL, messages))
    sent = json.loads(exchange.request.body)["messages"]
    again = create("openai", api_key="k", api="chat").chat(ChatRequest(MODEL, sent))
    assert json.loads(again.request.body)["messages"] == sent


def weather(city: str) -> str:
    """Return the weather of a city."""
    return city


def test_tools_may_be_dicts_and_functions() -> None:
    flat = {"name": "search", "description": "Searches.", "input_schema": {"type": "object", "properties": {}}}
    request = ChatRequest(MODEL, "hi", tools=[{"type": "function", "function": SEARCH}, weather])
    assert request.tools[0] == ChatRequest(MODEL, "hi", tools=[flat]).tools[0] == SEARCH_TOOL
    assert request.tools[1] == Tool.of(weather)


@pytest.mark.parametrize(
    ("tools", "problem"),
    [
        ([{"type": "web_search"}], "tool of one vendor"),
        ([{"name": "f", "schema": {}}], "fields that Tool does not know: schema"),
        ([{"description": "x"}], "must have a name"),
        (weather, r"write \[tool\]"),
        ([5], r"ChatRequest.tools\[0\] must be a Tool"),
    ],
)
def test_a_tool_that_does_not_fit_is_named(tools: Any, problem: str) -> None:
    with pytest.raises((ValueError, TypeError), match=problem):
        ChatRequest(MODEL, "hi", tools=tools)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        ("weather", ToolChoice.named("weather")),
        ({"type": "function", "function": {"name": "weather"}}, ToolChoice.named("weather")),
        ({"type": "tool", "name": "weather"}, ToolChoice.named("weather")),
        ({"type": "any"}, ToolChoice("required")),
        (None, None),
    ],
)
def test_a_tool_choice_may_be_a_word_or_a_dict(choice: Any, expected: ToolChoice | None) -> None:
    assert ChatRequest(MODEL, "hi", tools=[weather], tool_choice=choice).tool_choice == expected


def test_a_response_format_may_be_a_dict() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer_1", "schema": schema, "strict": False}}
    assert ChatRequest(MODEL, "hi", response_format=form).response_format == ResponseFormat(
        schema, name="answer_1", strict=False
    )
    assert ChatRequest(MODEL, "hi", response_format={"type": "json_object"}).response_format == ResponseFormat.json()
    assert ChatRequest(MODEL, "hi", response_format={"type": "text"}).response_format is None
    with pytest.raises(ValueError, match=r"write ResponseFormat\(schema\)"):
        ChatRequest(MODEL, "hi", response_format=schema)


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schma": {}}},
            "json_schema has no 'schma'; did you mean",
        ),
        ({"type": "json_schema", "json_schema": {"schema": {}, "strct": True}}, "has no 'strct'; did you mean strict"),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, "json_schema.schema is missing"),
        ({"type": "json_schema", "json_schema": {"schema": {}}, "strict": True}, "response_format has no 'strict'"),
        ({"type": "json_schema", "scheme": {}}, "response_format has no 'scheme'"),
        ({"type": "json_object", "response_schema": {"type": "object"}}, r"write ResponseFormat\(schema\)"),
        ({"type": "text", "schema": {"type": "object"}}, r"write ResponseFormat\(schema\)"),
    ],
)
def test_a_response_format_loses_no_field_of_a_dict(form: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ChatRequest(MODEL, "hi", response_format=form)


def test_a_tool_choice_loses_no_field_of_a_dict() -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    with pytest.raises(ValueError, match="tool_choice has fields that are not known: disable_parallel_tool_use"):
        ChatRequest(MODEL, "hi", tools=[weather], tool_choice=choice)


@pytest.mark.slow
def test_a_message_of_the_sdk_of_openai_is_read() -> None:
    from openai.types.chat import ChatCompletionMessage

    assert read(ChatCompletionMessage(role="assistant", content="hi")) == Message.assistant("hi")
