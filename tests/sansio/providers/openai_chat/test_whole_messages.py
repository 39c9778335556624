"""Whole messages behind deltas repeat them: each piece is read once, and what only they have is not lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.playing import exchange_of, feed
from turnout.chat import FinishReason
from turnout.messages import Opaque

SERVER = "openai-compatible"


def delta(finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def whole(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **fields}, "finish_reason": "stop"}]}


CALL = {"name": "f", "arguments": '{"n": 1}'}
DETAIL = {"type": "reasoning.text", "text": "hm", "signature": "proof", "index": 0}
BLOCK = {"type": "thinking", "thinking": "hm", "signature": "proof"}
SOURCE = {"type": "url_citation", "url_citation": {"url": "https://example.test"}}
REPEATED: list[dict[str, Any]] = [
    {"refusal": "No."},
    {"function_call": CALL},
    {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "text"}}]},
    {"reasoning": "hm", "reasoning_details": [DETAIL]},
    {"reasoning_content": "hm", "thinking_blocks": [BLOCK]},
    {"reasoning_details": [DETAIL]},
    {"annotations": [SOURCE]},
    {"reasoning_text": "hm", "reasoning_opaque": "proof"},
    {"provider_specific_fields": {"thought_signatures": ["proof"]}},
    {"extra_content": {"google": {"thought_signature": "proof"}}},
    {"executed_tools": [{"type": "search", "output": "42"}]},
]


def facts(*chunks: dict[str, Any]) -> Any:
    """Return everything that an answer holds; of its parts, those of one kind together."""
    heard = feed(SERVER, sse(*chunks, "[DONE]"))
    assert heard.failure is None
    reply = heard.result
    parts = reply.message.content
    fields = [json.loads(part.json) for part in parts if isinstance(part, Opaque)]
    signatures = [signature for part in parts if (signature := getattr(part, "signature", None))]
    calls = [(call.name, call.arguments) for call in reply.tool_calls]
    return reply.text, reply.reasoning, reply.refusal, calls, reply.citations, fields, signatures, reply.extra


@pytest.mark.parametrize("fields", REPEATED)
def test_a_whole_message_behind_its_deltas_adds_nothing(fields: dict[str, Any]) -> None:
    once = facts(delta(content="Hello"), delta(**fields), delta("stop"))
    assert facts(delta(content="Hello"), delta(**fields), whole(content="Hello", **fields)) == once


@pytest.mark.parametrize("fields", REPEATED)
def test_what_only_the_whole_message_has_is_read(fields: dict[str, Any]) -> None:
    once = facts(delta(content="Hello"), delta(**fields), delta("stop"))
    assert facts(delta(content="Hello"), whole(content="Hello", **fields)) == once


def test_the_rest_of_a_refusal() -> None:
    assert facts(delta(refusal="N"), whole(content=None, refusal="No."))[2] == "No."


@pytest.mark.parametrize("end", ["[DONE]", ""])
def test_chunks_that_are_counted_end_without_a_terminator(end: str) -> None:
    """The finish reason is in a chunk of its own, whose number only the end can explain."""
    body = sse(delta(content="Hello"), delta("stop", index=1), *([end] if end else ()))
    heard = feed(SERVER, body)
    assert heard.failure is None
    assert (heard.result.text, heard.result.finish_reason) == ("Hello", FinishReason.STOP)


def test_chunks_that_are_counted_end_with_the_connection() -> None:
    exchange = exchange_of(SERVER, stream=True)
    exchange.receive_head(200, ())
    exchange.receive_data(sse(delta(content="Hello"), delta("stop", index=1)))
    assert exchange.can_end
