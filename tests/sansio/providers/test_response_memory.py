"""The memory of a response: at most four times its limit, in however small pieces, shown or not."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from tests.sansio.providers.bedrock.test_bedrock import frame
from tests.sansio.providers.bodies import ndjson, sse
from tests.sansio.providers.playing import exchange_of
from turnout.errors import RemoteProtocolError
from turnout.providers import ResponseLimits

pytestmark = pytest.mark.full

READ = 4_096  # bytes of each read: its events are not part of the response


def delta(**fields: Any) -> bytes:
    return sse({"choices": [{"delta": fields}]})


def claude(**fields: Any) -> bytes:
    return sse({"type": "content_block_delta", "index": 0, "delta": fields})


def begun_claude(**fields: Any) -> bytes:
    return sse({"type": "content_block_start", "index": 0, "content_block": fields})


def gemini(part: dict[str, Any]) -> bytes:
    return sse({"candidates": [{"content": {"parts": [part]}}]})


def bedrock(**fields: Any) -> bytes:
    return frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": fields})


def begun_bedrock(**fields: Any) -> bytes:
    return frame("contentBlockStart", {"contentBlockIndex": 0, "start": fields})


def response(kind: str, **fields: Any) -> bytes:
    return sse({"type": f"response.{kind}", "output_index": 0, "item_id": "i", **fields})


CALL = {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": ""}
GROWING = {"name": "f", "willContinue": True}
PIECE = [{"jsonPath": "$.a", "stringValue": "a"}]
# The provider, the beginning of a stream, and an event with one character that is kept.
STREAMS: dict[str, tuple[str, bytes, bytes]] = {
    "text": ("openai", b"", delta(content="a")),
    "reasoning": ("openai", b"", delta(reasoning_content="a")),
    "refusal": ("openai", b"", delta(refusal="a")),
    "arguments": ("openai", b"", delta(tool_calls=[{"index": 0, "function": {"arguments": "a"}}])),
    "transcript": ("openai", b"", delta(audio={"id": "x", "transcript": "a"})),
    "sound": ("openai", b"", delta(audio={"id": "x", "data": "AAAA"})),
    "details": ("openrouter", b"", delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "data": "a"}])),
    "whole details": ("openrouter", b"", delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "a"}])),
    "thinking blocks": ("openai", b"", delta(thinking_blocks=[{"type": "thinking", "thinking": "a"}])),
    "parts of unknown types": ("openai", b"", delta(content=[{"type": "file", "file_id": "a"}])),
    "fields of one provider": ("openai", b"", delta(provider_specific_fields={"a": ["a"]})),
    "proofs": ("openai", b"", delta(signature="a")),
    "executed tools": ("groq", b"", delta(executed_tools=[{"type": "a"}])),
    "messages": ("mistral", b"", delta(index=0, role="assistant", content="a")),
    "results": ("mistral", b"", delta(index=0, role="tool", content="a")),
    "input of Anthropic": (
        "anthropic",
        begun_claude(type="tool_use", id="x", name="f", input={}),
        claude(type="input_json_delta", partial_json="a"),
    ),
    "input of Anthropic's own tool": (
        "anthropic",
        begun_claude(type="server_tool_use", id="x", name="f", input={}),
        claude(type="input_json_delta", partial_json="a"),
    ),
    "an unknown delta of Anthropic": (
        "anthropic",
        begun_claude(type="of_a_later_date", x=""),
        claude(type="of_a_later_date_delta", x="a"),
    ),
    "partial arguments of Gemini": (
        "gemini",
        gemini({"functionCall": GROWING}),
        gemini({"functionCall": {"partialArgs": PIECE, "willContinue": True}}),
    ),
    "text of Responses": ("responses", b"", response("output_text.delta", content_index=0, delta="a")),
    "arguments of Responses": (
        "responses",
        response("output_item.added", item=CALL),
        response("function_call_arguments.delta", delta="a"),
    ),
    "text of Cohere": (
        "cohere",
        b"",
        sse({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "a"}}}}),
    ),
    "text of Ollama": ("ollama", b"", ndjson({"message": {"content": "a"}})),
    "text of Bedrock": ("bedrock", b"", bedrock(text="a")),
    "hidden reasoning of Bedrock": ("bedrock", b"", bedrock(reasoningContent={"redactedContent": "AAAA"})),
    "input of Bedrock's own tool": (
        "bedrock",
        begun_bedrock(toolUse={"toolUseId": "x", "name": "f", "type": "server_tool_use"}),
        bedrock(toolUse={"input": "a"}),
    ),
    "results of Bedrock": (
        "bedrock",
        begun_bedrock(toolResult={"toolUseId": "x"}),
        bedrock(toolResult=[{"text": "a"}]),
    ),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_endless_small_pieces_end_at_the_limit(kind: str) -> None:
    limit = 100_000
    name, start, piece = STREAMS[kind]
    settings: dict[str, Any] = {"limits": ResponseLimits(output=limit)}
    if name == "responses":
        name, settings["api"] = "openai", "responses"
    exchange = exchange_of(name, stream=True, **settings)
    exchange.receive_head(200, ())
    if start:
        exchange.receive_data(start)
    count = READ // len(piece)
    block = piece * count
    exchange.receive_data(block)  # what is made once, such as caches
    tracemalloc.start()
    try:
        for _ in range(2 * limit // count):
            exchange.receive_data(block)
            if exchange.failure is not None:
                break
        assert exchange.result is not None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(exchange.failure, RemoteProtocolError)
    assert "responseLimits.output" in str(exchange.failure)
    assert peak <= 4 * limit
