"""The end of a conversation for Anthropic's models: the text that an answer continues has no white space at its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout import ChatRequest, Message, ModelConfig
from turnout.providers import create
from turnout.providers.encoding.alternating_turns import Turns


def last_turn(provider: str, *messages: Message) -> Any:
    settings: dict[str, Any] = {"region": "us-east-1"} if provider == "bedrock" else {}
    made = create(provider, api_key="k", **settings)
    model = "claude-3-7-sonnet-20250219" if provider == "anthropic" else "anthropic.claude-3-5-sonnet-20241022-v2:0"
    request = made.chat(ChatRequest(ModelConfig(provider, model), messages)).request
    return json.loads(request.body or b"")["messages"][-1]["content"]


@pytest.mark.parametrize("provider", ["anthropic", "bedrock"])
def test_a_prefill_is_stripped_at_its_end(provider: str) -> None:
    content = last_turn(provider, Message.user("Go on "), Message.assistant("  Sure: \n"))
    assert [block["text"] for block in content] == ["  Sure:"]


@pytest.mark.parametrize("provider", ["anthropic", "bedrock"])
def test_every_other_text_stays_as_it_is(provider: str) -> None:
    content = last_turn(provider, Message.user("Hi"), Message.assistant("Sure: \n"), Message.user(" Go on \n"))
    assert [block["text"] for block in content] == [" Go on \n"]


def test_turns_without_a_text_at_their_end() -> None:
    turns = Turns()
    turns.strip_prefill()
    assert turns.turns == []
    turns.add("assistant", [{"type": "tool_use", "id": "a"}], {})
    turns.strip_prefill()
    assert turns.turns[-1]["content"] == [{"type": "tool_use", "id": "a"}]
