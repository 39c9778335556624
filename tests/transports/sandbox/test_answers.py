"""The invented parts of answers: sentences, vectors, values for schemas, and the choice of tools."""

from __future__ import annotations

import base64
import json
import math
import random
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from turnout.errors import LocalProtocolError
from turnout_io.sandbox import Received, ScriptedAnswer, ScriptedCall
from turnout_sandbox.answers import AnswerScript, ParsedRequest, ToolSpec, Turn, compose
from turnout_sandbox.prose import pieces_of, sentences_about
from turnout_sandbox.schema_sample import sample
from turnout_sandbox.vectors import as_base64, as_floats, vector_of

NOTHING = Received(
    provider="openai", method="POST", path="/", query={}, headers={}, raw=b"", body=None, at=0.0, connection=1
)


def turn(asked: ParsedRequest, scripted: AnswerScript | None = None) -> Turn:
    return compose(asked, NOTHING, scripted, "salt")


@given(st.text())
def test_pieces_joined_are_the_text(text: str) -> None:
    pieces = pieces_of(text)
    assert "".join(pieces) == text
    assert all(pieces)


def test_the_same_prompt_gives_the_same_words_and_another_gives_others() -> None:
    assert sentences_about("Tell me of railways", "a") == sentences_about("Tell me of railways", "a")
    prompts = [f"Tell me of railways {number}" for number in range(20)]
    assert len({sentences_about(prompt, "a") for prompt in prompts}) > 10
    assert "railways" in sentences_about("Tell me of railways", "a")


@given(st.text(min_size=1), st.integers(4, 64))
def test_vectors_have_length_one_and_are_a_function_of_the_text(text: str, size: int) -> None:
    vector = vector_of("model", text, size, 64)
    assert len(vector) == size
    assert math.isclose(math.sqrt(sum(value * value for value in vector)), 1.0, abs_tol=1e-6)
    assert vector == vector_of("model", text, size, 64)
    assert vector != vector_of("model", text + "!", size, 64)
    packed = base64.b64decode(as_base64(vector))
    assert struct.unpack(f"<{size}f", packed) == tuple(vector)
    assert [struct.unpack("<f", struct.pack("<f", value))[0] for value in as_floats(vector)] == list(vector)


def test_a_shorter_vector_is_the_beginning_of_the_native_one() -> None:
    whole, short = vector_of("m", "t", 64, 64), vector_of("m", "t", 8, 64)
    scale = whole[0] / short[0]
    assert all(math.isclose(a, b * scale, abs_tol=1e-6) for a, b in zip(whole[:8], short, strict=True))


SCALARS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, st.integers(), st.integers(0, 9)
    ),
    st.builds(lambda low: {"type": "integer", "exclusiveMinimum": low}, st.integers(-5, 5)),
    st.builds(lambda low: {"type": "number", "minimum": low, "maximum": low + 1.5}, st.integers(-9, 9)),
    st.builds(lambda least: {"type": "string", "minLength": least, "maxLength": least + 3}, st.integers(0, 20)),
    st.builds(lambda options: {"enum": options}, st.lists(st.integers(), min_size=1)),
    st.sampled_from([{"type": "boolean"}, {"type": ["null", "string"]}, {"const": 7}, {"type": "null"}, {}]),
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda item, least: {"type": "array", "items": item, "minItems": least}, inner, st.integers(0, 4)),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda parts: {"type": "object", "properties": parts, "required": sorted(parts)},
            st.dictionaries(st.sampled_from(["city", "name", "count", "tags", "date"]), inner, max_size=3),
        ),
    ),
    max_leaves=6,
)


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """A JSON Schema check of what the strategy above can make."""
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return any(fits(value, option) for option in schema["anyOf"])
    kinds = schema.get("type")
    kind = kinds if isinstance(kinds, str) else "string"
    match kind:
        case "object":
            parts = schema["properties"]
            return set(value) == set(parts) and all(fits(value[name], part) for name, part in parts.items())
        case "array":
            return len(value) >= schema["minItems"] and all(fits(item, schema["items"]) for item in value)
        case "integer" | "number":
            whole = kind == "number" or isinstance(value, int)
            above = value >= schema.get("minimum", -math.inf) and value > schema.get("exclusiveMinimum", -math.inf)
            return whole and above and value <= schema.get("maximum", math.inf)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case _:
            return isinstance(value, str) and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 99)


@example({"type": "integer", "minimum": 10**15 - 8, "maximum": 10**15 + 1}, 0)
@given(SCHEMAS, st.integers())
def test_an_invented_value_fits_its_schema(schema: dict[str, Any], seed: int) -> None:
    assert fits(sample(schema, random.Random(seed)), schema)


def test_references_are_followed_and_recursion_ends() -> None:
    tree: dict[str, Any] = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "next": {"$ref": "#/$defs/node"}},
                "required": ["city"],
            }
        },
    }
    value = sample(tree, random.Random(0), "the way to Lisbon")
    assert value["city"] == "Lisbon"
    assert value["next"]["city"] == "Lisbon"
    endless = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert sample(endless, random.Random(0)) is None


def test_all_of_is_joined() -> None:
    both = {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}, "required": ["b"]}]}
    assert sample(both, random.Random(0)) == {"a": 1, "b": 2}


WEATHER = ToolSpec("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
STOCK = ToolSpec("lookupStockPrice", {"type": "object", "properties": {}})


def parsed(prompt: str, **more: Any) -> ParsedRequest:
    return ParsedRequest(model="m", prompt=prompt, prompt_tokens=1, tools=(WEATHER, STOCK), **more)


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (parsed("Hello there"), []),
        (parsed("What is the weather in Paris?"), ["get_weather"]),
        (parsed("use GET_WEATHER now"), ["get_weather"]),
        (parsed("The weather in Oslo, and a stock price"), ["get_weather", "lookupStockPrice"]),
        (parsed("The weather in Oslo, and a stock price", parallel_tool_calls=False), ["get_weather"]),
        (parsed("What is the weather?", tool_choice="none"), []),
        (parsed("Hello", tool_choice="required"), ["get_weather"]),
        (parsed("Hello", tool_choice="required", forced_tool="lookupStockPrice"), ["lookupStockPrice"]),
        (parsed("What is the weather?", tool_results=("sunny",)), []),
    ],
)
def test_which_tools_are_called(request_: ParsedRequest, names: list[str]) -> None:
    made = turn(request_)
    assert [call.name for call in made.calls] == names
    assert made.finish == ("tool_calls" if names else "stop")


def test_arguments_are_made_from_the_schema_and_the_prompt() -> None:
    (call,) = turn(parsed("What is the weather in Buenos Aires?")).calls
    assert call.arguments == {"city": "Buenos Aires"}


def test_a_tool_result_is_quoted() -> None:
    assert "sunny, 21 degrees" in turn(parsed("weather?", tool_results=("sunny, 21 degrees",))).whole_text


def test_a_limit_cuts_reasoning_first_and_the_finish_is_length() -> None:
    long = ScriptedAnswer(text="one two three four", reasoning="a b c")
    made = turn(ParsedRequest(model="m", prompt="p", prompt_tokens=1, max_tokens=5), long)
    assert (made.whole_reasoning, made.whole_text, made.finish) == ("a b c", "one two", "length")
    assert (made.completion_tokens, made.reasoning_tokens) == (5, 3)
    exact = turn(ParsedRequest(model="m", prompt="p", prompt_tokens=1, max_tokens=7), long)
    assert exact.finish == "stop"


def test_a_stop_text_ends_the_answer_before_it() -> None:
    made = turn(ParsedRequest(model="m", prompt="p", prompt_tokens=1, stop=("END", "three")), "one two three END")
    assert (made.whole_text, made.finish) == ("one two ", "stop")


def test_a_script_may_be_a_text_an_answer_or_a_function() -> None:
    plain = ParsedRequest(model="m", prompt="p", prompt_tokens=1)
    assert turn(plain, "hello").whole_text == "hello"
    assert turn(plain, ScriptedAnswer(tool_calls=(ScriptedCall("f", {"a": 1}),))).calls == (
        ScriptedCall("f", {"a": 1}),
    )
    assert turn(plain, lambda received: f"at {received.path}").whole_text == "at /"
    with pytest.raises(LocalProtocolError, match="int"):
        turn(plain, lambda received: 7)  # type: ignore[arg-type]  # what is refused is the point


# Limits

_ODD = [10**400, -(10**400), 10**300, 1e300, 1e-300, float("inf"), float("nan"), True, None]
odd_numbers = st.integers(-10, 200) | st.sampled_from(_ODD)
_BOUNDS = """
minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems minLength maxLength
"""
_TYPES = ["object", "array", "string", "integer", "number", "boolean", "null", ["string"], 5]
odd_keywords = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(_TYPES),
        **dict.fromkeys(_BOUNDS.split(), odd_numbers),
        "$ref": st.sampled_from(["#", "#/properties/a", "#/nowhere"]),
    },
)
odd_schemas = st.recursive(
    odd_keywords,
    lambda inner: st.builds(
        lambda base, items, properties, options: {**base, "items": items, "properties": properties, "anyOf": options},
        odd_keywords,
        inner,
        st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
        st.lists(inner, max_size=2),
    ),
    max_leaves=8,
)


@given(odd_schemas)
@example({"minLength": -(10**300), "maxLength": -(10**300)})
@example({"minLength": 10**300})
def test_any_schema_gives_a_value_of_bounded_size(schema: dict[str, Any]) -> None:
    assert len(json.dumps(sample(schema, random.Random(0)))) < 500_000


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 10**12},
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"type": "object", "properties": {name: {"$ref": "#"} for name in "abcdefgh"}, "required": list("abcdefgh")},
    ],
)
def test_a_schema_that_grows_is_bounded(schema: dict[str, Any]) -> None:
    assert len(json.dumps(sample(schema, random.Random(0)))) < 500_000
