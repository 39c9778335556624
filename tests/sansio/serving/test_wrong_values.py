"""A wrong value in any place of a request: the request is read, or the error names what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sansio.serving.answers import resolve_as
from turnout.serving import (
    ChatCompletions,
    Messages,
    ReadOptions,
    RequestRejected,
    Responses,
    read_embedding_request,
)

PNG = "data:image/png;base64,aGk="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
MARK = {"type": "ephemeral"}

CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "name": "n",
            "content": [
                {"type": "text", "text": "a", "cache_control": MARK},
                {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_id": "f1"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "q"}, {"type": "refusal", "refusal": "no"}],
            "reasoning_content": "r",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]},
    ],
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
    "stop": ["a"],
    "temperature": 1,
    "max_completion_tokens": 5,
    "reasoning_effort": "low",
    "stream_options": {"include_usage": True},
    "metadata": {"a": "b"},
    "user": "u",
    "logit_bias": {"5": 1},
    "service_tier": "auto",
}
MESSAGES = {
    "model": "m",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s", "cache_control": MARK}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "t"},
                {"type": "document", "source": {"type": "file", "file_id": "f"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r"}]}],
        },
    ],
    "tools": [
        {"name": "f", "input_schema": SCHEMA, "cache_control": MARK},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
    ],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "stop_sequences": ["a"],
    "metadata": {"user_id": "u"},
    "context_management": {"edits": []},
}
RESPONSES = {
    "model": "m",
    "instructions": "i",
    "input": [
        {"role": "user", "content": "a"},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": PNG}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "r"}]},
        {"type": "web_search_call", "id": "w"},
    ],
    "tools": [{"type": "function", **FUNCTION}, {"type": "web_search"}],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 5,
    "metadata": {"a": "b"},
}
EMBEDDINGS = {"model": "m", "input": ["a", "b"], "dimensions": 5, "encoding_format": "float", "user": "u"}


def read_embeddings(body: bytes, resolve: Any, options: ReadOptions) -> Any:
    return read_embedding_request(body, resolve, options, lambda name: None)


READERS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (ChatCompletions().read_request, CHAT),
    (Messages().read_request, MESSAGES),
    (Responses().read_request, RESPONSES),
    (read_embeddings, EMBEDDINGS),
]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"properties": value}
    return value


DEEP = nested(600)
"""Deeper than a schema can be copied, and less deep than JSON can be read."""
VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", " ", "x", "\ud800", "\0", "data:", "data:image/png;base64,@@", "http://[",
    [], {}, [None], [[]], [{}], {"type": None}, {"type": "x"}, nested(300), "call_x__t_QUJD",
]  # fmt: skip


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path to each value of a document."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(document: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(document)
    place: Any = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return made


def check(reader: Callable[..., Any], document: dict[str, Any]) -> RequestRejected | None:
    try:
        reader(json.dumps(document).encode(), resolve_as("p"), ReadOptions())
    except RequestRejected as rejected:
        assert rejected.error.status == 400
        assert len(rejected.error.message) <= 1000
        return rejected
    return None


@pytest.mark.parametrize(("reader", "document"), READERS)
def test_a_wrong_value_in_any_place(reader: Callable[..., Any], document: dict[str, Any]) -> None:
    assert check(reader, document) is None
    for path in places(document):
        for value in VALUES:
            check(reader, changed(document, path, value))


@pytest.mark.parametrize(("reader", "document"), READERS)
def test_a_value_that_is_nested_too_deeply(reader: Callable[..., Any], document: dict[str, Any]) -> None:
    for path in places(document):
        check(reader, changed(document, path, DEEP))


@pytest.mark.parametrize(
    ("reader", "document", "path", "message"),
    [
        (READERS[0][0], CHAT, ("tools", 0, "function", "parameters"), "parameters must be a JSON Schema"),
        (READERS[0][0], CHAT, ("response_format", "json_schema", "schema"), "schema must be a JSON Schema"),
        (READERS[0][0], CHAT, ("metadata", "a"), "metadata"),
        (READERS[1][0], MESSAGES, ("tools", 0, "input_schema"), "parameters must be a JSON Schema"),
        (READERS[1][0], MESSAGES, ("output_config", "format", "schema"), "schema must be a JSON Schema"),
        (READERS[1][0], MESSAGES, ("system", 0, "cache_control"), "system: extra must be a mapping"),
    ],
)
def test_the_error_names_what_is_nested(
    reader: Callable[..., Any], document: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    rejected = check(reader, changed(document, path, DEEP))
    assert rejected is not None
    assert message in rejected.error.message
    assert "nested so deeply" in rejected.error.message


def test_an_error_does_not_repeat_a_long_value() -> None:
    wrong = changed(CHAT, ("messages", 1, "content", 1, "image_url", "url"), "x" * 1_000_000)
    rejected = check(READERS[0][0], wrong)
    assert rejected is not None
    assert "url must begin with" in rejected.error.message


def test_a_number_that_is_too_large_is_named_so() -> None:
    body = json.dumps(CHAT).replace('"temperature": 1', '"temperature": 1e999').encode()
    with pytest.raises(RequestRejected, match="temperature: this number is too large"):
        ChatCompletions().read_request(body, resolve_as("p"), ReadOptions())
