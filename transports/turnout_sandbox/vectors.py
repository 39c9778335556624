"""Embeddings that are a function of model and text: equal texts give equal vectors, of length one."""

from __future__ import annotations

import array
import base64
import hashlib
import math
import sys

__all__ = ["as_base64", "as_floats", "vector_of"]


def vector_of(model: str, text: str, dimensions: int, native: int) -> array.array[float]:
    """`dimensions` float32 values, of Euclidean length one.

    A shorter vector is the normalised prefix of the native one, as with models trained to be cut.
    """
    digest = hashlib.shake_256(f"{model}\x1f{text}".encode("utf-8", "surrogatepass")).digest(4 * native)
    whole = array.array("i")
    whole.frombytes(digest[: 4 * dimensions])
    if sys.byteorder == "big":
        whole.byteswap()
    length = math.sqrt(sum(value * value for value in whole)) or 1.0
    return array.array("f", [value / length for value in whole])


def as_floats(vector: array.array[float]) -> list[float]:
    """Numbers to be written as JSON: nine digits, which is enough to give back each float32."""
    return [float(f"{value:.9g}") for value in vector]


def as_base64(vector: array.array[float]) -> str:
    """Packed little-endian float32, in base64."""
    packed = vector
    if sys.byteorder == "big":
        packed = array.array("f", vector)
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode("ascii")
