"""Where Anthropic's system messages go, and that blank text goes nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ChatRequest, ModelConfig
from turnout.http import HttpRequest
from turnout.messages import Message, Refusal, Role, Text, ToolCall
from turnout.providers import create


def body(request: HttpRequest) -> Any:
    return json.loads(request.body)


def roles(model: str, *messages: Message) -> tuple[list[str], list[str]]:
    """Return the texts of the system prompt, and each turn as `role: texts`."""
    sent = body(create("anthropic", api_key="k").chat(ChatRequest(ModelConfig("anthropic", model), messages)).request)
    turns = [
        f"{turn['role']}: {'+'.join(block.get('text', block['type']) for block in turn['content'])}"
        for turn in sent["messages"]
    ]
    return [block["text"] for block in sent.get("system", [])], turns


def test_a_system_message_stays_between_the_turns_of_a_model_that_takes_it() -> None:
    messages = [
        Message.system("first"),
        Message(Role.DEVELOPER, "second"),
        Message.user("a"),
        Message.system("after a user's turn"),
        Message.system("and again"),
        Message.assistant("b"),
        Message.system("before a user's turn"),
        Message.user("c"),
        Message.system("last"),
    ]
    system, turns = roles("claude-opus-5", *messages)
    assert system == ["first", "second"]
    assert turns == [
        "user: a",
        "system: after a user's turn+and again",
        "assistant: b",
        "user: c",
        "system: before a user's turn+last",
    ]
    system, turns = roles("claude-opus-4-6", *messages)
    assert system == ["first", "second", "after a user's turn", "and again", "before a user's turn", "last"]
    assert turns == ["user: a", "assistant: b", "user: c"]


@pytest.mark.parametrize(
    ("model", "takes"),
    [("claude-opus-4-8", True), ("claude-sonnet-5", True), ("claude-haiku-5-5", True), ("claude-fable-5-1", True),
     ("claude-opus-4-7", False), ("claude-sonnet-4-6", False), ("claude-3-7-sonnet-latest", False)],
)  # fmt: skip
def test_which_models_take_a_system_message_between_turns(model: str, takes: bool) -> None:
    system, turns = roles(model, Message.user("a"), Message.system("s"))
    assert (system, turns) == (([], ["user: a", "system: s"]) if takes else (["s"], ["user: a"]))


def test_a_system_message_without_an_allowed_position_goes_to_the_system_prompt() -> None:
    system, turns = roles("claude-opus-5", Message.user("a"), Message.assistant("b"), Message.system("s"))
    assert (system, turns) == (["s"], ["user: a", "assistant: b"])
    messages = [Message.user("a"), Message.assistant("b"), Message.system("s"), Message.assistant("c")]
    assert roles("claude-opus-5", *messages) == (["s"], ["user: a", "assistant: b+c"])


ROLES_OF_TURNS = st.lists(st.sampled_from(["system", "user", "assistant", "tool"]), max_size=8)


@given(ROLES_OF_TURNS)
def test_every_system_turn_is_where_the_api_allows_it(kinds: list[str]) -> None:
    messages = [Message.user("begin")]
    for at, kind in enumerate(kinds):
        text = f"{kind} {at}"
        messages.append(Message.tool("c", text) if kind == "tool" else Message(Role(kind), text))
    system, turns = roles("claude-opus-5", *messages)
    spoken = [turn.partition(":")[0] for turn in turns]
    for at, role in enumerate(spoken):
        if role == "system":
            assert spoken[at - 1] == "user"
            assert spoken[at + 1 : at + 2] in ([], ["assistant"])
    placed = " ".join([*turns, *system]).replace("+", " ").split()
    assert placed.count("system") == kinds.count("system")


BLANK = st.text(" \t\n\r\u00a0", max_size=3)


@given(BLANK, BLANK, BLANK)
def test_blank_text_is_never_sent(one: str, two: str, three: str) -> None:
    call = ToolCall("c1", "clock", "{}")
    messages = [
        Message.system(one or "s"),
        Message.user("x", Text(two)),
        Message.assistant(three, tool_calls=[call]),
        Message.tool(call, one),
        Message.system(two or "s"),
        Message.assistant([Refusal(one)]),
        Message.user("y", Text(three)),
    ]
    for model in ("claude-opus-5", "claude-opus-4-5"):
        sent = create("anthropic", api_key="k").chat(ChatRequest(ModelConfig("anthropic", model), messages))
        for text in texts_in(body(sent.request)):
            assert text.strip()


def texts_in(value: Any) -> list[str]:
    """Return every `text` in the document."""
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for inner in value.values() for text in texts_in(inner)]
    return [text for inner in value for text in texts_in(inner)] if isinstance(value, list) else []
