"""Embeddings: the request, and vectors that the client's machine reads back bit by bit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ModelConfig, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.providers import create
from turnout.serving import (
    InboundEmbedding,
    ReadOptions,
    RequestRejected,
    build_embedding_response,
    read_embedding_request,
)

TWO = (ModelConfig("a", "e"), ModelConfig("b", "e"))


def read(family: str | None = None, **fields: Any) -> InboundEmbedding:
    body = json.dumps({"model": "e", "input": "x", **fields}).encode()
    return read_embedding_request(body, lambda name: TWO, ReadOptions(), lambda name: family)


def test_a_request() -> None:
    inbound = read(input=["a", "b"], dimensions=8, encoding_format="base64", input_type="query", user="ann", x=1)
    model = ModelConfig("a", "e", extra={"openai-chat": {"x": 1}})
    assert inbound.request == EmbeddingRequest(
        model, ["a", "b"], dimensions=8, purpose="query", metadata={"user": "ann"}
    )
    assert inbound.base64
    assert read("bge-m3").request == EmbeddingRequest(TWO[0], "x", fallbacks=TWO[1:], family="bge-m3")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, None),
        ({"input": ""}, None),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": {}}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_what_is_rejected(fields: dict[str, Any], param: str | None) -> None:
    with pytest.raises(RequestRejected) as caught:
        read(**fields)
    assert caught.value.error.param == param


@given(
    st.integers(1, 4).flatmap(
        lambda length: st.lists(
            st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=length, max_size=length),
            min_size=1,
            max_size=3,
        )
    ),
    st.booleans(),
)
def test_a_client_reads_the_vectors(rows: list[list[float]], base64: bool) -> None:
    usage = Usage(prompt_tokens=4, cost=0.5)
    response = EmbeddingResponse(vectors=Vectors.of(rows), model=TWO[0], usage=usage)
    body = build_embedding_response(read(encoding_format="base64" if base64 else "float"), response)
    assert json.loads(body)["usage"] == {"prompt_tokens": 4, "total_tokens": 4, "cost": 0.5}
    exchange = create("openai", api_key="k").embed(EmbeddingRequest("openai/e", ["x"] * len(rows)))
    exchange.receive_head(200, [])
    exchange.receive_data(body)
    exchange.receive_end()
    assert exchange.failure is None
    assert exchange.result.vectors == response.vectors
    assert exchange.result.served_model == "a/e"
    assert exchange.result.usage.prompt_tokens == 4
