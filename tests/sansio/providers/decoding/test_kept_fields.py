"""Fields of an answer that no part holds, in whole responses and in streams alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.bedrock.test_bedrock import frame
from tests.sansio.providers.bodies import sse
from tests.sansio.providers.playing import feed, read, sent_back
from turnout.chat import ChatResponse
from turnout.embeddings import EmbeddingRequest
from turnout.errors import RemoteProtocolError
from turnout.providers import create


def both(name: str, message: dict[str, Any], **chunk: Any) -> tuple[ChatResponse, ChatResponse]:
    """The message as a whole response, and as one delta of a stream."""
    whole = read(name, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **chunk})
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    heard = feed(name, sse({"choices": [{"index": 0, "delta": message}], **chunk}, end, "[DONE]"))
    assert heard.failure is None
    return whole, heard.result


def test_tools_that_groq_ran() -> None:
    ran = [{"type": "search", "arguments": "{}", "output": "42"}]
    for reply in both("groq", {"role": "assistant", "content": "It is 42.", "executed_tools": ran}):
        assert (reply.text, reply.tool_calls, reply.extra["executed_tools"]) == ("It is 42.", (), ran)


def test_search_results_of_perplexity() -> None:
    found = [{"title": "Points", "url": "https://example.test"}]
    for reply in both("perplexity", {"role": "assistant", "content": "x"}, search_results=found):
        assert reply.extra["search_results"] == found
        assert reply.citations == tuple(found)


def test_the_proof_of_reasoning_of_copilot_goes_back() -> None:
    message = {"role": "assistant", "content": "x", "reasoning_text": "hm", "reasoning_opaque": "proof"}
    for reply in both("openai-compatible", message):
        assert (reply.text, reply.reasoning) == ("x", "hm")
        assert "proof" in json.dumps(sent_back("openai-compatible", reply.message))


def test_fields_of_a_call_go_back_with_it() -> None:
    own = {"namespace": "n", "caller": {"type": "direct"}, "toolset_name": "t"}
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, **own}
    for reply in both("openai-compatible", {"role": "assistant", "content": None, "tool_calls": [call]}):
        (made,) = reply.tool_calls
        assert dict(made.extra) == own
        sent = sent_back("openai-compatible", reply.message)["messages"][1]["tool_calls"][0]
        assert {name: sent[name] for name in own} == own


def test_anthropic_bills_the_tokens_of_a_compaction_beside_the_message() -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 2,
        "iterations": [
            {"type": "message", "input_tokens": 10, "output_tokens": 2},
            {"type": "compaction", "input_tokens": 100, "output_tokens": 20},
        ],
    }
    message = {"type": "message", "id": "m", "role": "assistant", "stop_reason": "end_turn", "usage": usage}
    reply = read("anthropic", {**message, "content": [{"type": "text", "text": "x"}]})
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (110, 22)


DETAILS = {"type": "refusal", "explanation": "No.", "recommended_model": "another"}
ENDED = {"stop_reason": "refusal", "stop_sequence": "END", "stop_details": DETAILS, "container": {"id": "c1"}}


def test_how_a_message_of_anthropic_ended_and_where_its_code_ran() -> None:
    message = {"type": "message", "id": "m", "role": "assistant", "content": []}
    body = sse(
        {"type": "message_start", "message": message},
        {"type": "message_delta", "delta": ENDED},
        {"type": "message_stop"},
    )
    for reply in (read("anthropic", {**message, **ENDED}), feed("anthropic", body).result):
        assert reply.refusal == "No."
        assert {name: reply.extra[name] for name in ("stop_sequence", "stop_details", "container")} == {
            "stop_sequence": "END",
            "stop_details": DETAILS,
            "container": {"id": "c1"},
        }


def test_what_a_guardrail_of_bedrock_found() -> None:
    trace = {"guardrail": {"modelOutput": ["x"]}, "promptRouter": {"invokedModelId": "m2"}}
    fields = {"stop_sequence": "END"}
    answer = {"output": {"message": {"content": [{"text": "x"}]}}, "stopReason": "guardrail_intervened"}
    whole = read("bedrock", {**answer, "trace": trace, "additionalModelResponseFields": fields}, region="eu-west-1")
    stream = b"".join(
        [
            frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x"}}),
            frame("messageStop", {"stopReason": "guardrail_intervened", "additionalModelResponseFields": fields}),
            frame("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1}, "trace": trace}),
        ]
    )
    for reply in (whole, feed("bedrock", stream, region="eu-west-1").result):
        assert reply.served_model == "m2"
        assert reply.extra == {"trace": trace, "additionalModelResponseFields": fields}


def test_the_ratings_by_which_gemini_filters() -> None:
    ratings = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH", "blocked": True}]
    document = {"candidates": [{"finishReason": "SAFETY", "safetyRatings": ratings}]}
    for reply in (read("gemini", document), feed("gemini", sse(document)).result):
        assert reply.extra == {"safetyRatings": ratings}
    blocked = {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings}}
    assert read("gemini", blocked).extra == {"safetyRatings": ratings}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("openai", {"data": [{"embedding": [1.0, 2.0, 3.0], "index": 0}]}),
        ("cohere", {"embeddings": {"float": [[1.0, 2.0, 3.0]]}}),
        ("ollama", {"embeddings": [[1.0, 2.0, 3.0]]}),
        ("gemini", {"embeddings": [{"values": [1.0, 2.0, 3.0]}]}),
    ],
)
@pytest.mark.parametrize("wanted", [2, 3])
def test_vectors_of_another_length_than_requested_are_an_error(name: str, body: Any, wanted: int) -> None:
    exchange = create(name, api_key="k").embed(EmbeddingRequest(f"{name}/embed", ["x"], dimensions=wanted))
    exchange.receive_head(200, [])
    exchange.receive_data(json.dumps(body).encode())
    exchange.receive_end()
    if wanted == 3:
        assert exchange.failure is None
    else:
        assert isinstance(exchange.failure, RemoteProtocolError)
        assert "3" in str(exchange.failure)
