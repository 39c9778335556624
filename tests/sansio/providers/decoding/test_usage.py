"""What decides the price of an answer: each dialect reads it, from a whole answer and from a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tests.sansio.providers.playing import feed, read
from turnout.chat import Usage
from turnout.providers.openai_responses.wire import UsageWire as ResponsesUsage
from turnout.providers.openai_responses.wire import usage_of

ANTHROPIC = {
    "input_tokens": 10,
    "output_tokens": 5,
    "cache_read_input_tokens": 20,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 12, "ephemeral_1h_input_tokens": 18},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
    "service_tier": "priority",
}
CHAT = {
    "prompt_tokens": 10,
    "completion_tokens": 7,
    "prompt_tokens_details": {"audio_tokens": 4, "cached_tokens": 0},
    "completion_tokens_details": {"audio_tokens": 2, "image_tokens": 1, "reasoning_tokens": 0},
}
RESPONSES = {
    "input_tokens": 40,
    "output_tokens": 5,
    "input_tokens_details": {
        "cached_tokens": 0,
        "cache_write_tokens": 30,
        "cache_write_tokens_details": {"ttl_12h_tokens": 20},
    },
}
GEMINI = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 9,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}, {"modality": "AUDIO", "tokenCount": 7}],
    "candidatesTokensDetails": [
        {"modality": "IMAGE", "tokenCount": 4},
        {"modality": "AUDIO", "tokenCount": 2},
        {"modality": "IMAGE", "tokenCount": 3},
    ],
}
COHERE = {
    "tokens": {"input_tokens": 70, "output_tokens": 9},
    "billed_units": {"input_tokens": 12, "output_tokens": 8, "search_units": 1},
}
BEDROCK = {
    "inputTokens": 10,
    "outputTokens": 5,
    "cacheReadInputTokens": 20,
    "cacheWriteInputTokens": 30,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 12}, {"ttl": "1h", "inputTokens": 18}],
}


def _sse(chunks: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(f"event: {c.get('type', 'message')}\ndata: {json.dumps(c)}\n\n".encode() for c in chunks)


def test_anthropic_divides_its_cache_by_time_and_counts_searches() -> None:
    whole = read("anthropic", {"type": "message", "content": [], "stop_reason": "end_turn", "usage": ANTHROPIC}).usage
    stream: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "a", "usage": {**ANTHROPIC, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    assert feed("anthropic", _sse(stream)).result.usage == whole
    assert whole.prompt_tokens == 60
    assert (whole.cache_write_tokens, whole.cache_write_1h_tokens) == (30, 18)
    assert (whole.web_searches, whole.service_tier) == (2, "priority")


def test_the_fast_mode_of_anthropic_is_a_tier() -> None:
    answer = {"type": "message", "content": [], "stop_reason": "end_turn", "usage": {**ANTHROPIC, "speed": "fast"}}
    assert read("anthropic", answer).usage.service_tier == "fast"


def test_chat_completions_tell_sound_and_images_from_text() -> None:
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    whole = read("openai", {"choices": [choice], "usage": CHAT, "service_tier": "flex"}).usage
    stream: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}], "service_tier": "flex"},
        {"choices": [], "usage": CHAT, "service_tier": "flex"},
    ]
    assert feed("openai", _sse(stream) + b"data: [DONE]\n\n").result.usage == whole
    assert (whole.audio_prompt_tokens, whole.audio_completion_tokens, whole.image_completion_tokens) == (4, 2, 1)
    assert whole.service_tier == "flex"


def test_responses_tell_what_the_cache_keeps_for_long() -> None:
    content = {"type": "output_text", "text": "x"}
    item = {"type": "message", "id": "i", "role": "assistant", "content": [content]}
    response = {"id": "r", "status": "completed", "output": [item], "usage": RESPONSES, "service_tier": "priority"}
    whole = read("openai", response, api="responses").usage
    stream: list[dict[str, Any]] = [
        {"type": "response.output_text.delta", "output_index": 0, "delta": "x"},
        {"type": "response.completed", "response": response},
    ]
    assert feed("openai", _sse(stream), api="responses").result.usage == whole
    assert (whole.cache_write_tokens, whole.cache_write_1h_tokens, whole.service_tier) == (30, 20, "priority")


def test_counts_without_details_are_no_zeros() -> None:
    assert usage_of(ResponsesUsage(input_tokens=1, output_tokens=2)) == Usage(prompt_tokens=1, completion_tokens=2)


def test_gemini_adds_the_tokens_of_each_modality() -> None:
    candidate = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}
    tier = (("x-gemini-service-tier", "priority"),)
    whole = read("gemini", {"candidates": [candidate], "usageMetadata": GEMINI}, headers=tier).usage
    # The last chunk counts the answer only: what is known of the prompt stays.
    stream: list[dict[str, Any]] = [
        {"candidates": [{"content": {"parts": [{"text": "x"}]}}], "usageMetadata": GEMINI},
        {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 10}},
    ]
    assert feed("gemini", _sse(stream), headers=tier).result.usage == whole
    assert (whole.audio_prompt_tokens, whole.audio_completion_tokens, whole.image_completion_tokens) == (7, 2, 7)
    assert whole.service_tier == "priority"


@pytest.mark.parametrize(("traffic", "tier"), [("ON_DEMAND_FLEX", "flex"), ("ON_DEMAND", None), ("SOMETHING", None)])
def test_the_traffic_of_vertex_is_a_tier(traffic: str, tier: str | None) -> None:
    candidate = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}
    answer = {"candidates": [candidate], "usageMetadata": {**GEMINI, "trafficType": traffic}}
    assert read("gemini", answer).usage.service_tier == tier


def test_cohere_bills_other_counts_than_it_reports() -> None:
    message = {"content": [{"type": "text", "text": "x"}]}
    whole = read("cohere", {"message": message, "finish_reason": "COMPLETE", "usage": COHERE}).usage
    stream = [{"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE}}]
    assert feed("cohere", _sse(stream)).result.usage == whole
    assert (whole.prompt_tokens, whole.completion_tokens) == (70, 9)
    assert (whole.billed_prompt_tokens, whole.billed_completion_tokens, whole.search_units) == (12, 8, 1)


def test_bedrock_divides_its_cache_by_time() -> None:
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "x"}]}},
        "stopReason": "end_turn",
        "usage": BEDROCK,
        "serviceTier": {"type": "flex"},
    }
    usage = read("bedrock", answer, region="eu-west-1").usage
    assert (usage.prompt_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (60, 30, 18)
    assert usage.service_tier == "flex"


def test_perplexity_counts_searches() -> None:
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    usage = read("openai", {"choices": [choice], "usage": {**CHAT, "num_search_queries": 3}}).usage
    assert usage.web_searches == 3


def test_a_placeholder_behind_the_usage_replaces_nothing() -> None:
    counted = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    zeros = dict.fromkeys(counted, 0)
    delta = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
    for chunks in (
        ({**delta, "usage": counted}, {"choices": [], "usage": zeros}),
        ({**delta, "usage": zeros}, {"choices": [], "usage": counted}),
    ):
        usage = feed("openai", _sse(chunks) + b"data: [DONE]\n\n").result.usage
        assert (usage.prompt_tokens, usage.completion_tokens) == (10, 2)


def test_the_last_report_of_a_running_usage_counts() -> None:
    """Baseten and vLLM report the tokens so far with each chunk: findings/pydantic-ai-adds-up-running-usage.sh."""
    delta = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]}
    chunks = [{**delta, "usage": {"prompt_tokens": 10, "completion_tokens": number}} for number in (1, 2, 3)]
    finish = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = feed("openai", _sse([*chunks, finish]) + b"data: [DONE]\n\n").result.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (10, 3)


def test_the_total_of_portkey_s_gateway_says_what_its_sums_leave_out() -> None:
    """As @portkey-ai/gateway 1.15.2 reports Claude and Gemini: findings/portkey-gateway-reports-parts-….sh."""
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    claude = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 1035,
        "prompt_tokens_details": {"cached_tokens": 1000},
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 20,
    }
    usage = read("openai", {"choices": [choice], "usage": claude}).usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.cache_write_tokens) == (1030, 1000, 20)
    gemini = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 315,
        "completion_tokens_details": {"reasoning_tokens": 300},
    }
    usage = read("openai", {"choices": [choice], "usage": gemini}).usage
    assert (usage.completion_tokens, usage.reasoning_tokens) == (305, 300)


def test_what_dashscope_keeps_is_among_the_details() -> None:
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    created = {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}
    details = {"cached_tokens": 5, "cache_creation": created}
    usage = read("dashscope", {"choices": [choice], "usage": {**CHAT, "prompt_tokens_details": details}}).usage
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (5, 7, 4)
    details["cache_creation_input_tokens"] = 8
    usage = read("dashscope", {"choices": [choice], "usage": {**CHAT, "prompt_tokens_details": details}}).usage
    assert usage.cache_write_tokens == 8


def _of_responses(**usage: Any) -> Usage:
    item = {"type": "message", "id": "i", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}
    return read("openai", {"id": "r", "status": "completed", "output": [item], "usage": usage}, api="responses").usage


def test_responses_by_the_names_of_chat_completions() -> None:
    usage = _of_responses(
        prompt_tokens=10,
        completion_tokens=5,
        prompt_tokens_details={"cached_tokens": 4},
        completion_tokens_details={"reasoning_tokens": 3},
    )
    assert (usage.prompt_tokens, usage.completion_tokens) == (10, 5)
    assert (usage.cached_tokens, usage.reasoning_tokens) == (4, 3)


@pytest.mark.parametrize(("total", "prompt"), [(35, 30), (15, 10), (None, 10)])
def test_the_total_of_responses_says_whether_the_prompt_has_the_cache(total: int | None, prompt: int) -> None:
    usage = _of_responses(input_tokens=10, output_tokens=5, total_tokens=total, cache_read_input_tokens=20)
    assert (usage.prompt_tokens, usage.cached_tokens) == (prompt, 20)


def _answers_of_no_tokens() -> Iterable[tuple[str, Any]]:
    chat = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    yield "openai", {"choices": [chat], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    yield "groq", {"choices": [{**chat, "index": 1}], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    usage: dict[str, Any] = {"input_tokens": 0, "output_tokens": 0}
    text = {"type": "text", "text": "x"}
    yield "anthropic", {"type": "message", "content": [text], "stop_reason": "end_turn", "usage": usage}
    content = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}
    yield "gemini", {"candidates": [content], "usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0}}
    counts = {"prompt_eval_count": 0, "eval_count": 0}
    yield "ollama", {"message": {"content": "x"}, "done": True, "done_reason": "stop", **counts}
    yield "cohere", {"message": {"content": [text]}, "finish_reason": "COMPLETE", "usage": {"tokens": usage}}


@pytest.mark.parametrize(("provider", "answer"), list(_answers_of_no_tokens()))
def test_a_usage_of_no_tokens_beside_an_answer_is_absent(provider: str, answer: Any) -> None:
    assert read(provider, answer).usage == Usage(source="absent")
