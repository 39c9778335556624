"""The media of tool results, in every protocol."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Audio, File, Image, Message, Role, Text, Tool, ToolCall
from turnout.providers import create
from turnout.providers.encoding.tool_results import answered_results, results_as_text

PNG = b"\x89PNG"
IMAGE = Image(data=PNG, media_type="image/png")
URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
SHOT, READ = ToolCall("call_1a2b3c4d", "screenshot", "{}"), ToolCall("call_5e6f7a8b", "read", "{}")
CONVERSATION = (
    Message.user("What is on the screen?"),
    Message.assistant(tool_calls=[SHOT, READ]),
    Message.tool(SHOT.id, IMAGE),
    Message.tool(READ, "12"),
)


def sent(provider: str, model: str, *more: Message) -> list[dict[str, Any]]:
    """Return the messages that a provider receives."""
    request = ChatRequest(
        ModelConfig(provider, model, max_tokens=9), (*CONVERSATION, *more), tools=[Tool("screenshot"), Tool("read")]
    )
    body = json.loads(create(provider, api_key="k").chat(request).request.body)
    found: list[dict[str, Any]] = body.get("messages") or body.get("contents") or body["input"]
    return found


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "gpt-4o-mini"), ("groq", "llama-4"), ("openrouter", "x/y"), ("cohere", "command-a-vision-07-2025")],
)
def test_a_result_of_text_alone_is_followed_by_a_user_who_shows_the_image(provider: str, model: str) -> None:
    *_, shot, read, shown = sent(provider, model)
    assert (shot["role"], shot["content"]) == ("tool", "The result is in the next message of the user.")
    assert (read["role"], read["content"]) == ("tool", "12")
    assert shown["role"] == "user"
    assert shown["content"] == [
        {"type": "text", "text": "The result of screenshot:"},
        {"type": "image_url", "image_url": {"url": URL}},
    ]


def test_mistral_takes_no_user_directly_after_a_result() -> None:
    assert [message["role"] for message in sent("mistral", "pixtral-large")[-4:]] == [
        "tool", "tool", "assistant", "user",
    ]  # fmt: skip
    roles = [message.role for message in answered_results([*CONVERSATION, Message.user("And?"), Message.user("So?")])]
    assert roles[-4:] == [Role.TOOL, Role.ASSISTANT, Role.USER, Role.USER]


def test_gemini_before_its_third_generation_sees_the_image_in_a_turn_of_its_own() -> None:
    *_, results, shown = sent("gemini", "gemini-2.5-flash", Message.user("Well?"))
    assert [list(part) for part in results["parts"]] == [["functionResponse"], ["functionResponse"]]
    assert [list(part) for part in shown["parts"]] == [["text"], ["inlineData"], ["text"]]


@pytest.mark.parametrize(
    ("provider", "model", "path"),
    [
        ("gemini", "gemini-3-flash-preview", ("parts", 0, "functionResponse", "parts", 0, "inlineData", "data")),
        ("anthropic", "claude-sonnet-4-5", ("content", 0, "content", 0, "source", "data")),
        ("bedrock", "anthropic.claude", ("content", 0, "toolResult", "content", 0, "image", "source", "bytes")),
    ],
)
def test_protocols_that_take_an_image_in_a_result(provider: str, model: str, path: tuple[Any, ...]) -> None:
    value: Any = sent(provider, model)[-1]
    for step in path:
        value = value[step]
    assert base64.b64decode(value) == PNG


def test_responses_and_ollama_take_an_image_in_a_result() -> None:
    request = ChatRequest(ModelConfig("openai", "gpt-5"), CONVERSATION)
    body = json.loads(create("openai", api_key="k", api="responses").chat(request).request.body)
    assert body["input"][-2]["output"] == [{"type": "input_image", "image_url": URL, "detail": "auto"}]
    assert sent("ollama", "llava")[-2]["images"] == [base64.b64encode(PNG).decode()]


def test_the_text_of_a_result_stays_and_every_kind_of_media_follows() -> None:
    page, sound = File(data=b"%PDF", media_type="application/pdf"), Audio(data=b"RIFF", media_type="audio/wav")
    result = Message(Role.TOOL, (Text("two"), page, Text(" things"), sound), tool_call_id="unknown", is_error=True)
    later = Message.assistant("I see.")
    told, shown, last = results_as_text([result, later])
    assert (told.text, told.is_error, told.tool_call_id) == ("two things", True, "unknown")
    assert shown == Message.user("The result of unknown:", page, sound)
    assert last is later


def test_a_conversation_without_media_is_not_copied() -> None:
    messages = (CONVERSATION[0], CONVERSATION[1], CONVERSATION[3])
    assert results_as_text(messages) is messages
