"""The bodies that each dialect sends for one conversation with everything in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.embeddings import EmbeddingRequest
from turnout.errors import CapabilityUnsupported
from turnout.http import HttpRequest
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
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = (Tool("weather", "The weather.", SCHEMA, strict=True), Tool("clock"))
CALLS = (ToolCall("call_1_0", "weather", '{"city": "Oslo"}'), ToolCall("srv-2", "clock", ""))


def conversation(**model: Any) -> ChatRequest:
    return ChatRequest(
        ModelConfig("p", model.pop("model_id", "m"), **model),
        (
            Message.system("Be brief."),
            Message.user("Look:", PNG, Text("and say.", extra={"cache_control": {"type": "ephemeral"}})),
            Message.assistant("Well.", tool_calls=CALLS),
            Message.tool(CALLS[0], '{"degrees": 12}'),
            Message.tool("srv-2", "noon"),
            Message(Role.DEVELOPER, "In Norwegian."),
            Message.user("Go on."),
        ),
        tools=TOOLS,
        tool_choice=ToolChoice.named("weather"),
        parallel_tool_calls=False,
    )


def body(request: HttpRequest) -> Any:
    return json.loads(request.body)


def openai(request: ChatRequest, name: str = "openai", stream: bool = False, **settings: Any) -> Any:
    provider = create(name, api_key="k", **settings)
    return body((provider.stream if stream else provider.chat)(request).request)


def gemini(request: ChatRequest) -> Any:
    return body(create("gemini", api_key="k").chat(request).request)


def ollama(request: ChatRequest, stream: bool = False) -> Any:
    provider = create("ollama")
    return body((provider.stream if stream else provider.chat)(request).request)


def test_openai_s_body() -> None:
    sent = openai(conversation(temperature=0.5, max_tokens=9, stop="END", seed=1, logprobs=2, extra={"store": True}))
    assert sent["model"] == "m"
    assert [message["role"] for message in sent["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "developer",
        "user",
    ]
    assert sent["messages"][0]["content"] == "Be brief."
    assert sent["messages"][1]["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n", "detail": "low"}},
        {"type": "text", "text": "and say."},
    ]
    assert sent["messages"][2]["tool_calls"][1] == {
        "id": "srv-2",
        "type": "function",
        "function": {"name": "clock", "arguments": "{}"},
    }
    assert sent["messages"][3] == {"role": "tool", "tool_call_id": "call_1_0", "content": '{"degrees": 12}'}
    assert sent["tools"][0]["function"] == {
        "name": "weather",
        "description": "The weather.",
        "parameters": SCHEMA,
        "strict": True,
    }
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert sent["parallel_tool_calls"] is False
    assert (sent["max_completion_tokens"], sent["stop"], sent["seed"]) == (9, ["END"], 1)
    assert (sent["logprobs"], sent["top_logprobs"], sent["store"]) == (True, 2, True)
    assert "stream" not in sent


def test_a_stream_asks_for_its_usage_and_for_no_compression() -> None:
    request = ChatRequest(ModelConfig("p", "m"), [Message.user("hi")])
    provider = create("openai", api_key="k", organization="org", headers={"X-Mine": "1"})
    asked = provider.stream(request).request
    assert body(asked)["stream_options"] == {"include_usage": True}
    assert asked.headers.get("accept-encoding") == "identity"
    assert asked.headers.get("authorization") == "Bearer k"
    assert asked.headers.get("openai-organization") == "org"
    assert asked.headers.get("x-mine") == "1"


@pytest.mark.parametrize(
    ("name", "model", "sent"),
    [
        ("openai", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ("openrouter", {"reasoning_effort": "low", "max_tokens": 5}, {"reasoning": {"effort": "low"}, "max_tokens": 5}),
        ("glm4", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ("siliconflow", {"reasoning_effort": "high"}, {"enable_thinking": True}),
        ("groq", {"max_tokens": 5}, {"max_completion_tokens": 5}),
    ],
)
def test_vendors_have_words_of_their_own(name: str, model: dict[str, Any], sent: dict[str, Any]) -> None:
    said = openai(ChatRequest(ModelConfig(name, "m", **model), [Message.user("hi")]), name)
    assert {key: said[key] for key in sent} == sent


@pytest.mark.parametrize(
    ("name", "model_id", "model", "refused"),
    [
        ("openai", "o3-mini", {"temperature": 0.1}, "temperature"),
        ("openai", "gpt-5", {"top_p": 0.1, "logprobs": 0}, "top_p, logprobs"),
        ("openai", "gpt-5.1", {"temperature": 0.1, "reasoning_effort": "high"}, "temperature"),
        ("openai", "gpt-5.2-chat-latest", {"temperature": 0.1}, "temperature"),
        ("openai", "o4-mini", {"stop": ["x"]}, "stop"),
        ("zai", "glm-4.6", {"temperature": 1.2}, r"temperature \(0 to 1 here\)"),
        ("cerebras", "llama", {"temperature": 1.6}, r"temperature \(0 to 1.5 here\)"),
        ("openai", "o3-2025-04-16", {"stop": ["x"]}, "stop"),
        ("cerebras", "llama", {"presence_penalty": 1}, "presence_penalty"),
        ("groq", "llama", {"logprobs": 1}, "logprobs"),
    ],
)
def test_what_a_model_refuses_is_raised_or_dropped(
    name: str, model_id: str, model: dict[str, Any], refused: str
) -> None:
    request = ChatRequest(ModelConfig(name, model_id, **model), [Message.user("hi")])
    with pytest.raises(CapabilityUnsupported, match=f"does not take {refused}"):
        openai(request, name)
    exchange = create(name, api_key="k", unsupported="drop").chat(request)
    assert ", ".join(exchange.dropped) == refused.partition(" \\")[0]
    assert not set(exchange.dropped) & set(body(exchange.request))


@pytest.mark.parametrize(
    ("name", "model_id", "neutral"),
    [
        ("openai", "gpt-5", {"temperature": 1, "top_p": 1.0, "presence_penalty": 0}),
        ("openai", "o3-mini", {"temperature": 1.0}),
        ("cerebras", "llama", {"presence_penalty": 0, "frequency_penalty": 0.0}),
        ("anthropic", "claude-opus-4-7", {"top_p": 1}),
    ],
)
def test_a_value_that_changes_nothing_is_left_out_where_it_is_not_taken(
    name: str, model_id: str, neutral: dict[str, float]
) -> None:
    model = ModelConfig.parse(f"{name}/{model_id}", **neutral)
    exchange = create(name, api_key="k").chat(ChatRequest(model, [Message.user("hi")]))
    assert set(exchange.dropped) == set(neutral)
    assert not set(neutral) & set(body(exchange.request))


def test_what_a_model_takes_is_sent() -> None:
    warm = ChatRequest(ModelConfig("openai-compatible", "m", temperature=3), [Message.user("x")])
    assert openai(warm, "openai-compatible")["temperature"] == 3
    request = ChatRequest(
        ModelConfig("openai", "gpt-5.1", temperature=0.1, reasoning_effort="none"), [Message.user("x")]
    )
    assert openai(request)["temperature"] == 0.1
    assert openai(ChatRequest(ModelConfig("openai", "gpt-5-chat", temperature=0.1), [Message.user("x")]))


def test_structured_answers() -> None:
    wanted = ResponseFormat(SCHEMA, name="weather", description="d")
    request = ChatRequest(ModelConfig("p", "m"), [Message.user("x")], response_format=wanted)
    assert openai(request)["response_format"]["json_schema"] == {
        "name": "weather",
        "schema": SCHEMA,
        "strict": True,
        "description": "d",
    }
    assert gemini(request)["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    assert ollama(request)["format"] == SCHEMA
    with pytest.raises(CapabilityUnsupported, match="JSON Schema"):
        openai(request, "glm4")
    any_json = ChatRequest(ModelConfig("p", "m"), [Message.user("x")], response_format=ResponseFormat.json())
    assert openai(any_json, "glm4")["response_format"] == {"type": "json_object"}
    assert gemini(any_json)["generationConfig"] == {"responseMimeType": "application/json"}
    assert ollama(any_json)["format"] == "json"


def test_a_vendor_s_limits_are_told() -> None:
    stops = ChatRequest(ModelConfig("p", "m", stop=("a", "b")), [Message.user("x")])
    with pytest.raises(CapabilityUnsupported, match="at most 1 stop"):
        openai(stops, "glm4")
    forced = ChatRequest(ModelConfig("p", "m"), [Message.user("x")], tools=TOOLS, tool_choice=ToolChoice("required"))
    with pytest.raises(CapabilityUnsupported, match="tool choice 'required'"):
        openai(forced, "glm4")
    with pytest.raises(CapabilityUnsupported, match="does not force a tool call"):
        ollama(forced)


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (Image("https://x.test/a.png"), {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}),
        (
            Audio(data=b"wav", media_type="audio/wav"),
            {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}},
        ),
        (File(file_id="f1"), {"type": "file", "file": {"file_id": "f1"}}),
        (
            File(data=b"pdf", media_type="application/pdf", filename="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
        ),
    ],
)
def test_openai_s_parts(part: Part, sent: dict[str, Any]) -> None:
    said = openai(ChatRequest(ModelConfig("p", "m"), [Message.user(part)]))
    assert said["messages"][0]["content"] == [sent]


@pytest.mark.parametrize(
    "message",
    [
        Message.user(Audio(data=b"x", media_type="audio/ogg")),
        Message.user(File(url="https://x.test/a.pdf")),
        Message.user(Thinking("hm")),
    ],
)
def test_what_openai_cannot_be_told_is_refused_before_sending(message: Message) -> None:
    with pytest.raises(CapabilityUnsupported):
        openai(ChatRequest(ModelConfig("p", "m"), [message]))


def test_replayed_pieces_go_home_and_nowhere_else() -> None:
    details = b'{"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"s"}]}'
    call = ToolCall("c", "f", "{}", signature="sig")
    own = Message(
        Role.ASSISTANT, (Thinking("hm"), Text("hi"), Opaque(details)), tool_calls=(call,), origin="openrouter"
    )
    request = ChatRequest(ModelConfig("p", "m"), [Message.user("x"), own])
    home = openai(request, "openrouter")["messages"][1]
    assert home["reasoning_details"] == json.loads(details)["reasoning_details"]
    assert home["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "sig"}}
    for other in ("openai", "glm4"):
        abroad = openai(request, other)["messages"][1]
        assert set(abroad) == {"role", "content", "tool_calls"}
        assert "extra_content" not in abroad["tool_calls"][0]
    glm = Message(Role.ASSISTANT, (Thinking("hm"), Text("hi")), origin="glm4")
    assert openai(ChatRequest(ModelConfig("p", "m"), [glm]), "glm4")["messages"][0]["reasoning_content"] == "hm"
    refused = Message.assistant((Refusal("no"),))
    assert openai(ChatRequest(ModelConfig("p", "m"), [refused]))["messages"][0] == {
        "role": "assistant",
        "content": "",
        "refusal": "no",
    }


def test_gemini_s_body() -> None:
    sent = gemini(conversation(temperature=0.5, top_p=0.9, top_k=3, max_tokens=9, stop="END", logprobs=2))
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In Norwegian."}]}
    assert [content["role"] for content in sent["contents"]] == ["user", "model", "user", "user"]
    assert sent["contents"][0]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": "cG5n"}}
    assert sent["contents"][1]["parts"][1] == {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}
    assert sent["contents"][2]["parts"] == [
        {"functionResponse": {"name": "weather", "response": {"degrees": 12}}},
        {"functionResponse": {"name": "clock", "response": {"output": "noon"}}},
    ]
    assert sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == SCHEMA
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}
    assert sent["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 3,
        "maxOutputTokens": 9,
        "stopSequences": ["END"],
        "responseLogprobs": True,
        "logprobs": 2,
    }


def test_gemini_keeps_signatures_on_their_own_parts() -> None:
    raw = b'{"executableCode":{"language":"PYTHON","code":"1"}}'
    own = Message(
        Role.ASSISTANT,
        (Thinking("hm", signature="t"), Text("", signature="e"), Text("hi"), Opaque(raw), Refusal("no")),
        tool_calls=(ToolCall("srv", "f", "[1]", signature="c"), ToolCall("call_1_1", "g", "{}")),
        origin="gemini",
    )
    request = ChatRequest(ModelConfig("p", "gemini-3-pro"), [Message.user("x"), own, Message.tool("srv", "y")])
    parts = gemini(request)["contents"][1]["parts"]
    assert parts == [
        {"text": "hm", "thought": True, "thoughtSignature": "t"},
        {"text": "", "thoughtSignature": "e"},
        {"text": "hi"},
        json.loads(raw),
        {"text": "no"},
        {"functionCall": {"name": "f", "args": {"arguments": "[1]"}, "id": "srv"}, "thoughtSignature": "c"},
        {"functionCall": {"name": "g", "args": {}}},
    ]
    assert gemini(request)["contents"][2]["parts"][0]["functionResponse"]["id"] == "srv"
    foreign = ChatRequest(request.model, [Message.user("x"), Message.assistant("hi", tool_calls=own.tool_calls)])
    assert gemini(foreign)["contents"][1]["parts"][1]["thoughtSignature"] == "skip_thought_signature_validator"


def test_gemini_s_parts_and_corners() -> None:
    request = ChatRequest(
        ModelConfig("p", "models/m", extra={"generationConfig": {"x": 1}, "safetySettings": []}),
        [
            Message.user(
                Image("data:image/png;base64,cG5n"),
                File(url="gs://b/a.pdf", media_type="application/pdf"),
                File(file_id="files/1"),
                Audio(data=b"wav", media_type="audio/wav"),
            ),
            Message.tool("c", (Text("boom"), PNG), name="f", is_error=True),
        ],
    )
    exchange = create("gemini", api_key="k").chat(request)
    assert exchange.request.url.endswith("/v1beta/models/m:generateContent")
    assert exchange.request.headers.get("x-goog-api-key") == "k"
    assert "k" not in exchange.request.url.partition("?")[2]
    sent = body(exchange.request)
    assert sent["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "cG5n"}},
        {"fileData": {"fileUri": "gs://b/a.pdf", "mimeType": "application/pdf"}},
        {"fileData": {"fileUri": "files/1"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "d2F2"}},
    ]
    response = sent["contents"][1]["parts"][0]["functionResponse"]
    assert response["response"] == {"error": "boom"}
    assert response["parts"][0]["inlineData"]["data"] == "cG5n"
    assert (sent["generationConfig"], sent["safetySettings"]) == ({"x": 1}, [])
    alone = ChatRequest(ModelConfig("p", "m"), [Message.system("Be."), Message.assistant()])
    assert gemini(alone)["contents"] == [{"role": "user", "parts": [{"text": " "}]}]
    with pytest.raises(CapabilityUnsupported, match="needs its tool's name"):
        gemini(ChatRequest(ModelConfig("p", "m"), [Message.tool("c", "x")]))
    with pytest.raises(CapabilityUnsupported, match="Thinking cannot be sent"):
        gemini(ChatRequest(ModelConfig("p", "m"), [Message.user(Thinking("x"))]))


def test_ollama_s_body() -> None:
    request = conversation(
        temperature=0.5, max_tokens=9, stop="END", extra={"keep_alive": 0, "options": {"num_ctx": 8}}
    )
    request = ChatRequest(request.model, request.messages, tools=TOOLS)
    sent = ollama(request)
    assert sent["stream"] is False
    assert ollama(request, stream=True)["stream"] is True
    assert sent["messages"][1] == {"role": "user", "content": "Look:and say.", "images": ["cG5n"]}
    assert sent["messages"][2]["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo"}
    assert sent["messages"][4] == {"role": "tool", "content": "noon", "tool_call_id": "srv-2", "tool_name": "clock"}
    assert sent["messages"][5]["role"] == "system"
    assert sent["options"] == {"temperature": 0.5, "num_predict": 9, "stop": ["END"], "num_ctx": 8}
    assert sent["keep_alive"] == 0
    assert len(sent["tools"]) == 2


def test_ollama_s_corners() -> None:
    own = Message(Role.ASSISTANT, (Thinking("hm"), Text("hi"), Opaque(b"{}")), origin="ollama")
    request = ChatRequest(
        ModelConfig("p", "gpt-oss:20b", reasoning_effort="low", logprobs=3),
        [
            Message.user(Image("data:image/png;base64,cG5n")),
            own,
            Message.assistant(tool_calls=[ToolCall("c", "f", "[")]),
        ],
        tools=TOOLS,
        tool_choice=ToolChoice("none"),
    )
    sent = ollama(request)
    assert sent["messages"][0]["images"] == ["cG5n"]
    assert sent["messages"][1] == {"role": "assistant", "content": "hi", "thinking": "hm"}
    assert sent["messages"][2]["tool_calls"][0]["function"]["arguments"] == {"arguments": "["}
    assert (sent["think"], sent["logprobs"], sent["top_logprobs"]) == ("low", True, 3)
    assert "tools" not in sent
    for part in (Image("https://x.test/a.png"), Audio(data=b"x", media_type="audio/wav")):
        with pytest.raises(CapabilityUnsupported):
            ollama(ChatRequest(ModelConfig("p", "m"), [Message.user(part)]))


@pytest.mark.parametrize("name", ["openai", "siliconflow", "gemini", "ollama"])
def test_embedding_bodies(name: str) -> None:
    provider = create(name, api_key="k")
    sent = body(provider.embed(EmbeddingRequest(ModelConfig(name, "e"), ["a", "b"], dimensions=8)).request)
    if name == "gemini":
        assert sent["requests"][1] == {
            "model": "models/e",
            "content": {"parts": [{"text": "b"}]},
            "outputDimensionality": 8,
        }
    else:
        assert (sent["input"], sent["dimensions"]) == (["a", "b"], 8)
        assert sent.get("encoding_format") == (None if name == "ollama" else "base64")
    with pytest.raises(CapabilityUnsupported, match="embeddings"):
        create("groq", api_key="k").embed(EmbeddingRequest(ModelConfig("groq", "e"), "a"))


def test_create_says_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="known are openai, gemini"):
        create("nobody")
    with pytest.raises(ValueError, match="takes no setting named colour"):
        create("openai", colour="red")
    with pytest.raises(ValueError, match="unsupported must be"):
        create("openai", unsupported="ignore")  # type: ignore[arg-type]  # what is tested
    assert create("openai", name="openai-eu", api_key="k").name == "openai-eu"
    assert (
        create("ollama", base_url="0.0.0.0")
        .chat(ChatRequest(ModelConfig("ollama", "m"), [Message.user("x")]))
        .request.url.startswith("http://127.0.0.1:11434/")
    )
