"""A schema with a value of a wrong type: the error names the place, whatever the keyword and the provider."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from turnout.chat import ChatRequest, ResponseFormat
from turnout.errors import CapabilityUnsupported, TurnoutError
from turnout.messages import Tool
from turnout.providers import create
from turnout.providers.schemas.keywords import ANNOTATIONS, DEMANDS

VALUES: list[Any] = [5, 1.5, True, None, "x", [], [1], ["a"], [[1]], [{"type": 7}], {}, {"a": 1}, {"a": {"type": 5}}]
PROVIDERS = {
    "bedrock": create("bedrock", api_key="sk-12345678", region="us-east-1"),
    **{name: create(name, api_key="sk-12345678") for name in ("openai", "anthropic", "gemini", "cohere", "ollama")},
}


def schemas(keyword: str, value: Any) -> list[dict[str, Any]]:
    return [
        {keyword: value},
        {"type": "object", "properties": {}, keyword: value},
        {"type": "object", "properties": {"x": {"type": "string", keyword: value}}, "required": ["x"]},
        {"type": "array", "items": {"type": "integer"}, keyword: value},
        {"allOf": [{"type": "object", "properties": {}, keyword: value}]},
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("keyword", sorted(DEMANDS | ANNOTATIONS | {"$defs", "$id", "$anchor"}))
def test_a_wrong_value_is_an_error_of_turnout_or_is_sent(name: str, keyword: str) -> None:
    for value in VALUES:
        for schema in schemas(keyword, value):
            for strict in (True, False):
                ask(name, response_format=ResponseFormat(schema, strict=strict))
            try:
                tool = Tool("f", "", schema, strict=True)
            except ValueError:
                continue  # it is not the schema of an object
            ask(name, tools=[tool])


def ask(name: str, **fields: Any) -> None:
    with contextlib.suppress(TurnoutError):
        PROVIDERS[name].chat(ChatRequest(f"{name}/m", "x", **fields))


@pytest.mark.parametrize(
    ("keyword", "value", "wanted"),
    [
        ("properties", 5, "it must be an object of schemas"),
        ("anyOf", {}, "it must be a list of schemas"),
        ("required", "x", "it must be a list of names"),
        ("required", [1], "it must be a list of names"),
        ("type", 5, "it must be the name of a type, or a list of such names"),
        ("type", [], "it must be the name of a type, or a list of such names"),
        ("pattern", 5, "it must be a text"),
        ("minItems", "x", "it must be a number"),
    ],
)
def test_the_error_names_the_place(keyword: str, value: Any, wanted: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", keyword: value}}}
    with pytest.raises(CapabilityUnsupported) as caught:
        PROVIDERS["openai"].chat(ChatRequest("openai/m", "x", response_format=ResponseFormat(schema)))
    problem = f"`{keyword}` at #/properties/a/{keyword} cannot be held to: {wanted}"
    assert f"{problem}; ResponseFormat(…, strict=False) asks for it" in str(caught.value)
