"""A row as a request of the router, and the router's response as the answer of the row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import msgspec

from turnout.batch.output import Answered
from turnout.batch.rows import BatchRow, Endpoint
from turnout.chat import ChatResponse, ModelConfig
from turnout.embeddings import EmbeddingResponse
from turnout.serving import (
    Answerer,
    ChatCompletions,
    ChatDialect,
    InboundChat,
    InboundEmbedding,
    Messages,
    ReadOptions,
    Resolve,
    Responses,
    build_embedding_response,
    read_embedding_request,
)

__all__ = ["Inbound", "ModelWithout", "answer_of", "lost_field", "read_request"]

Inbound: TypeAlias = InboundChat | InboundEmbedding
ModelWithout: TypeAlias = Callable[[Iterable[ModelConfig], frozenset[str]], ModelConfig | None]
"""Returns a model that receives no fields of some scopes; see `RouterCore.model_without`."""

_DIALECTS: Final[dict[Endpoint, ChatDialect]] = {
    "chat/completions": ChatCompletions(),
    "responses": Responses(),
    "messages": Messages(),
}
# Fields that a provider cannot receive are left out. `lost_field` finds those that may change the answer.
_OPTIONS: Final = ReadOptions(ignore_unknown=True)
# Fields that concern the account or the price, so the answer is the same without them.
_HARMLESS: Final = frozenset(
    ("cache_control", "prompt_cache_key", "prompt_cache_retention", "service_tier", "store", "user")
)
_encode: Final = msgspec.json.Encoder().encode


def read_request(row: BatchRow, resolve: Resolve, *, model: str = "") -> Inbound:
    """Return the request of a row.

    Args:
        row: The row.
        resolve: Finds the models of a name.
        model: The name that replaces the row's model; "" for none.

    Raises:
        RequestRejected: If the row is no valid request; the error names the field.
    """
    body = row.body
    if model:
        body = {**body, "model": model}
    if body.get("stream"):
        body = {**body, "stream": False}
    encoded = _encode(body)
    if row.endpoint == "embeddings":
        return read_embedding_request(encoded, resolve, _OPTIONS)
    return _DIALECTS[row.endpoint].read_request(encoded, resolve, _OPTIONS)


def lost_field(inbound: Inbound, model_without: ModelWithout) -> tuple[str, str]:
    """Return a field that may change the answer, and that a model of the row would not receive, and why not.

    Returns:
        The path of the field and the reason; two empty texts if every model receives all.
    """
    for path in inbound.ignored:
        if path.rpartition(".")[2] not in _HARMLESS:
            return path, "no provider takes this field"
    if inbound.scoped:
        models = (inbound.request.model, *inbound.request.fallbacks)
        for path, scopes in inbound.scoped.items():
            if path.rpartition(".")[2] not in _HARMLESS:
                lacking = model_without(models, scopes)
                if lacking is not None:
                    return path, f"{lacking} does not take this field"
    return "", ""


def answer_of(
    row: BatchRow,
    inbound: Inbound,
    response: ChatResponse | EmbeddingResponse,
    *,
    answer_id: str,
    created: int,
    seconds: float,
) -> Answered:
    """Return the answer of a row.

    Args:
        row: The row.
        inbound: Its request.
        response: The router's response.
        answer_id: A random text of letters and digits.
        created: Seconds since 1970.
        seconds: How long the call took.

    Raises:
        RequestRejected: If the row's dialect has no form for this answer.
    """
    model = str(response.model)
    if isinstance(response, EmbeddingResponse):
        assert isinstance(inbound, InboundEmbedding)
        body = build_embedding_response(inbound, response)
        request_id = ""
    else:
        assert isinstance(inbound, InboundChat)
        answerer = Answerer(model=model, id=answer_id, created=created)
        body = _DIALECTS[row.endpoint].build_response(inbound, response, answerer)
        request_id = response.response_id or ""
    trace = response.trace
    cost = trace.cost if trace.cost is not None else response.usage.cost
    return Answered(
        body=body, request_id=request_id, model=model, cost=cost, attempts=max(1, trace.attempts), seconds=seconds
    )
