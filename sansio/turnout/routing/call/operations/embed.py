"""Embeddings of many texts, in batches that the provider accepts."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from turnout._utils.validation import instance
from turnout.chat import Capability, ModelConfig
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.errors import ProviderError, RemoteProtocolError, TurnoutError
from turnout.providers.protocol import Exchange, Provider
from turnout.routing.call.operations.base import Operation
from turnout.routing.call.operations.results import sum_usage
from turnout.routing.policy.estimate import text_tokens
from turnout.routing.state.candidate import Candidate
from turnout.trace import Trace

__all__ = ["Embed"]


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class Embed(Operation):
    """Vectors: as many exchanges as the provider's caps require, joined in order.

    If the provider refuses the size of a batch, it gets half as many texts at once. If an exchange fails for good, a
    fallback of the same family continues with the texts that are still missing.
    """

    request: EmbeddingRequest = attrs.field(validator=instance(EmbeddingRequest))
    _parts: list[EmbeddingResponse] = attrs.field(factory=list, init=False)
    _done: int = attrs.field(default=0, init=False)
    # By candidate: how many texts its request has, and the most that it was found to take at once.
    _sent: dict[str, int] = attrs.field(factory=dict, init=False)
    _learned: dict[str, int] = attrs.field(factory=dict, init=False)
    _tokens: list[int] | None = attrs.field(default=None, init=False)  # of each text, once they are estimated
    name: ClassVar[str] = "embed"

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (self.request.model, *self.request.fallbacks)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.request.metadata

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.EMBEDDINGS})

    def next_tokens(self, candidate: Candidate) -> tuple[int, int]:
        return sum(self._estimates()[self._done : self._next_end(candidate.provider, candidate.model)]), 0

    def remaining_tokens(self, candidate: Candidate) -> tuple[int, int]:
        return sum(self._estimates()[self._done :]), 0

    def _estimates(self) -> list[int]:
        if self._tokens is None:
            self._tokens = list(map(text_tokens, self.request.input))
        return self._tokens

    def _next_end(self, provider: Provider, model: ModelConfig) -> int:
        """Return the index behind the texts of the next request: as many as fit, and at least one."""
        texts, start = self.request.input, self._done
        most = min(provider.embedding_batch or len(texts), self._learned.get(str(model), len(texts)))
        end = min(start + most, len(texts))
        limit = provider.facts(model.model_id).embedding_tokens
        if limit is not None:
            fitting = bisect.bisect_right(list(itertools.accumulate(self._estimates()[start:end])), limit)
            end = start + max(1, fitting)
        return end

    def start_exchange(self, provider: Provider, model: ModelConfig) -> Exchange[EmbeddingResponse]:
        texts = self.request.input[self._done : self._next_end(provider, model)]
        self._sent[str(model)] = len(texts)
        return provider.embed(self.request.for_model(model, texts))

    def split_batch(self, error: TurnoutError, model: ModelConfig) -> bool:
        sent = self._sent.get(str(model), 0)
        if not isinstance(error, ProviderError) or not error.batch_too_large or sent < 2:
            return False
        self._learned[str(model)] = sent // 2
        return True

    def add_result(self, result: EmbeddingResponse) -> bool:
        sent = self._sent[str(result.model)]
        if len(result.vectors) != sent:
            raise RemoteProtocolError(
                f"{result.model}: {sent} texts were sent and {len(result.vectors)} vectors were returned"
            )
        known = next((part.vectors.dimensions for part in self._parts), result.vectors.dimensions)
        if result.vectors.dimensions != known:
            raise RemoteProtocolError(
                f"{result.model}: vectors of {result.vectors.dimensions} numbers after vectors of {known}"
            )
        self._parts.append(result)
        self._done += sent
        return self._done >= len(self.request.input)

    def result(self, trace: Trace) -> EmbeddingResponse:
        last = self._parts[-1]
        return attrs.evolve(
            last,
            vectors=Vectors.joined(part.vectors for part in self._parts),
            usage=sum_usage([part.usage for part in self._parts]),
            trace=trace,
        )

    def attach_partial(self, error: TurnoutError) -> None:
        if self._parts:
            error.vectors = Vectors.joined(part.vectors for part in self._parts)
