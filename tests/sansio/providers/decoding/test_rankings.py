"""Reranking: the request, and the responses of the servers that took over its shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import Capability, ModelConfig
from turnout.errors import RemoteProtocolError
from turnout.providers import create
from turnout.providers.protocol import Exchange, Reranker
from turnout.reranking import RankedDocument, RerankRequest, RerankResponse

DOCUMENTS = ("Cats purr.", "Trains run on rails.", "Dogs bark.")


def _reranker(provider: str, **settings: Any) -> Reranker:
    made = create(provider, api_key="test-key-0000", **settings)
    assert Capability.RERANK in made.capabilities
    assert isinstance(made, Reranker)
    return made


def _request(provider: str = "cohere", top_n: int | None = None, **extra: Any) -> RerankRequest:
    return RerankRequest(ModelConfig(provider, "rerank-x", extra=extra), "railways", DOCUMENTS, top_n=top_n)


def _read(exchange: Exchange[RerankResponse], body: Any) -> RerankResponse:
    exchange.receive_head(200, [("x-request-id", "req-1")])
    exchange.receive_data(body if isinstance(body, bytes) else json.dumps(body).encode())
    exchange.receive_end()
    if exchange.failure is not None:
        raise exchange.failure
    return exchange.result


@pytest.mark.full
@pytest.mark.parametrize(
    ("provider", "settings", "url"),
    [
        ("cohere", {}, "https://api.cohere.com/v2/rerank"),
        ("cohere", {"base_url": "https://api.cohere.com/v1"}, "https://api.cohere.com/v2/rerank"),
        ("together", {}, "https://api.together.ai/v1/rerank"),
        ("siliconflow", {}, "https://api.siliconflow.cn/v1/rerank"),
        ("openai-compatible", {"base_url": "http://localhost:8000/v1"}, "http://localhost:8000/v1/rerank"),
    ],
)
def test_the_request(provider: str, settings: dict[str, Any], url: str) -> None:
    asked = _reranker(provider, **settings).rerank(_request(provider, max_tokens_per_doc=100)).request
    assert asked.url == url
    assert json.loads(asked.body) == {
        "model": "rerank-x",
        "query": "railways",
        "documents": list(DOCUMENTS),
        "top_n": 3,
        "max_tokens_per_doc": 100,
    }


def test_top_n_is_never_more_than_the_documents() -> None:
    for top_n, sent in ((2, 2), (5, 3), (None, 3)):
        asked = _reranker("cohere").rerank(_request(top_n=top_n)).request
        assert json.loads(asked.body)["top_n"] == sent


COHERE = {
    "id": "1",
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}],
    "meta": {"billed_units": {"search_units": 1}},
}
TOGETHER = {
    "object": "rerank",
    "model": "Salesforce/Llama-Rank-V1",
    "results": [
        {"index": 1, "relevance_score": 0.9, "document": {"text": "Trains run on rails."}},
        {"index": 0, "relevance_score": 0.2, "document": "Cats purr."},
    ],
    "usage": {"prompt_tokens": 12, "total_tokens": 12},
}
DASHSCOPE = {"output": {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]}}
VOYAGE = {"object": "list", "data": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]}
TEI = [{"index": 0, "score": 0.2}, {"index": 1, "score": 0.9}]


@pytest.mark.parametrize("body", [COHERE, TOGETHER, DASHSCOPE, VOYAGE, TEI])
def test_the_order_is_read_however_it_is_written(body: Any) -> None:
    response = _read(_reranker("openai-compatible", base_url="http://x.example/v1").rerank(_request()), body)
    assert response.documents == (RankedDocument(1, 0.9, DOCUMENTS[1]), RankedDocument(0, 0.2, DOCUMENTS[0]))
    assert response.request_id == "req-1"


def test_what_a_reranking_cost_is_read() -> None:
    assert _read(_reranker("cohere").rerank(_request()), COHERE).usage.search_units == 1
    together = _read(_reranker("together").rerank(_request()), TOGETHER)
    assert together.usage.prompt_tokens == 12
    assert together.served_model == "Salesforce/Llama-Rank-V1"
    assert _read(_reranker("cohere").rerank(_request()), VOYAGE).usage.source == "absent"


@pytest.mark.parametrize(
    "results",
    [
        [{"index": 3, "relevance_score": 0.5}],
        [{"index": -1, "relevance_score": 0.5}],
        [{"index": 0, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.4}],
        [{"relevance_score": 0.5}],
        [{"index": 0}],
        [{"index": 0, "relevance_score": None}],
    ],
)
def test_a_result_in_no_place_is_an_error(results: list[dict[str, Any]]) -> None:
    with pytest.raises(RemoteProtocolError):
        _read(_reranker("cohere").rerank(_request()), {"results": results})


@given(st.binary(min_size=1, max_size=60))
def test_anything_gives_an_order_or_a_protocol_error(body: bytes) -> None:
    try:
        response = _read(_reranker("cohere").rerank(_request()), body)
    except RemoteProtocolError:
        return
    assert len(response.documents) <= len(DOCUMENTS)


@given(st.permutations(range(3)), st.lists(st.floats(-10, 10), min_size=3, max_size=3), st.integers(1, 4))
def test_the_best_come_first_and_no_more_than_asked_for(order: list[int], scores: list[float], top_n: int) -> None:
    results = [{"index": index, "score": scores[index]} for index in order]
    ranked = _read(_reranker("cohere").rerank(_request(top_n=top_n)), {"results": results}).documents
    assert [document.score for document in ranked] == sorted(scores, reverse=True)[:top_n]
    assert all(document.text == DOCUMENTS[document.index] for document in ranked)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("cohere/x", "q", "one text"), TypeError),
        (("cohere/x", "q", []), ValueError),
        (("cohere/x", " ", ["a"]), ValueError),
        (("cohere/x", "q", ["a", 1]), TypeError),
    ],
)
def test_a_request_is_checked(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error, match="RerankRequest"):
        RerankRequest(*arguments)
