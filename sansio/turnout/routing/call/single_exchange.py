"""Operations whose response arrives whole, from one exchange: counting tokens, and reranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs

from turnout._validation import instance
from turnout.chat import Capability, ChatRequest, ChatResponse, ModelConfig
from turnout.errors import CapabilityUnsupported, TurnoutError
from turnout.providers.protocol import Exchange, Provider, Reranker, TokenCounter
from turnout.reranking import RerankRequest, RerankResponse
from turnout.routing.policy.estimate import text_tokens
from turnout.routing.state.candidate import Candidate
from turnout.token_counting import TokenCount
from turnout.trace import Trace

__all__ = ["CountTokens", "Rerank"]

ResultT = TypeVar("ResultT", TokenCount, RerankResponse)


@attrs.define(eq=False)
class _SingleExchange(Generic[ResultT]):
    """The part of an operation (`turnout.routing.call.operations.Operation`) that does not depend on its kind."""

    streams: bool = attrs.field(default=False, init=False)
    delivers: bool = attrs.field(default=False, init=False)
    _response: ResultT | None = attrs.field(default=None, init=False)

    def size(self, candidate: Candidate) -> tuple[int, int]:
        return 0, 0

    def rest(self, candidate: Candidate) -> tuple[int, int]:
        return self.size(candidate)

    def go_on(self, partial: ChatResponse | None) -> bool:
        return False

    def joined(self, result: ResultT) -> ResultT:
        return result

    def accept(self, result: ResultT) -> bool:
        self._response = result
        return True

    def result(self, trace: Trace) -> ResultT | None:
        return attrs.evolve(self._response, trace=trace) if self._response is not None else None

    def keep(self, error: TurnoutError) -> None:
        """Do nothing: half a count, or half an order, is of no use."""


@attrs.define(eq=False)
class CountTokens(_SingleExchange[TokenCount]):
    """The tokens of a request, by its own model's count: another model would count others, so there is no fallback."""

    request: ChatRequest = attrs.field(validator=instance(ChatRequest))
    name: str = attrs.field(default="count_tokens", init=False)

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (self.request.model,)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.request.metadata

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.COUNT_TOKENS})

    def begin(self, provider: Provider, model: ModelConfig) -> Exchange[TokenCount]:
        if not isinstance(provider, TokenCounter):
            raise CapabilityUnsupported(f"{model}: {provider.name} counts no tokens")
        return provider.count_tokens(self.request.for_model(model))


@attrs.define(eq=False)
class Rerank(_SingleExchange[RerankResponse]):
    """Documents in the order of their relevance to a query."""

    request: RerankRequest = attrs.field(validator=instance(RerankRequest))
    name: str = attrs.field(default="rerank", init=False)
    _tokens: int | None = attrs.field(default=None, init=False)

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (self.request.model, *self.request.fallbacks)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return {}

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.RERANK})

    def size(self, candidate: Candidate) -> tuple[int, int]:
        if self._tokens is None:
            query = text_tokens(self.request.query)
            self._tokens = sum(query + text_tokens(document) for document in self.request.documents)
        return self._tokens, 0

    def begin(self, provider: Provider, model: ModelConfig) -> Exchange[RerankResponse]:
        if not isinstance(provider, Reranker):
            raise CapabilityUnsupported(f"{model}: {provider.name} offers no reranking")
        return provider.rerank(self.request.for_model(model))
