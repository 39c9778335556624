"""What Anthropic's dialect sends for a conversation: turns and blocks, tools, structured answers, what was replayed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.anthropic.bodies import CACHED, CALLS, HAIKU, OPUS, SCHEMA, TOOLS, asking, sent
from turnout.chat import ModelConfig, ResponseFormat
from turnout.embeddings import EmbeddingRequest
from turnout.errors import CapabilityUnsupported
from turnout.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from turnout.providers import create

PNG = Image(data=b"png", media_type="image/png", detail="low")
PDF = File(data=b"%PDF", media_type="application/pdf", filename="a.pdf", extra={"citations": {"enabled": True}})


def turns(*messages: Message) -> Any:
    return [(turn["role"], turn["content"]) for turn in sent(asking(*messages))["messages"]]


def test_a_conversation_with_everything() -> None:
    own = Message(
        Role.ASSISTANT,
        (Thinking("hm", signature="sig"), Text("Well.")),
        tool_calls=CALLS,
        origin="anthropic",
    )
    request = asking(
        Message.system("Be brief."),
        Message.user("Look:", PNG, PDF, Text("and say.", extra=CACHED)),
        own,
        Message.tool(CALLS[0], (Text("12"), PNG)),
        Message.tool("srv-2", "noon", is_error=True),
        Message(Role.DEVELOPER, "In Norwegian.", extra=CACHED),
        Message.user("Go on."),
        model={"max_tokens": 9_000, "stop": "END", "top_p": 0.97, "reasoning_effort": "low"},
        tools=TOOLS,
        tool_choice=ToolChoice("auto"),
        parallel_tool_calls=False,
    )
    for stream in (False, True):
        body = sent(request, stream=stream)
        assert body.pop("stream", False) is stream
        assert body == {
            "model": HAIKU,
            "max_tokens": 9_000,
            "system": [
                {"type": "text", "text": "Be brief."},
                {"type": "text", "text": "In Norwegian.", **CACHED},
            ],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Look:"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "cG5n"},
                        },
                        {
                            "type": "document",
                            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                            "title": "a.pdf",
                            "citations": {"enabled": True},
                        },
                        {"type": "text", "text": "and say.", **CACHED},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "sig"},
                        {"type": "text", "text": "Well."},
                        {"type": "tool_use", "id": "call_1_0", "name": "weather", "input": {"city": "Oslo"}},
                        {"type": "tool_use", "id": "srv-2", "name": "clock", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "call_1_0",
                            "content": [
                                {"type": "text", "text": "12"},
                                {
                                    "type": "image",
                                    "source": {"type": "base64", "media_type": "image/png", "data": "cG5n"},
                                },
                            ],
                        },
                        {
                            "type": "tool_result",
                            "tool_use_id": "srv-2",
                            "content": [{"type": "text", "text": "noon"}],
                            "is_error": True,
                        },
                        {"type": "text", "text": "Go on."},
                    ],
                },
            ],
            "top_p": 0.97,
            "stop_sequences": ["END"],
            "thinking": {"type": "enabled", "budget_tokens": 2_048},
            "tools": [
                {
                    "name": "weather",
                    "input_schema": SCHEMA,
                    "description": "The weather.",
                    "strict": True,
                    **CACHED,
                },
                {"name": "clock", "input_schema": {"type": "object"}},
            ],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        }


def test_the_key_is_a_header_and_the_version_is_told() -> None:
    provider = create("anthropic", api_key="sk-ant-key", headers={"anthropic-beta": "context-1m-2025-08-07"})
    asked = provider.stream(asking()).request
    assert asked.url == "https://api.anthropic.com/v1/messages"
    assert asked.headers.get("x-api-key") == "sk-ant-key"
    assert asked.headers.get("authorization") is None
    assert asked.headers.get("anthropic-version") == "2023-06-01"
    assert asked.headers.get("anthropic-beta") == "context-1m-2025-08-07"
    assert asked.headers.get("accept-encoding") == "identity"
    assert "sk-ant-key" not in repr(provider) + repr(asked)
    assert create("anthropic").missing_env == ("ANTHROPIC_API_KEY",)
    versioned = create("anthropic", api_key="k", base_url="https://gate.test/anthropic/v1/")
    assert versioned.chat(asking()).request.url == "https://gate.test/anthropic/v1/messages"


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Image("https://x.test/a.png"), {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}),
        (
            Image("data:image/jpg;base64,cG5n"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "cG5n"}},
        ),
        (
            File(url="https://x.test/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
        ),
        (File(file_id="file_1"), {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        (
            File(file_id="file_1", media_type="image/png"),
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            File(data="æ".encode(), media_type="text/markdown", filename="a.md"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "æ"},
                "title": "a.md",
            },
        ),
    ],
)
def test_parts(part: Part, block: dict[str, Any]) -> None:
    assert turns(Message.user(part)) == [("user", [block])]


@pytest.mark.parametrize(
    "message",
    [
        Message.user(Audio(data=b"x", media_type="audio/wav")),
        Message.user(File(data=b"x", media_type="application/msword")),
        Message.user(Thinking("hm")),
        Message.tool("c", Audio(data=b"x", media_type="audio/wav")),
        Message.assistant(Audio(data=b"x", media_type="audio/wav")),
        Message.system(PNG),
        Message.system("alone"),
    ],
    ids=["audio", "word", "thinking", "tool-audio", "assistant-audio", "system-image", "system-alone"],
)
def test_what_cannot_be_said_is_refused_before_sending(message: Message) -> None:
    with pytest.raises(CapabilityUnsupported):
        sent(asking(message))


def test_neighbours_are_one_turn_and_results_come_first() -> None:
    said = turns(
        Message.user("a"),
        Message.system("between"),
        Message.user("b"),
        Message.assistant("c", tool_calls=CALLS),
        Message.tool(CALLS[0], "1"),
        Message.user("d", ""),
        Message.tool(CALLS[1], ""),
        Message.assistant(""),
        Message.user("e"),
        Message.assistant("f"),
        Message.assistant("g"),
    )
    assert [role for role, _ in said] == ["user", "assistant", "user", "assistant"]
    assert [block["text"] for block in said[0][1]] == ["a", "b"]
    assert [block.get("text") or block["tool_use_id"] for block in said[2][1]] == ["call_1_0", "srv-2", "d", "e"]
    assert "content" not in said[2][1][1]
    assert [block["text"] for block in said[3][1]] == ["f", "g"]


def test_fields_of_a_message_go_where_they_belong() -> None:
    said = sent(
        asking(
            Message(Role.USER, "b", extra={**CACHED, "clear_at": "later"}),
            Message(Role.ASSISTANT, "c", tool_calls=CALLS[:1], extra=CACHED),
            Message(Role.TOOL, "d", tool_call_id=CALLS[0].id, extra=CACHED),
        ),
        known=False,
    )
    user, assistant, results = said["messages"]
    assert user == {"role": "user", "content": [{"type": "text", "text": "b", **CACHED}], "clear_at": "later"}
    assert "cache_control" not in assistant["content"][0]
    assert assistant["content"][1]["cache_control"] == CACHED["cache_control"]
    assert results["content"][0]["cache_control"] == CACHED["cache_control"]


def test_replayed_pieces_go_home_in_their_places_and_nowhere_else() -> None:
    redacted = {"type": "redacted_thinking", "data": "x"}
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    parts = (
        Opaque(json.dumps(redacted).encode()),
        Thinking("hm", signature="sig"),
        Thinking("", signature="unseen"),
        Thinking("its signature never came"),
        Opaque(b'{"type":"tool_use","id":"srv-2","caller":{"type":"code_execution_20250825","tool_id":"s"}}'),
        Opaque(b'{"type":"tool_use","id":"taken-out"}'),
        Opaque(json.dumps(search).encode()),
        Text("hi"),
        Refusal("blocked"),
    )
    own = Message(Role.ASSISTANT, parts, tool_calls=CALLS, origin="anthropic")
    home = turns(Message.user("x"), own)[1][1]
    assert home == [
        redacted,
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "thinking", "thinking": "", "signature": "unseen"},
        {
            "type": "tool_use",
            "id": "srv-2",
            "name": "clock",
            "input": {},
            "caller": {"type": "code_execution_20250825", "tool_id": "s"},
        },
        search,
        {"type": "text", "text": "hi"},
        {"type": "tool_use", "id": "call_1_0", "name": "weather", "input": {"city": "Oslo"}},
    ]
    abroad = turns(Message.user("x"), Message(Role.ASSISTANT, parts, tool_calls=CALLS, origin="gemini"))[1][1]
    assert [block["type"] for block in abroad] == ["text", "text", "tool_use", "tool_use"]
    assert abroad[1]["text"] == "blocked"


def test_ids_of_other_vendors_are_made_fit_and_unlike() -> None:
    calls = [ToolCall("functions.weather:0", "weather", "{}"), ToolCall("functions.weather:1", "weather", '["x"]')]
    said = turns(
        Message.assistant(tool_calls=calls),
        Message.tool(calls[1], "b"),
        Message.tool(calls[0], "a"),
        Message.assistant(tool_calls=calls[:1]),
        Message.tool(calls[0], "c"),
        Message.tool("never:called", "d"),
    )
    assert [block["id"] for block in said[0][1]] == ["functions_weather_0", "functions_weather_1"]
    assert said[0][1][1]["input"] == {"arguments": '["x"]'}
    assert [block["tool_use_id"] for block in said[1][1]] == ["functions_weather_1", "functions_weather_0"]
    assert said[2][1][0]["id"] == said[3][1][0]["tool_use_id"] == "functions_weather_0_2"
    assert said[3][1][1]["tool_use_id"] == "never_called"


def test_calls_of_one_turn_that_share_an_id_keep_their_own_results() -> None:
    twins = [ToolCall("c", "weather", "{}"), ToolCall("c", "clock", "{}")]
    said = turns(Message.assistant(tool_calls=twins), Message.tool("c", "12"), Message.tool("c", "noon"))
    assert [(block["id"], block["name"]) for block in said[0][1]] == [("c", "weather"), ("c_2", "clock")]
    assert [(block["tool_use_id"], block["content"][0]["text"]) for block in said[1][1]] == [
        ("c", "12"),
        ("c_2", "noon"),
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice.named("clock"), None, {"type": "tool", "name": "clock"}),
    ],
)
def test_tool_choices(choice: ToolChoice | None, parallel: bool | None, wire: Any) -> None:
    body = sent(asking(tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel))
    assert body.get("tool_choice") == wire
    assert "tool_choice" not in sent(asking(parallel_tool_calls=False))


def test_a_tool_that_runs_at_the_provider_is_told_by_its_type() -> None:
    search = Tool("web_search", extra={"type": "web_search_20250305", "max_uses": 2})
    assert sent(asking(tools=[search]))["tools"] == [
        {"name": "web_search", "type": "web_search_20250305", "max_uses": 2}
    ]


def test_structured_answers() -> None:
    wanted = ResponseFormat(SCHEMA, description="Where?")
    body = sent(asking(model_id=OPUS, model={"reasoning_effort": "max"}, response_format=wanted))
    schema = {**SCHEMA, "description": "Where?"}
    assert body["output_config"] == {"effort": "max", "format": {"type": "json_schema", "schema": schema}}
    own = {"output_config": {"effort": "low"}}
    body = sent(asking(model_id=OPUS, model={"extra": own}, response_format=ResponseFormat(SCHEMA)))
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}
    with pytest.raises(CapabilityUnsupported, match="no mode for just any JSON"):
        sent(asking(response_format=ResponseFormat.json()), unsupported="drop")
    for old in ("claude-sonnet-4-20250514", "claude-3-5-haiku-20241022"):
        with pytest.raises(CapabilityUnsupported, match="takes no JSON Schema"):
            sent(asking(model_id=old, response_format=wanted), unsupported="drop")


def test_extra_is_passed_on_and_over_what_was_written() -> None:
    own = {"metadata": {"user_id": "u"}, "service_tier": "auto", "max_tokens": 7}
    body = sent(asking(model={"extra": own, "max_tokens": 9}))
    assert (body["metadata"], body["service_tier"], body["max_tokens"]) == ({"user_id": "u"}, "auto", 7)


def test_there_are_no_embeddings() -> None:
    with pytest.raises(CapabilityUnsupported, match="no embeddings"):
        create("anthropic", api_key="k").embed(EmbeddingRequest(ModelConfig("anthropic", "m"), "a"))
