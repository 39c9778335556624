"""The Anthropic dialect: the Messages API. Its responses are lists of blocks, and its streams are named events.

Source: the Messages API reference (platform.claude.com), "Create a Message", "Streaming Messages" and "Errors".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import quote

import attrs

from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelInfo
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import CapabilityUnsupported, RemoteProtocolError
from turnout.http import Headers, HttpRequest
from turnout.providers.anthropic.request import count_body, messages_body
from turnout.providers.anthropic.stream import MESSAGE, MessageReader
from turnout.providers.anthropic.turns import FAMILY
from turnout.providers.anthropic.wire import Models
from turnout.providers.auth import AccessToken, TokenAuth, secrets_of_auth, token_auth, token_fields
from turnout.providers.decoding.token_counts import count_exchange
from turnout.providers.dialect import Dialect
from turnout.providers.encoding.tool_names import ANTHROPIC_TOOL_NAMES
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import LenientDecoder
from turnout.providers.protocol import ModelPage
from turnout.token_counting import TokenCount

__all__ = ["FINISH_REASONS", "Anthropic"]

FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    # A turn that a limit on tools of the provider paused, or a compaction: it goes on when its message is sent back.
    "pause_turn": FinishReason.LENGTH,
    "compaction": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}

_MODELS = LenientDecoder(Models)


@attrs.frozen
class Anthropic(Dialect):
    """A provider that speaks Anthropic's Messages (`turnout.providers.protocol.Provider`).

    This API requires a ceiling on every answer. If the request sets no `max_tokens`, it is
    `turnout.providers.anthropic.reasoning.ANSWER_TOKENS`, and room for thinking on top. A header asks for beta
    features: of every request with `create("anthropic", headers={"anthropic-beta": "…"})`, of one with
    `ModelConfig(…, extra={"anthropic": {"betas": ["…"]}})`.

    Attributes:
        access_token: A bearer token in place of the key, or a function that returns one before each request.
    """

    access_token: AccessToken | None = attrs.field(default=None, repr=False)
    _auth: TokenAuth | None = attrs.field(
        default=attrs.Factory(lambda self: token_auth(self.access_token), takes_self=True),
        init=False,
        repr=False,
        eq=False,
    )
    finish_reasons = FINISH_REASONS
    tool_names = ANTHROPIC_TOOL_NAMES
    unique_ids = False

    def continues(self, request: ChatRequest) -> bool:
        """See `Dialect.continues`."""
        return True

    @property
    def family(self) -> str:
        return FAMILY

    @property
    def missing_env(self) -> tuple[str, ...]:
        return self.account.missing_env if self.access_token is None else ()

    @property
    def secrets(self) -> tuple[str, ...]:
        return (*self.account.secrets, *secrets_of_auth(self._auth, self.access_token))

    def with_key(self, key: AccessToken) -> Self:
        return attrs.evolve(self, account=self.account.with_key(key), access_token=None)

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = messages_body(request, self.account, stream=False)
        http_request = self._request("POST", "/v1/messages", body)
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_chat(body, request, headers), dropped
        )

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = messages_body(request, self.account, stream=True)
        http_request = self._request("POST", "/v1/messages", body, stream=True)
        return self.stream_exchange(http_request, request, lambda *parts: MessageReader(self, *parts), dropped=dropped)

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        raise CapabilityUnsupported(f"{request.model}: {self.name} offers no embeddings")

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        path = "/v1/models?limit=1000" + (f"&after_id={quote(page, safe='')}" if page else "")
        return self.document_exchange(self._request("GET", path, None), self._parse_models)

    def count_tokens(self, request: ChatRequest) -> HttpExchange[TokenCount]:
        """See `turnout.providers.protocol.TokenCounter`."""
        http_request = self._request("POST", "/v1/messages/count_tokens", count_body(self.adapt(request), self.account))
        return count_exchange(self, http_request, request.model)

    def credentials(self) -> Iterable[tuple[str, str]]:
        if self.access_token is not None:
            return token_fields(self.access_token)
        return (("x-api-key", self.account.api_key),) if self.account.api_key else ()

    def _request(self, method: str, path: str, body: dict[str, Any] | None, *, stream: bool = False) -> HttpRequest:
        betas = body.pop("betas", None) if body is not None else None
        # Some users set a base URL with the version in it, as is usual with other providers.
        url = self.account.base_url.removesuffix("/v1") + path
        request = self.build_request(method, url, body, stream=stream, auth=self._auth)
        return request if not betas else _with_betas(request, betas)

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        chunks = MessageReader(self, accumulator, headers)
        if (streamed := self.read_stream(body, accumulator, chunks)) is not None:
            return streamed
        message = self.decode_checked(MESSAGE, body, headers)
        chunks.apply(message, [])
        chunks.flush([])
        accumulator.raw = body
        return self.whole_response(accumulator)

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        wire = self.decode_checked(_MODELS, body, headers)
        if wire.data is None:
            raise RemoteProtocolError(f"{self.name}: the response has no model list")
        infos = (
            ModelInfo(
                model.id,
                self.name,
                context_window=model.max_input_tokens,
                max_output_tokens=model.max_tokens,
                owned_by="anthropic",
            )
            for model in wire.data
            if model.id
        )
        return ModelPage(tuple(infos), (wire.last_id or None) if wire.has_more else None)


def _with_betas(request: HttpRequest, betas: Any) -> HttpRequest:
    """Return the request with these beta features besides those that its header names already."""
    name = "anthropic-beta"
    known = [beta.strip() for value in request.headers.get_all(name) for beta in value.split(",")]
    wanted = [betas] if isinstance(betas, str) else [str(beta) for beta in betas]
    others = [(field, value) for field, value in request.headers if field.lower() != name]
    return attrs.evolve(request, headers=Headers((*others, (name, ",".join(dict.fromkeys((*known, *wanted)))))))
