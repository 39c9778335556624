"""The server's machine reads the client's request as the same request: sent on, it gives the same bytes again."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.serving.answers import ARGUMENTS, resolve_as
from tests.sansio.serving.answers import TEXT as ANY_TEXT
from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.embeddings import EmbeddingRequest
from turnout.messages import Audio, File, Image, Message, Part, Role, Text, Tool, ToolCall, ToolChoice
from turnout.providers import create
from turnout.serving import (
    ChatCompletions,
    ChatDialect,
    Messages,
    ReadOptions,
    RequestRejected,
    Responses,
    read_embedding_request,
)

TEXT = ANY_TEXT.filter(str.strip)  # blank text is left out for Anthropic, which rejects it
STRICT = ReadOptions(ignore_unknown=False)


@attrs.frozen
class Client:
    """A client's dialect, and what it can say."""

    dialect: ChatDialect
    provider: str
    model: str
    settings: dict[str, Any] = attrs.field(factory=dict)
    audio: bool = False
    own_settings: tuple[str, ...] = ()

    def body(self, request: ChatRequest, *, stream: bool) -> bytes:
        provider = create(self.provider, api_key="k", **self.settings)
        return (provider.stream(request) if stream else provider.chat(request)).request.body


CHAT = Client(
    ChatCompletions(),
    "openai",
    "gpt-4o-mini",
    audio=True,
    own_settings=(
        "temperature",
        "top_p",
        "max_tokens",
        "seed",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
    ),
)
MESSAGES = Client(
    Messages(), "anthropic", "claude-3-5-haiku-latest", own_settings=("temperature", "max_tokens", "stop", "top_k")
)
RESPONSES = Client(
    Responses(), "openai", "gpt-4o-mini", {"api": "responses"}, own_settings=("temperature", "top_p", "max_tokens")
)
CLIENTS = pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES], ids=["chat", "messages", "responses"])

SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.sampled_from([0, 0.5, 1]),
    "top_p": st.sampled_from([0.1, 1]),
    "top_k": st.integers(1, 40),
    "max_tokens": st.integers(1, 4000),
    "seed": st.integers(0, 9),
    "stop": st.lists(st.sampled_from(["END", "\n\n"]), min_size=1, max_size=2),
    "presence_penalty": st.sampled_from([-2, 0.5]),
    "frequency_penalty": st.sampled_from([0, 2]),
    "logprobs": st.integers(0, 5),
}
SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        {"type": "object", "properties": {}, "additionalProperties": False},
    ]
)
NAMES = ("search", "get_time", "f-1")


@st.composite
def user_parts(draw: st.DrawFn, client: Client) -> Part:
    kinds = ["text", "url", "bytes", "data_url", "pdf"] + (["audio"] if client.audio else [])
    match draw(st.sampled_from(kinds)):
        case "url":
            return Image("https://example.test/a.png", detail=None if client is MESSAGES else "low")
        case "bytes":
            return Image(data=draw(st.binary(min_size=1, max_size=6)), media_type="image/png")
        case "data_url":
            return Image("data:image/png;base64,AAAA")
        case "pdf":
            return File(data=b"%PDF", media_type="application/pdf", filename="a.pdf")
        case "audio":
            return Audio(data=b"RIFF", media_type=draw(st.sampled_from(["audio/wav", "audio/mpeg"])))
        case _:
            return Text(draw(TEXT))


@st.composite
def conversations(draw: st.DrawFn, client: Client) -> list[Message]:
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message.system(draw(TEXT)))
    for turn in range(draw(st.integers(1, 3))):
        messages.append(Message.user(*draw(st.lists(user_parts(client), min_size=1, max_size=3))))
        if client is MESSAGES or draw(st.booleans()):  # neighbours of one role are one turn in Messages
            calls = [
                ToolCall(f"call_{turn}_{index}", draw(st.sampled_from(NAMES)), draw(ARGUMENTS))
                for index in range(draw(st.integers(0, 2)))
            ]
            text = draw(TEXT) if not calls or draw(st.booleans()) else None
            messages.append(Message.assistant(text, tool_calls=calls))
            messages += [
                Message.tool(call.id, draw(TEXT), is_error=client is MESSAGES and draw(st.booleans())) for call in calls
            ]
    if messages[-1].role in (Role.ASSISTANT, Role.TOOL):
        messages.append(Message.user("go on"))
    return messages


@st.composite
def requests(draw: st.DrawFn, client: Client) -> ChatRequest:
    settings = {name: draw(SETTINGS[name]) for name in client.own_settings if draw(st.booleans())}
    if client is MESSAGES:
        settings.setdefault("max_tokens", 100)
    tools = [
        Tool(
            name,
            draw(st.sampled_from(["", "Find things."])),
            draw(SCHEMAS),
            strict=draw(st.sampled_from([None, False])),
        )
        for name in NAMES[: draw(st.integers(0, 3))]
    ]
    choices = [None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice.named("search")]
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    formats = [None, ResponseFormat(schema, strict=True, name="answer")]
    if client is not MESSAGES:
        formats += [ResponseFormat.json(), ResponseFormat(schema, name="x", strict=False, description="A thing.")]
    return ChatRequest(
        ModelConfig(client.provider, client.model if client is not MESSAGES else "claude-sonnet-4-5", **settings),
        draw(conversations(client)),
        tools=tools,
        tool_choice=draw(st.sampled_from(choices)) if tools else None,
        parallel_tool_calls=draw(st.sampled_from([None, True, False])) if tools else None,
        response_format=draw(st.sampled_from(formats)),
    )


@pytest.mark.slow
@CLIENTS
@given(st.data(), st.booleans())
def test_a_request_sent_on_is_the_same_request(client: Client, data: st.DataObject, stream: bool) -> None:
    sent = client.body(data.draw(requests(client)), stream=stream)
    inbound = client.dialect.read_request(sent, resolve_as(client.provider), STRICT)
    assert inbound.stream is stream
    assert inbound.include_usage is stream or client is not CHAT
    assert inbound.ignored == ()
    assert inbound.model_name == json.loads(sent)["model"]
    assert json.loads(client.body(inbound.request, stream=stream)) == json.loads(sent)


@pytest.mark.slow
@CLIENTS
@given(st.data())
def test_every_request_becomes_one_that_the_vocabulary_equals(client: Client, data: st.DataObject) -> None:
    """Settings, tools and the conversation's texts arrive: not only what this client's dialect writes of them."""
    request = data.draw(requests(client))
    read = client.dialect.read_request(client.body(request, stream=False), resolve_as(client.provider), STRICT).request
    assert [message.role for message in read.messages] == [message.role for message in request.messages]
    assert [message.text for message in read.messages] == [message.text for message in request.messages]
    assert [
        [(call.id, call.name, json.loads(call.arguments)) for call in message.tool_calls] for message in read.messages
    ] == [
        [(call.id, call.name, json.loads(call.arguments)) for call in message.tool_calls]
        for message in request.messages
    ]
    assert [message.tool_call_id for message in read.messages] == [message.tool_call_id for message in request.messages]
    assert [message.is_error for message in read.messages] == [message.is_error for message in request.messages]
    assert [(tool.name, tool.description) for tool in read.tools] == [
        (tool.name, tool.description) for tool in request.tools
    ]
    assert (read.tool_choice or ToolChoice()) == (request.tool_choice or ToolChoice())
    for name in client.own_settings:
        assert getattr(read.model, name) == getattr(request.model, name) or name == "temperature"


@given(st.lists(TEXT, min_size=1, max_size=4), st.none() | st.integers(1, 64))
def test_an_embedding_request_sent_on_is_the_same_request(texts: list[str], dimensions: int | None) -> None:
    provider = create("openai", api_key="k")
    request = EmbeddingRequest(ModelConfig("openai", "text-embedding-3-small"), texts, dimensions=dimensions)
    sent = provider.embed(request).request.body
    inbound = read_embedding_request(sent, resolve_as("openai"), STRICT)
    assert inbound.request == request
    assert json.loads(provider.embed(inbound.request).request.body) == json.loads(sent)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@CLIENTS
@given(st.data())
def test_a_request_with_anything_in_it_is_read_or_rejected(client: Client, data: st.DataObject) -> None:
    """A field is replaced by any JSON value: the machine reads the request or raises its own error, with a path."""
    document = json.loads(client.body(data.draw(requests(client)), stream=False))
    target: Any = document
    while isinstance(target, dict | list) and target:
        keys = list(target) if isinstance(target, dict) else list(range(len(target)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(target[key], dict | list) or not target[key] or data.draw(st.booleans()):
            target[key] = data.draw(JSON)
            break
        target = target[key]
    try:
        client.dialect.read_request(json.dumps(document).encode(), resolve_as(client.provider), ReadOptions())
    except RequestRejected as rejected:
        assert rejected.error.status == 400
        assert rejected.error.message


@CLIENTS
@given(body=st.binary(max_size=80) | st.text(max_size=20).map(str.encode) | JSON.map(json.dumps).map(str.encode))
def test_any_bytes_are_read_or_rejected(client: Client, body: bytes) -> None:
    with pytest.raises(RequestRejected) as caught:
        client.dialect.read_request(body, resolve_as(client.provider), ReadOptions())
    assert caught.value.error.status == 400
