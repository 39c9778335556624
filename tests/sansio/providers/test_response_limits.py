"""How much of a response is read. Each limit ends it at the same place in any pieces, and what came before is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.providers.bodies import ndjson, sse
from tests.sansio.providers.playing import CUTS, exchange_of, feed, read
from turnout.embeddings import EmbeddingRequest
from turnout.errors import InvalidRequest, RemoteProtocolError
from turnout.providers import ResponseLimits, create
from turnout.providers.decoding.accumulator import MAX_ITEMS
from turnout.providers.decoding.stream_reader import MAX_UNREADABLE
from turnout.providers.decoding.tool_call_fragments import MAX_IDS, CallBuilder, ToolCallFragments


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"delta": fields}]}


def gemini(part: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [part]}}]}


# The provider, the beginning of a stream, and an event with ten characters or bytes of the answer.
STREAMS: dict[str, tuple[str, bytes, bytes]] = {
    "text": ("openai", b"", sse(delta(content="0123456789"))),
    "reasoning": ("openai", b"", sse(delta(reasoning_content="0123456789"))),
    "refusal": ("openai", b"", sse(delta(refusal="0123456789"))),
    "arguments": ("openai", b"", sse(delta(tool_calls=[{"index": 0, "function": {"arguments": "0123456789"}}]))),
    "text of Gemini": ("gemini", b"", sse(gemini({"text": "0123456789"}))),
    "thoughts of Gemini": ("gemini", b"", sse(gemini({"text": "0123456789", "thought": True}))),
    "text of Ollama": ("ollama", b"", ndjson({"message": {"content": "0123456789"}})),
    "text of Anthropic": (
        "anthropic",
        sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "0123456789"}}),
    ),
    "text of Cohere": (
        "cohere",
        b"",
        sse({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "0123456789"}}}}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", STREAMS)
@given(cuts=CUTS)
def test_a_stream_ends_at_its_limit(kind: str, cuts: tuple[int, ...]) -> None:
    name, start, piece = STREAMS[kind]
    limits = ResponseLimits(output=55)
    heard = feed(name, start + piece * 9, limits=limits)
    assert isinstance(heard.failure, RemoteProtocolError)
    assert "the answer is larger than 55 characters; responseLimits.output of the provider" in str(heard.failure)
    message = heard.result.message
    kept = heard.result.text + heard.result.reasoning + "".join(call.arguments for call in message.tool_calls)
    assert len(kept) in (0 if kind == "refusal" else 60, 60)
    assert feed(name, start + piece * 9, cuts, limits=limits).agreed() == heard.agreed()
    within = feed(name, start + piece * 5, limits=limits)
    assert "larger" not in str(within.failure)


def test_a_whole_answer_has_the_same_limit() -> None:
    answer = {"choices": [{"message": {"content": "0123456789", "refusal": None}, "finish_reason": "stop"}]}
    assert read("openai", answer, limits=ResponseLimits(output=10)).text == "0123456789"
    with pytest.raises(RemoteProtocolError, match="the answer is larger than 9 characters"):
        read("openai", answer, limits=ResponseLimits(output=9))


CALLS = b"".join(
    sse(delta(tool_calls=[{"index": number, "function": {"name": "f"}}])) for number in range(MAX_ITEMS + 5)
)
PARTS = b"".join(sse(delta(content="a"), delta(reasoning_content="b")) for _ in range(MAX_ITEMS // 2 + 5))


@pytest.mark.slow
@pytest.mark.parametrize("body", [CALLS, PARTS], ids=["calls", "parts"])
@pytest.mark.parametrize("size", [0, 1000, 65536])
def test_empty_calls_and_parts_end_a_stream(body: bytes, size: int) -> None:
    """They have no characters, and each takes memory: without a limit of their number, a stream of them has no end."""
    cuts = tuple(range(size, len(body), size)) if size else ()
    heard = feed("openai", body, cuts)
    assert isinstance(heard.failure, RemoteProtocolError)
    assert f"more than {MAX_ITEMS:,} parts and tool calls" in str(heard.failure)
    assert len(heard.result.message.tool_calls) + len(heard.result.message.content) == MAX_ITEMS


@pytest.mark.slow
def test_a_whole_answer_has_as_many_calls_and_parts() -> None:
    def answer(count: int) -> dict[str, Any]:
        calls = [{"id": f"c{number}", "function": {"name": "f", "arguments": "{}"}} for number in range(count)]
        return {"choices": [{"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]}

    assert len(read("openai", answer(MAX_ITEMS)).message.tool_calls) == MAX_ITEMS
    with pytest.raises(RemoteProtocolError, match="parts and tool calls"):
        read("openai", answer(MAX_ITEMS + 1))


def test_the_ids_of_a_call_that_changes_its_id_are_limited() -> None:
    fragments = ToolCallFragments()
    fragments.begin(CallBuilder("first", "f", 0))
    for number in range(MAX_IDS + 10):
        assert not fragments.set_id(0, f"c{number}")
    assert fragments.find("c5", None, None, "x") == 0
    assert len(fragments._by_id) == MAX_IDS


@given(cuts=CUTS, before=st.integers(0, 3))
def test_unreadable_events_in_a_row_end_a_stream(cuts: tuple[int, ...], before: int) -> None:
    good = sse(delta(content="a"))
    body = good * before + b"data: {\n\n" * (MAX_UNREADABLE + 1) + good
    heard = feed("openai", body)
    assert f"more than {MAX_UNREADABLE} events in a row cannot be read" in str(heard.failure)
    assert heard.result.text == "a" * before
    assert feed("openai", body, cuts).agreed() == heard.agreed()
    mixed = feed("openai", (b"data: {\n\n" * MAX_UNREADABLE + good) * 3 + sse("[DONE]"))
    assert "cannot be read" not in str(mixed.failure)
    assert mixed.result.text == "aaa"


@given(cuts=CUTS)
def test_one_event_has_a_limit(cuts: tuple[int, ...]) -> None:
    body = sse(delta(content="kept"), delta(content="0" * 300), delta(content="lost"))
    heard = feed("openai", body, limits=ResponseLimits(event=200))
    assert isinstance(heard.failure, RemoteProtocolError)
    assert "larger than 200 bytes; responseLimits.event of the provider" in str(heard.failure)
    assert heard.result.text == "kept"
    assert feed("openai", body, cuts, limits=ResponseLimits(event=200)).agreed() == heard.agreed()


def test_a_document_and_vectors_have_their_limits() -> None:
    answer = json.dumps({"choices": [{"message": {"content": "0" * 100}, "finish_reason": "stop"}]}).encode()
    assert read("openai", answer, limits=ResponseLimits(document=len(answer))).text == "0" * 100
    with pytest.raises(
        RemoteProtocolError,
        match=f"the response is larger than {len(answer) - 1} bytes; responseLimits.document of the provider",
    ):
        read("openai", answer, limits=ResponseLimits(document=len(answer) - 1))
    vectors = json.dumps({"data": [{"index": 0, "embedding": "AACAPwAAgD8AAIA/" * 99}]}).encode()
    for limit, fits in ((len(vectors), True), (len(vectors) - 1, False)):
        provider = create("openai", api_key="k", limits=ResponseLimits(document=1, embeddings=limit))
        exchange: Any = provider.embed(EmbeddingRequest("openai/m", ["x"]))
        exchange.receive_head(200, ())
        exchange.receive_data(vectors)
        exchange.receive_end()
        assert (exchange.failure is None) == fits


def test_only_the_beginning_of_an_error_is_read() -> None:
    body = b'{"error": {"message": "the beginning", "code": "x"}, "more": "' + b"0" * 1000 + b'"}'
    with pytest.raises(InvalidRequest, match="the beginning"):
        read("openai", body, 400)
    exchange = exchange_of("openai", stream=False, limits=ResponseLimits(error_body=70))
    exchange.receive_head(400, ())
    for start in range(0, len(body), 7):
        exchange.receive_data(body[start : start + 7])
        assert (exchange.failure is not None) == (start + 7 >= 70), "it fails where the rest says nothing more"
    assert len(exchange._error_body) == 70
    assert isinstance(exchange.failure, InvalidRequest)


@pytest.mark.parametrize("status", [200, 503])
def test_a_page_without_end_is_no_longer_read_at_the_limit_of_errors(status: int) -> None:
    exchange = exchange_of("openai", stream=True, limits=ResponseLimits(error_body=70))
    exchange.receive_head(status, [("content-type", "text/html")])
    for _ in range(10):
        exchange.receive_data(b"<p>proxy")
    assert exchange.failure is not None
    assert len(exchange._error_body) == 70
