"""A request that is malformed anywhere gets the error of the provider, and never a failure of the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout_io.sandbox import Sandbox

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
}
HEADERS = {"authorization": "Bearer k", "anthropic-version": "2023-06-01"}
ODD: st.SearchStrategy[Any] = st.sampled_from([None, 7, "x", [], {}, [1], {"a": 1}, True, [[]], [{}]])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(check_keys=False) as server:
        yield server


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


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
