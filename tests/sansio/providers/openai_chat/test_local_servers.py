"""vLLM, SGLang, llama.cpp and LM Studio: what they send otherwise is read by the one entry for such servers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.chat import ChatRequest, ChatResponse, FinishReason
from turnout.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    ProviderError,
    ServerError,
    StreamTruncated,
)
from turnout.messages import ToolCall
from turnout.providers import create
from turnout.providers.protocol import Exchange

SERVER = create("openai-compatible", base_url="http://127.0.0.1:8000/v1")
REQUEST = ChatRequest("openai-compatible/Qwen/Qwen3-8B", "hi")


def streamed(*chunks: dict[str, Any], done: bool = True) -> Exchange[ChatResponse]:
    exchange = SERVER.stream(REQUEST)
    exchange.receive_head(200, [("content-type", "text/event-stream; charset=utf-8")])
    for chunk in chunks:
        exchange.receive_data(f"data: {json.dumps(chunk)}\n\n".encode())
    if done:
        exchange.receive_data(b"data: [DONE]\n\n")
    exchange.receive_end()
    return exchange


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "Qwen/Qwen3-8B", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def refused(status: int, body: Any) -> ProviderError:
    exchange = SERVER.chat(REQUEST)
    exchange.receive_head(status, [("content-type", "application/json")])
    exchange.receive_data(json.dumps(body).encode())
    exchange.receive_end()
    assert isinstance(exchange.failure, ProviderError)
    return exchange.failure


def test_it_is_asked_without_a_key() -> None:
    assert SERVER.missing_env == ()
    asked = SERVER.chat(REQUEST).request
    assert asked.headers.get("authorization") is None
    assert json.loads(asked.body)["model"] == "Qwen/Qwen3-8B"


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_vllm_s_stream_with_usage_all_along(key: str) -> None:
    usages = [{"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n} for n in (1, 2, 3, 3)]
    chunks = [
        delta(role="assistant", content="") | {"prompt_token_ids": None},
        delta(**{key: "hm"}),
        delta(content="Hi"),
        delta(finish="stop", content="", stop_reason=None, token_ids=None),
    ]
    exchange = streamed(*({**chunk, "usage": usage} for chunk, usage in zip(chunks, usages, strict=True)))
    assert exchange.failure is None
    answer = exchange.result
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Hi", "hm", FinishReason.STOP)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 3)


def test_a_named_tool_choice_of_vllm_finishes_with_stop() -> None:
    call = {"index": 0, "id": "chatcmpl-tool-1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = streamed(delta(tool_calls=[call]), delta(finish="stop")).result
    assert answer.finish_reason is FinishReason.TOOL_CALLS


def test_sglang_says_its_finish_reason_with_empty_words() -> None:
    chunks = [delta(finish="", role=None, content="a"), delta(finish="", content="b"), delta(finish="stop")]
    chunks[-1]["choices"][0]["matched_stop"] = 151645
    assert streamed(*chunks).result.text == "ab"
    cut = streamed(*chunks[:2], done=False)
    assert isinstance(cut.failure, StreamTruncated), "an empty word is no finish reason"


def test_llama_cpp_s_arguments_and_timings() -> None:
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": {"a": [1]}}}
    exchange = SERVER.chat(REQUEST)
    message = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    exchange.receive_head(200, [])
    exchange.receive_data(json.dumps({"choices": [choice], "timings": {"predicted_ms": 1.5}}).encode())
    exchange.receive_end()
    assert exchange.result.tool_calls == (ToolCall("x", "f", '{"a": [1]}'),)
    assert exchange.result.reasoning == "hm"


def test_lm_studio_gives_calls_no_id() -> None:
    call = {"index": 0, "id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    calls = streamed(delta(tool_calls=[call, {**call, "index": 1}]), delta(finish="tool_calls")).result.tool_calls
    assert len({call.id for call in calls}) == 2
    assert all(call.id for call in calls)


TOO_LONG = (
    "You passed 9000 input tokens and requested 10 output tokens. However, the model's context length is only 8192 "
    "tokens, resulting in a maximum input length of 8182 tokens."
)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        # vLLM: the code is a number.
        (400, {"message": TOO_LONG, "type": "BadRequestError", "code": 400}, ContextLengthExceeded),
        (400, {"message": "top_k must be -1, or more", "type": "BadRequestError", "code": 400}, InvalidRequest),
        (404, {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}, NotFound),
        # llama.cpp
        (503, {"code": 503, "message": "Loading model", "type": "unavailable_error"}, Overloaded),
        (
            400,
            {"code": 400, "message": "too much", "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 4},
            ContextLengthExceeded,
        ),
        (500, {"code": 500, "message": "Failed to parse input", "type": "server_error"}, ServerError),
    ],
)
def test_their_errors_are_understood(status: int, error: dict[str, Any], kind: type[ProviderError]) -> None:
    assert type(refused(status, {"error": error})) is kind
    # Older releases of vLLM have no envelope.
    assert type(refused(status, {"object": "error", **error})) is kind


def test_vllm_s_error_inside_a_stream_before_done() -> None:
    error = {"error": {"message": "EngineCore died", "type": "InternalServerError", "code": 500}}
    exchange = streamed(delta(content="Hi"), error)
    assert isinstance(exchange.failure, ServerError)
    assert exchange.result.text == "Hi"


@pytest.mark.parametrize(
    ("entry", "window"),
    [
        ({"id": "m", "object": "model", "owned_by": "vllm", "max_model_len": 32768}, 32768),
        ({"id": "m", "max_context_length": 131072}, 131072),
        ({"id": "m", "context_window": 8192}, 8192),
        ({"id": "m", "context_length": 4096}, 4096),
        ({"id": "m", "meta": {"n_ctx_train": 40960}}, None),
    ],
)
@pytest.mark.parametrize("bare", [False, True])
def test_lists_of_models_tell_windows_in_several_words(entry: dict[str, Any], window: int | None, bare: bool) -> None:
    exchange = SERVER.models()
    exchange.receive_head(200, [])
    exchange.receive_data(json.dumps([entry] if bare else {"object": "list", "data": [entry]}).encode())
    exchange.receive_end()
    assert [(model.id, model.context_window) for model in exchange.result.models] == [("m", window)]
