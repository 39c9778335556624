"""What one request keeps for the next: the JSON of messages, the bytes of header fields, the rule of a model."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import attrs
import pytest

from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Image, Message, Text, ToolCall
from turnout.providers import create
from turnout.providers.catalog.spec import MOST_FOUND, ModelRule
from turnout.providers.protocol import Provider

MODEL = ModelConfig("openai", "gpt-4o-mini")
OPENAI = create("openai", api_key="k")


def messages_of(provider: Provider, *messages: Message) -> Any:
    return json.loads(provider.chat(ChatRequest(MODEL, messages)).request.body)["messages"]


@pytest.mark.parametrize(
    "message",
    [
        Message.user("hello"),
        Message.user("a", "b"),
        Message.system("be brief"),
        Message.assistant("an answer"),
        Message.tool("call_1", "42", name="f"),
        Message.user('é \U0001f600 " \\ \n'),
    ],
)
def test_a_message_of_text_is_encoded_once_and_the_same_again(message: Message) -> None:
    message = attrs.evolve(message)
    first = messages_of(OPENAI, message)
    kept = message.kept_json
    assert json.loads(bytes(kept[1])) == first[0]
    assert messages_of(OPENAI, message, Message.user("more")) == [first[0], {"role": "user", "content": "more"}]
    assert message.kept_json is kept


@pytest.mark.parametrize(
    "message",
    [
        Message.user("look", Image("https://example.test/a.png")),
        Message.assistant(None, tool_calls=[ToolCall("call_1", "f", "{}")]),
        attrs.evolve(Message.user("a"), extra={"cache_control": {"type": "ephemeral"}}),
        Message.user(Text("a", extra={"x": 1})),
    ],
)
def test_other_messages_are_encoded_each_time(message: Message) -> None:
    assert messages_of(OPENAI, message) == messages_of(OPENAI, message)
    assert not hasattr(message, "kept_json")


def test_providers_with_other_habits_do_not_share_what_is_kept() -> None:
    message = Message.user("a", "b")
    flat = create("groq", api_key="k")
    bodies = [messages_of(provider, message) for provider in (OPENAI, flat, OPENAI, flat)]
    fresh = [messages_of(provider, Message.user("a", "b")) for provider in (OPENAI, flat)]
    assert bodies == fresh * 2


def test_plain_text_is_text_and_nothing_else() -> None:
    assert Message.user("a", "b").is_plain_text
    assert Message.tool("call_1", "42").is_plain_text
    assert not Message.user("look", Image("https://example.test/a.png")).is_plain_text
    assert not Message.user(Text("a", extra={"x": 1})).is_plain_text
    assert not attrs.evolve(Message.user("a"), extra={"x": 1}).is_plain_text
    assert not Message.assistant("a", tool_calls=[ToolCall("call_1", "f", "{}")]).is_plain_text


def test_what_is_kept_belongs_to_no_comparison_copy_or_store() -> None:
    message, other = Message.user("a"), Message.user("a")
    messages_of(OPENAI, message)
    assert message == other
    assert repr(message) == repr(other)
    assert message.to_dict() == other.to_dict()
    for again in (copy.copy(message), copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert again == other
        assert messages_of(OPENAI, again) == messages_of(OPENAI, other)


def test_half_a_surrogate_in_one_message_leaves_the_kept_ones_whole() -> None:
    kept = Message.user("é")
    messages_of(OPENAI, kept)
    broken = attrs.evolve(Message.user("x"), extra={"note": "half \ud83d"})
    assert messages_of(OPENAI, kept, broken) == [
        {"role": "user", "content": "é"},
        {"role": "user", "content": "x", "note": "half �"},
    ]
    assert messages_of(OPENAI, Message.user("half \ud83d"), kept)[0]["content"] == "half �"


def test_requests_share_their_header_fields_until_the_credentials_change() -> None:
    request = ChatRequest(MODEL, "hello")
    first, second = OPENAI.chat(request).request, OPENAI.chat(request).request
    assert first.headers is second.headers
    assert OPENAI.stream(request).request.headers is not first.headers
    assert OPENAI.stream(request).request.headers.get("accept") == "text/event-stream"
    assert create("openai", api_key="other").chat(request).request.headers.get("authorization") == "Bearer other"
    assert "Bearer k" not in repr(OPENAI)


def test_the_rule_of_a_model_is_looked_for_once_and_forgotten_among_many() -> None:
    spec = attrs.evolve(create("openai", api_key="k").account.spec, models=(ModelRule(pattern="gpt-"),))  # type: ignore[attr-defined]
    assert spec.rule("gpt-9") is spec.rule("gpt-9") is spec.models[0]
    for number in range(2 * MOST_FOUND):
        assert spec.rule(f"other-{number}") is None
    assert len(spec._found) <= MOST_FOUND
    assert spec.rule("gpt-9") is spec.models[0]
