"""The body of an embedding request and the vectors of its answer, as all who took over OpenAI's shape have them.

Source: the OpenAI API reference, "Create embeddings".
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from turnout.chat import ModelConfig
from turnout.embeddings import EmbeddingRequest, Vectors
from turnout.errors import RemoteProtocolError
from turnout.providers.catalog.spec import OpenAICompat
from turnout.providers.openai_chat.wire import Embedding

__all__ = ["embedding_body", "read_vectors"]


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


def read_vectors(entries: list[Embedding], model: ModelConfig) -> Vectors:
    """Return the vectors of an answer in the order of their texts.

    Raises:
        RemoteProtocolError: If two vectors share an index, or one is neither base64 nor a list of numbers.
    """
    return _vectors(_in_order(entries, model), model)


def _in_order(entries: list[Embedding], model: ModelConfig) -> list[str | list[float]]:
    """By their index, where it is told; a 0 may be left out. Vectors in a wrong order would be found by nobody."""
    if any(entry.index is not None for entry in entries):
        if len({entry.index or 0 for entry in entries}) != len(entries):
            told = [entry.index for entry in entries[:8]]
            raise RemoteProtocolError(f"{model}: the index of several vectors is the same: {told}")
        entries = sorted(entries, key=lambda entry: entry.index or 0)
    return [entry.embedding for entry in entries]


def _vectors(entries: list[str | list[float]], model: ModelConfig) -> Vectors:
    """Vectors by what really came: base64 of little-endian float32, or lists of numbers."""
    try:
        if entries and all(isinstance(entry, str) for entry in entries):
            packed = [base64.b64decode(entry, validate=True) for entry in entries if isinstance(entry, str)]
            if len({len(vector) for vector in packed}) != 1 or len(packed[0]) % 4 or not packed[0]:
                raise ValueError("vectors of one answer have different or odd lengths")
            return Vectors.from_little_endian(b"".join(packed), len(packed[0]) // 4)
        rows = [entry for entry in entries if not isinstance(entry, str)]
        if len(rows) != len(entries):
            raise ValueError("one of them is missing, or is no list of numbers")
        return Vectors.of(rows)
    except (ValueError, binascii.Error) as error:
        raise RemoteProtocolError(f"{model}: the vectors cannot be read: {error}") from None
