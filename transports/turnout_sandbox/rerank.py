"""Ranks documents by the words that they share with the query, so that a test can know the order."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from turnout_sandbox.dialect import token_of, whole_number
from turnout_sandbox.errors import invalid
from turnout_sandbox.prose import words_in

__all__ = ["RankedList", "RerankRules", "rank", "rerank_response"]

_WORD = re.compile(r"\w+")


@attrs.frozen(kw_only=True)
class RerankRules:
    """How one OpenAI-compatible provider writes a ranking.

    Attributes:
        path: The path of the reranker; it begins with two slashes if it is not below the base URL.
        results: The field of the results.
        fields: Further fields of the response.
        usage: The fields of the usage that the provider sends.
        batch: The maximum number of documents.
    """

    path: str = "/rerank"
    results: str = "results"
    fields: Mapping[str, Any] = attrs.field(factory=dict)
    usage: frozenset[str] = frozenset({"prompt_tokens", "total_tokens"})
    batch: int = 1024


@attrs.frozen
class RankedList:
    """The ranking of one request.

    Attributes:
        results: The index and the score of each document, best first.
        documents: The texts that were sent.
        tokens: The words of the query and the documents.
    """

    results: tuple[tuple[int, float], ...]
    documents: tuple[str, ...]
    tokens: int


def rank(body: Mapping[str, Any], batch: int) -> RankedList:
    """Return the ranking of a request.

    Raises:
        RequestRejected: The query or the documents are missing or wrong.
    """
    query, documents = body.get("query"), body.get("documents")
    if not isinstance(query, str) or not query:
        raise invalid("query must be a string that is not empty", param="query")
    if not isinstance(documents, Sequence) or isinstance(documents, str) or not documents:
        raise invalid("documents must be a list with at least one document", param="documents")
    if len(documents) > batch:
        raise invalid(f"too many documents: at most {batch} are allowed", param="documents")
    texts = tuple(_text(document) for document in documents)
    top = whole_number(body, "top_n") or len(texts)
    wanted = set(_words(query))
    scores = sorted(((index, _score(wanted, text)) for index, text in enumerate(texts)), key=lambda pair: -pair[1])
    return RankedList(tuple(scores[:top]), texts, words_in(query) * len(texts) + sum(map(words_in, texts)))


def rerank_response(body: Mapping[str, Any], rules: RerankRules, rng: random.Random) -> dict[str, Any]:
    """Return the response of an OpenAI-compatible provider to a request that names a model.

    Raises:
        RequestRejected: The query or the documents are missing or wrong.
    """
    ranked = rank(body, rules.batch)
    with_text = body.get("return_documents") is True
    results = [
        {
            "index": index,
            "relevance_score": score,
            **({"document": {"text": ranked.documents[index]}} if with_text else {}),
        }
        for index, score in ranked.results
    ]
    counts = {"prompt_tokens": ranked.tokens, "total_tokens": ranked.tokens, "search_units": 1}
    return {
        "id": f"rerank-{token_of(rng, 32, '0123456789abcdef')}",
        **rules.fields,
        "model": body["model"],
        rules.results: results,
        "usage": {name: count for name, count in counts.items() if name in rules.usage},
    }


def _text(document: object) -> str:
    if isinstance(document, str):
        return document
    if isinstance(document, Mapping) and isinstance(document.get("text"), str):
        return str(document["text"])
    raise invalid("a document must be a string or an object with a text", param="documents")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _score(wanted: set[str], text: str) -> float:
    """Return the share of the query's words that the text has, from 0 to 1. A longer text scores a little less."""
    words = _words(text)
    found = len(wanted & set(words)) / len(wanted) if wanted else 0.0
    return round(0.05 + 0.9 * found - min(len(words), 400) * 0.0001, 6)
