"""A user's schema in each provider's words: nothing that it demands is lost, and what cannot be said is told."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.errors import CapabilityUnsupported
from turnout.messages import Message, Tool
from turnout.providers import CATALOG, create
from turnout.providers.schemas.keywords import LISTS, MAPPINGS, ONE
from turnout.providers.schemas.subset import SchemaSubset, SchemaUnsupported
from turnout.providers.schemas.transform import transform

SUBSETS = {name: entry.schemas for name, entry in CATALOG.items() if entry.schemas is not None}
NAMES = ("a", "b", "c", "kind")
SCALARS = st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from(["", "x", "y", "xyz", 1.5])


def said(schema: Mapping[str, Any], provider: str) -> dict[str, Any]:
    return transform(schema, SUBSETS[provider], "the schema")


# -- any schema, any instance ------------------------------------------------------------------------------------------


def described(schemas: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    notes = st.fixed_dictionaries(
        {}, optional={"title": st.just("T"), "description": st.just("D"), "default": st.none(), "x-own": st.just(1)}
    )
    return st.builds(lambda schema, note: {**note, **schema}, schemas, notes)


LEAVES = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"minLength": st.integers(0, 2), "pattern": st.just("^x")}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={
            "minimum": st.integers(0, 3),
            "exclusiveMinimum": st.integers(-1, 3),
            "exclusiveMaximum": st.sampled_from([2, 5, 2.5]),
            "multipleOf": st.just(2),
        },
    ),
    st.sampled_from(["boolean", "null"]).map(lambda one: {"type": one}),
    st.lists(st.sampled_from(["string", "integer", "null", "boolean"]), min_size=1, max_size=3, unique=True).map(
        lambda types: {"type": types, "minLength": 1, "minimum": 1}
    ),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    st.lists(SCALARS, min_size=1, max_size=3).map(lambda values: {"type": ["string", "null"], "enum": values}),
    SCALARS.map(lambda value: {"const": value}),
    st.sampled_from(["#/$defs/leaf", "#/$defs/tree", "#/definitions/old", "#"]).map(lambda to: {"$ref": to}),
)


def compound(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def tagged(pair: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
        branches = [
            {"type": "object", "properties": {"kind": {"const": tag}, "a": inside}, "required": ["kind", "a"]}
            for tag, inside in zip("xy", pair, strict=True)
        ]
        return {"oneOf": branches, "discriminator": {"propertyName": "kind"}}

    return st.one_of(
        objects(inner),
        st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner},
            optional={"minItems": st.integers(0, 2), "maxItems": st.integers(1, 3), "uniqueItems": st.booleans()},
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
        st.lists(inner, min_size=1, max_size=2).map(lambda branches: {"oneOf": branches}),
        st.tuples(inner, inner).map(tagged),
        inner.map(lambda only: {"allOf": [only], "description": "wrapped"}),
        inner.map(lambda only: {"not": only}),
    )


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def made(properties: dict[str, Any], optional: set[str], others: Any) -> dict[str, Any]:
        schema = {"type": "object", "properties": properties}
        schema["required"] = [name for name in properties if name not in optional]
        return schema if others is None else {**schema, "additionalProperties": others}

    return st.builds(
        made,
        st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=3),
        st.sets(st.sampled_from(NAMES), max_size=1) | st.just(set()),
        st.sampled_from([None, None, False, True, {"type": "integer"}]),
    )


SCHEMAS = described(st.recursive(described(LEAVES), lambda inner: described(compound(inner)), max_leaves=6))
DEFINITIONS = st.fixed_dictionaries(
    {
        "leaf": LEAVES.filter(lambda schema: "$ref" not in schema),
        "tree": st.just(
            {
                "type": "object",
                "properties": {"b": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
                "required": ["b"],
            }
        ),
    }
)
ROOTS = st.builds(
    lambda schema, definitions: {**schema, "$defs": definitions, "definitions": {"old": {"type": "integer"}}},
    objects(SCHEMAS) | objects(SCHEMAS) | SCHEMAS,
    DEFINITIONS,
)


def instances(schema: Any, root: Mapping[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that match, or nearly: what a schema says is followed, but for its bounds."""
    if not isinstance(schema, Mapping) or depth > 5:
        return SCALARS
    if "$ref" in schema:
        target = root
        for part in str(schema["$ref"])[2:].split("/") if schema["$ref"] != "#" else ():
            target = target[part]
        return instances(target, root, depth + 1)
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema.get("const")]) | SCALARS
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            return st.one_of(*(instances(branch, root, depth + 1) for branch in schema[keyword]))
    types = schema.get("type")
    if types == "object":
        inner = {name: instances(one, root, depth + 1) for name, one in schema.get("properties", {}).items()}
        exact = st.fixed_dictionaries(inner)
        fewer = st.fixed_dictionaries({}, optional={**inner, "extra": SCALARS, "c": SCALARS})
        return exact | exact | fewer | st.builds(lambda one, more: {**more, **one}, exact, fewer)
    if types == "array":
        return st.lists(instances(schema.get("items"), root, depth + 1), max_size=3)
    return SCALARS


def valid(schema: Mapping[str, Any], value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def closed(schema: Any) -> Any:
    """The schema with every object closed that says nothing of other properties: the one thing that is narrowed."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {
        keyword: {name: closed(one) for name, one in value.items()}
        if keyword in MAPPINGS | {"$defs", "definitions"}
        else closed(value)
        if keyword in ONE | LISTS
        else value
        for keyword, value in schema.items()
    }
    types = made.get("type", ())
    if "object" in ([types] if isinstance(types, str) else types):
        made.setdefault("additionalProperties", False)
    return made


def inside(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every schema in a schema."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for keyword, value in schema.items():
        if keyword in MAPPINGS | {"$defs"}:
            for one in value.values():
                yield from inside(one)
        elif keyword in LISTS:
            for one in value:
                yield from inside(one)
        elif keyword in ONE:
            yield from inside(value)


def check_words(made: Mapping[str, Any], subset: SchemaSubset) -> None:
    """No word is left that the provider does not take."""
    for one in inside(made):
        assert set(one) <= subset.keywords | ({"$defs"} if one is made else set()), one
        assert one.get("format", None) in {None, *subset.formats}
        if "$ref" in one and subset.lone_references:
            assert set(one) <= {"$ref", "$defs"}
        if subset.closed and "object" in one.get("type", ()):
            assert one["additionalProperties"] is False
        if subset.all_required and "object" in one.get("type", ()):
            assert set(one["required"]) == set(one["properties"])
        if subset.typed:
            assert {"type", "anyOf", "$ref"} & set(one)
        if not subset.type_lists:
            assert not isinstance(one.get("type"), list)
    if subset.root_object:
        assert made["type"] == "object"


SLOW = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


@pytest.mark.full
@pytest.mark.parametrize("provider", SUBSETS)
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
def test_what_is_said_demands_the_same(provider: str, data: st.DataObject) -> None:
    subset = SUBSETS[provider]
    schema = data.draw(ROOTS)
    before = copy.deepcopy(schema)
    try:
        made = said(schema, provider)
    except SchemaUnsupported as refused:
        assert f"`{refused.keyword}` at {refused.pointer} " in str(refused)
        assert refused.pointer.startswith("#")
        return
    assert schema == before
    json.dumps(made)
    jsonschema.Draft202012Validator.check_schema(made)
    check_words(made, subset)
    meant = closed(schema) if subset.closed else schema
    for value in data.draw(st.lists(instances(schema, schema), min_size=1, max_size=8)):
        assert valid(made, value) == valid(meant, value), value
        assert valid(schema, value) or not valid(made, value), "never looser than the user's own"


# -- each rule ---------------------------------------------------------------------------------------------------------

TEXT, NULL, T = {"type": "string"}, {"type": "null"}, {"$ref": "#/$defs/t"}
ROW = {"type": "array", "items": TEXT}
CITY = {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}
CLOSED = {**CITY, "additionalProperties": False}


def within(schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("provider", "schema", "keyword", "pointer"),
    [
        ("openai", {**CITY, "required": []}, "required", "#/required"),
        ("openai", {**CITY, "additionalProperties": True}, "additionalProperties", "#/additionalProperties"),
        ("openai", within({"type": "object"}), "additionalProperties", "#/properties/a"),
        ("openai", within({"type": "string", "minLength": 1}), "minLength", "#/properties/a/minLength"),
        ("openai", within({"type": "string", "format": "uri"}), "format", "#/properties/a/format"),
        ("openai", within({"not": {"type": "null"}}), "type", "#/properties/a"),
        ("openai", within({"type": "string", "not": {"const": ""}}), "not", "#/properties/a/not"),
        ("openai", within({}), "type", "#/properties/a"),
        ("openai", within({"oneOf": [{"type": "string"}, {"minimum": 1}]}), "oneOf", "#/properties/a/oneOf"),
        ("openai", {"anyOf": [CITY]}, "type", "#"),
        ("openai", {"type": "array", "items": CITY}, "type", "#"),
        ("openai", within({"$ref": "https://x.test/schema"}), "$ref", "#/properties/a/$ref"),
        ("openai", within({"$ref": "#/$defs/none"}), "$ref", "#/properties/a/$ref"),
        ("groq", within({"type": "array", "items": CITY, "minItems": 1}), "minItems", "#/properties/a/minItems"),
        ("cerebras", {"$defs": {"t": within(T)}, **T}, "$ref", "#/$defs/t/properties/a/$ref"),
        ("anthropic", within({"type": "array", "items": CITY, "minItems": 2}), "minItems", "#/properties/a/minItems"),
        ("anthropic", within({"type": "integer", "minimum": 1}), "minimum", "#/properties/a/minimum"),
        ("anthropic", within({"enum": [{"x": 1}]}), "enum", "#/properties/a/enum"),
        ("gemini", within({"type": "string", "pattern": "^x"}), "pattern", "#/properties/a/pattern"),
        ("gemini", within({"enum": [True]}), "enum", "#/properties/a/enum"),
        ("gemini", within({"type": "string", "enum": [True, False]}), "enum", "#/properties/a/enum"),
        ("gemini", within({"type": "number", "multipleOf": 2}), "multipleOf", "#/properties/a/multipleOf"),
        ("gemini", {"type": "object", "properties": {"a": {"$ref": "#"}}}, "$ref", "#/properties/a/$ref"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_named(provider: str, schema: Any, keyword: str, pointer: str) -> None:
    with pytest.raises(SchemaUnsupported) as caught:
        said(schema, provider)
    assert (caught.value.keyword, caught.value.pointer) == (keyword, pointer)
    assert isinstance(caught.value, CapabilityUnsupported)


@pytest.mark.parametrize(
    ("provider", "schema", "made"),
    [
        ("openai", CITY, CLOSED),
        ("openai", within({"const": 3}), within({"const": 3, "type": "number"})),
        ("openai", within({"enum": ["x", None]}), within({"type": ["string", "null"], "enum": ["x", None]})),
        ("openai", within({**ROW, "uniqueItems": False}), within(ROW)),
        ("openai", within({"oneOf": [TEXT, NULL]}), within({"anyOf": [TEXT, NULL]})),
        ("openai", {"$schema": "x", **within({**TEXT, "title": "A", "examples": [1]})}, within({**TEXT, "title": "A"})),
        (
            "openai",
            {**within({"$ref": "#/definitions/c", "description": "D"}), "definitions": {"c": CITY}},
            {**within({"anyOf": [{"$ref": "#/$defs/c"}], "description": "D"}), "$defs": {"c": CLOSED}},
        ),
        (
            "openai",
            {**within({"allOf": [{"$ref": "#/$defs/c"}]}), "$defs": {"c": CITY, "unused": {"not": {}}}},
            {**within({"$ref": "#/$defs/c"}), "$defs": {"c": CLOSED}},
        ),
        ("openai", {"$ref": "#/$defs/c", "$defs": {"c": CITY}}, CLOSED),
        (
            "anthropic",
            within({"type": ["string", "null"], "format": "date"}),
            within({"anyOf": [{**TEXT, "format": "date"}, NULL]}),
        ),
        ("anthropic", {**CITY, "required": []}, {**CLOSED, "required": []}),
        ("gemini", within({"const": "x"}), within({"enum": ["x"]})),
        ("gemini", within({"enum": ["x", None]}), within({"anyOf": [{**TEXT, "enum": ["x"]}, NULL]})),
        ("gemini", within({"type": "integer", "exclusiveMinimum": 0}), within({"type": "integer", "minimum": 1})),
        ("gemini", CITY, CITY),
    ],
)  # fmt: skip
def test_the_same_in_other_words(provider: str, schema: Any, made: Any) -> None:
    assert said(schema, provider) == made


def test_a_schema_that_refers_to_itself_stays_so() -> None:
    tree = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
    }
    made = said(tree, "openai")
    assert made["properties"]["next"]["anyOf"][0] == {"$ref": "#"}
    assert valid(made, {"next": {"next": None}})
    assert not valid(made, {"next": {"next": 1}})


def test_where_references_are_not_taken_they_are_put_in_place() -> None:
    subset = SchemaSubset(keywords=frozenset({"type", "properties", "items"}), references="inline")
    definitions = {"row": {"type": "array", "items": {"$ref": "#/$defs/text"}}, "text": TEXT}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/row"}}, "$defs": definitions}
    assert transform(schema, subset, "it") == {"type": "object", "properties": {"a": ROW}}
    fans: dict[str, Any] = {
        "$defs": {"d0": {"type": "string"}},
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/d20"}},
    }
    for level in range(1, 21):
        to = {"$ref": f"#/$defs/d{level - 1}"}
        fans["$defs"][f"d{level}"] = {"type": "object", "properties": {"x": to, "y": to}}
    with pytest.raises(SchemaUnsupported, match="fan out"):
        transform(fans, subset, "it")


def test_size_has_its_limits() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(11):
        deep = within(deep)
    with pytest.raises(SchemaUnsupported, match="more than 10 levels"):
        said(deep, "openai")
    wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(501)}, "required": []}
    with pytest.raises(SchemaUnsupported, match="more than 500 properties"):
        said(wide, "cerebras")
    long = within({"type": "string", "description": "x" * 6000})
    with pytest.raises(
        SchemaUnsupported, match=r"[^:]+ cannot be held to: it is 6,\d+ characters long, and may be 5,000"
    ):
        said(long, "cerebras")


# -- in requests -------------------------------------------------------------------------------------------------------


def sent(provider: str, model: str = "m", **fields: Any) -> dict[str, Any]:
    request = ChatRequest(ModelConfig(provider, model), [Message.user("x")], **fields)
    made: dict[str, Any] = (
        json.loads(create(provider, api_key="k", region="eu-west-1").chat(request).request.body)
        if provider == "bedrock"
        else json.loads(create(provider, api_key="k").chat(request).request.body)
    )
    return made


def test_answers_are_asked_for_in_the_provider_s_words() -> None:
    wanted = ResponseFormat(CITY)
    assert sent("openai", response_format=wanted)["response_format"]["json_schema"]["schema"] == CLOSED
    assert sent("groq", response_format=wanted)["response_format"]["json_schema"]["schema"] == CLOSED
    claude = sent("anthropic", "claude-haiku-4-5", response_format=wanted)
    assert claude["output_config"]["format"]["schema"] == CLOSED
    amazon = sent("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0", response_format=wanted)
    assert json.loads(amazon["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]) == CLOSED
    assert sent("gemini", response_format=wanted)["generationConfig"]["responseJsonSchema"] == CITY
    assert sent("mistral", response_format=wanted)["response_format"]["json_schema"]["schema"] == CITY


def test_what_need_not_be_held_is_sent_as_it_is() -> None:
    free = {"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}}
    loose = sent("openai", response_format=ResponseFormat(free, strict=False))
    assert loose["response_format"]["json_schema"] == {"name": "answer", "schema": free, "strict": False}
    assert sent("openai", tools=[Tool("t", parameters=free)])["tools"][0]["function"]["parameters"] == free
    with pytest.raises(SchemaUnsupported, match=r"openai/m: the schema of the answer: `minLength` at #/properties/a"):
        sent("openai", response_format=ResponseFormat(within({"type": "string", "minLength": 1})))


@pytest.mark.parametrize("provider", ["openai", "groq", "cerebras", "azure"])
def test_strict_tools_are_held_to_the_same(provider: str) -> None:
    def function(tool: Tool) -> Any:
        request = ChatRequest(ModelConfig(provider, "m"), [Message.user("x")], tools=[tool])
        body = create(provider, api_key="k", base_url="https://x.test").chat(request).request.body
        return json.loads(body)["tools"][0]["function"]

    assert function(Tool("t", parameters=CITY, strict=True))["parameters"] == CLOSED
    assert function(Tool("t", strict=True))["parameters"]["additionalProperties"] is False
    with pytest.raises(SchemaUnsupported, match=r"the parameters of tool 't': `minLength` at #/properties/a/minLength"):
        function(Tool("t", parameters=within({"type": "string", "minLength": 1}), strict=True))


def test_strict_tools_of_claude() -> None:
    tool = Tool("t", parameters=CITY, strict=True)
    assert sent("anthropic", "claude-haiku-4-5", tools=[tool])["tools"][0]["input_schema"] == CLOSED
    loose = Tool("t", parameters=within({"type": "integer", "minimum": 1}))
    assert sent("anthropic", "claude-haiku-4-5", tools=[loose])["tools"][0]["input_schema"] == loose.parameters
