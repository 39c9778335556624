"""The stored form of vectors, and the key of requests for them."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import ChatRequest, EmbeddingRequest, EmbeddingResponse, ModelConfig
from turnout.chat import Usage
from turnout.embeddings import Vectors
from turnout.routing.caching import can_be_stored, decode_answer, encode_answer, request_key

MODEL = ModelConfig("openai", "text-embedding-3-small")
COUNTS = st.none() | st.integers(0, 10**6)
NUMBERS = st.floats(width=32)
ROWS = st.integers(1, 4).flatmap(
    lambda size: st.lists(st.lists(NUMBERS, min_size=size, max_size=size), min_size=1, max_size=3)
)
WORDS = st.text(max_size=8)


def request_for(vectors: Vectors) -> EmbeddingRequest:
    return EmbeddingRequest(MODEL, [f"text {number}" for number in range(len(vectors))])


@st.composite
def answers(draw: st.DrawFn) -> EmbeddingResponse:
    return EmbeddingResponse(
        vectors=Vectors.of(draw(ROWS)),
        model=MODEL,
        usage=Usage(prompt_tokens=draw(COUNTS), cost=draw(st.none() | st.just(0.5))),
        served_model=draw(st.none() | WORDS),
        request_id=draw(st.none() | WORDS),
    )


@pytest.mark.slow
@given(answers())
def test_stored_vectors_come_back_bit_by_bit_and_cost_nothing(answer: EmbeddingResponse) -> None:
    assert can_be_stored(answer)
    again = decode_answer(encode_answer(answer), request_for(answer.vectors))
    assert isinstance(again, EmbeddingResponse)
    assert again.vectors.to_little_endian() == answer.vectors.to_little_endian(), "NaN is equal to nothing"
    assert again.vectors.dimensions == answer.vectors.dimensions
    assert again.usage == attrs.evolve(answer.usage, cost=0.0)
    assert (again.model, again.served_model) == (answer.model, answer.served_model)
    assert again.request_id is None, "it belongs to one call"


@pytest.mark.slow
@given(st.data())
def test_an_entry_with_another_value_is_none_or_has_a_vector_for_each_text(data: st.DataObject) -> None:
    answer = data.draw(answers())
    plain = json.loads(encode_answer(answer))
    values = st.none() | st.integers(-1, 5) | WORDS | st.lists(st.integers(0, 2), max_size=2)
    plain[data.draw(st.sampled_from(sorted(plain)))] = data.draw(values)
    request = request_for(answer.vectors)
    again = decode_answer(json.dumps(plain).encode(), request)
    assert again is None or (isinstance(again, EmbeddingResponse) and len(again.vectors) == len(request.input))


def test_an_answer_of_another_kind_is_none() -> None:
    vectors = Vectors.of([[1.0, 2.0]])
    stored = encode_answer(EmbeddingResponse(vectors=vectors, model=MODEL))
    assert decode_answer(stored, ChatRequest("openai/gpt-4o-mini", "hi")) is None
    assert decode_answer(stored, EmbeddingRequest(MODEL, ["one", "two"])) is None
    assert decode_answer(b"[]", request_for(vectors)) is None


SAME: tuple[Any, ...] = (
    EmbeddingRequest("openai/text-embedding-3-small", "a text", metadata={"user": "ada"}),
    EmbeddingRequest(attrs.evolve(MODEL, timeout=3), ["a text"]),
)
OTHERS: tuple[Any, ...] = (
    EmbeddingRequest(MODEL, "a text "),
    EmbeddingRequest(MODEL, ["a text", "a text"]),
    EmbeddingRequest(MODEL, ["a", " text"]),
    EmbeddingRequest("azure/text-embedding-3-small", "a text"),
    EmbeddingRequest(MODEL, "a text", dimensions=256),
    EmbeddingRequest(MODEL, "a text", purpose="query"),
    EmbeddingRequest(MODEL, "a text", family="small"),
    EmbeddingRequest(MODEL, "a text", family="small", fallbacks=["azure/text-embedding-3-small"]),
    EmbeddingRequest(attrs.evolve(MODEL, extra={"truncate": True}), "a text"),
    ChatRequest(MODEL, "a text"),
)


@pytest.mark.parametrize("request_", SAME)
def test_labels_and_timeouts_do_not_change_the_key(request_: EmbeddingRequest) -> None:
    assert request_key(request_) == request_key(EmbeddingRequest(MODEL, "a text"))


def test_everything_that_changes_the_vectors_changes_the_key() -> None:
    assert len({request_key(request) for request in (SAME[0], *OTHERS)}) == 1 + len(OTHERS)


def test_the_keys_of_chats_stay() -> None:
    """Stored answers of chats are found again after an update."""
    key = request_key(ChatRequest("openai/gpt-4o-mini", "Why do points freeze?", temperature=0.5))
    assert key == "v1-a024ae452330490e7c61f4bfd27743515107f36995980bc395e5a6d8eeb7b26e"
