"""The Gemini dialect: Google's AI Studio, and Vertex AI with a token.

Source: the Gemini API reference (ai.google.dev) and that of Vertex AI (cloud.google.com).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import quote

import attrs

from turnout.chat import ChatRequest, ChatResponse, ModelInfo, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import CapabilityUnsupported, RemoteProtocolError
from turnout.http import Headers, HttpRequest
from turnout.providers.auth import AccessToken, TokenAuth, secrets_of_auth, token_auth, token_fields
from turnout.providers.decoding.token_counts import count_exchange, without_sampling
from turnout.providers.decoding.vectors import numeric_vectors
from turnout.providers.dialect import Dialect
from turnout.providers.encoding.adapt import omitted
from turnout.providers.encoding.sampling_params import supported_request
from turnout.providers.encoding.tool_names import GEMINI_TOOL_NAMES
from turnout.providers.exchange import HttpExchange
from turnout.providers.gemini.embeddings import embed_body
from turnout.providers.gemini.request import FAMILY, generate_body
from turnout.providers.gemini.stream import FINISH_REASONS, GeminiReader
from turnout.providers.gemini.wire import Embeddings, Models, Values
from turnout.providers.json_codec import LenientDecoder, raw_bytes
from turnout.providers.protocol import ModelPage
from turnout.providers.urls import checked_label, path_segment
from turnout.token_counting import TokenCount

__all__ = ["FINISH_REASONS", "Gemini"]

_EMBEDDINGS = LenientDecoder(Embeddings)
_MODELS = LenientDecoder(Models)


def _flag(value: bool | str | None) -> bool | None:
    """Return a setting, which may be text of a variable of the environment."""
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes", "on")
    return value


def _is_project(instance: object, attribute: object, value: str | None) -> None:
    if value is not None and not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9.:_-]*", value):
        raise ValueError("vertex_project must be the id of a project: letters, digits and hyphens")


def _is_location(instance: object, attribute: object, value: str) -> None:
    checked_label(value, "vertex_location")


@attrs.frozen
class Gemini(Dialect):
    """A provider that speaks Gemini (`turnout.providers.protocol.Provider`).

    With `vertex_project`, or with `vertex`, it sends its requests to Vertex AI in `vertex_location`: with
    `access_token` (a token, or a function that returns one just before each request is sent), or else with the
    account's key. A key without a project is one of Vertex AI's express mode. All other requests go to AI Studio.
    """

    vertex: bool | None = attrs.field(default=None, converter=_flag)
    vertex_project: str | None = attrs.field(default=None, validator=_is_project)
    vertex_location: str = attrs.field(default="global", validator=_is_location)
    access_token: AccessToken | None = attrs.field(default=None, repr=False)
    _auth: TokenAuth | None = attrs.field(
        default=attrs.Factory(lambda self: token_auth(self._token), takes_self=True), init=False, repr=False, eq=False
    )
    finish_reasons = FINISH_REASONS
    tool_names = GEMINI_TOOL_NAMES
    media_in_answers = True

    @property
    def secrets(self) -> tuple[str, ...]:
        return (*self.account.secrets, *secrets_of_auth(self._auth, self._token))

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

    def with_key(self, key: AccessToken) -> Self:
        return attrs.evolve(self, account=self.account.with_key(key), access_token=None)

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
        return self.stream_exchange(http_request, request, lambda *parts: GeminiReader(self, *parts), dropped=dropped)

    def continuation(self, request: ChatRequest, response: ChatResponse) -> ChatRequest | None:
        """See `turnout.providers.protocol.Continuer`. The token of half an answer is a field of the next request."""
        token = response.extra.get("continuationToken")
        extra = self.adapt_model(request.model).extra
        if response.raw_finish_reason != "CONTINUATION" or not isinstance(token, str):
            return None
        if extra.get("automaticContinuation") is False or extra.get("continuationToken") == token:
            return None
        model = attrs.evolve(request.model, extra={**extra, "continuationToken": token})
        return request.for_model(model)

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        model_id = request.model.model_id.removeprefix("models/")
        own = request.for_model(self.adapt_model(request.model))
        verb, body = embed_body(own, model_id, vertex=self._vertex)
        http_request = self._post(model_id, verb, body)
        return self.embedding_exchange(
            http_request, request, lambda body, headers: self._parse_embeddings(body, request, headers)
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
        model = path_segment(model_id.removeprefix("models/"), f"{self.name}: the model's id {model_id!r}")
        if self._vertex:
            project = f"projects/{self.vertex_project}/locations/{self.vertex_location}/" if self.vertex_project else ""
            url = f"{self._vertex_endpoint()}/v1beta1/{project}publishers/google/models/{model}:{verb}"
        else:
            url = f"{self.account.base_url}/v1beta/models/{model}:{verb}"
        return self.build_request("POST", url, body, stream=stream, auth=self._auth)

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

    # -- responses ----------------------------------------------------------------------------------------------

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        reader = GeminiReader(self, accumulator, headers)
        if (streamed := self.read_stream(body, accumulator, reader)) is not None:
            return streamed
        try:
            failure = reader.read_chunk("", body, [])
        except ValueError as error:
            raise RemoteProtocolError(f"{request.model}: the response is no JSON object ({error})") from None
        if failure is not None:
            raise failure
        reader.flush([])
        return self.whole_response(accumulator)

    def _parse_embeddings(self, body: bytes, request: EmbeddingRequest, headers: Headers) -> EmbeddingResponse:
        wire = self.decode_checked(_EMBEDDINGS, body, headers)
        rows = wire.embeddings or ([wire.embedding] if wire.embedding is not None else None)
        if rows is None and wire.predictions:
            rows = [prediction.embeddings or Values() for prediction in wire.predictions]
        if rows is None:
            raise RemoteProtocolError(f"{request.model}: the response has no vectors")
        try:
            vectors = numeric_vectors([raw_bytes(row.values) or b"[]" for row in rows])
        except ValueError as error:
            raise RemoteProtocolError(f"{request.model}: the vectors cannot be read: {error}") from None
        usage = wire.usageMetadata
        tokens = usage.promptTokenCount if usage is not None else None
        counts = [row.statistics.token_count for row in rows if row.statistics is not None]
        if tokens is None and len(counts) == len(rows) and None not in counts:
            tokens = sum(count for count in counts if count is not None)
        return EmbeddingResponse(
            vectors=vectors,
            model=request.model,
            usage=Usage(prompt_tokens=tokens) if tokens is not None else Usage(source="absent"),
            request_id=self.request_id(headers),
        )

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        wire = self.decode_checked(_MODELS, body, headers)
        if wire.models is None:
            raise RemoteProtocolError(f"{self.name}: the response has no model list")
        infos = (
            ModelInfo(
                model.name.removeprefix("models/"),
                self.name,
                context_window=model.inputTokenLimit,
                max_output_tokens=model.outputTokenLimit,
                owned_by="google",
            )
            for model in wire.models
            if model.name
        )
        return ModelPage(tuple(infos), wire.nextPageToken or None)
