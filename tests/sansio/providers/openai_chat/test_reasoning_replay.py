"""How models that speak chat completions get their own reasoning back, by entry and by model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Audio, Commentary, Image, Message, Opaque, Part, Text, Thinking, ToolCall
from turnout.providers import CATALOG, create

THOUGHT = Thinking("I should look.", signature="proof")
FIELDS = ("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks")


def messages_for(entry: str, model_id: str, *turns: Message, reasoning_replay: Any = None) -> list[dict[str, Any]]:
    """Return the messages of the body for these turns."""
    base_url = "http://localhost:1/v1" if not CATALOG[entry].base_url else None
    provider: Any = create(entry, base_url=base_url, api_key="k", reasoning_replay=reasoning_replay)
    request = ChatRequest(ModelConfig("p", model_id), [Message.user("x"), *turns])
    body = json.loads(provider.chat(request).request.body)
    messages: list[dict[str, Any]] = body["messages"]
    return messages


def turn(entry: str, *parts: Part, calls: bool = True) -> Message:
    tool_calls = [ToolCall("call_1", "look")] if calls else []
    return Message("assistant", parts or (THOUGHT, Text("Looking.")), tool_calls=tool_calls, origin=entry)


RESULT = Message.tool("call_1", "found", name="look")


@pytest.mark.parametrize(
    ("entry", "model_id", "field"),
    [
        ("moonshot", "kimi-k2-thinking", "reasoning_content"),
        ("moonshot", "kimi-k2.5", "reasoning_content"),
        ("moonshot", "kimi-k3", "reasoning_content"),
        ("siliconflow", "moonshotai/Kimi-K2-Thinking", "reasoning_content"),
        ("siliconflow", "Pro/moonshotai/Kimi-K2.5", "reasoning_content"),
        ("together", "moonshotai/Kimi-K2.5", "reasoning_content"),
        ("together", "openai/gpt-oss-120b", "reasoning"),
        ("modelscope", "moonshotai/Kimi-K2.5", "reasoning_content"),
        ("openai-compatible", "moonshotai/Kimi-K3", "reasoning_content"),
        ("openai-compatible", "my-model", None),
        ("groq", "openai/gpt-oss-120b", "reasoning"),
        ("groq", "qwen/qwen3-32b", "reasoning"),
        ("groq", "moonshotai/kimi-k2-instruct", None),
        ("groq", "llama-3.3-70b-versatile", None),
        ("cerebras", "gpt-oss-120b", "reasoning"),
        ("cerebras", "llama-4-scout", None),
        ("deepseek", "deepseek-v4", "reasoning_content"),
        ("openai", "gpt-6", None),
    ],
)
def test_the_field_of_a_model(entry: str, model_id: str, field: str | None) -> None:
    sent = messages_for(entry, model_id, turn(entry), RESULT)[1]
    expected = {} if field is None else {field: "I should look."}
    assert {name: sent[name] for name in FIELDS if name in sent} == expected
    assert sent["content"] == "Looking."


@pytest.mark.parametrize(("entry", "model_id"), [("moonshot", "kimi-k3"), ("groq", "openai/gpt-oss-20b")])
def test_reasoning_of_a_turn_without_calls_stays_here(entry: str, model_id: str) -> None:
    sent = messages_for(entry, model_id, turn(entry, calls=False), Message.user("y"))
    assert not set(FIELDS) & set(sent[1])


def test_every_message_of_a_turn_with_calls_has_the_field() -> None:
    """DeepSeek and Moonshot refuse the request if one lacks it, also one that another model made."""
    turns = [
        turn("deepseek", calls=False),
        Message.user("y"),
        turn("anthropic"),
        RESULT,
        turn("deepseek", THOUGHT, Text("There."), calls=False),
    ]
    sent = [each for each in messages_for("deepseek", "deepseek-v4", *turns) if each["role"] == "assistant"]
    assert [each.get("reasoning_content") for each in sent] == [None, "", "I should look."]


@pytest.mark.parametrize(
    ("entry", "model_id", "field"),
    [
        ("deepseek", "deepseek-chat", "reasoning_content"),
        ("moonshot", "kimi-k3", "reasoning_content"),
        ("groq", "openai/gpt-oss-20b", "reasoning"),
        ("ollama", "gpt-oss:20b", "thinking"),
        ("openai", "gpt-6", None),
    ],
)
def test_reasoning_that_the_caller_wrote_is_sent(entry: str, model_id: str, field: str | None) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    stored = {"role": "assistant", "content": "", "reasoning_content": "Think.", "tool_calls": [call]}
    sent = messages_for(entry, model_id, Message.from_dict(stored), RESULT)[1]
    assert {name: sent[name] for name in (*FIELDS, "thinking") if name in sent} == ({field: "Think."} if field else {})


def test_cohere_gets_reasoning_that_the_caller_wrote() -> None:
    sent = messages_for("cohere", "command-a-reasoning-08-2025", Message.assistant([Thinking("Think."), Text("x")]))[1]
    assert sent["content"][0] == {"type": "thinking", "thinking": "Think."}


def test_mistral_gets_signed_reasoning_back_in_its_place() -> None:
    parts = (Text("First."), THOUGHT, Text("Looking."))
    assert messages_for("mistral", "magistral-medium-2603", turn("mistral", *parts), RESULT)[1]["content"] == [
        {"type": "text", "text": "First."},
        {"type": "thinking", "thinking": [{"type": "text", "text": "I should look."}], "signature": "proof"},
        {"type": "text", "text": "Looking."},
    ]
    unsigned = turn("mistral", Thinking("hm"), Text("Looking."))
    assert messages_for("mistral", "magistral-medium-2603", unsigned, RESULT)[1]["content"] == "Looking."
    foreign = turn("anthropic", *parts)
    assert messages_for("mistral", "magistral-medium-2603", foreign, RESULT)[1]["content"] == "First.Looking."


@pytest.mark.parametrize(
    ("switch", "field"),
    [
        ("none", None),
        ("reasoning_content", "reasoning_content"),
        ("reasoning_content_of_calls", "reasoning_content"),
        ("reasoning_of_calls", "reasoning"),
    ],
)
@pytest.mark.parametrize(("entry", "model_id"), [("moonshot", "kimi-k3"), ("openai-compatible", "my-model")])
def test_the_switch_replaces_what_the_catalog_knows(entry: str, model_id: str, switch: str, field: str | None) -> None:
    sent = messages_for(entry, model_id, turn(entry), RESULT, reasoning_replay=switch)[1]
    assert [name for name in FIELDS if name in sent] == ([field] if field else [])


def test_opaque_fields_go_back_unless_the_switch_is_none() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s"}]
    made = turn("openrouter", Opaque(json.dumps({"reasoning_details": details}).encode()), Text("x"))
    assert messages_for("openrouter", "x/y", made, RESULT)[1]["reasoning_details"] == details
    assert "reasoning_details" not in messages_for("openrouter", "x/y", made, RESULT, reasoning_replay="none")[1]
    assert "reasoning_details" not in messages_for("together", "x/y", made, RESULT)[1]


@pytest.mark.parametrize("entry", sorted(set(CATALOG) - {"azure", "bedrock"}))
def test_reasoning_of_another_provider_is_never_sent(entry: str) -> None:
    base_url = None if CATALOG[entry].base_url else "http://localhost:1/v1"
    provider: Any = create(entry, base_url=base_url, api_key="k")
    for model_id in ("kimi-k3", "gpt-oss-120b", "m"):
        made = Message("assistant", [THOUGHT, Text("x")], tool_calls=[ToolCall("c", "f")], origin="elsewhere")
        request = ChatRequest(ModelConfig("p", model_id), [Message.user("x"), made, Message.tool("c", "y", name="f")])
        body = provider.chat(request).request.body
        assert b"I should look" not in body
        assert b"proof" not in body


# -- what a model made besides text ---------------------------------------------------------------------------------

PICTURE = Image(data=b"\x89PNG", media_type="image/png")
SOUND = Audio(data=b"RIFF", media_type="audio/wav", transcript="Hello.")
SILENT = Audio(data=b"RIFF", media_type="audio/wav")


@pytest.mark.parametrize("entry", ["openai", "anthropic", "cohere", "ollama", "mistral", "openai-compatible"])
@pytest.mark.parametrize("api", [None, "responses"])
def test_a_request_does_not_fail_because_an_earlier_model_made_media(entry: str, api: Any) -> None:
    if api is not None and api not in CATALOG[entry].apis:
        pytest.skip("it has one api")
    base_url = None if CATALOG[entry].base_url else "http://localhost:1/v1"
    provider: Any = create(entry, api_key="k", base_url=base_url, api=api)
    made = Message("assistant", [Commentary("Plan."), PICTURE, SOUND, SILENT, Text("End.")], origin="elsewhere")
    request = ChatRequest(ModelConfig("p", "m"), [Message.user("x"), made, Message.user("y")])
    body = provider.chat(request).request.body.decode()
    assert "Plan." in body
    assert "Hello." in body
    assert "End." in body
    assert "UklGRg" not in body
    assert "iVBORw" not in body


def test_gemini_gets_media_that_another_provider_made() -> None:
    made = Message("assistant", [PICTURE, Text("End.")], origin="elsewhere")
    request = ChatRequest(ModelConfig("p", "m"), [Message.user("x"), made, Message.user("y")])
    provider: Any = create("gemini", api_key="k")
    contents = json.loads(provider.chat(request).request.body)["contents"]
    assert [next(iter(part)) for part in contents[1]["parts"]] == ["inlineData", "text"]
