"""A request that is malformed anywhere gets the error of the provider, and never a failure of the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout_io.sandbox import Sandbox

Ask = Callable[..., tuple[int, dict[str, str], bytes]]
SCHEMA = {"type": "object", "properties": {"c": {"type": "string"}}, "required": ["c"]}
TOOL = {"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
RIGHT: dict[tuple[str, str], dict[str, Any]] = {
    ("bedrock", "/model/m/converse"): {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "system": [{"text": "x"}],
        "inferenceConfig": {"maxTokens": 9},
        "toolConfig": {"tools": [TOOL], "toolChoice": {"tool": {"name": "f"}}},
    },
    ("anthropic", "/v1/messages"): {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "f"},
    },
    ("cohere", "/v2/chat"): {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [FUNCTION],
        "stop_sequences": ["x"],
    },
    ("cohere", "/v2/embed"): {"model": "m", "texts": ["x"], "input_type": "search_query", "output_dimension": 8},
    ("openai", "/v1/chat/completions"): {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "tools": [FUNCTION],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "text"},
    },
    ("openai", "/v1/responses"): {
        "model": "gpt-4o-mini",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "text"}},
    },
    ("openai", "/v1/responses/input_tokens"): {"model": "gpt-4o-mini", "input": "hi", "instructions": "x"},
    ("openai", "/v1/embeddings"): {"model": "text-embedding-3-small", "input": ["x"], "dimensions": 8},
    ("anthropic", "/v1/messages/count_tokens"): {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    ("gemini", "/v1beta/models/m:countTokens"): {
        "generateContentRequest": {"model": "models/m", "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    },
    ("gemini", "/v1beta/models/m:generateContent"): {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"candidateCount": 2, "maxOutputTokens": 9},
    },
    ("bedrock", "/model/m/count-tokens"): {
        "input": {"converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}}
    },
    ("cohere", "/v2/rerank"): {"model": "m", "query": "x", "documents": ["a", "b"], "top_n": 1},
    ("cohere", "/v1/tokenize"): {"model": "m", "text": "hi"},
    ("together", "/v1/rerank"): {"model": "m", "query": "x", "documents": [{"text": "a"}], "return_documents": True},
    ("ollama", "/api/generate"): {"model": "m", "prompt": "hi", "options": {"stop": ["y"]}, "stream": False},
    ("ollama", "/api/show"): {"model": "m"},
    ("ollama", "/api/embeddings"): {"model": "nomic-embed-text", "prompt": "hi"},
}
HEADERS = {"authorization": "Bearer k", "anthropic-version": "2023-06-01", "x-goog-api-key": "k"}
ODD: st.SearchStrategy[Any] = st.sampled_from([None, 7, "x", [], {}, [1], {"a": 1}, True, [[]], [{}]])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(check_keys=False) as server:
        yield server


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values, except `stream`: a stream is not one JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner if key != "stream" for place in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = json.loads(json.dumps(value))
    spot = copy
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = odd
    return copy


@pytest.mark.parametrize(("provider", "path"), RIGHT)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_malformed_request_is_rejected(sandbox: Sandbox, provider: str, path: str, data: st.DataObject) -> None:
    right = RIGHT[provider, path]
    body = changed(right, data.draw(st.sampled_from(places(right))), data.draw(ODD))
    origin = sandbox.url(provider).split(f"/{provider}")[0]
    answer = requests.post(f"{origin}/{provider}{path}", json=body, headers=HEADERS, timeout=10)
    assert answer.status_code < 500, answer.text
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize(("provider", "path"), RIGHT)
def test_a_correct_request_is_answered(sandbox: Sandbox, provider: str, path: str) -> None:
    origin = sandbox.url(provider).split(f"/{provider}")[0]
    answer = requests.post(f"{origin}/{provider}{path}", json=RIGHT[provider, path], headers=HEADERS, timeout=10)
    assert answer.status_code == 200, answer.text


def test_a_body_that_is_nested_too_deeply_is_rejected(ask: Ask) -> None:
    inner = b'{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":'
    schema = inner * 2000 + b"{}" + b"}}" * 2000
    wanted = b'{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":' + schema + b"}}"
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}],"response_format":' + wanted + b"}"
    status, _, data = ask("openai", "/chat/completions", body)
    assert (status, b"nested too deeply" in data) == (400, True)


def test_inputs_of_embeddings_have_a_limit_together(ask: Ask) -> None:
    body = {"model": "text-embedding-3-small", "input": ["word " * 8000] * 40}
    status, _, data = ask("openai", "/embeddings", body)
    assert (status, b"max_tokens_per_request" in data) == (400, True)
