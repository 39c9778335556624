"""The response of every provider that counts the tokens of a prompt: one number, under four names.

Sources: the API references of OpenAI and Mistral ("Count input tokens"), Anthropic ("Count tokens in a Message"),
Gemini ("countTokens") and Amazon Bedrock ("CountTokens").
"""

from __future__ import annotations

from typing import Any

import msgspec

from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import RemoteProtocolError
from turnout.http import Headers, HttpRequest
from turnout.providers.decoding.response_headers import rate_limit
from turnout.providers.dialect import Dialect
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import LenientDecoder
from turnout.token_counting import TokenCount

__all__ = ["count_exchange", "without_sampling"]


class CountWire(msgspec.Struct, gc=False):
    """A response. Every field is optional, because each is missing somewhere."""

    input_tokens: int | None = None  # OpenAI, Mistral, Anthropic
    inputTokens: int | None = None  # noqa: N815 - Bedrock
    totalTokens: int | None = None  # noqa: N815 - Gemini
    cachedContentTokenCount: int | None = None  # noqa: N815 - Gemini
    error: Any = None


_COUNT = LenientDecoder(CountWire)


def count_exchange(dialect: Dialect, http_request: HttpRequest, model: ModelConfig) -> HttpExchange[TokenCount]:
    """Return the exchange for a request that counts tokens."""

    def parse(body: bytes, headers: Headers) -> TokenCount:
        wire = dialect.decode_checked(_COUNT, body, headers)
        counts = (wire.input_tokens, wire.inputTokens, wire.totalTokens)
        tokens = next((count for count in counts if count is not None), None)
        if tokens is None:
            raise RemoteProtocolError(f"{model}: the response holds no number of tokens")
        return TokenCount(
            prompt_tokens=tokens,
            model=model,
            cached_tokens=wire.cachedContentTokenCount,
            request_id=dialect.request_id(headers),
            rate_limit=rate_limit(headers),
        )

    return dialect.document_exchange(http_request, parse)


def without_sampling(request: ChatRequest) -> ChatRequest:
    """Return the request without the settings that do not change its prompt, which a model might refuse."""
    model = request.model
    plain = ModelConfig(model.provider, model.model_id, reasoning_effort=model.reasoning_effort, extra=model.extra)
    return request.for_model(plain)
