"""Vectors as providers send them: rows of numbers in JSON, or packed floats in base64.

Rows are kept as JSON and decoded one by one, because a number takes 32 bytes as a Python object and 4 in a vector.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import msgspec

from turnout.embeddings import EmbeddingRequest, Vectors
from turnout.errors import RemoteProtocolError
from turnout.providers.json_codec import UNREADABLE, decode_any, raw_bytes

__all__ = ["check_dimensions", "numeric_vectors", "packed_vectors", "rows_of"]

# Bytes of one row: the longest vectors of known models have 16,384 numbers, of at most 25 characters each.
_MAX_ROW = 4 * 1024 * 1024
_ROW = re.compile(rb"\[([^\[\]]*)\]")
_BETWEEN = re.compile(rb"[\s,]*\Z")
_decode_row = msgspec.json.Decoder(list[float]).decode


def rows_of(matrix: msgspec.Raw) -> list[bytes] | None:
    """Return the rows of a JSON list of flat lists, each as JSON; None if the field is absent.

    Raises:
        ValueError: The field is anything else.
    """
    data = raw_bytes(matrix)
    if data is None:
        return None
    if not data.startswith(b"["):
        raise ValueError("they are no list of lists")
    rows, position, end = [], 1, len(data) - 1
    for found in _ROW.finditer(data, 1, end):
        if not _BETWEEN.match(data[position : found.start()]):
            raise ValueError("they are no list of lists")
        rows.append(found[0])
        position = found.end()
    if not _BETWEEN.match(data[position:end]):
        raise ValueError("they are no list of lists")
    return rows


def numeric_vectors(rows: Iterable[bytes]) -> Vectors:
    """Return the vectors of rows that are JSON lists of numbers.

    Raises:
        ValueError: A row is anything else, or their lengths differ.
    """
    return Vectors.of(map(_numbers, rows))


def packed_vectors(rows: Sequence[bytes]) -> Vectors:
    """Return the vectors of rows of little-endian float32.

    Raises:
        ValueError: There is none, or their lengths differ or are odd.
    """
    lengths = set(map(len, rows))
    if len(lengths) != 1 or not (size := lengths.pop()) or size % 4:
        raise ValueError(f"their bytes are no floats of one length: {sorted(map(len, rows))[:8]}")
    return Vectors.from_little_endian(rows, size // 4)


def check_dimensions(vectors: Vectors, request: EmbeddingRequest) -> None:
    """Compare the length of the vectors with the length in the request.

    Raises:
        RemoteProtocolError: They differ. Vectors of another length corrupt a vector store.
    """
    wanted = request.dimensions
    if wanted is not None and len(vectors) and vectors.dimensions != wanted:
        raise RemoteProtocolError(
            f"{request.model}: the request asks for vectors of {wanted} numbers, and the response has vectors of "
            f"{vectors.dimensions}"
        )


def _numbers(row: bytes) -> list[float]:
    if len(row) > _MAX_ROW:
        raise ValueError(f"a row has more than {_MAX_ROW} bytes")
    try:
        return _decode_row(row)
    except UNREADABLE:
        return _lenient_numbers(row)


def _lenient_numbers(row: bytes) -> list[float]:
    """Return the numbers of a row that msgspec does not take."""
    values = decode_any(row)
    if not isinstance(values, list) or not all(map(_is_number, values)):
        raise ValueError("one of them is missing, or is no list of numbers")
    return [float(value) for value in values]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63
