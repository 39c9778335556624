"""Vectors 88 to 92: embeddings."""

from __future__ import annotations

import base64
import json
import random
import struct
from typing import Any

import pytest

from tests.sansio.vectors.exchanges import KEY, embed
from turnout.chat import ModelConfig, Usage
from turnout.embeddings import EmbeddingRequest
from turnout.errors import InvalidRequest, RemoteProtocolError
from turnout.http import HttpRequest
from turnout.providers import create
from turnout.routing.call.operations import Embed
from turnout.routing.policy.settings import Policy
from turnout.routing.router import RouterCore
from turnout.simulation import Outcome, Script, Simulation

# What these floats are as little-endian bytes does not depend on this machine.
PACKED = base64.b64encode(bytes.fromhex("0000803f000000c00000003e")).decode()
FLOATS = [1.0, -2.0, 0.125]


def entry(vector: Any, index: int | None = None) -> dict[str, Any]:
    return {"object": "embedding", "embedding": vector} | ({"index": index} if index is not None else {})


def answer(*entries: Any, prompt_tokens: int = 5) -> dict[str, Any]:
    return {"object": "list", "data": list(entries), "model": "served", "usage": {"prompt_tokens": prompt_tokens}}


def test_vector_88_base64_of_little_endian_floats() -> None:
    assert base64.b64decode(PACKED) == struct.pack("<3f", *FLOATS)
    result = embed("openai", answer(entry(PACKED, 0), entry(PACKED, 1))).result
    assert result.vectors.tolist() == [FLOATS, FLOATS]
    assert (result.usage, result.served_model) == (Usage(prompt_tokens=5), "served")


def test_vector_88_floats_although_base64_was_asked_for() -> None:
    request = EmbeddingRequest(ModelConfig("openai", "e"), ["a"])
    assert json.loads(create("openai", api_key=KEY).embed(request).request.body)["encoding_format"] == "base64"
    assert embed("openai", answer(entry(FLOATS, 0), entry([1, 2, 3], 1))).result.vectors.tolist() == [FLOATS, [1, 2, 3]]


@pytest.mark.parametrize("broken", [base64.b64encode(b"12345").decode(), "%%%%", "", PACKED[:-4]])
def test_vector_88_bytes_that_are_no_floats(broken: str) -> None:
    seen = embed("openai", answer(entry(PACKED, 0), entry(broken, 1)))
    assert isinstance(seen.failure, RemoteProtocolError)
    assert seen.answer is None


def test_vector_89_the_index_decides_the_order() -> None:
    assert embed("openai", answer(entry([2.0], 1), entry([1.0], 0))).result.vectors.tolist() == [[1.0], [2.0]]
    # A zero is left out by servers whose JSON is made of protocol buffers.
    assert embed("openai", answer(entry([2.0], 1), entry([1.0]))).result.vectors.tolist() == [[1.0], [2.0]]
    assert embed("openai", answer(entry([1.0]), entry([2.0]))).result.vectors.tolist() == [[1.0], [2.0]]


def test_vector_89_an_index_twice_leaves_the_order_open() -> None:
    seen = embed("openai", answer(entry([1.0], 0), entry([2.0], 0)))
    assert isinstance(seen.failure, RemoteProtocolError)
    assert "index" in str(seen.failure)


class World:
    """A provider that answers each text, a number, with the vector of that number; and says which batches it got."""

    def __init__(self, name: str, failing: int | None = None, short: bool = False) -> None:
        self.name, self.failing, self.short = name, failing, short
        self.batches: list[int] = []

    def answer(self, request: HttpRequest, now: float) -> Script:
        body = json.loads(request.body)
        told = body.get("input") or body.get("texts") or [each["content"] for each in body["requests"]]
        texts = [each if isinstance(each, str) else each["parts"][0]["text"] for each in told]
        self.batches.append(len(texts))
        if len(self.batches) == self.failing:
            return Script(status=400, body=((0.0, b'{"error": {"message": "No."}}'),))
        rows = [[float(text), 0.5] for text in texts][: -1 if self.short else None]
        documents: dict[str, Any] = {
            "gemini": {"embeddings": [{"values": row} for row in rows]},
            "ollama": {"embeddings": rows, "prompt_eval_count": len(texts)},
            "cohere": {"embeddings": {"float": rows}, "meta": {"billed_units": {"input_tokens": len(texts)}}},
        }
        openai = answer(*(entry(row, at) for at, row in enumerate(rows)), prompt_tokens=len(texts))
        return Script(body=((0.0, json.dumps(documents.get(self.name, openai)).encode()),))

    def run(self, count: int) -> Outcome:
        core = RouterCore(Policy(max_retries=0), random.Random(1))
        core.register(create(self.name, api_key=KEY))
        simulation = Simulation(core, self.answer)
        texts = [str(number) for number in range(count)]
        simulation.call(Embed(EmbeddingRequest(ModelConfig(self.name, "e"), texts)))
        simulation.run()
        return simulation.outcomes[-1]


CAPS = [("openai", 2048), ("gemini", 100), ("glm4", 64), ("siliconflow", 32), ("mistral", 32), ("cohere", 96)]


def test_vector_89_fewer_vectors_than_texts() -> None:
    for name in ("openai", "gemini", "cohere", "ollama"):
        error = World(name, short=True).run(3).error
        assert isinstance(error, RemoteProtocolError)
        assert "3 texts were sent and 2 vectors were returned" in str(error)


@pytest.mark.parametrize(("name", "cap"), CAPS)
def test_vector_90_batches_are_split_at_the_cap_and_joined(name: str, cap: int) -> None:
    world = World(name)
    count = 2 * cap + 3
    result = world.run(count).result
    assert world.batches == [cap, cap, 3]
    assert result.vectors.tolist() == [[float(number), 0.5] for number in range(count)]
    # Gemini's batches say nothing of tokens.
    assert result.usage == (Usage(source="absent") if name == "gemini" else Usage(prompt_tokens=count))


@pytest.mark.parametrize(("name", "cap"), CAPS[1:])
def test_vector_90_a_batch_that_fails_loses_none_before_it(name: str, cap: int) -> None:
    error = World(name, failing=2).run(cap + 1).error
    assert isinstance(error, InvalidRequest)
    assert error.vectors is not None
    assert error.vectors.tolist() == [[float(number), 0.5] for number in range(cap)]


def test_vector_91_gemini_s_batches_and_their_usage() -> None:
    rows = {"embeddings": [{"values": [1.0]}, {"values": [2.0]}]}
    bare = embed("gemini", rows).result
    assert (bare.vectors.tolist(), bare.usage) == ([[1.0], [2.0]], Usage(source="absent"))
    counted = embed("gemini", rows | {"usageMetadata": {"promptTokenCount": 4}}).result
    assert counted.usage == Usage(prompt_tokens=4)


def test_vector_91_one_content_alone() -> None:
    assert embed("gemini", {"embedding": {"values": [1.0, 2.0]}}, ["a"]).result.vectors.tolist() == [[1.0, 2.0]]
    predicted = {"predictions": [{"embeddings": {"values": [3.0], "statistics": {"token_count": 2}}}]}
    assert embed("gemini", predicted, ["a"]).result.vectors.tolist() == [[3.0]]


def test_vector_91_ollama_s_empty_list() -> None:
    assert len(embed("ollama", {"model": "m", "embeddings": []}).result.vectors) == 0
    outcome_of_none = World("ollama", short=True).run(1)
    assert isinstance(outcome_of_none.error, RemoteProtocolError)


@pytest.mark.parametrize("texts", [[""], ["a", ""], []])
def test_vector_92_nothing_to_embed_is_refused_before_sending(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="input"):
        EmbeddingRequest(ModelConfig("openai", "e"), texts)
