"""The parameters of tools, and the arguments of calls, in the shapes that providers accept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.providers.encoding.test_adapt import everyone, made, names_sent, request_for, scopes_of
from turnout.messages import Tool, ToolCall
from turnout.providers.encoding.tool_arguments import arguments_object, object_schema

BARE: list[dict[str, Any]] = [
    {},
    {"type": "object"},
    {"type": "object", "properties": None},
    {"type": "object", "additionalProperties": False},
    {"type": "object", "required": []},
    {"additionalProperties": False},
    {"description": "Nothing."},
]


@everyone
@pytest.mark.parametrize("parameters", BARE)
def test_the_schema_of_an_object_without_properties_gets_them(name: str, api: str, parameters: Any) -> None:
    tools = [
        Tool("one", "Does it.", {"type": "object", "properties": {"a": {"type": "string"}}}),
        Tool("two", "", parameters),
    ]
    body = json.loads(made(name, api).chat(request_for(name, tools=tools)).request.body)
    assert names_sent(body) == ["one", "two"]
    if scopes_of(name, api)[0] in ("anthropic", "bedrock", "gemini"):
        return  # they take the schema of an object without properties
    wire = body["tools"][1]
    schema = wire.get("function", wire)["parameters"]
    assert schema == {**parameters, "type": "object", "properties": {}}


def test_a_schema_that_has_properties_is_sent_as_it_is() -> None:
    for schema in (
        {"type": "object", "properties": {"a": {"type": "object"}}, "required": ["a"]},
        {"$ref": "#/$defs/x", "$defs": {"x": {"type": "object"}}},
        {"anyOf": [{"type": "object"}]},
    ):
        tool = Tool("f", "", schema)
        assert object_schema(tool) is tool.parameters
    assert object_schema(Tool("f", "", {"type": "object", "anyOf": []}))["properties"] == {}


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_arguments_come_back_as_an_object(document: Any) -> None:
    text = json.dumps(document)
    wanted = document if isinstance(document, dict) else {"arguments": text}
    assert arguments_object(ToolCall("c", "f", text)) == wanted


@pytest.mark.parametrize("text", ['{"a": ', "[" * 100_000, "plain", '{"a": 1} and more'])
def test_arguments_that_are_no_json_are_put_into_an_object(text: str) -> None:
    assert arguments_object(ToolCall("c", "f", text)) == {"arguments": text}
