"""Single events of Anthropic's streams, with the corners of each, and answers that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.anthropic.answers import event, feed, read, sent_back, whole
from turnout.chat import FinishReason
from turnout.errors import Overloaded, RemoteProtocolError, StreamTruncated
from turnout.events import End, ToolCallDelta
from turnout.messages import Opaque, Refusal, Text, Thinking


def start(index: int, **fields: Any) -> bytes:
    return event("content_block_start", index=index, content_block=fields)


def delta(index: int, type: str, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": type, **fields})


def stop(reason: str | None, **fields: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": reason, **fields}) + event("message_stop")


def test_a_refusal_explains_itself_beside_the_text() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
    _, result, failure = feed(stop("refusal", stop_details=details))
    assert failure is None
    assert (result.text, result.refusal, result.finish_reason) == ("", "Not this.", FinishReason.CONTENT_FILTER)
    assert result.message.content == (Refusal("Not this."),)
    assert sent_back(result.message) == []
    assert read({**whole([], "refusal"), "stop_details": details}).refusal == "Not this."


def test_the_sequence_that_stopped_it_is_in_the_provider_s_own_words() -> None:
    _, result, _ = feed(start(0, type="text", text="a") + stop("stop_sequence", stop_sequence="END"))
    assert (result.text, result.finish_reason, result.raw_finish_reason) == ("a", FinishReason.STOP, "stop_sequence")
    assert result.raw is not None
    assert json.loads(result.raw)["delta"]["stop_sequence"] == "END"


def test_counters_hold_until_they_are_told_again() -> None:
    first = {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1}
    last = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}, "cache_read_input_tokens": None}
    body = event("message_start", message={**whole([], None), "usage": first})
    body += event("message_delta", delta={"stop_reason": "end_turn"}, usage=last) + event("message_stop")
    usage = feed(body)[1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (9, 9)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (2, None, 4)
    assert feed(start(0, type="text", text="a") + stop("end_turn"))[1].usage.source == "absent"


def test_a_call_that_comes_whole_in_its_start() -> None:
    body = start(0, type="tool_use", id="t", name="f", input={"a": 1}) + event("content_block_stop", index=0)
    events, result, _ = feed(body + stop("tool_use"))
    assert list(events[:2]) == [ToolCallDelta(0, "", "t", "f"), ToolCallDelta(0, '{"a": 1}')]
    assert result.tool_calls[0].parsed() == {"a": 1}


def test_a_call_that_was_cut_keeps_its_text_and_one_without_text_stays_empty() -> None:
    body = start(0, type="tool_use", id="t", name="f", input={}) + delta(0, "input_json_delta", partial_json='{"a')
    body += start(1, type="tool_use", id="u", name="g", input={})
    result = feed(body + stop("max_tokens"))[1]
    assert [call.arguments for call in result.tool_calls] == ['{"a', ""]
    assert (
        read(whole([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "max_tokens")).tool_calls[0].arguments
        == "{}"
    )


def test_a_beginning_that_already_holds_blocks() -> None:
    """After tools that ran at the provider an answer may begin with what stood before."""
    content = [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]
    body = event("message_start", message=whole(content, None)) * 2
    result = feed(body + start(1, type="text", text="b") + stop("end_turn"))[1]
    assert [(call.id, call.parsed()) for call in result.tool_calls] == [("t", {"a": 1})]
    assert sent_back(result.message) == [*content, {"type": "text", "text": "b"}]


def test_a_block_of_an_unknown_type_grows_by_deltas_of_an_unknown_type() -> None:
    body = start(0, type="compaction", content="", encrypted=None)
    body += delta(0, "compaction_delta", content="so ") + delta(0, "compaction_delta", content="far", encrypted="e")
    result = feed(body + event("content_block_stop", index=0) + stop("end_turn"))[1]
    assert sent_back(result.message) == [{"type": "compaction", "content": "so far", "encrypted": "e"}]


def test_an_opaque_block_whose_input_broke_off_is_not_sent_back() -> None:
    body = start(0, type="server_tool_use", id="s", name="web_search", input={})
    body += delta(0, "input_json_delta", partial_json='{"query": "a')
    _, result, failure = feed(body)
    assert isinstance(failure, StreamTruncated)
    assert result.message.content == ()


def test_thinking_that_was_not_shown_keeps_its_signature() -> None:
    body = start(0, type="thinking", thinking="", signature="") + delta(0, "signature_delta", signature="s1")
    body += event("content_block_stop", index=0)
    body += start(1, type="thinking", thinking="", signature="") + delta(1, "signature_delta", signature="s2")
    result = feed(body + event("content_block_stop", index=1) + stop("end_turn"))[1]
    assert result.message.content == (Thinking("", signature="s1"), Thinking("", signature="s2"))


def test_events_without_names_and_blocks_without_starts() -> None:
    lines = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}]
    lines += [{"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "b"}}]
    lines += [{"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{"}}]
    lines += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]
    _, result, failure = feed("".join(f"data:{json.dumps(line)}\n\n" for line in lines).encode())
    assert failure is None
    assert result.message.content == (Text("a"), Text("b"))
    assert result.tool_calls == ()


def test_a_message_in_answer_to_a_stream_is_the_answer() -> None:
    document = json.dumps(whole([{"type": "text", "text": "all of it"}]), indent=1).encode()
    for body in (document, b"event: message\ndata: " + document.replace(b"\n", b"") + b"\n\n"):
        events, result, failure = feed(body)
        assert failure is None
        assert [each.type for each in events] == ["token", "end"]
        assert (result.text, result.usage.prompt_tokens) == ("all of it", 19)
    refused = b'{"type": "error",\n "error": {"type": "overloaded_error", "message": "Overloaded"}}'
    assert isinstance(feed(refused)[2], Overloaded)


def test_what_is_no_message_is_a_protocol_error() -> None:
    documents: list[Any] = [{}, [], {"type": "message", "content": []}]
    for document in documents:
        with pytest.raises(RemoteProtocolError):
            read(document)
    with pytest.raises(Overloaded):
        read({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


def test_pieces_that_cannot_be_read_are_counted() -> None:
    body = b"event: content_block_delta\ndata: {broken\n\n" + event("content_block_start", index=0, content_block=7)
    events, result, failure = feed(body + start(1, type="text", text="a") + stop("end_turn"))
    assert failure is None
    assert result.text == "a"
    assert isinstance(events[-1], End)
    assert events[-1].skipped == 2
    assert not any(isinstance(part, Opaque) for part in result.message.content)
