"""Names how a function is called, if it was called with other arguments than it takes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["written_as"]

ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")


def written_as(example: str) -> Callable[[Callable[ParamsT, ResultT]], Callable[ParamsT, ResultT]]:
    """Return a decorator of a function. If the arguments of a call do not fit, the error shows how it is written.

    It costs one frame for each call, so it is not for what a request does often.

    Args:
        example: The call, such as `router.cool_down('openai/gpt-4o-mini', 30)`, and what else is to be said.
    """
    name = example.partition("(")[0]

    def decorate(function: Callable[ParamsT, ResultT]) -> Callable[ParamsT, ResultT]:
        @functools.wraps(function)
        def call(*args: ParamsT.args, **kwargs: ParamsT.kwargs) -> ResultT:
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                    raise  # the function itself raised it
                reason = str(error).partition("() ")[2]
                if "positional argument" in reason and "given" in reason:  # Python counts `self` too
                    reason = "takes other arguments"
            del args, kwargs  # they may be keys, and tools that report errors show local variables
            raise TypeError(f"{name}() {reason}: write {example}")

        return call

    return decorate
