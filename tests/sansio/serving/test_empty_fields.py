"""Optional fields that a client sends empty: SDKs write null, "", [] or {} for "not given"."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.sansio.serving.answers import resolve_as
from turnout.serving import ChatCompletions, Messages, ReadOptions, Responses, read_embedding_request

HELLO = [{"role": "user", "content": "hello"}]
CHAT = {"model": "m", "messages": HELLO}
MESSAGES = {"model": "m", "messages": HELLO, "max_tokens": 5}
RESPONSES = {"model": "m", "input": "hello"}
EMBEDDINGS = {"model": "m", "input": "hello"}
Reader = Callable[..., Any]
PROTOCOLS: list[tuple[Reader, dict[str, Any], str]] = [
    (
        ChatCompletions().read_request,
        CHAT,
        "audio best_of frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens "
        "metadata modalities n parallel_tool_calls prediction presence_penalty reasoning reasoning_effort "
        "response_format safety_identifier seed service_tier stop store stream stream_options temperature tool_choice "
        "tools top_k top_logprobs top_p user verbosity web_search_options",
    ),
    (
        Messages().read_request,
        MESSAGES,
        "container context_management mcp_servers metadata output_config output_format service_tier stop_sequences "
        "stream system temperature thinking tool_choice tools top_k top_p",
    ),
    (
        Responses().read_request,
        RESPONSES,
        "background conversation include instructions max_output_tokens metadata parallel_tool_calls "
        "previous_response_id prompt prompt_cache_key reasoning safety_identifier service_tier store stream "
        "stream_options temperature text tool_choice tools top_logprobs top_p truncation user",
    ),
    (read_embedding_request, EMBEDDINGS, "dimensions encoding_format input_type user"),
]
EMPTY = [
    (0, {"logit_bias": {}, "metadata": {}, "tool_choice": {}, "response_format": {}, "stream_options": {}}),
    (0, {"functions": [], "function_call": "", "tools": [], "stop": [], "modalities": []}),
    (0, {"tool_choice": "", "reasoning_effort": "", "stop": "", "user": "", "safety_identifier": ""}),
    (0, {"logit_bias": [], "metadata": [], "stream_options": [], "response_format": []}),  # PHP's empty objects
    (1, {"metadata": {}, "tool_choice": {}, "thinking": {}, "output_config": {}, "output_format": {}}),
    (1, {"system": "", "tools": [], "stop_sequences": []}),
    (1, {"system": [], "metadata": [], "output_config": [], "tool_choice": [], "thinking": []}),
    (2, {"text": {}, "reasoning": {}, "metadata": {}, "tool_choice": {}, "prompt": {}, "conversation": {}}),
    (2, {"previous_response_id": "", "instructions": "", "user": "", "tool_choice": "", "tools": []}),
    (2, {"text": [], "reasoning": [], "metadata": [], "prompt": []}),
    (3, {"encoding_format": "", "user": "", "input_type": None}),
]


def read(reader: Reader, document: dict[str, Any]) -> Any:
    return reader(json.dumps(document).encode(), resolve_as("p"), ReadOptions(ignore_unknown=False))


@pytest.mark.parametrize(("reader", "document", "names"), PROTOCOLS)
def test_null_is_not_given_in_every_optional_field(reader: Reader, document: dict[str, Any], names: str) -> None:
    plain = read(reader, document)
    for name in names.split():
        assert read(reader, {**document, name: None}) == plain, name


@pytest.mark.parametrize(("protocol", "fields"), EMPTY)
def test_an_empty_value_is_not_given(protocol: int, fields: dict[str, Any]) -> None:
    reader, document, _ = PROTOCOLS[protocol]
    plain, read_ = read(reader, document), read(reader, {**document, **fields})
    assert read_.request == plain.request
    assert getattr(read_, "required", ()) == ()
    assert read_.ignored == ()


def test_a_bias_that_says_something_is_still_required() -> None:
    inbound = ChatCompletions().read_request(
        json.dumps({**CHAT, "logit_bias": {"5": 1}}).encode(), resolve_as("p"), ReadOptions()
    )
    assert inbound.required == ("logit_bias",)
