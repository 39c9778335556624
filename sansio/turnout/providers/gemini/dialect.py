"""The Gemini dialect: Google's AI Studio, and Vertex AI with a token.

Source: the Gemini API reference (ai.google.dev) and that of Vertex AI (cloud.google.com).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import attrs

from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelInfo, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.errors import CapabilityUnsupported, ProviderError, RemoteProtocolError
from turnout.events import Event
from turnout.http import Headers, HttpRequest
from turnout.providers.auth import AccessToken, token_auth, token_fields
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.decoding.token_counts import count_exchange, without_sampling
from turnout.providers.dialect import Dialect
from turnout.providers.encoding.adapt import omitted
from turnout.providers.encoding.sampling_params import supported_request
from turnout.providers.encoding.tool_names import GEMINI_TOOL_NAMES
from turnout.providers.exchange import HttpExchange
from turnout.providers.gemini.embeddings import embed_body
from turnout.providers.gemini.partial_args import PartialArguments
from turnout.providers.gemini.request import FAMILY, generate_body
from turnout.providers.gemini.wire import (
    Answer,
    Candidate,
    Embeddings,
    FunctionCall,
    ModalityCount,
    Models,
    Part,
    UsageWire,
    Values,
)
from turnout.providers.json_codec import LenientDecoder, decode_any, raw_bytes
from turnout.providers.protocol import ModelPage
from turnout.token_counting import TokenCount

__all__ = ["FINISH_REASONS", "Gemini"]

_FILTERED = (
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "LANGUAGE", "ESCALATION", "PUP_LIMITED_DISABLED",
)  # fmt: skip
_BROKEN = (
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE", "IMAGE_OTHER", "OTHER",
)  # fmt: skip
# Some servers send the number of the enum's value.
FINISH_REASONS = {
    "STOP": FinishReason.STOP,
    "1": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "2": FinishReason.LENGTH,
    "3": FinishReason.CONTENT_FILTER,
    "4": FinishReason.CONTENT_FILTER,
    **dict.fromkeys(_FILTERED, FinishReason.CONTENT_FILTER),
    **dict.fromkeys(_BROKEN, FinishReason.ERROR),
}


# Vertex AI's names of the tiers, and AI Studio's.
_TIERS = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}

_ANSWER = LenientDecoder(Answer)
_PART = LenientDecoder(Part)
_EMBEDDINGS = LenientDecoder(Embeddings)
_MODELS = LenientDecoder(Models)
_UNCOUNTED = UsageWire()
# What a part may have beside the one field that makes it a part.
_BESIDE = frozenset({"thought", "thoughtSignature"})


def _flag(value: bool | str | None) -> bool | None:
    """Return a setting that may come from a variable of the environment."""
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes", "on")
    return value


@attrs.frozen
class Gemini(Dialect):
    """A provider that speaks Gemini (`turnout.providers.protocol.Provider`).

    With `vertex_project`, or with `vertex`, it sends its requests to Vertex AI in `vertex_location`: with
    `access_token` (a token, or a function that returns one just before each request is sent), or else with the
    account's key. A key without a project is one of Vertex AI's express mode. All other requests go to AI Studio.
    """

    vertex: bool | None = attrs.field(default=None, converter=_flag)
    vertex_project: str | None = None
    vertex_location: str = "global"
    access_token: AccessToken | None = attrs.field(default=None, repr=False)
    finish_reasons = FINISH_REASONS
    tool_names = GEMINI_TOOL_NAMES

    @property
    def missing_env(self) -> tuple[str, ...]:
        return () if self._token is not None else self.account.missing_env

    @property
    def family(self) -> str:
        return FAMILY

    @property
    def _vertex(self) -> bool:
        return self.vertex if self.vertex is not None else self.vertex_project is not None

    @property
    def _token(self) -> AccessToken | None:
        """The token of a project; AI Studio, and Vertex AI without a project, take keys alone."""
        return self.access_token if self._vertex and self.vertex_project is not None else None

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request, dropped = supported_request(self.adapt(request), self.account)
        dropped += omitted(request)
        http_request = self._post(request.model.model_id, "generateContent", self._body(request))
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_chat(body, request, headers), dropped
        )

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request, dropped = supported_request(self.adapt(request), self.account)
        dropped += omitted(request)
        verb = "streamGenerateContent?alt=sse"
        http_request = self._post(request.model.model_id, verb, self._body(request), stream=True)
        return self.stream_exchange(http_request, request, lambda *parts: _Chunks(self, *parts), dropped=dropped)

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        model_id = request.model.model_id.removeprefix("models/")
        own = request.for_model(self.adapt_model(request.model))
        verb, body = embed_body(own, model_id, vertex=self._vertex)
        http_request = self._post(model_id, verb, body)
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_embeddings(body, request, headers)
        )

    def count_tokens(self, request: ChatRequest) -> HttpExchange[TokenCount]:
        """See `turnout.providers.protocol.TokenCounter`."""
        model_id = request.model.model_id.removeprefix("models/")
        body = self._body(without_sampling(self.adapt(request)))
        if not self._vertex:  # AI Studio counts the messages alone, unless it gets the whole request
            body = {"generateContentRequest": {"model": f"models/{model_id}", **body}}
        return count_exchange(self, self._post(model_id, "countTokens", body), request.model)

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        if self._vertex:
            raise CapabilityUnsupported(f"{self.name}: Vertex AI lists no models here")
        path = "/v1beta/models?pageSize=1000" + (f"&pageToken={quote(page, safe='')}" if page else "")
        return self.document_exchange(self.build_request("GET", self.account.base_url + path, None), self._parse_models)

    # -- requests -----------------------------------------------------------------------------------------------

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        return generate_body(request, self.account.spec.schemas, vertex=self._vertex)

    def _post(self, model_id: str, verb: str, body: dict[str, Any], *, stream: bool = False) -> HttpRequest:
        model = quote(model_id.removeprefix("models/"), safe="")
        if self._vertex:
            project = f"projects/{self.vertex_project}/locations/{self.vertex_location}/" if self.vertex_project else ""
            url = f"{self._vertex_endpoint()}/v1beta1/{project}publishers/google/models/{model}:{verb}"
        else:
            url = f"{self.account.base_url}/v1beta/models/{model}:{verb}"
        return self.build_request("POST", url, body, stream=stream, auth=token_auth(self._token))

    def _vertex_endpoint(self) -> str:
        if self.account.base_url != self.account.spec.base_url:
            return self.account.base_url
        match self.vertex_location:
            case "global":
                host = "aiplatform"
            case "us" | "eu" as whole:  # places that span several regions
                host = f"aiplatform.{whole}.rep"
            case region:
                host = f"{region}-aiplatform"
        return f"https://{host}.googleapis.com"

    def credentials(self) -> Iterable[tuple[str, str]]:
        if self._token is None:
            return (("x-goog-api-key", self.account.api_key),) if self.account.api_key else ()
        return token_fields(self._token)

    # -- answers ------------------------------------------------------------------------------------------------

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        chunks = _Chunks(self, accumulator, headers)
        if (streamed := self.read_stream(body, accumulator, chunks)) is not None:
            return streamed
        try:
            failure = chunks.read("", body, [])
        except ValueError as error:
            raise RemoteProtocolError(f"{request.model}: the answer is no JSON object ({error})") from None
        if failure is not None:
            raise failure
        chunks.flush([])
        if accumulator.raw_finish_reason is None and not accumulator.has_content:
            raise RemoteProtocolError(f"{request.model}: the answer holds neither content nor a finish reason")
        return accumulator.response()

    def _parse_embeddings(self, body: bytes, request: EmbeddingRequest, headers: Headers) -> EmbeddingResponse:
        answer = self.decode_checked(_EMBEDDINGS, body, headers)
        rows = answer.embeddings or ([answer.embedding] if answer.embedding is not None else None)
        if rows is None and answer.predictions:
            rows = [prediction.embeddings or Values() for prediction in answer.predictions]
        if rows is None:
            raise RemoteProtocolError(f"{request.model}: no vectors came")
        try:
            made = Vectors.of([row.values or [] for row in rows])
        except (ValueError, TypeError) as error:
            raise RemoteProtocolError(f"{request.model}: the vectors cannot be read: {error}") from None
        told = answer.usageMetadata
        tokens = told.promptTokenCount if told is not None else None
        counts = [row.statistics.token_count for row in rows if row.statistics is not None]
        if tokens is None and len(counts) == len(rows) and None not in counts:
            tokens = sum(count for count in counts if count is not None)
        return EmbeddingResponse(
            vectors=made,
            model=request.model,
            usage=Usage(prompt_tokens=tokens) if tokens is not None else Usage(source="absent"),
            request_id=self.request_id(headers),
        )

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        answer = self.decode_checked(_MODELS, body, headers)
        if answer.models is None:
            raise RemoteProtocolError(f"{self.name}: no model list came")
        infos = (
            ModelInfo(
                model.name.removeprefix("models/"),
                self.name,
                context_window=model.inputTokenLimit,
                max_output_tokens=model.outputTokenLimit,
                owned_by="google",
            )
            for model in answer.models
            if model.name
        )
        return ModelPage(tuple(infos), answer.nextPageToken or None)


@attrs.define(eq=False)
class _Chunks:
    """Reads answers, whole or in pieces, into a response (`turnout.providers.decoding.stream_reader.ChunkReader`)."""

    dialect: Gemini
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False  # this protocol has no last word
    _open: PartialArguments | None = None

    def read(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        if data.lstrip()[:1] in (b'"', b"["):
            # An error as a bare string, or inside a list of one.
            return self.dialect.error(parse_error(decode_any(data)), self.headers, data)
        answer = _ANSWER.decode(data)
        if answer is None:
            raise ValueError("no JSON object")
        accumulator = self.accumulator
        accumulator.raw = data
        accumulator.served_model = accumulator.served_model or answer.modelVersion
        accumulator.response_id = accumulator.response_id or answer.responseId
        if answer.usageMetadata is not None:
            self._usage(answer.usageMetadata)
        for candidate in answer.candidates or ():
            if not candidate.index:
                self._candidate(candidate, events)
        feedback = answer.promptFeedback
        if feedback is not None and feedback.blockReason and not answer.candidates:
            accumulator.finish(feedback.blockReason, FinishReason.CONTENT_FILTER)
        if answer.error:
            return self.dialect.error(parse_error({"error": answer.error}), self.headers, data)
        return None

    def read_whole(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        if isinstance(document, dict) and not document.get("error"):
            return self.read("", data, events)
        return self.dialect.error(parse_error(document), self.headers, data)

    def flush(self, events: list[Event]) -> None:
        """A call whose last piece never came is given out as far as it is."""
        if self._open is not None:
            call, self._open = self._open, None
            self.accumulator.tool_fragment(
                events,
                starts_call=True,
                name=call.name,
                arguments=call.arguments(),
                id=call.id,
                signature=call.signature,
            )

    def _candidate(self, candidate: Candidate, events: list[Event]) -> None:
        accumulator = self.accumulator
        for raw in (candidate.content.parts if candidate.content is not None else None) or ():
            part = _PART.decode(bytes(raw))
            if part is None:
                accumulator.skipped += 1
                continue
            self._part(part, bytes(raw), events)
        accumulator.finish(candidate.finishReason)
        if candidate.logprobsResult:
            accumulator.add_logprobs(candidate.logprobsResult, events)
        for source in (candidate.citationMetadata, candidate.groundingMetadata):
            if source:
                accumulator.citations.append(source)

    def _part(self, part: Part, raw: bytes, events: list[Event]) -> None:
        accumulator, signature = self.accumulator, part.thoughtSignature
        if part.functionCall is not None:
            self._function_call(part.functionCall, signature, events)
        elif part.text is not None:
            put = accumulator.reasoning if part.thought else accumulator.text
            if signature is None:
                put(part.text, events)
                return
            # A signature holds for its own part, which is kept apart from its neighbours.
            accumulator.end_part()
            put(part.text, events)
            accumulator.set_signature("reasoning" if part.thought else "text", signature, events)
        elif set(decode_any(raw)) <= _BESIDE:
            # Nothing but a signature, or not even that: Gemini refuses to get such a part back.
            if signature is not None:
                accumulator.end_part()
                accumulator.set_signature("reasoning" if part.thought else "text", signature, events)
        else:
            accumulator.opaque(raw, events)

    def _function_call(self, call: FunctionCall, signature: str | None, events: list[Event]) -> None:
        if call.name:
            self.flush(events)
            if not (call.willContinue or call.partialArgs):
                arguments = (raw_bytes(call.args) or b"{}").decode("utf-8", "replace")
                self.accumulator.tool_fragment(
                    events, starts_call=True, name=call.name, arguments=arguments, id=call.id, signature=signature
                )
                return
            self._open = PartialArguments(call.name, call.id, signature)
        if self._open is not None:
            self._open.add(call.partialArgs)
            if not call.willContinue:
                self.flush(events)

    def _usage(self, told: UsageWire) -> None:
        """Counters are cumulative and come and go: the last one that was told counts, each for itself."""
        if told == _UNCOUNTED:
            return
        known = self.accumulator.usage
        thoughts = told.thoughtsTokenCount if told.thoughtsTokenCount is not None else known.reasoning_tokens
        answer = told.candidatesTokenCount
        if answer is None and known.completion_tokens is not None:
            answer = known.completion_tokens - (known.reasoning_tokens or 0)
        self.accumulator.usage = Usage(
            prompt_tokens=told.promptTokenCount if told.promptTokenCount is not None else known.prompt_tokens,
            completion_tokens=None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0),
            cached_tokens=(
                told.cachedContentTokenCount if told.cachedContentTokenCount is not None else known.cached_tokens
            ),
            reasoning_tokens=thoughts,
            audio_prompt_tokens=_of_modality(told.promptTokensDetails, "AUDIO", known.audio_prompt_tokens),
            audio_completion_tokens=_of_modality(told.candidatesTokensDetails, "AUDIO", known.audio_completion_tokens),
            image_completion_tokens=_of_modality(told.candidatesTokensDetails, "IMAGE", known.image_completion_tokens),
            service_tier=self.headers.get("x-gemini-service-tier") or _TIERS.get(told.trafficType or ""),
        )


def _of_modality(counts: list[ModalityCount] | None, modality: str, known: int | None) -> int | None:
    """Return the tokens of one kind; those that are known, if this chunk counts none."""
    found = [count.tokenCount or 0 for count in counts or () if count.modality == modality]
    return sum(found) if found else known
