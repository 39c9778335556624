"""Operations of one exchange, with a response that arrives whole: counting tokens, and reranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from turnout._utils.validation import instance
from turnout.chat import Capability, ChatRequest, ModelConfig
from turnout.errors import CapabilityUnsupported
from turnout.providers.protocol import Exchange, Provider, Reranker, TokenCounter
from turnout.reranking import RerankRequest, RerankResponse
from turnout.routing.call.operations.base import Operation
from turnout.routing.policy.estimate import text_tokens
from turnout.routing.state.candidate import Candidate
from turnout.token_counting import TokenCount

__all__ = ["CountTokens", "Rerank"]


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class CountTokens(Operation):
    """The tokens of a request, as its own model counts them. Another model would count others: there is no fallback."""

    request: ChatRequest = attrs.field(validator=instance(ChatRequest))
    name: ClassVar[str] = "count_tokens"

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (self.request.model,)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.request.metadata

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.COUNT_TOKENS})

    def start_exchange(self, provider: Provider, model: ModelConfig) -> Exchange[TokenCount]:
        if not isinstance(provider, TokenCounter):
            raise CapabilityUnsupported(f"{model}: {provider.name} counts no tokens")
        return provider.count_tokens(self.request.for_model(model))


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class Rerank(Operation):
    """Documents in the order of their relevance to a query."""

    request: RerankRequest = attrs.field(validator=instance(RerankRequest))
    _tokens: int | None = attrs.field(default=None, init=False)
    name: ClassVar[str] = "rerank"

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (self.request.model, *self.request.fallbacks)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.request.metadata

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.RERANK})

    def next_tokens(self, candidate: Candidate) -> tuple[int, int]:
        if self._tokens is None:
            query = text_tokens(self.request.query)
            self._tokens = sum(query + text_tokens(document) for document in self.request.documents)
        return self._tokens, 0

    def start_exchange(self, provider: Provider, model: ModelConfig) -> Exchange[RerankResponse]:
        if not isinstance(provider, Reranker):
            raise CapabilityUnsupported(f"{model}: {provider.name} offers no reranking")
        return provider.rerank(self.request.for_model(model))
