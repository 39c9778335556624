"""Embeddings of more texts than a provider takes at once: split by its caps, and halved when it refuses a batch."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.chat import ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import AllAttemptsFailed, ContextLengthExceeded, InvalidRequest, ProviderError
from turnout.http import HttpRequest
from turnout.providers import create
from turnout.routing.call.operations import Embed
from turnout.routing.policy.estimate import text_tokens
from turnout.routing.policy.settings import Policy
from turnout.routing.replay import replay
from turnout.routing.router import RouterCore
from turnout.simulation import Outcome, Script, Simulation

TOO_MANY = {"error": {"message": "batch size is invalid, it should not be larger than 10.", "code": "InvalidParameter"}}


class World:
    """Providers that take a number of texts, and of characters, in one request. The vector of a text is its number."""

    def __init__(
        self,
        *names: str,
        most_texts: int = 10**9,
        most_characters: int = 10**9,
        refusal: Any = TOO_MANY,
        status: int = 400,
        **policy: Any,
    ) -> None:
        self.names = names or ("openai-compatible",)
        self.most_texts, self.most_characters = most_texts, most_characters
        self.refusal, self.status, self.policy = refusal, status, policy
        self.batches: list[list[str]] = []

    def answer(self, request: HttpRequest, now: float) -> Script:
        texts = json.loads(request.body)["input"]
        self.batches.append(texts)
        if len(texts) > self.most_texts or sum(map(len, texts)) > self.most_characters:
            body = self.refusal if isinstance(self.refusal, str) else json.dumps(self.refusal)
            return Script(status=self.status, body=((0.0, body.encode()),))
        data = [{"embedding": [float(text.split()[0]), 1.0], "index": at} for at, text in enumerate(texts)]
        return Script(body=((0.0, json.dumps({"data": data}).encode()),))

    def run(self, texts: list[str]) -> Outcome:
        core = RouterCore(Policy(**self.policy), random.Random(1))
        for name in self.names:
            base_url = "http://localhost:1/v1" if name == "openai-compatible" else None
            core.register(create(name, api_key="k", base_url=base_url))
        model, *others = [ModelConfig(name, "e") for name in self.names]
        simulation = Simulation(core, self.answer)
        family: dict[str, Any] = {"fallbacks": others, "family": "e"} if others else {}
        simulation.call(Embed(EmbeddingRequest(model, texts, **family)))
        simulation.run()
        return simulation.outcomes[-1]


def numbered(lengths: list[int]) -> list[str]:
    return [f"{number} {'w' * length}" for number, length in enumerate(lengths)]


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=150),
    st.integers(1, 40),
    st.integers(70, 1_000),
)
def test_each_text_gets_its_vector_whatever_the_provider_takes_at_once(
    lengths: list[int], most_texts: int, most_characters: int
) -> None:
    world = World(most_texts=most_texts, most_characters=most_characters)
    outcome = world.run(numbered(lengths))
    assert outcome.error is None
    assert outcome.result.vectors.tolist() == [[float(number), 1.0] for number in range(len(lengths))]
    assert replay(outcome.call.trace.to_dict()) == ()
    # It does not ask for more than is needed: half the size is learned, and kept.
    refused = [batch for batch in world.batches if len(batch) > most_texts or sum(map(len, batch)) > most_characters]
    assert len(refused) <= math.log2(len(lengths)) + 1


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (400, {"error": {"message": "Requested 3 tokens, max 2 tokens per request", "code": "max_tokens_per_request"}}),
        (400, {"error": {"message": "Invalid 'input': array too long. Expected an array with maximum length 2048, but "
                                    "got an array with length 3000 instead.", "code": "array_above_max_length"}}),
        (400, {"error": {"message": "Too many inputs. The max number of inputs is 16."}}),  # Azure
        (400, {"message": "invalid request: total number of texts must be at most 96 - received 97"}),  # Cohere
        (400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "* BatchEmbedContentsRequest.requests: "
                         "at most 100 requests can be in one batch"}}),
        (400, {"error": {"code": 400, "message": "250 instance(s) is allowed per prediction. Actual: 300"}}),  # Vertex
        (400, {"object": "error", "message": "Too many inputs in request, split into more batches.", "code": "3210"}),
        (400, {"message": "Too many tokens overall, split into more batches.", "type": "invalid_request_prompt"}),
        (400, {"message": "Malformed input request: expected maximum item count: 96, found: 100"}),  # Bedrock
        (413, {"error": "batch size 64 > maximum allowed batch size 32", "error_type": "Validation"}),  # TEI
        (422, {"error": "batch size 64 > maximum allowed batch size 32", "error_type": "Validation"}),
        (400, {"detail": "Request to model failed. The max allowed tokens per submitted batch is 120000. Your batch "
                         "has 130000 tokens after truncation."}),  # Voyage
        (400, {"code": 20015, "message": "input batch size 64 > maximum allowed batch size 32", "data": None}),
        (413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
        (413, {"error": {"code": "tokens_limit_reached", "message": "Request body too large for e model."}}),  # GitHub
        (429, {"error": {"message": "Request too large for e on tokens per min (TPM): Limit 1000, Requested 9000.",
                         "type": "tokens", "code": "rate_limit_exceeded"}}),
        (400, {"error": {"message": "InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it "
                                    "should not be larger than 25.: input.contents"}}),
    ],
)  # fmt: skip
def test_the_words_of_a_batch_that_is_too_large(status: int, refusal: Any) -> None:
    world = World(most_texts=2, status=status, refusal=refusal)
    outcome = world.run(numbered([1] * 5))
    assert outcome.error is None
    assert [len(batch) for batch in world.batches] == [5, 2, 2, 1]
    assert replay(outcome.call.trace.to_dict()) == ()
    (failed,) = [entry for entry in outcome.call.trace.to_dict()["entries"] if entry["kind"] == "failed"]
    assert failed["failure"] == "batch-too-large"


@pytest.mark.parametrize(
    "refusal",
    [
        {"error": {"message": "dimensions must be at most 1024"}},
        {"error": {"message": "input is too large to process. increase the physical batch size (current: 512)"}},
        {"error": {"message": "This model's maximum context length is 512 tokens, however you requested 600 tokens."}},
    ],
)
def test_other_refusals_are_not_repeated(refusal: Any) -> None:
    world = World(most_texts=2, refusal=refusal)
    assert isinstance(world.run(numbered([1] * 5)).error, ProviderError | AllAttemptsFailed)
    assert len(world.batches) == 1


def test_one_text_that_is_too_large_is_an_error_and_keeps_the_vectors_before_it() -> None:
    world = World(most_characters=100)
    error = world.run(numbered([1, 1, 500, 1])).error
    assert isinstance(error, InvalidRequest)
    assert [len(batch) for batch in world.batches] == [4, 2, 2, 1]
    assert error.vectors is not None
    assert error.vectors.tolist() == [[0.0, 1.0], [1.0, 1.0]]


def test_no_number_of_batches_uses_up_the_attempts() -> None:
    world = World(most_texts=2, max_attempts=2)
    assert world.run(numbered([1] * 40)).error is None
    assert len(world.batches) > 20


def test_smaller_batches_are_sent_at_once() -> None:
    outcome = World(most_texts=2).run(numbered([1] * 9))
    assert outcome.error is None
    assert outcome.ended == outcome.began


def test_a_refused_batch_does_not_count_against_the_health_of_the_provider() -> None:
    world = World("openai-compatible", "deepinfra", most_texts=1, max_retries=0)
    outcome = world.run(numbered([1] * 8))
    assert outcome.error is None
    assert {entry["candidate"] for entry in outcome.call.trace.to_dict()["entries"] if entry["kind"] == "started"} == {
        "openai-compatible/e"
    }


def test_a_hedged_request_of_another_size_does_not_confuse_the_vectors() -> None:
    """Each provider has caps of its own, and the vectors belong to the texts of the request that returned them."""
    embed = Embed(EmbeddingRequest("openai/e", numbered([1] * 40), fallbacks=["siliconflow/e"], family="e"))
    exchanges = [
        embed.start_exchange(create(name, api_key="k"), ModelConfig(name, "e")) for name in ("openai", "siliconflow")
    ]
    data = [{"embedding": [float(number)], "index": number} for number in range(40)]
    exchanges[0].receive_head(200, [])
    exchanges[0].receive_data(json.dumps({"data": data}).encode())
    exchanges[0].receive_end()
    assert embed.add_result(exchanges[0].result)


# -- caps on tokens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "tokens"), [("openai", 300_000), ("mistral", 16_384)])
def test_batches_stay_under_the_tokens_that_a_provider_takes(name: str, tokens: int) -> None:
    world = World(name)
    length = 4 * tokens // 10  # ten of them are too many by their numbers
    assert world.run(numbered([length] * 31)).error is None
    assert all(sum(map(text_tokens, batch)) <= tokens for batch in world.batches)
    assert len(world.batches) == 4


def test_a_text_above_the_cap_is_sent_alone() -> None:
    world = World("mistral")
    assert world.run(numbered([10, 4 * 20_000, 10, 10])).error is None
    assert [len(batch) for batch in world.batches] == [1, 1, 2]


def test_dashscope_takes_ten_texts() -> None:
    world = World("dashscope", most_texts=10)
    assert world.run(numbered([1] * 23)).error is None
    assert [len(batch) for batch in world.batches] == [10, 10, 3]


def test_the_error_says_whether_smaller_requests_would_do() -> None:
    world = World(most_texts=0, refusal={"error": {"message": "prompt is too long", "code": "context_length_exceeded"}})
    error = world.run(["1"]).error
    assert isinstance(error, ContextLengthExceeded)
    assert not error.batch_too_large
    tiny = World(most_texts=0).run(["1"]).error
    assert isinstance(tiny, InvalidRequest)
    assert tiny.batch_too_large
