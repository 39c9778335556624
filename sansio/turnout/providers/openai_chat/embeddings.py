"""The body of an embedding request and the vectors of its response, in the shape of OpenAI.

Source: the OpenAI API reference, "Create embeddings".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from turnout.chat import ModelConfig
from turnout.embeddings import EmbeddingRequest, Vectors
from turnout.errors import RemoteProtocolError
from turnout.providers.catalog.spec import OpenAICompat
from turnout.providers.decoding.vectors import numeric_vectors, packed_vectors
from turnout.providers.json_codec import UNREADABLE
from turnout.providers.openai_chat.wire import Embedding, PackedEmbedding, PackedEmbeddingList

__all__ = ["embedding_body", "packed_embeddings", "read_vectors"]

_decode_packed = msgspec.json.Decoder(PackedEmbeddingList).decode
_decode_base64 = msgspec.json.Decoder(bytes).decode


def embedding_body(request: EmbeddingRequest, model: ModelConfig, compat: OpenAICompat) -> dict[str, Any]:
    """Return the body; `model` is the request's model with the extra fields of this provider."""
    body: dict[str, Any] = {"model": model.model_id, "input": request.input}
    if compat.embeddings_base64:
        body["encoding_format"] = "base64"
    if request.dimensions is not None:
        body[compat.rename.get("dimensions", "dimensions")] = request.dimensions
    if compat.embedding_purposes:
        purpose = request.purpose or "document"
        body[compat.rename.get("purpose", "purpose")] = compat.embedding_purposes.get(purpose, purpose)
    return body | dict(model.extra)


def packed_embeddings(body: bytes) -> PackedEmbeddingList | None:
    """Decode a list of vectors in base64; None for every other body, which is seen at its first vector."""
    try:
        return _decode_packed(body)
    except UNREADABLE:
        return None


def read_vectors(entries: Sequence[Embedding | PackedEmbedding], model: ModelConfig) -> Vectors:
    """Return the vectors of a response in the order of their texts.

    Raises:
        RemoteProtocolError: Two vectors share an index, or one is neither base64 nor a list of numbers.
    """
    ordered = _in_order(entries, model)
    try:
        packed = _unpacked(ordered)
        if packed:
            return packed_vectors(packed)
        return numeric_vectors(bytes(entry.embedding) for entry in ordered)
    except UNREADABLE as error:
        raise RemoteProtocolError(f"{model}: the vectors cannot be read: {error}") from None


def _unpacked(entries: Sequence[Embedding | PackedEmbedding]) -> list[bytes]:
    """Return the bytes of vectors in base64; none if one of them is a list of numbers."""
    found = [entry.embedding for entry in entries]
    packed = [vector for vector in found if isinstance(vector, bytes)]
    if len(packed) == len(found):
        return packed
    texts = [vector for vector in found if isinstance(vector, msgspec.Raw)]
    if not all(bytes(memoryview(text)[:1]) == b'"' for text in texts):
        return []
    return [vector if isinstance(vector, bytes) else _decode_base64(vector) for vector in found]


def _in_order(
    entries: Sequence[Embedding | PackedEmbedding], model: ModelConfig
) -> Sequence[Embedding | PackedEmbedding]:
    """Return the entries by their index, if they have one; a 0 may be left out. Nobody would notice a wrong order."""
    indexes = [entry.index or 0 for entry in entries]
    if indexes == [*range(len(entries))] or all(entry.index is None for entry in entries):
        return entries
    if len(set(indexes)) != len(entries):
        shown = [entry.index for entry in entries[:8]]
        raise RemoteProtocolError(f"{model}: the index of several vectors is the same: {shown}")
    return sorted(entries, key=lambda entry: entry.index or 0)
