"""Reranking requests, and the order that they return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from turnout._utils.serialization import Plain
from turnout._utils.validation import as_tuple, instance, instances, integer, labels, non_empty
from turnout.responses import RateLimit, Usage, or_empty
from turnout.types.models import ModelConfig, as_model, as_models

if TYPE_CHECKING:
    from turnout.trace import Trace

__all__ = ["RankedDocument", "RerankRequest", "RerankResponse"]


def _documents(value: Iterable[str] | str) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError("RerankRequest.documents must be a list of texts, not one text")
    return as_tuple(value)


@attrs.frozen
class RerankRequest:
    """Documents to order by how well each answers a query.

    Attributes:
        model: A `ModelConfig`, or its name as `cohere/rerank-v4.0-pro`.
        query: The question or search text.
        documents: The texts to order. At least one.
        top_n: How many of the best to return; None returns all.
        fallbacks: Models to try if `model` fails. Their scales differ, so compare only scores of the same response.
        metadata: The caller's own labels. They stay in the trace, and no provider receives them.
    """

    model: ModelConfig = attrs.field(converter=as_model, validator=instance(ModelConfig))
    query: str = attrs.field(validator=non_empty)
    documents: tuple[str, ...] = attrs.field(converter=_documents, validator=instances(str))
    top_n: int | None = attrs.field(default=None, kw_only=True, validator=integer(1))
    fallbacks: tuple[ModelConfig, ...] = attrs.field(
        default=(), converter=as_models, validator=instances(ModelConfig), kw_only=True
    )
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=labels, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.documents:
            raise ValueError("RerankRequest.documents must hold at least one text")

    def for_model(self, model: ModelConfig) -> RerankRequest:
        """Return the same request for another model, with no fallbacks."""
        return attrs.evolve(self, model=model, fallbacks=())


@attrs.frozen
class RankedDocument(Plain):
    """One document in the order of relevance.

    Attributes:
        index: Its position in `RerankRequest.documents`.
        score: Its relevance; higher is better. The scale is the model's.
        text: The document, as it was in the request.
    """

    index: int
    score: float
    text: str


@attrs.frozen(kw_only=True)
class RerankResponse(Plain):
    """The documents, the most relevant first.

    Attributes:
        model: The candidate that answered, as it was in the request.
        served_model: The provider's own name for the model.
    """

    documents: tuple[RankedDocument, ...]
    model: ModelConfig
    usage: Usage = Usage(source="absent")
    served_model: str | None = None
    request_id: str | None = None
    rate_limit: RateLimit | None = None
    _trace: Trace | None = attrs.field(default=None, repr=False, eq=False, alias="trace")

    @property
    def trace(self) -> Trace:
        """The record of the call; `Trace()` if no router made it."""
        return or_empty(self._trace)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)
