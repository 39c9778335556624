"""The OpenAI chat-completions dialect, which many vendors speak.

Source: the OpenAI API reference (chat, embeddings, models). The differences between vendors are data in the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self

import attrs

from turnout.chat import Capability, ChatRequest, ChatResponse, ModelInfo, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import CapabilityUnsupported, RemoteProtocolError
from turnout.http import Auth, Headers, HttpRequest
from turnout.messages import Message, Text
from turnout.providers.auth import AccessToken
from turnout.providers.decoding.accumulator import ABSENT_USAGE, ResponseAccumulator, billed_usage
from turnout.providers.decoding.media import AUDIO_TYPES
from turnout.providers.decoding.response_headers import rate_limit
from turnout.providers.demands import demands_call
from turnout.providers.dialect import Dialect
from turnout.providers.encoding.adapt import given
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import LenientDecoder, decode_any
from turnout.providers.openai_chat.choices import ChoicePicker
from turnout.providers.openai_chat.chunks import CHUNK, FINISH_REASONS, ChatChunkReader
from turnout.providers.openai_chat.embeddings import embedding_body, packed_embeddings, read_vectors
from turnout.providers.openai_chat.message.prefix_filter import PrefixFilter, is_prefill, prefill_of
from turnout.providers.openai_chat.message.reader import MessageReader
from turnout.providers.openai_chat.plain_response import read_plain_response
from turnout.providers.openai_chat.request import chat_body
from turnout.providers.openai_chat.usage import usage_of
from turnout.providers.openai_chat.wire import Chunk, EmbeddingList, ModelList
from turnout.providers.protocol import ModelPage
from turnout.reranking import RerankRequest, RerankResponse
from turnout.token_counting import TokenCount

__all__ = ["FINISH_REASONS", "Endpoint", "OpenAIChat"]

_EMBEDDINGS = LenientDecoder(EmbeddingList)
_MODELS = LenientDecoder(ModelList)


class Endpoint(Protocol):
    """The address and the credentials of a service that offers OpenAI's models under other rules."""

    @property
    def missing_env(self) -> tuple[str, ...]:
        """The variables that the provider lacks, so that it is not-configured."""
        ...

    @property
    def auth(self) -> Auth | None:
        """Signs each request just before it is sent; None if nothing needs to be signed."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of its requests besides the account's key."""
        ...

    def with_key(self, key: AccessToken) -> Endpoint:
        """Return the same endpoint with another key, or with a function that returns one."""
        ...

    def credentials(self) -> Iterable[tuple[str, str]]:
        """Return the header fields that carry the key."""
        ...

    def url(self, path: str, body: Mapping[str, Any] | None) -> str:
        """Return the URL for a request with this path and body."""
        ...


@attrs.frozen
class OpenAIChat(Dialect):
    """A provider that speaks chat completions (`turnout.providers.protocol.Provider`).

    Attributes:
        site: The address and credentials, if they are not the account's base URL with its key as a bearer token.
    """

    site: Endpoint | None = None
    finish_reasons = FINISH_REASONS

    @property
    def missing_env(self) -> tuple[str, ...]:
        return self.site.missing_env if self.site is not None else self.account.missing_env

    @property
    def secrets(self) -> tuple[str, ...]:
        return (*self.account.secrets, *self.site.secrets) if self.site is not None else self.account.secrets

    def with_key(self, key: AccessToken) -> Self:
        site = self.site.with_key(key) if self.site is not None else None
        return attrs.evolve(self, account=self.account.with_key(key), site=site)

    def credentials(self) -> Iterable[tuple[str, str]]:
        return self.site.credentials() if self.site is not None else super().credentials()

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = chat_body(request, self.account, stream=False)
        http_request = self._request("POST", self._chat_path(request), body)
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_chat(body, request, headers), dropped
        )

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = chat_body(request, self.account, stream=True)
        http_request = self._request("POST", self._chat_path(request), body, stream=True)
        return self.stream_exchange(
            http_request, request, lambda *parts: self._reader(request, *parts), dropped=dropped
        )

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        if Capability.EMBEDDINGS not in self.capabilities:
            raise CapabilityUnsupported(f"{request.model}: {self.name} offers no embeddings")
        model = self.adapt_model(request.model)
        body = embedding_body(request, model, self.account.spec.openai_compat)
        http_request = self._request("POST", "/embeddings", body)
        return self.embedding_exchange(
            http_request, request, lambda body, headers: self._parse_embeddings(body, request, headers)
        )

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        return self.document_exchange(self._request("GET", "/models", None), self._parse_models)

    def count_tokens(self, request: ChatRequest) -> HttpExchange[TokenCount]:
        """See `turnout.providers.protocol.TokenCounter`. Responses counts the tokens: its prompts are the same."""
        from turnout.providers.openai_responses.request import count_body, responses_scopes

        if Capability.COUNT_TOKENS not in self.capabilities:
            raise CapabilityUnsupported(f"{request.model}: {self.name} counts no tokens")
        body = count_body(self.adapt(request, responses_scopes(self.account)), self.account)
        http_request = self._request("POST", "/responses/input_tokens", body)
        # Loaded by the first count, as the rankings below.
        from turnout.providers.decoding.token_counts import count_exchange

        return count_exchange(self, http_request, request.model)

    def rerank(self, request: RerankRequest) -> HttpExchange[RerankResponse]:
        """See `turnout.providers.protocol.Reranker`."""
        if Capability.RERANK not in self.capabilities:
            raise CapabilityUnsupported(f"{request.model}: {self.name} offers no reranking")
        # Loaded by the first reranking: most programs make none, and all of them load this module.
        from turnout.providers.decoding.rankings import rerank_body, rerank_exchange

        body = rerank_body(request, self.adapt_model(request.model))
        http_request = self._request("POST", self.account.spec.openai_compat.rerank_path, body)
        return rerank_exchange(self, http_request, request)

    def _request(self, method: str, path: str, body: dict[str, Any] | None, *, stream: bool = False) -> HttpRequest:
        url = self.site.url(path, body) if self.site is not None else self.account.url(path)
        auth = self.site.auth if self.site is not None else None
        return self.build_request(method, url, body, stream=stream, auth=auth)

    def continues(self, request: ChatRequest) -> bool:
        """See `Dialect.continues`."""
        return is_prefill(request.messages[-1])

    def _chat_path(self, request: ChatRequest) -> str:
        before = self.account.spec.openai_compat.prefill_path if prefill_of(request) else ""
        return f"{before}/chat/completions"

    def _reader(self, request: ChatRequest, accumulator: ResponseAccumulator, headers: Headers) -> ChatChunkReader:
        messages = MessageReader(accumulator, PrefixFilter(prefill_of(request)), _audio_type(request))
        count = request.model.extra.get("n")
        return ChatChunkReader(self, accumulator, headers, messages, ChoicePicker(isinstance(count, int) and count > 1))

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        chunk = self.decode(CHUNK, body) if body.startswith(b"{") else None
        if chunk is not None and (plain := self._plain_response(chunk, body, request, headers)) is not None:
            return plain
        accumulator = self.new_accumulator(request, headers)
        reader = self._reader(request, accumulator, headers)
        if chunk is None:
            if (streamed := self.read_stream(body, accumulator, reader)) is not None:
                return streamed
            chunk = self.decode(CHUNK, body)
        failure = reader.apply(chunk, body, [], whole=True)
        reader.flush([])
        if failure is not None:
            raise failure
        if not chunk.choices:
            error = self.in_band_error(decode_any(body), body, headers)
            raise error or RemoteProtocolError(f"{request.model}: the response has no choices: {_shown(body)}")
        return self.whole_response(accumulator)

    def _plain_response(self, chunk: Chunk, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse | None:
        """Return the response if it is plain, and the request neither makes demands on it nor begins it."""
        demands = request.response_format is not None or demands_call(request)
        plain = None if demands or self.continues(request) else read_plain_response(chunk)
        if plain is None or len(plain.text) > self.account.limits.output:
            return None
        model = given(request).model
        usage = usage_of(chunk.usage, chunk.service_tier) if chunk.usage is not None else None
        return ChatResponse(
            message=Message.of_response((Text.of(plain.text),), (), self.family_of(model.model_id)),
            model=model,
            finish_reason=plain.finish_reason,
            raw_finish_reason=plain.raw_finish_reason,
            usage=billed_usage(usage) if usage is not None else ABSENT_USAGE,
            response_id=chunk.id or None,
            served_model=chunk.model or None,
            request_id=self.request_id(headers),
            rate_limit=rate_limit(headers),
            raw=body,
        )

    def _parse_embeddings(self, body: bytes, request: EmbeddingRequest, headers: Headers) -> EmbeddingResponse:
        wire = packed_embeddings(body) or self.decode(_EMBEDDINGS, body)
        if wire.data is None:
            error = self.in_band_error(decode_any(body), body, headers)
            raise error or RemoteProtocolError(f"{request.model}: the response has no vectors: {_shown(body)}")
        return EmbeddingResponse(
            vectors=read_vectors(wire.data, request.model),
            model=request.model,
            usage=usage_of(wire.usage) if wire.usage is not None else Usage(source="absent"),
            served_model=wire.model,
            request_id=self.request_id(headers),
            rate_limit=rate_limit(headers),
        )

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        # Together responds with the bare list.
        wire = self.decode(_MODELS, b'{"data":' + body + b"}" if body.lstrip()[:1] == b"[" else body)
        if wire.data is None and wire.object != "list":  # Ollama writes null for a list of nothing
            error = self.in_band_error(decode_any(body), body, headers)
            raise error or RemoteProtocolError(f"{self.name}: the response has no model list: {_shown(body)}")
        return ModelPage(
            tuple(
                ModelInfo(
                    entry.id,
                    self.name,
                    context_window=entry.window,
                    max_output_tokens=entry.max_completion_tokens,
                    owned_by=entry.owned_by,
                )
                for entry in wire.data or ()
                if entry.id
            )
        )


def _audio_type(request: ChatRequest) -> str | None:
    """Return the media type of the sound that the request wants, if its format has one."""
    audio = request.model.extra.get("audio")
    format = audio.get("format") if isinstance(audio, Mapping) else None
    return AUDIO_TYPES.get(str(format))


def _shown(body: bytes) -> str:
    return repr(body[:200].decode("utf-8", "replace").strip())
