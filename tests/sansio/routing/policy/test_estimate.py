"""The estimated tokens of a request: each part of it counts."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.messages import Audio, Image, Message, Tool, ToolCall
from turnout.routing.policy.estimate import completion_tokens, embedding_tokens, prompt_tokens, text_tokens

LONG = "x" * 400


def tokens(*messages: Message, **fields: Any) -> int:
    return prompt_tokens(ChatRequest("openai/m", [Message.user("x"), *messages], **fields))


NOTHING = tokens()


@pytest.mark.parametrize(("text", "count"), [("", 0), ("abcd", 1), ("abcde", 2), ("漢字", 2), ("\ud800", 1)])
def test_four_bytes_are_a_token(text: str, count: int) -> None:
    assert text_tokens(text) == count
    assert embedding_tokens([text, "abcd"]) == count + 1


@pytest.mark.parametrize(
    ("message", "count"),
    [
        (Message.user(LONG), 4 + 100),
        (Message.assistant(tool_calls=[ToolCall("1", LONG, "{}")]), 4 + 100 + 1),
        (Message.assistant(tool_calls=[ToolCall("1", "f", '{"a": "' + LONG[:391] + '"}')]), 4 + 1 + 100),
        (Message.assistant(tool_calls=[ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}")]), 4 + 4),
        (Message.user(Image(url="https://x.test/a.png")), 4 + 1_100),
        (Message.user(Audio(data=b"x", media_type="audio/wav")), 4 + 3_000),
    ],
)
def test_a_message_counts_with_its_parts_and_calls(message: Message, count: int) -> None:
    assert tokens(message) - NOTHING == count
    assert tokens(message) - NOTHING == count  # it is kept with the message


def test_a_tool_counts_with_its_name_description_and_parameters() -> None:
    bare = tokens(tools=[Tool("f")])
    assert tokens(tools=[Tool("f" + LONG[:60])]) - bare == 15
    assert tokens(tools=[Tool("f", LONG)]) - bare == 100
    assert tokens(tools=[Tool("f", "", {"type": "object", "title": LONG})]) - bare > 100
    assert tokens(tools=[Tool("f"), Tool("g")]) - bare == bare - NOTHING


def test_the_schema_of_the_response_counts() -> None:
    schema = {"type": "object", "title": LONG}
    assert tokens(response_format=ResponseFormat(schema)) - NOTHING > 100


def test_the_response_counts_as_its_largest_size() -> None:
    assert completion_tokens(ModelConfig("openai", "m", max_tokens=7)) == 7
    assert completion_tokens(ModelConfig("openai", "m")) == 1_000
