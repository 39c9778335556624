"""Cohere's dialect, version 2: chat with named stream events, embeddings with a purpose, models.

Source: Cohere's API reference ("Chat", "Chat with Streaming", "Embed", "List Models", "Errors").
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import attrs
import msgspec

from turnout.chat import ChatRequest, ChatResponse, ModelInfo, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.errors import RemoteProtocolError
from turnout.http import Headers, HttpRequest
from turnout.providers.cohere.request import FAMILY, chat_body, embed_body
from turnout.providers.cohere.stream import ANSWER, FINISH_REASONS, CohereReader
from turnout.providers.cohere.wire import ByType, Embeddings, Models
from turnout.providers.decoding.rankings import rerank_body, rerank_exchange
from turnout.providers.decoding.response_headers import rate_limit
from turnout.providers.decoding.vectors import numeric_vectors, packed_vectors, rows_of
from turnout.providers.dialect import Dialect
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import LenientDecoder, raw_bytes
from turnout.providers.protocol import ModelPage
from turnout.reranking import RerankRequest, RerankResponse

__all__ = ["FINISH_REASONS", "Cohere"]

_EMBEDDINGS = LenientDecoder(Embeddings)
_BY_TYPE = LenientDecoder(ByType)
_MODELS = LenientDecoder(Models)


@attrs.frozen
class Cohere(Dialect):
    """A provider that speaks Cohere's version 2 (`turnout.providers.protocol.Provider`).

    Documents to cite, `citation_options` and `safety_mode` are fields of the body, for `ModelConfig.extra`.
    """

    finish_reasons = FINISH_REASONS

    @property
    def family(self) -> str:
        return FAMILY

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = chat_body(request, self.account, stream=False)
        http_request = self._request("POST", "/v2/chat", body)
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_chat(body, request, headers), dropped
        )

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = chat_body(request, self.account, stream=True)
        http_request = self._request("POST", "/v2/chat", body, stream=True)
        return self.stream_exchange(http_request, request, lambda *parts: CohereReader(self, *parts), dropped=dropped)

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        http_request = self._request(
            "POST", "/v2/embed", embed_body(request.for_model(self.adapt_model(request.model)))
        )
        return self.embedding_exchange(
            http_request, request, lambda body, headers: self._parse_embeddings(body, request, headers)
        )

    def rerank(self, request: RerankRequest) -> HttpExchange[RerankResponse]:
        """See `turnout.providers.protocol.Reranker`."""
        body = rerank_body(request, self.adapt_model(request.model))
        return rerank_exchange(self, self._request("POST", "/v2/rerank", body), request)

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        path = "/v1/models?page_size=1000" + (f"&page_token={quote(page, safe='')}" if page else "")
        return self.document_exchange(self._request("GET", path, None), self._parse_models)

    def _request(self, method: str, path: str, body: dict[str, Any] | None, *, stream: bool = False) -> HttpRequest:
        # Some users set a base URL with the version in it, as is usual with other providers.
        endpoint = self.account.base_url.removesuffix("/v1").removesuffix("/v2")
        return self.build_request(method, endpoint + path, body, stream=stream)

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        reader = CohereReader(self, accumulator, headers)
        if (streamed := self.read_stream(body, accumulator, reader)) is not None:
            return streamed
        reader.apply(self.decode_checked(ANSWER, body, headers), [])
        accumulator.raw = body
        return self.whole_response(accumulator)

    def _parse_embeddings(self, body: bytes, request: EmbeddingRequest, headers: Headers) -> EmbeddingResponse:
        wire = self.decode_checked(_EMBEDDINGS, body, headers)
        try:
            vectors = _vectors(wire.embeddings)
        except ValueError as error:
            raise RemoteProtocolError(f"{request.model}: the vectors cannot be read: {error}") from None
        if vectors is None:
            raise RemoteProtocolError(f"{request.model}: the response has no vectors")
        billed = wire.meta.billed_units if wire.meta is not None else None
        tokens = billed.input_tokens if billed is not None else None
        return EmbeddingResponse(
            vectors=vectors,
            model=request.model,
            usage=Usage(prompt_tokens=tokens) if tokens is not None else Usage(source="absent"),
            request_id=self.request_id(headers),
            rate_limit=rate_limit(headers),
        )

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        wire = self.decode_checked(_MODELS, body, headers)
        if wire.models is None:
            raise RemoteProtocolError(f"{self.name}: the response has no model list")
        infos = (
            ModelInfo(model.name, self.name, context_window=model.context_length or None, owned_by="cohere")
            for model in wire.models
            if model.name
        )
        return ModelPage(tuple(infos), wire.next_page_token or None)


def _vectors(embeddings: msgspec.Raw) -> Vectors | None:
    """Return the vectors, by type or without one (version 1); None if there are none.

    Raises:
        ValueError: They cannot be read.
    """
    data = raw_bytes(embeddings)
    if data is None:
        return None
    if data.startswith(b"["):
        return numeric_vectors(rows_of(embeddings) or [])
    by_type = _BY_TYPE.decode(data)
    if by_type is None:
        raise ValueError("they are no list and no object")
    for matrix in (by_type.floats, by_type.int8, by_type.uint8):
        if (rows := rows_of(matrix)) is not None:
            return numeric_vectors(rows)
    if by_type.base64 is None:
        raise ValueError("they are neither numbers nor base64")
    return packed_vectors([base64.b64decode(row, validate=True) for row in by_type.base64])
