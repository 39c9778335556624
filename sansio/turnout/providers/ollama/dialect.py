"""Ollama's own dialect: NDJSON streams, tool arguments as objects, images as bare base64.

Source: Ollama's API documentation (docs/api.md in its repository).
"""

from __future__ import annotations

from typing import Any

import attrs

from turnout.chat import ChatRequest, ChatResponse, ModelInfo, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import RemoteProtocolError
from turnout.framing.ndjson import NdjsonParser
from turnout.http import Headers, HttpRequest
from turnout.providers.decoding.vectors import numeric_vectors, rows_of
from turnout.providers.dialect import Dialect
from turnout.providers.encoding.adapt import omitted
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import LenientDecoder, raw_bytes
from turnout.providers.ollama.request import FAMILY, chat_body
from turnout.providers.ollama.stream import FINISH_REASONS, OllamaReader
from turnout.providers.ollama.wire import Embeddings, Models
from turnout.providers.protocol import ModelPage

__all__ = ["FAMILY", "FINISH_REASONS", "Ollama"]

_EMBEDDINGS = LenientDecoder(Embeddings)
_MODELS = LenientDecoder(Models)


def _ndjson(max_frame: int) -> NdjsonParser:
    return NdjsonParser(max_frame=max_frame)


@attrs.frozen
class Ollama(Dialect):
    """A provider that speaks Ollama (`turnout.providers.protocol.Provider`). A key is for ollama.com only."""

    finish_reasons = FINISH_REASONS
    stream_type = "application/x-ndjson"

    @property
    def family(self) -> str:
        return FAMILY

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        http_request = self._request("POST", "/api/chat", chat_body(request, stream=False))
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_chat(body, request, headers), omitted(request)
        )

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        http_request = self._request("POST", "/api/chat", chat_body(request, stream=True), stream=True)
        return self.stream_exchange(
            http_request, request, lambda *parts: OllamaReader(self, *parts), _ndjson, omitted(request)
        )

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        body: dict[str, Any] = {"model": request.model.model_id, "input": request.input}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        http_request = self._request("POST", "/api/embed", body | dict(self.adapt_model(request.model).extra))
        return self.embedding_exchange(
            http_request, request, lambda body, headers: self._parse_embeddings(body, request, headers)
        )

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        return self.document_exchange(self._request("GET", "/api/tags", None), self._parse_models)

    def _request(self, method: str, path: str, body: dict[str, Any] | None, *, stream: bool = False) -> HttpRequest:
        return self.build_request(method, self.account.base_url + path, body, stream=stream)

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        reader = OllamaReader(self, accumulator, headers)
        try:
            failure = reader.read_chunk("", body, [])
        except ValueError as error:
            raise RemoteProtocolError(f"{request.model}: the response is no JSON object ({error})") from None
        if failure is not None:
            raise failure
        return self.whole_response(accumulator)

    def _parse_embeddings(self, body: bytes, request: EmbeddingRequest, headers: Headers) -> EmbeddingResponse:
        wire = self.decode_checked(_EMBEDDINGS, body, headers)
        try:
            rows = rows_of(wire.embeddings)
            if rows is None and (row := raw_bytes(wire.embedding)) is not None:
                rows = [row]
            if rows is None:
                raise RemoteProtocolError(f"{request.model}: the response has no vectors")
            vectors = numeric_vectors(rows)
        except ValueError as error:
            raise RemoteProtocolError(f"{request.model}: the vectors cannot be read: {error}") from None
        tokens = wire.prompt_eval_count
        return EmbeddingResponse(
            vectors=vectors,
            model=request.model,
            usage=Usage(prompt_tokens=tokens) if tokens is not None else Usage(source="absent"),
            served_model=wire.model,
        )

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        wire = self.decode_checked(_MODELS, body, headers)
        if wire.models is None and b'"models"' not in body:  # a list of nothing is null
            raise RemoteProtocolError(f"{self.name}: the response has no model list")
        names = (model.model or model.name for model in wire.models or ())
        return ModelPage(tuple(ModelInfo(name, self.name) for name in names if name))
