"""Fields that gateways add to messages, calls and parts: read, or kept for the next turn."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.playing import feed, read, sent_back
from turnout.chat import ChatResponse
from turnout.messages import Audio, Image, Message, Opaque, Text

SERVER = "openai-compatible"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n-pixel-").decode()
SOUND = base64.b64encode(b"RIFF\x00\x00\x00\x00WAVE").decode()


def both(message: dict[str, Any]) -> tuple[ChatResponse, ChatResponse]:
    """Return the response of a whole body, and of a stream with one delta."""
    whole = read(SERVER, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    heard = feed(SERVER, sse({"choices": [{"index": 0, "delta": message}]}, end, "[DONE]"))
    assert heard.failure is None
    return whole, heard.result


def returned(message: Message) -> dict[str, Any]:
    """Return the assistant's message of the next request."""
    sent: dict[str, Any] = sent_back(SERVER, message)["messages"][1]
    return sent


def kept(message: Message) -> dict[str, Any]:
    """Return the fields that the message keeps for its provider."""
    fields: dict[str, Any] = {}
    for part in message.content:
        if isinstance(part, Opaque):
            fields |= json.loads(part.json)
    return fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reasoning_opaque", "proof"),
        ("reasoning_signature", "proof"),
        ("signature", "proof"),
        ("encrypted_content", "proof"),
        ("cot_id", "proof"),
        ("reasoning_items", [{"type": "reasoning", "id": "rs_1", "encrypted_content": "proof"}]),
        ("provider_specific_fields", {"thought_signatures": ["proof"]}),
        ("extra_content", {"vertex": {"thought_signature": "proof"}}),
    ],
)
def test_a_proof_of_reasoning_goes_back(field: str, value: Any) -> None:
    for reply in both({"role": "assistant", "content": "x", "reasoning_content": "hm", field: value}):
        assert (reply.text, reply.reasoning) == ("x", "hm")
        assert returned(reply.message)[field] == value


@pytest.mark.parametrize("field", ["reasoning_text", "thinking", "cot_summary"])
def test_other_names_of_reasoning(field: str) -> None:
    for reply in both({"role": "assistant", "content": "x", field: "hm"}):
        assert (reply.text, reply.reasoning) == ("x", "hm")


@pytest.mark.parametrize("field", ["reasoning", "thinking"])
def test_reasoning_as_an_object(field: str) -> None:
    for reply in both({"role": "assistant", "content": "x", field: {"content": "hm", "signature": "proof"}}):
        assert (reply.text, reply.reasoning) == ("x", "hm")
        assert kept(reply.message)[field] == {"signature": "proof"}


def test_fields_without_a_value_are_not_kept() -> None:
    message = {"content": "x", "provider_specific_fields": {"refusal": None}, "signature": "", "reasoning_items": []}
    for reply in both(message):
        assert kept(reply.message) == {}


def test_pieces_of_an_object_are_joined() -> None:
    pieces: list[dict[str, Any]] = [{"signatures": ["a"]}, {"signatures": ["b"], "model": "x"}, {"model": "y"}]
    deltas = [
        {"choices": [{"index": 0, "delta": {"content": "x", "provider_specific_fields": each}}]} for each in pieces
    ]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    reply = feed(SERVER, sse(*deltas, end, "[DONE]")).result
    assert kept(reply.message)["provider_specific_fields"] == {"signatures": ["a", "b"], "model": "y"}


@pytest.mark.parametrize(
    "call",
    [
        {"function": {"name": "f", "arguments": "{}"}, "provider_specific_fields": {"thought_signature": "proof"}},
        {"function": {"name": "f", "arguments": "{}", "provider_specific_fields": {"thought_signature": "proof"}}},
    ],
)
def test_the_proof_of_a_call_goes_back_with_it(call: dict[str, Any]) -> None:
    for reply in both({"content": None, "tool_calls": [{"index": 0, "id": "c", "type": "function", **call}]}):
        (sent,) = returned(reply.message)["tool_calls"]
        assert sent["provider_specific_fields"] == {"thought_signature": "proof"}
        assert sent["function"] == {"name": "f", "arguments": "{}"}


def test_a_flat_signature_of_a_call_goes_back_with_it() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}, "thought_signature": "proof"}
    for reply in both({"content": None, "tool_calls": [call]}):
        assert returned(reply.message)["tool_calls"][0]["thought_signature"] == "proof"


@pytest.mark.parametrize(
    "call",
    [
        {"name": "f", "arguments": '{"n": 1}'},
        {"name": "f", "arguments": {"n": 1}},
        {"function": {"name": "f", "parameters": {"n": 1}}},
    ],
)
def test_calls_in_other_forms(call: dict[str, Any]) -> None:
    for reply in both({"content": None, "tool_calls": [{"index": 0, "id": "c", **call}]}):
        assert [(call.id, call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [("c", "f", {"n": 1})]


def test_the_signature_of_a_summary() -> None:
    summary = {"type": "summary_text", "text": "hm", "signature": "proof"}
    content = [{"type": "reasoning", "summary": [summary]}, {"type": "text", "text": "x"}]
    for reply in both({"content": content}):
        assert (reply.text, reply.reasoning) == ("x", "hm")
        assert getattr(reply.message.content[0], "signature", None) == "proof"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "redacted_thinking", "data": "hidden"},
        {"type": "file", "file_id": "file-1"},
        {"type": "reference", "reference_ids": [3, 1]},
        {"type": "document_url", "document_url": "https://example.test/a.pdf"},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        {"type": "image", "source": {"type": "base64", "data": "no image!"}},
    ],
)
def test_parts_of_other_types_are_kept(part: dict[str, Any]) -> None:
    for reply in both({"content": [{"type": "text", "text": "x"}, part, {"type": "text", "text": "y"}]}):
        assert reply.text == "xy"
        assert kept(reply.message) == {"content_parts": [part]}
        assert reply.extra["content_parts"] == [part]
        assert returned(reply.message)["content"] == "xy"


@pytest.mark.parametrize("part", [{"type": "text", "text": ""}, {"type": "thinking", "thinking": []}, {}, 7])
def test_parts_of_nothing_are_not_kept(part: Any) -> None:
    for reply in both({"content": [part, {"type": "text", "text": "x"}]}):
        assert (reply.text, kept(reply.message)) == ("x", {})


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}]},
        {"content": [{"type": "image", "source": {"type": "url", "url": f"data:image/png;base64,{PIXEL}"}}]},
        {"content": "", "image": {"url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}},
    ],
)
def test_images_in_other_forms(message: dict[str, Any]) -> None:
    for reply in both(message):
        assert reply.message.content == (Image(data=base64.b64decode(PIXEL), media_type="image/png"),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}},
        {"type": "audio", "audio": {"data": SOUND}},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{SOUND}"}},
        {"type": "audio_url", "audio_url": f"data:audio/wav;base64,{SOUND}"},
    ],
)
def test_sound_in_a_part(part: dict[str, Any]) -> None:
    for reply in both({"content": [{"type": "text", "text": "x"}, part]}):
        assert reply.message.content[1] == Audio(data=base64.b64decode(SOUND), media_type="audio/wav")


def test_sound_in_the_place_of_text() -> None:
    def chunk(modality: str, content: str, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": {"content": content}, "finish_reason": reason}
        return {"id": "c", "model": "m", "choices": [choice], "modality": modality}

    def parts(*chunks: dict[str, Any]) -> tuple[object, ...]:
        heard = feed(SERVER, sse(*chunks, "[DONE]"))
        assert heard.failure is None
        return heard.result.message.content

    chunks = [chunk("text", "Listen"), chunk("text", ":"), chunk("audio", SOUND), chunk("audio", SOUND, "stop")]
    sound = Audio(data=base64.b64decode(SOUND), media_type="audio/wav")
    assert parts(*chunks) == (Text("Listen:"), sound, sound)
    assert parts(*chunks[2:]) == (sound, sound)
    assert parts(chunk("audio", "no base64", "stop")) == (Text("no base64"),)
