"""What one provider receives of a request: its own extra fields, its own tools, and tool names that it accepts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.providers.bodies import ndjson, sse
from turnout import ChatRequest, Message, ModelConfig, Text, Tool, ToolCall, ToolChoice
from turnout.errors import CapabilityUnsupported
from turnout.messages import Image, Role
from turnout.providers import CATALOG, create
from turnout.providers.encoding.tool_names import (
    ANTHROPIC_TOOL_NAMES,
    GEMINI_TOOL_NAMES,
    OPENAI_TOOL_NAMES,
    ToolNameRule,
    wire_names,
)

SETTINGS: dict[str, dict[str, Any]] = {
    "azure": {"base_url": "https://r.openai.azure.com"},
    "openai-compatible": {"base_url": "http://localhost:8000/v1"},
    "bedrock": {"region": "us-east-1"},
}
EVERYONE = [(name, "chat") for name in CATALOG] + [
    (name, "responses") for name, spec in CATALOG.items() if "responses" in spec.apis
]
everyone = pytest.mark.parametrize(("name", "api"), EVERYONE)
CACHED = {"cache_control": {"type": "ephemeral"}}


def made(name: str, api: str = "chat", **settings: Any) -> Any:
    return create(name, api_key="sk-key", **{"api": api, **SETTINGS.get(name, {}), **settings})


def sent(provider: Any, request: ChatRequest, *, stream: bool = False) -> Any:
    return json.loads((provider.stream if stream else provider.chat)(request).request.body)


def scopes_of(name: str, api: str) -> tuple[str, str]:
    dialect = "openai-responses" if api == "responses" else CATALOG[name].dialect
    return dialect, name


def request_for(name: str, messages: Any = "Hi", *, extra: Any = None, **fields: Any) -> ChatRequest:
    return ChatRequest(ModelConfig(name, "m", extra=extra or {}), messages, **fields)


# -- extra fields ---------------------------------------------------------------------------------------------------


def marked(scope: str) -> dict[str, Any]:
    return {scope: {"x_mark": scope}}


@everyone
@pytest.mark.parametrize(
    "place", ["model", "user part", "system part", "message", "assistant", "call", "tool", "result"]
)
def test_a_scoped_field_reaches_its_own_provider_only(name: str, api: str, place: str) -> None:
    own, other = scopes_of(name, api), "cohere" if CATALOG[name].dialect != "cohere" else "gemini"
    extra = {**marked(own[0]), other: {"x_mark": "WRONG"}}

    def at(wanted: str) -> dict[str, Any]:
        return extra if place == wanted else {}

    call = ToolCall("c1", "f", "{}", extra=at("call"))
    request = request_for(
        name,
        [
            Message.system([Text("Be brief.", extra=at("system part"))]),
            Message.user(Text("Look.", extra=at("user part"))),
            Message(Role.ASSISTANT, "Well.", tool_calls=[call], extra=at("assistant")),
            Message(Role.TOOL, "12", tool_call_id="c1", extra=at("result")),
            Message(Role.USER, "And?", extra=at("message")),
        ],
        extra=at("model"),
        tools=[Tool("f", "Does it.", {"type": "object", "properties": {}}, extra=at("tool"))],
    )
    body = json.dumps(sent(made(name, api), request))
    assert "WRONG" not in body
    assert f'"{other}"' not in body
    assert f'"{own[0]}": {{' not in body
    silent = {
        "gemini": ("message", "assistant", "result", "system part"),
        "ollama": ("user part", "system part", "call"),
    }
    if place not in silent.get(CATALOG[name].dialect, ()) and not (place == "tool" and name == "gemini"):
        assert f'"x_mark": "{own[0]}"' in body


@everyone
def test_cache_control_without_a_scope_reaches_no_vendor_that_has_none(name: str, api: str) -> None:
    messages = [
        Message.system([Text("Be brief.", extra=CACHED)]),
        Message(Role.USER, (Text("Look.", extra=CACHED), Text("again")), extra=CACHED),
    ]
    tools = [Tool("f", "Does it.", extra=CACHED)]
    body = json.dumps(sent(made(name, api), request_for(name, messages, tools=tools)))
    takes = name in ("anthropic", "bedrock", "openrouter", "openai-compatible")
    assert ("cache_control" in body or "cachePoint" in body) is takes


def test_flat_fields_of_a_response_go_back_to_its_maker_only() -> None:
    call = ToolCall("c1", "f", "{}", extra={"caller": {"type": "direct"}})
    messages = [
        Message.user("Hi"),
        Message(Role.ASSISTANT, (Text("Yes.", extra={"annotations": [1]}),), tool_calls=[call], origin="groq"),
        Message.tool(call, "12"),
    ]
    for name in ("groq", "openai", "anthropic", "gemini"):
        body = json.dumps(sent(made(name), request_for(name, messages)))
        assert ("direct" in body) is (name == "groq")


def test_the_model_of_the_response_is_that_of_the_request() -> None:
    request = request_for("openai", extra={"openai": {"store": True}, "gemini": {"cachedContent": "c"}})
    exchange = made("openai").chat(request)
    assert json.loads(exchange.request.body)["store"] is True
    exchange.receive_head(200, [])
    exchange.receive_data(json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}).encode())
    exchange.receive_end()
    assert exchange.result.model == request.model


def test_a_request_without_anything_of_a_vendor_is_not_copied() -> None:
    request = request_for("openai", tools=[Tool("f")])
    assert made("openai").adapt(request) is request


def test_scoped_fields_of_embeddings_and_images() -> None:
    from turnout import EmbeddingRequest

    for name in ("openai", "gemini", "cohere", "ollama"):
        model = ModelConfig(name, "m", extra={name: {"x_mark": 1}, "mistral": {"WRONG": 1}})
        body = json.loads(made(name).embed(EmbeddingRequest(model, ["a"])).request.body)
        assert body["x_mark"] == 1
        assert "WRONG" not in json.dumps(body)
    picture = Image("https://x/y.png", extra={"gemini": {"mediaResolution": {"level": "LOW"}}})
    assert "mediaResolution" in json.dumps(sent(made("gemini"), request_for("gemini", [Message.user(picture)])))
    assert "mediaResolution" not in json.dumps(sent(made("openai"), request_for("openai", [Message.user(picture)])))


def test_beta_features_of_anthropic_go_into_its_header() -> None:
    extra = {"anthropic": {"betas": ["mcp-client-2025-11-20", "a"]}}
    provider = made("anthropic", headers={"Anthropic-Beta": "a, b"})
    exchange = provider.chat(request_for("anthropic", extra=extra))
    assert exchange.request.headers.get_all("anthropic-beta") == ("a,b,mcp-client-2025-11-20",)
    assert "betas" not in json.loads(exchange.request.body)
    assert provider.chat(request_for("anthropic")).request.headers.get("anthropic-beta") == "a, b"
    assert "betas" not in sent(made("openai"), request_for("openai", extra=extra))


# -- tools that run at a provider -----------------------------------------------------------------------------------

SEARCH = Tool(
    "search",
    extra={
        "anthropic": {"type": "web_search_20250305", "max_uses": 2},
        "gemini": {"google_search": {}},
        "openai-responses": {"type": "web_search"},
        "glm4": {"type": "web_search", "web_search": {"enable": True}},
        "bedrock": {"systemTool": {"name": "nova_grounding"}},
        "groq": {"type": "browser_search"},
    },
)
MINE = Tool("clock", "The time.", {"type": "object", "properties": {"zone": {"type": "string"}}})


@pytest.mark.parametrize(
    ("name", "api", "wire"),
    [
        ("anthropic", "chat", {"type": "web_search_20250305", "max_uses": 2, "name": "web_search"}),
        ("gemini", "chat", {"google_search": {}}),
        ("openai", "responses", {"type": "web_search"}),
        ("glm4", "chat", {"type": "web_search", "web_search": {"enable": True}}),
        ("bedrock", "chat", {"systemTool": {"name": "nova_grounding"}}),
        ("groq", "chat", {"type": "browser_search"}),
    ],
)
def test_a_hosted_tool_is_sent_beside_the_caller_s_own(name: str, api: str, wire: Any) -> None:
    body = sent(made(name, api), request_for(name, tools=[SEARCH, MINE]))
    tools = body["toolConfig"]["tools"] if name == "bedrock" else body["tools"]
    assert wire in tools
    assert len(tools) == 2
    assert "clock" in json.dumps(tools)


@pytest.mark.parametrize(
    ("name", "api"), [("openai", "chat"), ("mistral", "chat"), ("cohere", "chat"), ("ollama", "chat")]
)
def test_a_hosted_tool_without_a_definition_for_the_provider_is_unsupported(name: str, api: str) -> None:
    request = request_for(name, tools=[SEARCH, MINE])
    with pytest.raises(CapabilityUnsupported, match="'search' runs at other providers"):
        made(name, api).chat(request)
    exchange = made(name, api, unsupported="drop").chat(request)
    assert exchange.dropped == ("tool search",)
    assert [tool["function"]["name"] for tool in json.loads(exchange.request.body)["tools"]] == ["clock"]


def test_a_hosted_tool_that_is_also_a_function_is_one_elsewhere() -> None:
    tool = Tool("search", "Searches.", {"type": "object", "properties": {}}, extra=SEARCH.extra)
    assert sent(made("openai"), request_for("openai", tools=[tool]))["tools"][0]["function"]["name"] == "search"
    assert sent(made("gemini"), request_for("gemini", tools=[tool]))["tools"] == [{"google_search": {}}]


def test_a_request_whose_only_tool_is_left_out_has_no_tool_fields() -> None:
    request = request_for("openai", tools=[SEARCH], tool_choice=ToolChoice("auto"))
    assert not {"tools", "tool_choice"} & sent(made("openai", unsupported="drop"), request).keys()
    forced = request_for("openai", tools=[SEARCH, MINE], tool_choice=ToolChoice.named("search"))
    with pytest.raises(CapabilityUnsupported):
        made("openai", unsupported="drop").chat(forced)
    required = request_for("openai", tools=[SEARCH], tool_choice=ToolChoice("required"))
    with pytest.raises(CapabilityUnsupported, match="a call is required, and none of the tools runs at openai"):
        made("openai", unsupported="drop").chat(required)


def test_gemini_3_is_asked_to_combine_its_tools_with_the_caller_s() -> None:
    def config(model: str, tools: list[Tool], **settings: Any) -> Any:
        provider = made("gemini", **settings)
        return sent(provider, ChatRequest(ModelConfig("gemini", model), "Hi", tools=tools)).get("toolConfig")

    assert config("gemini-3-pro", [SEARCH, MINE]) == {"includeServerSideToolInvocations": True}
    assert config("gemini-3-pro", [SEARCH]) is None
    assert config("gemini-2.5-pro", [SEARCH, MINE]) is None
    assert config("gemini-3-pro", [SEARCH, MINE], vertex_project="p", access_token="t") is None


def test_a_toolset_of_anthropic_gets_no_name() -> None:
    tool = Tool("docs", extra={"anthropic": {"type": "mcp_toolset", "mcp_server_name": "docs"}})
    body = sent(made("anthropic"), request_for("anthropic", tools=[tool]))
    assert body["tools"] == [{"type": "mcp_toolset", "mcp_server_name": "docs"}]


def test_a_tool_of_anthropic_that_the_caller_runs_keeps_its_own_name_there() -> None:
    tool = Tool("editor", extra={"anthropic": {"type": "text_editor_20250728"}})
    history = [Message.user("Hi"), Message.assistant(tool_calls=[ToolCall("c1", "editor")]), Message.tool("c1", "ok")]
    exchange = made("anthropic").chat(
        request_for("anthropic", history, tools=[tool], tool_choice=ToolChoice.named("editor"))
    )
    body = json.loads(exchange.request.body)
    name = "str_replace_based_edit_tool"
    assert body["tools"] == [{"type": "text_editor_20250728", "name": name}]
    assert body["messages"][1]["content"][0]["name"] == name
    assert body["tool_choice"] == {"type": "tool", "name": name}
    answer = {"content": [{"type": "tool_use", "id": "t", "name": name, "input": {}}], "stop_reason": "tool_use"}
    exchange.receive_head(200, [])
    exchange.receive_data(json.dumps(answer).encode())
    exchange.receive_end()
    assert exchange.result.tool_calls[0].name == "editor"


def test_the_name_of_a_built_in_function_goes_back_unchanged() -> None:
    tool = Tool("web", extra={"openai-compatible": {"type": "builtin_function", "function": {"name": "$web_search"}}})
    call = ToolCall("c1", "$web_search", "{}")
    history = [Message.user("Hi"), Message.assistant(tool_calls=[call]), Message.tool(call, "x")]
    body = sent(made("openai-compatible"), request_for("openai-compatible", history, tools=[tool]))
    assert body["messages"][1]["tool_calls"][0]["function"]["name"] == "$web_search"


def test_a_free_text_tool_of_chat_completions() -> None:
    tool = Tool("code", "Runs it.", extra={"openai-chat": {"type": "custom", "custom": {"format": {"type": "text"}}}})
    body = sent(made("openai"), request_for("openai", tools=[tool], tool_choice=ToolChoice.named("code")))
    custom = {"name": "code", "description": "Runs it.", "format": {"type": "text"}}
    assert body["tools"] == [{"type": "custom", "custom": custom}]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "code"}}


# -- names of tools -------------------------------------------------------------------------------------------------

RULES = [OPENAI_TOOL_NAMES, ANTHROPIC_TOOL_NAMES, GEMINI_TOOL_NAMES]
PATTERNS = {
    OPENAI_TOOL_NAMES: r"[A-Za-z0-9_-]{1,64}",
    ANTHROPIC_TOOL_NAMES: r"[A-Za-z0-9_-]{1,128}",
    GEMINI_TOOL_NAMES: r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}",
}
NAMES = st.text("ab1_-./:", min_size=1, max_size=4) | st.text("a./", min_size=60, max_size=200) | st.text(min_size=1)


@pytest.mark.parametrize("rule", RULES)
@given(names=st.lists(NAMES, max_size=8, unique=True))
def test_every_name_gets_an_accepted_one_of_its_own(rule: ToolNameRule, names: list[str]) -> None:
    replaced = wire_names(names, rule)
    wire = [replaced.get(name, name) for name in names]
    assert len(set(wire)) == len(names)
    for name, accepted in zip(names, wire, strict=True):
        assert re.fullmatch(PATTERNS[rule], accepted)
        if re.fullmatch(PATTERNS[rule], name):
            assert accepted == name
    assert wire_names(names, rule) == replaced


LONG = "mcp:files/" + "very_" * 20 + "long.read"
MCP = (Tool("files.read", "Reads."), Tool("files_read"), Tool(LONG), Tool("plain"))


def answers(name: str, api: str, calls: list[str]) -> bytes:
    """Return the body of a stream that calls these tools."""
    dialect = "openai-responses" if api == "responses" else CATALOG[name].dialect
    if dialect == "anthropic":
        blocks: list[Any] = [{"type": "message_start", "message": {"content": []}}]
        for at, tool in enumerate(calls):
            block = {"type": "tool_use", "id": f"c{at}", "name": tool, "input": {}}
            blocks += [{"type": "content_block_start", "index": at, "content_block": block}]
            blocks += [{"type": "content_block_stop", "index": at}]
        return sse(*blocks, {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"})
    if dialect == "gemini":
        parts = [{"functionCall": {"name": tool, "args": {}}} for tool in calls]
        return sse({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})
    if dialect == "ollama":
        wire = [{"function": {"name": tool, "arguments": {}}} for tool in calls]
        return ndjson({"message": {"tool_calls": wire}, "done": True, "done_reason": "stop"})
    if dialect == "openai-responses":
        output = [
            {"type": "function_call", "id": f"i{at}", "call_id": f"c{at}", "name": tool, "arguments": "{}"}
            for at, tool in enumerate(calls)
        ]
        return sse({"type": "response.completed", "response": {"status": "completed", "output": output}})
    if dialect == "cohere":
        events: list[Any] = []
        for at, tool in enumerate(calls):
            call = {"id": f"c{at}", "type": "function", "function": {"name": tool, "arguments": "{}"}}
            events.append({"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": call}}})
        return sse(*events, {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}})
    fragments = [
        {"index": at, "id": f"c{at}", "type": "function", "function": {"name": tool, "arguments": "{}"}}
        for at, tool in enumerate(calls)
    ]
    return sse({"choices": [{"index": 0, "delta": {"tool_calls": fragments}, "finish_reason": "tool_calls"}]}, "[DONE]")


def names_sent(body: Any) -> list[str]:
    if "toolConfig" in body and "messages" in body:
        return [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]]
    tools = body["tools"]
    if "functionDeclarations" in tools[0]:
        tools = tools[0]["functionDeclarations"]
    return [tool.get("function", tool)["name"] for tool in tools]


@everyone
def test_tool_names_are_mapped_there_and_back(name: str, api: str) -> None:
    history = [
        Message.user("Hi"),
        Message.assistant(tool_calls=[ToolCall("c9", "files.read"), ToolCall("c8", "odd name!")]),
        Message.tool("c9", "x", name="files.read"),
        Message.tool("c8", "y"),
    ]
    request = request_for(name, history, tools=MCP)
    provider = made(name, api)
    exchange = provider.stream(request)
    wire = names_sent(json.loads(exchange.request.body))
    assert len(set(wire)) == len(MCP)
    assert all(re.fullmatch(PATTERNS[provider.tool_names], one) for one in wire)
    assert wire[1] == "files_read"
    assert wire[3] == "plain"
    text = exchange.request.body.decode()
    assert "odd name!" not in text
    if CATALOG[name].dialect == "bedrock":
        return  # its streams are binary: see the test of the whole response
    exchange.receive_head(200, [])
    events = exchange.receive_data(answers(name, api, wire)) + exchange.receive_end()
    assert exchange.failure is None
    names = [tool.name for tool in MCP]
    assert [call.name for call in exchange.result.tool_calls] == names
    assert [event.call.name for event in events if event.type == "tool_call"] == names
    assert [event.name for event in events if event.type == "tool_call_delta" and event.name] == names


def test_tool_names_are_mapped_back_in_a_whole_response_of_bedrock() -> None:
    exchange = made("bedrock").chat(request_for("bedrock", tools=MCP))
    wire = names_sent(json.loads(exchange.request.body))
    content = [{"toolUse": {"toolUseId": f"c{at}", "name": tool, "input": {}}} for at, tool in enumerate(wire)]
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use"}
    exchange.receive_head(200, [])
    exchange.receive_data(json.dumps(body).encode())
    exchange.receive_end()
    assert [call.name for call in exchange.result.tool_calls] == [tool.name for tool in MCP]


@everyone
def test_a_forced_tool_is_named_as_it_was_sent(name: str, api: str) -> None:
    request = request_for(name, tools=MCP, tool_choice=ToolChoice.named(LONG))
    try:
        body = sent(made(name, api), request)
    except CapabilityUnsupported:
        return  # some cannot be made to call one
    choice = json.dumps(body.get("tool_choice") or body.get("toolConfig"))
    assert names_sent(body)[2] in choice
    assert body.get("tools", [])[2:3] or CATALOG[name].dialect in ("gemini", "bedrock")


def test_a_tool_name_may_hold_what_mcp_allows() -> None:
    assert Tool("a" * 128).name == "a" * 128
    assert Tool("srv.tool:v2/read-all_1").name == "srv.tool:v2/read-all_1"
    for wrong in ("", "a" * 129, "a b", "ä", "a\n"):
        with pytest.raises(ValueError, match=r"Tool\.name"):
            Tool(wrong)
