"""The OpenAI chat-completions dialect, and all who took over its shape.

Source: the OpenAI API reference (chat, embeddings, models); what vendors do otherwise is data in the catalog, and what
they send otherwise is read here for everyone: a server behind a gateway may speak with any vendor's accent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from turnout.chat import Capability, ChatRequest, ChatResponse, FinishReason, ModelInfo, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import CapabilityUnsupported, ProviderError, RemoteProtocolError
from turnout.events import Event
from turnout.framing.parser import JsonText
from turnout.framing.sse import SseEvent
from turnout.http import Auth, Headers, HttpRequest
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.decoding.rankings import rerank_body, rerank_exchange
from turnout.providers.decoding.response_headers import rate_limit
from turnout.providers.decoding.stream_reader import TextReader
from turnout.providers.decoding.token_counts import count_exchange
from turnout.providers.dialect import Dialect
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import LenientDecoder, decode_any, encode
from turnout.providers.openai_chat.embeddings import embedding_body, packed_embeddings, read_vectors
from turnout.providers.openai_chat.prefix_filter import PrefixFilter, prefill_of
from turnout.providers.openai_chat.request import chat_body, tool_call
from turnout.providers.openai_chat.text_chunks import read_texts
from turnout.providers.openai_chat.wire import (
    Chunk,
    EmbeddingList,
    Message,
    ModelList,
    ToolCallFragment,
    usage_of,
)
from turnout.providers.protocol import ModelPage
from turnout.reranking import RerankRequest, RerankResponse
from turnout.token_counting import TokenCount

__all__ = ["FINISH_REASONS", "Endpoint", "OpenAIChat"]

FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
    "network_error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
}

_CHUNK = LenientDecoder(Chunk)
_EMBEDDINGS = LenientDecoder(EmbeddingList)
_MODELS = LenientDecoder(ModelList)


class Endpoint(Protocol):
    """Where OpenAI's models are asked but at OpenAI's, and what that wants to be shown.

    missing_env  the variables whose absence makes it not-configured
    auth         signs each request just before it is sent
    """

    @property
    def missing_env(self) -> tuple[str, ...]: ...

    @property
    def auth(self) -> Auth | None: ...

    def credentials(self) -> Iterable[tuple[str, str]]:
        """The header fields that carry the key."""
        ...

    def url(self, path: str, body: Mapping[str, Any] | None) -> str:
        """Where a request with this path and body goes."""
        ...


@attrs.frozen
class OpenAIChat(Dialect):
    """A provider that speaks chat completions (`turnout.providers.protocol.Provider`).

    site  where it is asked, if that is not under the account's endpoint with its key as a bearer token
    """

    site: Endpoint | None = None
    finish_reasons = FINISH_REASONS

    @property
    def missing_env(self) -> tuple[str, ...]:
        return self.site.missing_env if self.site is not None else self.account.missing_env

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

        def make_chunks(accumulator: ResponseAccumulator, headers: Headers) -> _Chunks:
            return _Chunks(self, accumulator, headers, PrefixFilter(prefill_of(request)))

        return self.stream_exchange(http_request, request, make_chunks, dropped=dropped)

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        if Capability.EMBEDDINGS not in self.capabilities:
            raise CapabilityUnsupported(f"{request.model}: {self.name} offers no embeddings")
        model = self.adapt_model(request.model)
        body = embedding_body(request, model, self.account.spec.openai_compat)
        http_request = self._request("POST", "/embeddings", body)
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_embeddings(body, request, headers)
        )

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        return self.document_exchange(self._request("GET", "/models", None), self._parse_models)

    def count_tokens(self, request: ChatRequest) -> HttpExchange[TokenCount]:
        """See `turnout.providers.protocol.TokenCounter`. The count is that of Responses, whose prompts are the same."""
        from turnout.providers.openai_responses.request import count_body, responses_scopes

        if Capability.COUNT_TOKENS not in self.capabilities:
            raise CapabilityUnsupported(f"{request.model}: {self.name} counts no tokens")
        body = count_body(self.adapt(request, responses_scopes(self.account)), self.account)
        http_request = self._request("POST", "/responses/input_tokens", body)
        return count_exchange(self, http_request, request.model)

    def rerank(self, request: RerankRequest) -> HttpExchange[RerankResponse]:
        """See `turnout.providers.protocol.Reranker`."""
        if Capability.RERANK not in self.capabilities:
            raise CapabilityUnsupported(f"{request.model}: {self.name} offers no reranking")
        body = rerank_body(request, self.adapt_model(request.model))
        http_request = self._request("POST", self.account.spec.openai_compat.rerank_path, body)
        return rerank_exchange(self, http_request, request)

    def _request(self, method: str, path: str, body: dict[str, Any] | None, *, stream: bool = False) -> HttpRequest:
        url = self.site.url(path, body) if self.site is not None else self.account.url(path)
        auth = self.site.auth if self.site is not None else None
        return self.build_request(method, url, body, stream=stream, auth=auth)

    def _chat_path(self, request: ChatRequest) -> str:
        before = self.account.spec.openai_compat.prefill_path if prefill_of(request) else ""
        return f"{before}/chat/completions"

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        reader = _Chunks(self, accumulator, headers, PrefixFilter(prefill_of(request)))
        if (streamed := self.read_stream(body, accumulator, reader)) is not None:
            return streamed
        chunk = self.decode(_CHUNK, body)
        failure = reader.take(chunk, body, [], whole=True)
        reader.flush([])
        if failure is not None:
            raise failure
        if not chunk.choices:
            told = self._in_band_error(body, headers)
            raise told or RemoteProtocolError(f"{request.model}: the answer has no choices: {_shown(body)}")
        return accumulator.response()

    def _parse_embeddings(self, body: bytes, request: EmbeddingRequest, headers: Headers) -> EmbeddingResponse:
        answer = packed_embeddings(body) or self.decode(_EMBEDDINGS, body)
        if answer.data is None:
            raise self._in_band_error(body, headers) or RemoteProtocolError(
                f"{request.model}: no vectors came: {_shown(body)}"
            )
        return EmbeddingResponse(
            vectors=read_vectors(answer.data, request.model),
            model=request.model,
            usage=usage_of(answer.usage) if answer.usage is not None else Usage(source="absent"),
            served_model=answer.model,
            request_id=self.request_id(headers),
            rate_limit=rate_limit(headers),
        )

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        # Together answers with the bare list.
        answer = self.decode(_MODELS, b'{"data":' + body + b"}" if body.lstrip()[:1] == b"[" else body)
        if answer.data is None and answer.object != "list":  # a list of nothing is null to Ollama
            raise self._in_band_error(body, headers) or RemoteProtocolError(
                f"{self.name}: no model list came: {_shown(body)}"
            )
        return ModelPage(
            tuple(
                ModelInfo(
                    entry.id,
                    self.name,
                    context_window=entry.window,
                    max_output_tokens=entry.max_completion_tokens,
                    owned_by=entry.owned_by,
                )
                for entry in answer.data or ()
                if entry.id
            )
        )

    def _in_band_error(self, body: bytes, headers: Headers) -> ProviderError | None:
        """The error that a 200 tells of in its body, if it does."""
        facts = parse_error(decode_any(body))
        if not facts.message and not facts.codes:
            return None
        return self.error(facts, headers, body)


@attrs.define(eq=False)
class _Chunks(TextReader):
    """Reads chunks into a response (`turnout.providers.decoding.stream_reader.ChunkReader`)."""

    dialect: OpenAIChat
    accumulator: ResponseAccumulator
    headers: Headers
    echo: PrefixFilter
    done: bool = False
    _usage_seen: bool = False
    _details: list[dict[str, Any]] = attrs.field(factory=list)
    _custom: set[int] = attrs.field(factory=set)  # which of the calls are of tools that take free text

    def read_texts(self, frames: Sequence[SseEvent | JsonText | bytes], events: list[Event]) -> int:
        return 0 if self.echo.beginning else read_texts(frames, self.accumulator, events)

    def read(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        if data.lstrip().startswith(b"[DONE]"):
            self.done = True
            return None
        chunk = _CHUNK.decode(data)
        if chunk is None:
            raise ValueError("no JSON object")
        failure = self.take(chunk, data, events)
        if failure is None and event == "error":
            failure = self.dialect.error(parse_error(decode_any(data)), self.headers, data)
        return failure

    def read_whole(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        if isinstance(document, dict) and document.get("choices"):
            chunk = _CHUNK.fit(document)
            return self.take(chunk, data, events, whole=True) if chunk is not None else None
        facts = parse_error(document)
        return self.dialect.error(facts, self.headers, data) if facts.message or facts.codes else None

    def flush(self, events: list[Event]) -> None:
        if self.accumulator.raw_finish_reason is not None:
            self.accumulator.text(self.echo.flush(), events)

    def take(self, chunk: Chunk, data: bytes, events: list[Event], *, whole: bool = False) -> ProviderError | None:
        """Put one chunk, or a whole answer, into the accumulator."""
        accumulator = self.accumulator
        accumulator.raw = data
        if accumulator.response_id is None:
            accumulator.response_id = chunk.id or None
        if accumulator.served_model is None:
            accumulator.served_model = chunk.model or None
        if chunk.usage is not None and (told := usage_of(chunk.usage, chunk.service_tier)).source == "reported":
            accumulator.usage = told
            self._usage_seen = True
        if chunk.citations:
            accumulator.citations = list(chunk.citations)
        error = chunk.error or chunk.errors
        for choice in chunk.choices or ():
            if choice.index:
                continue
            # Perplexity sends both: beside each delta the answer so far, and beside the whole answer an empty delta.
            message = (choice.message or choice.delta) if whole else (choice.delta or choice.message)
            if message is not None:
                self._message(message, events, whole)
            if choice.finish_reason is not None:
                accumulator.finish(choice.finish_reason, _filtered(choice.finish_reason))
            if choice.logprobs:
                accumulator.add_logprobs(choice.logprobs, events)
            if choice.usage is not None and not self._usage_seen:
                accumulator.usage = usage_of(choice.usage)
            error = error or choice.error
        groq = chunk.x_groq
        if groq is not None:
            if groq.usage is not None and not self._usage_seen:
                accumulator.usage = usage_of(groq.usage)
            error = error or groq.error
        if error:
            return self.dialect.error(parse_error({"error": error, "code": chunk.code}), self.headers, data)
        if chunk.choices is None and not whole:
            # A flat error: SiliconFlow, DashScope, Cerebras and many gateways have no envelope.
            facts = parse_error(decode_any(data))
            return self.dialect.error(facts, self.headers, data) if facts.message else None
        return None

    def _message(self, message: Message, events: list[Event], whole: bool) -> None:
        accumulator = self.accumulator
        content = message.content
        reasoning = message.reasoning_content or message.reasoning
        if reasoning:
            for text in (reasoning,) if isinstance(reasoning, str) else _texts(reasoning):
                accumulator.reasoning(text, events)
        if message.reasoning_details:
            self._reasoning_details(message.reasoning_details, not reasoning, events)
        if content:
            if isinstance(content, str):
                accumulator.text(self.echo.feed(content), events)
            elif isinstance(content, list):
                for part in content:
                    self._content_part(part, events)
            elif "type" in content:
                self._content_part(content, events)
            else:
                # The JSON that was asked for, as it is and not as text.
                accumulator.text(self.echo.feed(json.dumps(content, ensure_ascii=False)), events)
        if message.refusal:
            accumulator.refusal(message.refusal, events)
        if message.tool_calls:
            for fragment in message.tool_calls:
                self._tool_call(fragment, events, whole)
        elif message.function_call is not None:
            self._tool_call(ToolCallFragment(index=0, function=message.function_call), events, whole)
        if message.annotations:
            accumulator.citations += message.annotations

    def _content_part(self, part: object, events: list[Event]) -> None:
        """A part where a string is usual: text, a refusal, or thinking with its own parts (Mistral, Databricks)."""
        if isinstance(part, str):
            self.accumulator.text(self.echo.feed(part), events)
            return
        if not isinstance(part, dict):
            return
        if isinstance(part.get("refusal"), str):
            self.accumulator.refusal(part["refusal"], events)
        thinks = part.get("type") in ("thinking", "reasoning")
        for name in ("text", "thinking", "summary"):
            for text in _texts(part.get(name)):
                if thinks or name != "text":
                    self.accumulator.reasoning(text, events)
                else:
                    self.accumulator.text(self.echo.feed(text), events)

    def _reasoning_details(self, details: list[Any], tell: bool, events: list[Event]) -> None:
        """OpenRouter's structured reasoning: kept for the next turn, told only where no plain field told it."""
        self.accumulator.replay = self._replay
        for detail in details:
            if not isinstance(detail, dict):
                continue
            told = detail.get("text") or detail.get("summary")
            if tell and isinstance(told, str):
                self.accumulator.reasoning(told, events)
            place = (detail.get("type"), detail.get("index"))
            last = self._details[-1] if self._details else None
            if last is None or place != (last.get("type"), last.get("index")):
                self._details.append(dict(detail))
                continue
            for key, value in detail.items():
                known = last.get(key)
                if key in ("text", "summary", "data") and isinstance(known, str) and isinstance(value, str):
                    last[key] = known + value
                elif value is not None:
                    last[key] = value

    def _replay(self) -> bytes | None:
        replayed: dict[str, Any] = {}
        if self._details:
            replayed["reasoning_details"] = self._details
        if self._custom:
            calls, account = enumerate(self.accumulator.finished_calls()), self.dialect.account
            replayed["tool_calls"] = [tool_call(call, account, custom=place in self._custom) for place, call in calls]
        return encode(replayed) if replayed else None

    def _tool_call(self, fragment: ToolCallFragment, events: list[Event], whole: bool) -> None:
        function, custom = fragment.function, fragment.custom
        if custom is not None and function is None:
            self.accumulator.replay = self._replay
            place = self.accumulator.tool_fragment(
                events,
                id=fragment.id,
                index=fragment.index,
                name=custom.name,
                arguments=custom.input,
                starts_call=whole,
                is_custom_tool=True,
            )
            self._custom.add(place)
            return
        arguments = function.arguments if function is not None else None
        if arguments is not None and not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        self.accumulator.tool_fragment(
            events,
            id=fragment.id,
            index=fragment.index,
            name=function.name if function is not None else None,
            arguments=arguments,
            signature=_google_signature(fragment.extra_content),
            starts_call=whole,
        )


def _texts(told: object) -> list[str]:
    """The texts of what is one, or a list of parts that have one each."""
    pieces = (piece.get("text") if isinstance(piece, dict) else piece for piece in _listed(told))
    return [piece for piece in pieces if isinstance(piece, str)]


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _filtered(finish_reason: str | int) -> FinishReason | None:
    """Gemini's OpenAI-shaped endpoint says what was wrong behind the word: "content_filter: PROHIBITED_CONTENT"."""
    told = isinstance(finish_reason, str) and finish_reason.startswith("content_filter:")
    return FinishReason.CONTENT_FILTER if told else None


def _google_signature(extra: object) -> str | None:
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else None


def _shown(body: bytes) -> str:
    return repr(body[:200].decode("utf-8", "replace").strip())
