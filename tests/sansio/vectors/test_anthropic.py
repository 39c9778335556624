"""Vectors 68 to 70: Anthropic."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.anthropic.answers import event
from tests.sansio.vectors.exchanges import asking, chat, failed, sent, stream
from turnout.chat import FinishReason, Usage
from turnout.errors import Overloaded
from turnout.events import PartReady, PartSigned, Reasoning, Token, ToolCallDelta
from turnout.messages import Message, Opaque

MODEL = "claude-opus-4-6"
BUSY = {"type": "overloaded_error", "message": "Overloaded"}


def begin(**usage: int) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "served", "content": []}
    return event("message_start", message=message | {"usage": usage or {"input_tokens": 3, "output_tokens": 1}})


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    pieces = b"".join(event("content_block_delta", index=index, delta=delta) for delta in deltas)
    return (
        event("content_block_start", index=index, content_block=start)
        + pieces
        + event("content_block_stop", index=index)
    )


def text(index: int, *deltas: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": each} for each in deltas))


def end(reason: str = "end_turn", **usage: int) -> bytes:
    return event("message_delta", delta={"stop_reason": reason}, usage=usage) + event("message_stop")


@pytest.mark.full
def test_vector_68_pings_and_what_is_not_known_yet() -> None:
    noise = event("ping") + event("invented_event", index=0, delta={"type": "text_delta", "text": "not this"})
    odd = event("content_block_delta", index=0, delta={"type": "invented_delta", "text": "nor this"})
    seen = stream("anthropic", noise + begin() + noise + text(0, "Hel") + noise + odd + text(1, "lo") + end() + noise)
    assert seen.failure is None
    assert seen.events[:-1] == (Token("Hel"), Token("lo"))


def test_vector_68_overloaded_after_text() -> None:
    seen = stream("anthropic", begin() + text(0, "Hel") + event("error", error=BUSY, request_id="req_1"))
    assert seen.events == (Token("Hel"),)
    error = failed(seen)
    assert isinstance(error, Overloaded)
    assert (error.message, error.request_id) == ("Overloaded", "req_1")
    assert seen.result.text == "Hel"


def test_vector_68_an_error_as_the_first_event() -> None:
    seen = stream("anthropic", event("error", error=BUSY))
    assert seen.events == ()
    assert isinstance(seen.failure, Overloaded)


def test_vector_69_a_call_without_a_single_piece_of_input() -> None:
    body = begin() + block(0, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}) + end("tool_use")
    seen = stream("anthropic", body)
    assert [(call.id, call.arguments) for call in seen.result.tool_calls] == [("toolu_1", "{}")]
    assert seen.result.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.full
def test_vector_69_input_cut_inside_an_escape() -> None:
    pieces = ('{"x": "a\\', "u00", 'e5"', "}")
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces)]
    body = begin() + block(0, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}, *deltas)
    seen = stream("anthropic", body + end("tool_use"))
    assert [each.delta for each in seen.events if isinstance(each, ToolCallDelta)] == ["", *pieces]
    assert seen.result.tool_calls[0].parsed() == {"x": "aå"}


@pytest.mark.full
def test_vector_69_thinking_comes_out_and_goes_back_with_its_signature() -> None:
    thinking = ({"type": "thinking_delta", "thinking": "Well"}, {"type": "signature_delta", "signature": "sig=="})
    redacted = {"type": "redacted_thinking", "data": "EmwKAhg="}
    body = begin() + block(0, {"type": "thinking", "thinking": "", "signature": ""}, *thinking)
    body += block(1, redacted) + text(2, "Hi") + end()
    seen = stream("anthropic", body)
    opaque = Opaque(json.dumps(redacted).encode())
    assert seen.events[:-1] == (Reasoning("Well"), PartSigned("reasoning", "sig=="), PartReady(opaque), Token("Hi"))
    again = sent(asking("anthropic", Message.user("x"), seen.result.message, model_id=MODEL))
    assert again["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Well", "signature": "sig=="},
        redacted,
        {"type": "text", "text": "Hi"},
    ]


@pytest.mark.full
def test_vector_69_what_ran_at_the_provider_comes_whole() -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    query = {"type": "input_json_delta", "partial_json": '{"query": "trains"}'}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"url": "https://x.test"}]}
    seen = stream("anthropic", begin() + block(0, use, query) + block(1, found) + text(2, "Hi") + end())
    assert seen.failure is None
    assert (seen.result.text, seen.result.tool_calls) == ("Hi", ())
    again = sent(asking("anthropic", Message.user("x"), seen.result.message, model_id=MODEL))
    assert again["messages"][1]["content"][:2] == [use | {"input": {"query": "trains"}}, found]


@pytest.mark.full
def test_vector_70_the_prompt_is_what_was_read_and_cached_together() -> None:
    first = {"input_tokens": 10, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 30, "output_tokens": 1}
    counted = Usage(prompt_tokens=240, completion_tokens=25, cached_tokens=200, cache_write_tokens=30)
    # The output is cumulative: the last one counts, and nothing is added up.
    middle = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 12})
    seen = stream("anthropic", begin(**first) + text(0, "Hi") + middle + end(output_tokens=25))
    assert seen.result.usage == counted
    whole = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    assert chat("anthropic", whole | {"usage": first | {"output_tokens": 25}}).result.usage == counted
