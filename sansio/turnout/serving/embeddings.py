"""Serves embeddings.

Source: the OpenAI API reference, "Create embeddings".
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Callable
from typing import Any, Final

from turnout.chat import ModelConfig
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.serving.fields import Fields
from turnout.serving.inbound import InboundEmbedding, ReadOptions, Resolve, vocabulary_error
from turnout.serving.leftovers import Leftovers
from turnout.serving.request_json import decode_object, encode

__all__ = ["build_embedding_response", "read_embedding_request"]

_KNOWN: Final = frozenset(("model", "input", "dimensions", "encoding_format", "user", "input_type"))


def read_embedding_request(
    body: bytes, resolve: Resolve, options: ReadOptions, family_of: Callable[[str], str | None] = lambda name: None
) -> InboundEmbedding:
    """Read the body of a request.

    Args:
        body: The request body.
        resolve: Finds the models of the model name.
        options: How strictly the request is read.
        family_of: Returns the family of a model name: all its models return the same vectors. None uses the first
            model only.

    Raises:
        RequestRejected: The request cannot be served. Its error names the field.
    """
    fields = Fields(decode_object(body))
    leftovers = Leftovers("openai-chat", not options.ignore_unknown)
    extra = leftovers.extra(fields, _KNOWN)
    name = fields.required_text("model")
    dimensions = fields.integer("dimensions", 1)
    wanted = ModelConfig("client", "settings", extra=extra)
    model, *others = (wanted.over(candidate) for candidate in resolve(name))
    family, user = family_of(name), fields.text("user")
    try:
        request = EmbeddingRequest(
            model,
            _texts(fields),
            dimensions=dimensions,
            purpose=fields.text("input_type"),
            fallbacks=others if family is not None else (),
            family=family,
            metadata={"user": user} if user else {},
        )
    except (ValueError, TypeError) as error:
        raise vocabulary_error(error) from None
    return InboundEmbedding(
        request=request,
        model_name=name,
        base64=fields.one_of("encoding_format", ("float", "base64")) == "base64",
        ignored=leftovers.ignored,
        scoped=leftovers.scoped,
    )


def _texts(fields: Fields) -> tuple[str, ...]:
    value = fields.get("input")
    if value is None:
        raise fields.missing("input")
    if isinstance(value, str):
        return (value,)
    items = fields.array("input") or []
    if items and isinstance(items[0], int | list):
        raise fields.rejected(
            "input",
            "must be text, not tokens, because each model has tokens of its own; "
            "in LangChain, set `check_embedding_ctx_length=False`",
            "unsupported_parameter",
        )
    return fields.texts("input")


def build_embedding_response(inbound: InboundEmbedding, response: EmbeddingResponse) -> bytes:
    """Return the body of an answer: vectors as base64 of little-endian float32, or as lists of numbers."""
    vectors: list[Any]
    vectors = [_packed(vector) for vector in response.vectors] if inbound.base64 else response.vectors.tolist()
    tokens = response.usage.prompt_tokens or 0
    usage: dict[str, Any] = {"prompt_tokens": tokens, "total_tokens": tokens}
    if response.usage.cost is not None:
        usage["cost"] = response.usage.cost
    return encode(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)
            ],
            "model": str(response.model),
            "usage": usage,
        }
    )


def _packed(vector: memoryview[float]) -> str:
    if sys.byteorder == "big":
        swapped = array("f", vector)
        swapped.byteswap()
        return base64.b64encode(swapped.tobytes()).decode()
    return base64.b64encode(vector).decode()
