"""The key of repeated requests: one for the retries of a request at a candidate, and another for everything else."""

from __future__ import annotations

import random
from typing import Any

import pytest

from turnout.chat import ChatRequest, ResponseFormat
from turnout.embeddings import EmbeddingRequest
from turnout.http import HttpRequest
from turnout.providers import CATALOG, create
from turnout.routing import Policy
from turnout.routing.call.operations import Chat, Embed, ListModels, Operation
from turnout.routing.router import RouterCore
from turnout.simulation import Script, Simulation

MESSAGE = b'{"role":"assistant","content":"Hi"}'
ANSWER = b'{"object":"chat.completion","choices":[{"index":0,"message":' + MESSAGE + b',"finish_reason":"stop"}]}'
GOOD = Script(body=((0.0, ANSWER),))
DOWN = Script(status=500)
HEADER = "Idempotency-Key"


def requests_of(providers: list[Any], operation: Operation, *scripts: Script, wall: float = 1.0) -> list[HttpRequest]:
    """The requests of one call; the last script is played again and again."""
    core = RouterCore(Policy(), random.Random(7))
    for provider in providers:
        core.register(provider)
    sent: list[HttpRequest] = []

    def answer(request: HttpRequest, now: float) -> Script:
        sent.append(request)
        return scripts[min(len(sent), len(scripts)) - 1]

    simulation = Simulation(core, answer)
    simulation.call(operation, wall=wall)
    simulation.run()
    return sent


def keys(requests: list[HttpRequest]) -> list[str | None]:
    return [request.headers.get(HEADER) for request in requests]


def ask(*models: str) -> Chat:
    return Chat(ChatRequest(models[0] if models else "openai/gpt-4o-mini", "Hi", fallbacks=models[1:]))


OPENAI = create("openai", api_key="k")


def test_retries_of_one_request_have_one_key() -> None:
    first, second, third = keys(requests_of([OPENAI], ask(), DOWN, DOWN, GOOD))
    assert first is not None
    assert first == second == third
    assert first.startswith("turnout-")


def test_another_candidate_and_another_call_have_other_keys() -> None:
    both = ["openai/gpt-4o-mini", "openai/gpt-4o"]
    found = keys(requests_of([OPENAI], ask(*both), DOWN))
    assert len(found) == 6
    assert len(set(found)) == 2
    later = keys(requests_of([OPENAI], ask(*both), DOWN, wall=2.0))
    assert not set(found) & set(later), "also if the seed of the router is the same"


def test_each_key_of_an_account_has_its_own() -> None:
    found = keys(requests_of([create("openai", api_key=["a", "b"])], ask(), DOWN))
    assert len(set(found)) == 2


def test_each_batch_of_texts_has_its_own() -> None:
    many = Embed(EmbeddingRequest("openai/text-embedding-3-small", [f"text {number}" for number in range(3000)]))
    vectors = b",".join(b'{"object":"embedding","index":%d,"embedding":[0.5]}' % number for number in range(2048))
    whole = Script(body=((0.0, b'{"object":"list","data":[' + vectors + b"]}"),))
    first, *others = keys(requests_of([OPENAI], many, whole, DOWN))
    assert first is not None
    assert first not in others
    assert len(set(others)) == 1


def test_a_batch_with_the_same_texts_has_its_own_too() -> None:
    same = Embed(EmbeddingRequest("openai/text-embedding-3-small", ["text"] * 4096))
    vectors = b",".join(b'{"object":"embedding","index":%d,"embedding":[0.5]}' % number for number in range(2048))
    found = requests_of([OPENAI], same, Script(body=((0.0, b'{"object":"list","data":[' + vectors + b"]}"),)))
    assert found[0].body == found[1].body
    assert len(set(keys(found))) == 2


def test_a_request_for_another_answer_has_its_own() -> None:
    """The answer is whole but no JSON. With the first key, the provider would give the same answer again."""
    wanted = ResponseFormat({"type": "object", "properties": {}, "additionalProperties": False})
    question = Chat(ChatRequest("openai/gpt-4o-mini", "Hi", response_format=wanted))
    first, second, third = keys(requests_of([OPENAI], question, GOOD, DOWN, GOOD))[:3]
    assert first != second
    assert second == third


def test_the_user_s_own_header_is_sent_in_its_place() -> None:
    own = create("openai", api_key="k", headers={"idempotency-key": "mine"})
    (request,) = requests_of([own], ask(), GOOD)
    assert request.headers.get_all(HEADER) == ("mine",)


def test_a_question_that_changes_nothing_has_no_key() -> None:
    (request,) = requests_of([OPENAI], ListModels("openai"), Script(body=((0.0, b'{"data":[]}'),)))
    assert request.headers.get(HEADER) is None


def test_only_providers_that_honour_it_get_one() -> None:
    assert [name for name, spec in CATALOG.items() if spec.idempotency_header] == ["openai"]
    for made, expected in (
        (create("groq", api_key="k"), False),
        (create("azure", api_key="k", base_url="https://x.openai.azure.com"), False),
        (create("openai", api_key="k", idempotency_header=""), False),
        (create("groq", api_key="k", idempotency_header=HEADER), True),
    ):
        (request,) = requests_of([made], ask(f"{made.name}/m"), GOOD)
        assert (request.headers.get(HEADER) is not None) is expected


def test_a_wrong_name_of_a_header_is_refused() -> None:
    with pytest.raises(ValueError, match="not the name of a header field"):
        create("openai", api_key="k", idempotency_header="Idempotency Key")
