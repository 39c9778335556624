"""Values of Turnout in the JSON shapes of agno-go, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import contract
from turnout.chat import Capability, ChatRequest, ModelConfig, ProviderStatus
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.events import End, Reasoning, Restarted, Token, ToolCallReady
from turnout.messages import Image, Message, Role, Text, Thinking, Tool, ToolCall
from turnout.responses import ChatResponse, FinishReason, Usage

MODEL = ModelConfig("openai", "gpt-4o-mini")
SEARCH = Tool("search", "Searches.", {"type": "object"})

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(st.none() | st.booleans() | numbers | texts, lambda inner: st.lists(inner, max_size=3))
arguments = st.dictionaries(texts, json_values, max_size=3).filter(lambda args: set(args) != {"arguments"})
calls = st.builds(ToolCall, names, names, arguments.map(lambda args: json.dumps(args, ensure_ascii=False)))
models = st.builds(
    ModelConfig,
    names,
    texts.filter(str.strip),
    temperature=st.none() | st.floats(0, 2),
    max_tokens=st.none() | st.integers(1, 10**6),
    timeout=st.none() | st.integers(1, 10**7).map(lambda ms: ms / 1000),
)
messages = (
    st.builds(Message, st.sampled_from([Role.SYSTEM, Role.USER]), texts)
    | st.builds(Message.assistant, st.none() | texts, tool_calls=st.lists(calls, max_size=3))
    | st.builds(Message.tool, names, texts, name=st.none() | names, is_error=st.booleans())
)
requests = st.builds(
    ChatRequest,
    models,
    st.lists(messages, min_size=1, max_size=4),
    tools=st.sampled_from([(), (SEARCH,)]),
    metadata=st.dictionaries(texts, json_values, max_size=2),
)
counts = st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)).filter(any)
usages = st.just(Usage(source="absent")) | counts.map(lambda two: Usage(prompt_tokens=two[0], completion_tokens=two[1]))
reasons = st.sampled_from([(reason, None) for reason in FinishReason if reason is not FinishReason.UNKNOWN]) | (
    st.sampled_from([(FinishReason.UNKNOWN, None), (FinishReason.UNKNOWN, "eos")])
)
responses = st.builds(
    lambda message, usage, ended: ChatResponse(
        message=message, model=MODEL, usage=usage, finish_reason=ended[0], raw_finish_reason=ended[1]
    ),
    st.builds(Message.assistant, st.none() | texts, tool_calls=st.lists(calls, max_size=3)),
    usages,
    reasons,
)
events = (
    st.builds(Token, texts)
    | st.builds(ToolCallReady, st.just(0), calls)
    | st.builds(
        lambda usage, ended: End(finish_reason=ended[0], raw_finish_reason=ended[1], usage=usage), usages, reasons
    )
)
statuses = st.builds(
    ProviderStatus,
    names,
    st.sampled_from(["available", "not-configured", "disabled"]),
    capabilities=st.frozensets(st.sampled_from([Capability.CHAT, Capability.STREAM, Capability.EMBEDDINGS])),
    missing_env=st.lists(names, max_size=2).map(tuple),
    reason=st.just("") | texts,
)
vectors = st.integers(1, 4).flatmap(
    lambda length: st.lists(st.lists(st.floats(-1, 1, width=32), min_size=length, max_size=length), min_size=1)
)


def sent(plain: dict[str, Any] | None) -> dict[str, Any]:
    """Return a shape after its way through JSON."""
    again: dict[str, Any] = json.loads(json.dumps(plain, allow_nan=False))
    return again


@given(requests, st.booleans())
def test_a_request_comes_back(request: ChatRequest, stream: bool) -> None:
    plain = sent(contract.build_chat_request(request, stream=stream))
    assert contract.read_chat_request(plain, tools=[SEARCH]) == request
    assert plain.get("stream", False) is stream


@given(responses)
def test_a_response_comes_back(response: ChatResponse) -> None:
    assert contract.read_chat_response(sent(contract.build_chat_response(response)), MODEL) == response


@given(events)
def test_an_event_comes_back(event: Token | ToolCallReady | End) -> None:
    assert contract.read_stream_event(sent(contract.build_stream_event(event))) == event


@given(statuses)
def test_a_status_comes_back(status: ProviderStatus) -> None:
    assert contract.read_status(sent(contract.build_status(status))) == status


@given(models, st.lists(texts, min_size=1), vectors, usages)
def test_embeddings_come_back(model: ModelConfig, inputs: list[str], rows: list[list[float]], usage: Usage) -> None:
    request = EmbeddingRequest(model, inputs)
    assert contract.read_embedding_request(sent(contract.build_embedding_request(request))) == request
    response = EmbeddingResponse(vectors=Vectors.of(rows), model=MODEL, usage=usage)
    assert contract.read_embedding_response(sent(contract.build_embedding_response(response)), MODEL) == response


@given(st.dictionaries(st.sampled_from(["model", "messages", "type", "provider"]), numbers | st.none()))
def test_other_shapes_are_refused_with_an_error_that_names_the_place(value: dict[str, Any]) -> None:
    for read in (contract.read_chat_request, contract.read_stream_event, contract.read_status):
        with pytest.raises(ValueError, match="of agno-go: "):
            read(value)


# As Go writes it: ids and times that nobody set are there, and zero values are not.
GO_MESSAGE = {
    "id": "00000000-0000-0000-0000-000000000000",
    "role": "assistant",
    "content": "",
    "toolCalls": [
        {
            "toolCallId": "c1",
            "name": "search",
            "args": {"q": "points"},
            "issuedAt": "0001-01-01T00:00:00Z",
            "result": {"toolCallId": "c1", "status": "timeout", "completedAt": "0001-01-01T00:00:00Z"},
        }
    ],
    "usage": {},
    "createdAt": "0001-01-01T00:00:00Z",
}


def test_results_inside_a_call_become_messages_of_their_own() -> None:
    model = {"provider": "openai", "modelId": "gpt-4o-mini", "maxTokens": None, "timeoutMs": 30000}
    request = contract.read_chat_request({"model": model, "messages": [GO_MESSAGE], "tools": None})
    assert request.model.timeout == 30
    assert request.messages == (
        Message.assistant(tool_calls=[ToolCall("c1", "search", '{"q": "points"}')]),
        Message.tool("c1", "timeout", name="search", is_error=True),
    )


def test_a_call_without_arguments_and_one_that_cannot_be_read() -> None:
    call = {"toolCallId": "c1", "name": "now", "args": {"arguments": "{}"}}
    event = contract.read_stream_event({"type": "tool_call", "toolCall": call})
    assert event == ToolCallReady(0, ToolCall("c1", "now"))
    broken = contract.build_stream_event(ToolCallReady(0, ToolCall("c1", "now", '{"a": ')))
    assert broken is not None
    assert broken["toolCall"]["args"] == {"arguments": '{"a": '}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ChatRequest(MODEL, "hello", top_p=0.5), "ModelConfig.top_p"),
        (ChatRequest(MODEL, "hello", fallbacks=["groq/llama"]), "ChatRequest.fallbacks"),
        (ChatRequest(MODEL, [Message("user", "hello", extra={"openai": {"name": "ada"}})]), "Message.extra"),
        (ChatRequest(MODEL, [Message.user(Image(url="https://example.org/a.png"))]), "Image"),
    ],
)
def test_what_has_no_place_is_refused(request_: ChatRequest, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        contract.build_chat_request(request_)


def test_the_thinking_of_another_provider_is_omitted() -> None:
    turn = Message.assistant([Thinking("because"), Text("It is cold.", signature="proof")])
    plain = contract.build_chat_request(ChatRequest(MODEL, [Message.user("Why?"), turn]))
    assert plain["messages"][1] == {"role": "assistant", "content": "It is cold."}


def test_events_without_a_counterpart() -> None:
    assert contract.build_stream_event(Reasoning("because")) is None
    assert contract.read_stream_event({"type": "token"}) is None
    with pytest.raises(ValueError, match="starts again"):
        contract.build_stream_event(Restarted(2))


def test_a_tool_without_a_schema_is_refused() -> None:
    value = contract.build_chat_request(ChatRequest(MODEL, "hello", tools=[SEARCH]))
    with pytest.raises(ValueError, match="'search'"):
        contract.read_chat_request(value)
