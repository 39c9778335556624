"""The interface of every provider to the router, in every dialect.

A provider holds settings and no connection. Each operation gives a fresh `Exchange`: a state machine that has built
the bytes of one request, is fed the response, and never does I/O.

    exchange = provider.stream(request)
    exchange.request                          the HttpRequest to send
    exchange.receive_head(status, headers)    once; an error status is only noted, for the body holds the code
    exchange.receive_data(data)               any number of times; data is never b""
    exchange.receive_end()                    once, when the body has ended as HTTP requires
    exchange.failure                          None, or the error that ended the exchange
    exchange.complete                         True once no further byte matters (a terminator was seen)
    exchange.can_end                          True while any end of the connection is as good as a clean one
    exchange.result                           the answer; of a stream at any time, as far as it was received

`receive_*` never raises for the peer's faults: it returns the events before the fault, and `failure` is set.
A wrong call raises LocalProtocolError and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

import attrs

from turnout.chat import Capability, ChatRequest, ChatResponse, ModelInfo, RateLimit
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import TurnoutError
from turnout.events import Event
from turnout.http import HttpRequest
from turnout.reranking import RerankRequest, RerankResponse
from turnout.token_counting import TokenCount

__all__ = ["Exchange", "ModelPage", "ModelProfile", "Provider", "Reranker", "TokenCounter"]

ResultT_co = TypeVar("ResultT_co", covariant=True)


class Exchange(Protocol[ResultT_co]):
    """One request and its response as a pure machine (see the head of this module)."""

    @property
    def request(self) -> HttpRequest: ...

    def receive_head(self, status: int, headers: Iterable[tuple[str, str]]) -> None: ...

    def receive_data(self, data: bytes) -> tuple[Event, ...]: ...

    def receive_end(self) -> tuple[Event, ...]: ...

    @property
    def failure(self) -> TurnoutError | None: ...

    @property
    def complete(self) -> bool: ...

    @property
    def can_end(self) -> bool:
        """Whether any end of the connection is as good as a clean one: call `receive_end` then, whatever happened.

        It is true for a stream with a finish reason that has no content beside it and no content after it: only
        usage may be missing.
        """
        ...

    @property
    def result(self) -> ResultT_co: ...

    @property
    def dropped(self) -> tuple[str, ...]:
        """Settings that the model refuses, and that the user wants left out then."""
        ...

    @property
    def skipped(self) -> int:
        """How many events of the response could not be read and were skipped."""
        ...

    @property
    def rate_limit(self) -> RateLimit | None:
        """The provider's limits from the head of a stream; None until then, or if it reports none."""
        ...


@attrs.frozen
class ModelPage:
    """One page of a provider's model list, and the token of the next page, if there is one."""

    models: tuple[ModelInfo, ...]
    next_page: str | None = None


@attrs.frozen(kw_only=True)
class ModelProfile:
    """The known facts about a model; None if a fact is not known.

    first_content   seconds that it may think unseen before its first content; None is the router's default
    context_window  tokens of prompt and answer together
    embedding_tokens  tokens that the texts of one embedding request may have together
    counts_max_tokens  whether the provider takes `max_tokens` for the tokens of the answer when it admits a request
    prefill         the extra fields of an assistant message that it continues; None if the
                    model does not go on from one
    """

    first_content: float | None = None
    context_window: int | None = None
    embedding_tokens: int | None = None
    prefill: Mapping[str, Any] | None = None
    counts_max_tokens: bool = False


class Provider(Protocol):
    """A vendor's account as the router sees it.

    name             under which it is registered, unique in one router
    capabilities     of its API; an operation outside them raises CapabilityUnsupported
    missing_env      the variables that it lacks, so that it is not-configured; empty if it can be used
    embedding_batch  how many texts one embedding request may hold; None is no cap

    The operations raise CapabilityUnsupported or InvalidRequest if the request cannot be put into this dialect;
    nothing was sent then.
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def missing_env(self) -> tuple[str, ...]: ...

    @property
    def embedding_batch(self) -> int | None: ...

    def facts(self, model_id: str) -> ModelProfile:
        """Return the known facts about a model."""
        ...

    def chat(self, request: ChatRequest) -> Exchange[ChatResponse]: ...

    def stream(self, request: ChatRequest) -> Exchange[ChatResponse]: ...

    def embed(self, request: EmbeddingRequest) -> Exchange[EmbeddingResponse]: ...

    def models(self, page: str | None = None) -> Exchange[ModelPage]: ...


@runtime_checkable
class TokenCounter(Protocol):
    """A provider with `Capability.COUNT_TOKENS`."""

    def count_tokens(self, request: ChatRequest) -> Exchange[TokenCount]:
        """Count the prompt of a chat request. Sampling settings are left out, because they do not change it."""
        ...


@runtime_checkable
class Continuer(Protocol):
    """A provider that may end a request with half an answer, and continues it in the next one."""

    def continuation(self, request: ChatRequest, response: ChatResponse) -> ChatRequest | None:
        """Return the request for the rest of an answer.

        Args:
            request: The request that the response is for.
            response: Its response.

        Returns:
            The request. None if the answer is whole, or if the caller forbids to continue it.
        """
        ...


@runtime_checkable
class Reranker(Protocol):
    """A provider with `Capability.RERANK`."""

    def rerank(self, request: RerankRequest) -> Exchange[RerankResponse]:
        """Order the documents by their relevance to the query."""
        ...
