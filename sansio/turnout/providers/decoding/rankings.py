"""The request and the response of rerankers. Most took over Cohere's names for them, and each left some out.

Sources: the API references of Cohere ("Rerank", version 2), Together, Jina, Alibaba's Model Studio and Voyage, and the
servers of vLLM, llama.cpp and Hugging Face (text-embeddings-inference).
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from turnout.chat import ModelConfig, Usage
from turnout.errors import RemoteProtocolError
from turnout.http import Headers, HttpRequest
from turnout.providers.decoding.response_headers import rate_limit
from turnout.providers.dialect import Dialect
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import LenientDecoder
from turnout.reranking import RankedDocument, RerankRequest, RerankResponse

__all__ = ["rerank_body", "rerank_exchange"]


class Result(msgspec.Struct, gc=False):
    index: int | None = None
    relevance_score: float | None = None
    score: float | None = None


class Units(msgspec.Struct, gc=False):
    search_units: float | None = None
    input_tokens: int | None = None


class Meta(msgspec.Struct, gc=False):
    billed_units: Units | None = None
    tokens: Units | None = None


class RerankUsage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    total_tokens: int | None = None
    search_units: float | None = None


class Output(msgspec.Struct, gc=False):
    results: list[Result] | None = None


class Ranking(msgspec.Struct, gc=False):
    """A response. Every field is optional, because each is missing somewhere."""

    results: list[Result] | None = None
    data: list[Result] | None = None  # Voyage
    output: Output | None = None  # Alibaba's own API
    model: str | None = None
    usage: RerankUsage | None = None
    meta: Meta | None = None
    error: Any = None


_RANKING = LenientDecoder(Ranking)


def rerank_body(request: RerankRequest, model: ModelConfig) -> dict[str, Any]:
    """Return the body with the extra fields of `model`.

    It always has a `top_n`, because some servers return a few documents without one.
    """
    body: dict[str, Any] = {
        "model": request.model.model_id,
        "query": request.query,
        "documents": request.documents,
        "top_n": min(request.top_n or len(request.documents), len(request.documents)),
    }
    return body | dict(model.extra)


def rerank_exchange(
    dialect: Dialect, http_request: HttpRequest, request: RerankRequest
) -> HttpExchange[RerankResponse]:
    """Return the exchange for a reranking."""

    def parse(body: bytes, headers: Headers) -> RerankResponse:
        # text-embeddings-inference responds with the bare list.
        wire = dialect.decode_checked(
            _RANKING, b'{"results":' + body + b"}" if body.lstrip()[:1] == b"[" else body, headers
        )
        results = wire.results if wire.results is not None else wire.data
        if results is None and wire.output is not None:
            results = wire.output.results
        if results is None:
            raise RemoteProtocolError(f"{request.model}: the response holds no results")
        return RerankResponse(
            documents=_ranked(results, request),
            model=request.model,
            usage=_usage(wire),
            served_model=wire.model or None,
            request_id=dialect.request_id(headers),
            rate_limit=rate_limit(headers),
        )

    return dialect.document_exchange(http_request, parse)


def _ranked(results: list[Result], request: RerankRequest) -> tuple[RankedDocument, ...]:
    """Return the documents, best first. A document in the wrong place would be noticed by nobody, so all is checked."""
    ranked, seen = [], set[int]()
    for result in results:
        score = result.relevance_score if result.relevance_score is not None else result.score
        if result.index is None or score is None or not math.isfinite(score):
            raise RemoteProtocolError(f"{request.model}: a result lacks its index or its score")
        if not 0 <= result.index < len(request.documents) or result.index in seen:
            raise RemoteProtocolError(
                f"{request.model}: the index {result.index} of a result is wrong or comes twice; "
                f"{len(request.documents)} documents were sent"
            )
        seen.add(result.index)
        ranked.append(RankedDocument(result.index, score, request.documents[result.index]))
    ranked.sort(key=lambda document: -document.score)
    return tuple(ranked[: request.top_n])


def _usage(wire: Ranking) -> Usage:
    billed = wire.meta.billed_units if wire.meta is not None else None
    counted = wire.meta.tokens if wire.meta is not None else None
    tokens = counted.input_tokens if counted is not None else None
    units = billed.search_units if billed is not None else None
    if wire.usage is not None:
        tokens = wire.usage.prompt_tokens if wire.usage.prompt_tokens is not None else wire.usage.total_tokens
        units = wire.usage.search_units if units is None else units
    if tokens is None and units is None:
        return Usage(source="absent")
    return Usage(prompt_tokens=tokens, search_units=units)
