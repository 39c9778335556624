"""A cache of the results of a function of text, which a server cannot fill with long texts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["cached_if_short"]

ResultT = TypeVar("ResultT")
ValueT = TypeVar("ValueT")


def cached_if_short(
    maxsize: int, longest: int, size: Callable[[Any], int] = len
) -> Callable[[Callable[[ValueT], ResultT]], Callable[[ValueT], ResultT]]:
    """Return a decorator that keeps the results of a function of one argument, but not for long arguments.

    Args:
        maxsize: How many results are kept.
        longest: The size of the largest argument whose result is kept.
        size: The size of an argument.
    """

    def decorate(function: Callable[[ValueT], ResultT]) -> Callable[[ValueT], ResultT]:
        kept = functools.lru_cache(maxsize)(function)

        @functools.wraps(function)
        def call(value: ValueT) -> ResultT:
            return kept(value) if size(value) <= longest else function(value)

        return call

    return decorate
