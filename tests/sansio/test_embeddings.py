"""Vectors: one buffer, whichever way they came."""

from __future__ import annotations

import pickle
import struct
import sys
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import Vectors

ROWS = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=width, max_size=width), max_size=6)
)


@given(ROWS)
def test_rows_come_back_as_they_went_in(rows: list[list[float]]) -> None:
    vectors = Vectors.of(rows)
    assert vectors.tolist() == rows
    assert [list(vector) for vector in vectors] == rows
    assert len(vectors) == len(rows)
    assert pickle.loads(pickle.dumps(vectors)) == vectors
    packed = b"".join(struct.pack(f"<{len(row)}f", *row) for row in rows)
    assert Vectors.from_little_endian(packed, vectors.dimensions) == vectors
    size = 4 * vectors.dimensions
    pieces = [packed[start : start + size] for start in range(0, len(packed), size or 1)]
    assert Vectors.from_little_endian(pieces, vectors.dimensions) == vectors


@given(ROWS, st.data())
def test_joined_parts_are_the_whole(rows: list[list[float]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    assert Vectors.joined([Vectors.of(rows[:cut]), Vectors.of([]), Vectors.of(rows[cut:])]) == Vectors.of(rows)


def test_numpy_takes_them_without_a_copy() -> None:
    floats = array("f", [1, 2, 3, 4, 5, 6])
    vectors = Vectors(floats, 3)
    taken = np.asarray(vectors)
    assert taken.shape == (2, 3)
    assert taken.dtype == np.float32
    floats[0] = 9
    assert taken[0, 0] == 9
    assert np.asarray(vectors.buffer).tolist() == [[9, 2, 3], [4, 5, 6]]
    if sys.version_info >= (3, 12):
        assert memoryview(vectors).shape == (2, 3)


def test_one_vector_is_a_view_of_floats() -> None:
    vectors = Vectors.of([[1, 2], [3, 4]])
    assert vectors[1].tolist() == vectors[-1].tolist() == [3, 4]
    assert vectors[0].format == "f"
    assert [vector.tolist() for vector in vectors[::-1]] == [[3, 4], [1, 2]]
    for outside in (2, -3):
        with pytest.raises(IndexError):
            vectors[outside]


def test_what_is_no_whole_number_of_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole number"):
        Vectors(array("f", [1, 2, 3]), 2)
    with pytest.raises(ValueError, match="no whole number"):
        Vectors(array("f", [1]), 0)
    with pytest.raises(TypeError, match="array"):
        Vectors(array("d", [1]), 1)
    with pytest.raises(ValueError, match="different lengths"):
        Vectors.of([[1], [1, 2]])
    with pytest.raises(ValueError, match="cannot be joined"):
        Vectors.joined([Vectors.of([[1]]), Vectors.of([[1, 2]])])


def test_no_vectors_are_no_vectors() -> None:
    empty = Vectors.of([])
    assert (len(empty), empty.dimensions, empty.tolist(), len(empty.buffer)) == (0, 0, [], 0)
    assert empty != "nothing"
    assert repr(Vectors.of([[1.0, 2.0]])) == "<Vectors 1 × 2>"
