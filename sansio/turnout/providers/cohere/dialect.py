"""Cohere's dialect, version 2: chat with named stream events, embeddings with a purpose, models.

Source: Cohere's API reference ("Chat", "Chat with Streaming", "Embed", "List Models", "Errors").
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import quote

import attrs

from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelInfo, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.errors import ProviderError, RemoteProtocolError
from turnout.events import Event
from turnout.http import Headers, HttpRequest
from turnout.providers.cohere.request import FAMILY, PLAN, chat_body, embed_body
from turnout.providers.cohere.wire import (
    Answer,
    ByType,
    Content,
    Delta,
    Embeddings,
    Models,
    StreamEvent,
    Tokens,
    ToolCallWire,
    UsageWire,
)
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.decoding.rankings import rerank_body, rerank_exchange
from turnout.providers.decoding.response_headers import rate_limit
from turnout.providers.dialect import Dialect
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import LenientDecoder, decode_any, encode
from turnout.providers.protocol import ModelPage
from turnout.reranking import RerankRequest, RerankResponse

__all__ = ["FINISH_REASONS", "Cohere"]

FINISH_REASONS = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "ERROR_LIMIT": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
    "ERROR": FinishReason.ERROR,
    "TIMEOUT": FinishReason.ERROR,
}

_ANSWER = LenientDecoder(Answer)
_CONTENT = LenientDecoder(Content)
_EVENT = LenientDecoder(StreamEvent)
_EMBEDDINGS = LenientDecoder(Embeddings)
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
        return self.stream_exchange(http_request, request, lambda *parts: _Events(self, *parts), dropped=dropped)

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        http_request = self._request(
            "POST", "/v2/embed", embed_body(request.for_model(self.adapt_model(request.model)))
        )
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_embeddings(body, request, headers)
        )

    def rerank(self, request: RerankRequest) -> HttpExchange[RerankResponse]:
        """See `turnout.providers.protocol.Reranker`."""
        body = rerank_body(request, self.adapt_model(request.model))
        return rerank_exchange(self, self._request("POST", "/v2/rerank", body), request)

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        path = "/v1/models?page_size=1000" + (f"&page_token={quote(page, safe='')}" if page else "")
        return self.document_exchange(self._request("GET", path, None), self._parse_models)

    def _request(self, method: str, path: str, body: dict[str, Any] | None, *, stream: bool = False) -> HttpRequest:
        # Some set the endpoint with the version in it, as it is usual with others.
        endpoint = self.account.base_url.removesuffix("/v1").removesuffix("/v2")
        return self.build_request(method, endpoint + path, body, stream=stream)

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        _Events(self, accumulator, headers).take(self.decode_checked(_ANSWER, body, headers), [])
        accumulator.raw = body
        if accumulator.raw_finish_reason is None and not accumulator.has_content:
            raise RemoteProtocolError(f"{request.model}: the answer holds neither content nor a finish reason")
        return accumulator.response()

    def _parse_embeddings(self, body: bytes, request: EmbeddingRequest, headers: Headers) -> EmbeddingResponse:
        answer = self.decode_checked(_EMBEDDINGS, body, headers)
        if answer.embeddings is None:
            raise RemoteProtocolError(f"{request.model}: no vectors came")
        try:
            vectors = _vectors(answer.embeddings)
        except (ValueError, TypeError) as error:
            raise RemoteProtocolError(f"{request.model}: the vectors cannot be read: {error}") from None
        billed = answer.meta.billed_units if answer.meta is not None else None
        told = billed.input_tokens if billed is not None else None
        return EmbeddingResponse(
            vectors=vectors,
            model=request.model,
            usage=Usage(prompt_tokens=told) if told is not None else Usage(source="absent"),
            request_id=self.request_id(headers),
            rate_limit=rate_limit(headers),
        )

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        answer = self.decode_checked(_MODELS, body, headers)
        if answer.models is None:
            raise RemoteProtocolError(f"{self.name}: no model list came")
        infos = (
            ModelInfo(model.name, self.name, context_window=model.context_length or None, owned_by="cohere")
            for model in answer.models
            if model.name
        )
        return ModelPage(tuple(infos), answer.next_page_token or None)


def _vectors(told: ByType | list[list[float]]) -> Vectors:
    """The vectors as numbers, or as the floats' bytes. Raises ValueError where neither came."""
    if isinstance(told, list):
        return Vectors.of(told)  # where no type was asked for (version 1)
    for numbers in (told.floats, told.int8, told.uint8):
        if numbers is not None:
            return Vectors.of(numbers)
    if told.base64 is None:
        raise ValueError("they are neither numbers nor base64")
    try:
        packed = [base64.b64decode(row, validate=True) for row in told.base64]
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    lengths = {len(row) for row in packed}
    if len(lengths) != 1 or (size := lengths.pop()) % 4:
        raise ValueError(f"their bytes are no floats of one length: {sorted(len(row) for row in packed)[:8]}")
    return Vectors.from_little_endian(packed, size // 4)


@attrs.define(eq=False)
class _Events:
    """Reads events, or a whole answer, into a response (`turnout.providers.decoding.stream_reader.ChunkReader`)."""

    dialect: Cohere
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False
    _planning: bool = False

    def read(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        if data.strip() == b"[DONE]":
            self.done = True  # follows `message-end`, which a gateway may have swallowed
            return None
        chunk = _EVENT.decode(data)
        if chunk is None:
            raise ValueError("no JSON object")
        kind = chunk.type or event
        if chunk.error or kind == "error":
            return self._error(data)
        delta = chunk.delta if chunk.delta is not None else _NOTHING
        match kind:
            case "content-delta":
                self._content(delta, events)
                if chunk.logprobs:
                    self.accumulator.add_logprobs(chunk.logprobs, events)
            case "content-start":
                self._close()
                self._content(delta, events)
                self._keep_unknown(delta, data, events)
            case "content-end":
                self._close()
            case "tool-plan-delta":
                self._plan(delta.message.tool_plan if delta.message is not None else None, events)
            case "tool-call-start" | "tool-call-delta":
                if delta.message is not None and delta.message.tool_calls is not None:
                    self._fragment(delta.message.tool_calls, chunk.index, events, starts_call=kind == "tool-call-start")
            case "citation-start":
                self._cite(delta.message.citations if delta.message is not None else None)
            case "message-start":
                self.accumulator.response_id = self.accumulator.response_id or chunk.id
            case "message-end":
                return self._end(delta, data)
            case "message" if chunk.type is None:
                facts = parse_error(decode_any(data))
                return self.dialect.error(facts, self.headers, data) if facts.message else None
            case _:
                return None  # the ends of calls and citations, and what will be invented
        self.accumulator.raw = data
        return None

    def read_whole(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        answer = _ANSWER.decode(data)
        if answer is None or answer.error or answer.message is None:
            facts = parse_error(document)
            return self.dialect.error(facts, self.headers, data) if facts.message or facts.codes else None
        self.accumulator.raw = data
        self.take(answer, events)
        return None

    def flush(self, events: list[Event]) -> None:
        """Nothing is held back."""

    def take(self, answer: Answer, events: list[Event]) -> None:
        """Put a whole answer into the accumulator."""
        accumulator, message = self.accumulator, answer.message
        accumulator.response_id = accumulator.response_id or answer.id
        if message is not None:
            for raw in message.content or ():
                self._part(bytes(raw), events)
            self._plan(message.tool_plan, events)
            for place, call in enumerate(message.tool_calls or ()):
                self._fragment(call, place, events, starts_call=True)
            self._cite(message.citations)
        if answer.logprobs:
            accumulator.add_logprobs(answer.logprobs, events)
        accumulator.finish(answer.finish_reason)
        if answer.usage is not None:
            accumulator.usage = _usage(answer.usage)

    # -- pieces -------------------------------------------------------------------------------------------------

    def _part(self, raw: bytes, events: list[Event]) -> None:
        part = _CONTENT.decode(raw)
        if part is None:
            self.accumulator.skipped += 1
            return
        self._close()
        if part.type not in ("text", "thinking"):
            self.accumulator.opaque(raw, events)
            return
        self.accumulator.reasoning(part.thinking or "", events)
        self.accumulator.text(part.text or "", events)
        self._close()

    def _content(self, delta: Delta, events: list[Event]) -> None:
        content = delta.message.content if delta.message is not None else None
        if content is None:
            return
        if content.thinking:
            if self._planning:
                self._close()
            self.accumulator.reasoning(content.thinking, events)
        if content.text:
            self._planning = False
            self.accumulator.text(content.text, events)

    def _keep_unknown(self, delta: Delta, data: bytes, events: list[Event]) -> None:
        """A part of a type that is not known: it goes back to Cohere as it began."""
        content = delta.message.content if delta.message is not None else None
        if content is not None and content.type not in ("text", "thinking", None):
            self.accumulator.opaque(encode(decode_any(data)["delta"]["message"]["content"]), events)

    def _plan(self, plan: str | None, events: list[Event]) -> None:
        if not plan:
            return
        if self._planning:
            self.accumulator.reasoning(plan, events)
            return
        self._close()
        self.accumulator.reasoning(plan, events)
        self.accumulator.set_extra({PLAN: True})
        self._planning = True

    def _fragment(self, call: ToolCallWire, index: int | None, events: list[Event], *, starts_call: bool) -> None:
        function = call.function
        self.accumulator.tool_fragment(
            events,
            id=call.id,
            index=index,
            name=function.name if function is not None else None,
            arguments=function.arguments if function is not None else None,
            starts_call=starts_call,
        )

    def _cite(self, told: Any) -> None:
        """One citation, or several."""
        if told:
            self.accumulator.citations += told if isinstance(told, list) else [told]

    def _close(self) -> None:
        self._planning = False
        self.accumulator.end_part()

    # -- the end ------------------------------------------------------------------------------------------------

    def _end(self, delta: Delta, data: bytes) -> ProviderError | None:
        accumulator = self.accumulator
        accumulator.raw = data
        accumulator.finish(delta.finish_reason)
        if delta.usage is not None:
            accumulator.usage = _usage(delta.usage)
        if delta.error:
            return self.dialect.error(parse_error({"error": delta.error}), self.headers, data)
        self.done = True
        return None

    def _error(self, data: bytes) -> ProviderError:
        return self.dialect.error(parse_error(decode_any(data)), self.headers, data)


_NOTHING = Delta()
_UNCOUNTED = Tokens()


def _usage(told: UsageWire) -> Usage:
    """The tokens that the model saw and made; each count that is not told is the one that is billed."""
    tokens, billed = told.tokens or _UNCOUNTED, told.billed_units or _UNCOUNTED
    if told.tokens is None and told.billed_units is None:
        return Usage(source="absent")

    def first(count: int | None, other: int | None) -> int | None:
        return count if count is not None else other

    return Usage(
        prompt_tokens=first(tokens.input_tokens, billed.input_tokens),
        completion_tokens=first(tokens.output_tokens, billed.output_tokens),
        cached_tokens=told.cached_tokens,
        reasoning_tokens=first(tokens.reasoning_tokens, billed.reasoning_tokens),
        billed_prompt_tokens=billed.input_tokens,
        billed_completion_tokens=billed.output_tokens,
        search_units=billed.search_units,
    )
