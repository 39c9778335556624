"""Whatever way the batches of an embedding go, each text has its vector, and the usage is that of all requests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.chat import ModelConfig, Usage
from turnout.embeddings import EmbeddingRequest
from turnout.http import HttpRequest
from turnout.providers import create
from turnout.routing.call.operations import Embed
from turnout.routing.policy.settings import Policy
from turnout.routing.replay import replay
from turnout.routing.router import RouterCore
from turnout.simulation import Outcome, Script, Simulation


def words(texts: list[str]) -> int:
    return sum(len(text.split()) for text in texts)


def vector(text: str) -> list[float]:
    return [float(text.split()[0]), 1.0]


def openai(texts: list[str], tokens: int | None, rng: random.Random) -> Any:
    data = [{"embedding": vector(text), "index": index} for index, text in enumerate(texts)]
    rng.shuffle(data)  # the index has the order, not the list
    usage = {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if tokens is not None else {}
    return {"data": data, **usage}


def cohere(texts: list[str], tokens: int | None, rng: random.Random) -> Any:
    meta = {"meta": {"billed_units": {"input_tokens": tokens}}} if tokens is not None else {}
    return {"embeddings": {"float": list(map(vector, texts))}, **meta}


def ollama(texts: list[str], tokens: int | None, rng: random.Random) -> Any:
    counted = {"prompt_eval_count": tokens} if tokens is not None else {}
    return {"embeddings": list(map(vector, texts)), **counted}


def gemini(texts: list[str], tokens: int | None, rng: random.Random) -> Any:
    counted = {"usageMetadata": {"promptTokenCount": tokens}} if tokens is not None else {}
    return {"embeddings": [{"values": vector(text)} for text in texts], **counted}


def texts_of(body: Mapping[str, Any]) -> list[str]:
    if "requests" in body:
        return [request["content"]["parts"][0]["text"] for request in body["requests"]]
    return list(body.get("input") or body["texts"])


SERVERS: Mapping[str, Callable[[list[str], int | None, random.Random], Any]] = {
    "openai": openai,
    "openai-compatible": openai,
    "mistral": openai,
    "dashscope": openai,
    "cohere": cohere,
    "ollama": ollama,
    "gemini": gemini,
}


@attrs.define
class World:
    """A provider that takes some texts at once, counts their words, and fails now and then.

    Attributes:
        name: The provider.
        most: How many texts it takes at once.
        counts: Whether it counts the tokens of its next responses; after the last one it counts them.
        faults: Whether its next requests fail.
    """

    name: str
    most: int
    counts: list[bool]
    faults: list[bool]
    billed: list[int | None] = attrs.field(factory=list)

    def answer(self, request: HttpRequest, now: float) -> Script:
        texts = texts_of(json.loads(request.body))
        if len(texts) > self.most:
            refusal = {"error": {"message": f"batch size {len(texts)} > maximum allowed batch size {self.most}"}}
            return Script(status=413, body=((0.0, json.dumps(refusal).encode()),))
        if self.faults and self.faults.pop(0):
            return Script(status=503)
        self.billed.append(words(texts) if not self.counts or self.counts.pop(0) else None)
        document = SERVERS[self.name](texts, self.billed[-1], random.Random(len(texts)))
        return Script(body=((0.0, json.dumps(document).encode()),))

    def run(self, texts: list[str]) -> Outcome:
        core = RouterCore(Policy(max_retries=20, backoff_initial=0.01, timeout=10_000.0), random.Random(1))
        base_url = "http://localhost:1/v1" if self.name == "openai-compatible" else None
        core.register(create(self.name, api_key="k", base_url=base_url))
        simulation = Simulation(core, self.answer)
        simulation.call(Embed(EmbeddingRequest(ModelConfig(self.name, "e"), texts)))
        simulation.run()
        return simulation.outcomes[-1]


@pytest.mark.parametrize("name", SERVERS)
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.integers(1, 40),
    st.lists(st.booleans(), max_size=3),
    st.lists(st.booleans(), max_size=4),
)
def test_each_text_has_its_vector_and_each_token_is_counted_once(
    name: str, lengths: list[int], most: int, counts: list[bool], faults: list[bool]
) -> None:
    texts = [" ".join([str(number), *["w"] * length]) for number, length in enumerate(lengths)]
    world = World(name, most, counts, faults)
    outcome = world.run(texts)
    assert outcome.error is None
    assert outcome.result.vectors.tolist() == list(map(vector, texts))
    usage: Usage = outcome.result.usage
    if None in world.billed:
        # One request lacks the count, so the sum would be wrong.
        assert usage.prompt_tokens is None
        assert usage.source == "absent"
    else:
        assert usage.prompt_tokens == words(texts)
        assert usage.source == "reported"
    assert replay(outcome.call.trace.to_dict()) == ()
