"""The measure of linear work accepts what is linear and finds what is not."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.proportion import assert_linear


def in_proportion(size: int) -> Callable[[], object]:
    data = b"x" * size
    return lambda: [each + 1 for each in data]


def in_squares(size: int) -> Callable[[], object]:
    text = "<" * size
    return lambda: re.search("<[^>]*>", text)


def test_linear_work_passes() -> None:
    assert_linear(in_proportion, 64 * 1024)


def test_work_in_squares_is_found() -> None:
    with pytest.raises(AssertionError, match="16 times the input took"):
        assert_linear(in_squares, 8 * 1024)
