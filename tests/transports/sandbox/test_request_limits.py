"""One request cannot make the sandbox build more than a bounded response, whatever its schema demands."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_io.sandbox import Sandbox
from turnout_sandbox.schema_sample import sample

numbers = st.integers(-10, 200) | st.sampled_from([10**400, -(10**400), 1e300, float("inf"), float("nan"), True, None])
_BOUNDS = """
minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems minLength maxLength
"""
_TYPES = ["object", "array", "string", "integer", "number", "boolean", "null", ["string"], 5]
keywords = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(_TYPES),
        **dict.fromkeys(_BOUNDS.split(), numbers),
        "$ref": st.sampled_from(["#", "#/properties/a", "#/nowhere"]),
    },
)
schemas = st.recursive(
    keywords,
    lambda inner: st.builds(
        lambda base, items, properties, options: {**base, "items": items, "properties": properties, "anyOf": options},
        keywords,
        inner,
        st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
        st.lists(inner, max_size=2),
    ),
    max_leaves=8,
)


@given(schemas)
def test_any_schema_gives_a_value_of_bounded_size(schema: dict[str, Any]) -> None:
    json.dumps(sample(schema, random.Random(0)))


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


def test_a_body_that_is_nested_too_deeply_is_rejected(
    sandbox: Sandbox, ask: Callable[..., tuple[int, dict[str, str], bytes]]
) -> None:
    inner = b'{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":'
    schema = inner * 2000 + b"{}" + b"}}" * 2000
    wanted = b'{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":' + schema + b"}}"
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}],"response_format":' + wanted + b"}"
    status, _, data = ask("openai", "/chat/completions", body)
    assert (status, b"nested too deeply" in data) == (400, True)


def test_inputs_of_embeddings_have_a_limit_together(ask: Callable[..., tuple[int, dict[str, str], bytes]]) -> None:
    body = {"model": "text-embedding-3-small", "input": ["word " * 8000] * 40}
    status, _, data = ask("openai", "/embeddings", body)
    assert (status, b"max_tokens_per_request" in data) == (400, True)
