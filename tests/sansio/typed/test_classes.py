"""A class gives the schema of an answer, and the answer becomes a value of the class."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Literal, NamedTuple, TypedDict

import attrs
import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from turnout import ChatRequest, ChatResponse, FinishReason, Message, ModelConfig, ResponseFormat
from turnout._utils.json_text import is_json
from turnout.providers import create

MODEL = ModelConfig("openai", "gpt-4o-mini")


@attrs.frozen
class Track:
    """A track of a yard."""

    name: str
    length: float = 1.0
    kind: Literal["main", "siding"] = "main"


@attrs.frozen
class AttrsYard:
    tracks: list[Track]
    note: str | None = None


@dataclasses.dataclass
class DataYard:
    tracks: list[Track]
    note: str | None = None


class StructYard(msgspec.Struct):
    tracks: list[Track]
    note: str | None = None


class DictYard(TypedDict):
    tracks: list[Track]
    note: str | None


class TupleYard(NamedTuple):
    name: str
    length: float = 1.0


class PydanticTrack(pydantic.BaseModel):
    name: str
    length: float = 1.0
    kind: Literal["main", "siding"] = "main"


class PydanticYard(pydantic.BaseModel):
    """A yard."""

    tracks: list[PydanticTrack]
    note: str | None = None


class Tree(msgspec.Struct):
    value: int
    children: list[Tree]


YARDS = [AttrsYard, DataYard, StructYard, DictYard, PydanticYard]
JSON = {"tracks": [{"name": "a", "length": 2.0, "kind": "siding"}], "note": None}


def answer(text: str, **fields: Any) -> ChatResponse:
    return ChatResponse(message=Message.assistant(text), model=MODEL, **fields)


@pytest.mark.parametrize("kind", YARDS)
def test_a_class_gives_a_schema_and_an_answer_gives_the_class(kind: Any) -> None:
    format = ResponseFormat.of(kind)
    assert format.schema is not None
    jsonschema.validate(JSON, format.schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"tracks": [{"name": "a", "length": 1, "kind": "main"}]}, format.schema)
    value = answer(json.dumps(JSON)).parsed(kind)
    tracks = value["tracks"] if isinstance(value, dict) else value.tracks
    assert tracks[0].length == 2.0
    assert format.name == kind.__name__


@pytest.mark.parametrize("kind", YARDS)
@pytest.mark.parametrize("provider", ["openai", "gemini", "anthropic", "groq", "cohere", "ollama"])
def test_every_provider_takes_the_schema(kind: Any, provider: str) -> None:
    model = {"anthropic": "claude-sonnet-4-5", "groq": "openai/gpt-oss-20b"}.get(provider, "m")
    request = ChatRequest(ModelConfig(provider, model), "hi", response_format=kind)
    assert create(provider, api_key="k").chat(request).request.body


def test_a_class_that_holds_itself_has_a_schema() -> None:
    schema = ResponseFormat.of(Tree).schema
    assert schema is not None
    jsonschema.validate({"value": 1, "children": [{"value": 2, "children": []}]}, schema)
    assert answer('{"value": 1, "children": []}').parsed(Tree) == Tree(1, [])


def test_an_answer_that_is_nested_too_deeply_is_no_value_of_a_class() -> None:
    with pytest.raises(ValueError, match="is not a list: its JSON is nested too deeply"):
        answer("[" * 100_000).parsed(list)


def test_other_types_may_be_parsed() -> None:
    assert answer("[1, 2]").parsed(list[int]) == [1, 2]
    assert answer('["a", 2]').parsed(TupleYard) == TupleYard("a", 2.0)
    assert ResponseFormat.of(list[int]).schema == {"type": "array", "items": {"type": "integer"}}


def test_a_docstring_is_the_description() -> None:
    assert ResponseFormat.of(Track).description == "A track of a yard."
    assert ResponseFormat.of(PydanticYard).description == "A yard."
    assert ResponseFormat.of(DataYard).description is None


def test_a_fence_around_the_json_is_removed() -> None:
    assert answer('```json\n{"name": "a"}\n```').parsed(Track) == Track("a")


PIECES = ["```", "```json", "\n", " ", "{", "}", '"a"', ":", ",", "[", "]", "1", "1e5", "null", "\ud800", "words"]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=20))
@example('```json\n{"a": 1}\n```')
@example('Here it is:\n```json\n{"a": 1}\n```')
@example('```{"a": 1}```')
def test_a_text_is_json_if_it_can_be_parsed(text: str) -> None:
    assume(re.search(r"e[0-9]{3}", text) is None)  # a number above every float is JSON all the same
    read = True
    try:
        answer(text).parsed(object)
    except ValueError:
        read = False
    assert is_json(text) is read


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (answer("{}"), "openai/gpt-4o-mini is not a Track: .*name"),
        (answer('{"na', finish_reason=FinishReason.LENGTH), "cut, so give more max_tokens"),
        (answer(""), "it has no text"),
        (answer('{"name": 5}'), "Expected `str`"),
    ],
)
def test_an_answer_of_another_form_is_explained(response: ChatResponse, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        response.parsed(Track)


def test_a_type_without_a_schema_is_named() -> None:
    class Wrong(msgspec.Struct):
        value: complex

    with pytest.raises(TypeError, match=r"Wrong has no JSON Schema: .*complex"):
        ResponseFormat.of(Wrong)
    with pytest.raises(TypeError, match=r"ResponseFormat.of\(Track\)"):
        ResponseFormat(Track)  # type: ignore[arg-type]  # what is tested


@given(
    st.builds(Track, st.text(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["main", "siding"]))
)
def test_any_value_is_parsed_from_its_json(track: Track) -> None:
    text = msgspec.json.encode(track).decode()
    assert answer(text).parsed(Track) == track
    schema = ResponseFormat.of(Track).schema
    assert schema is not None
    jsonschema.validate(json.loads(text), schema)
