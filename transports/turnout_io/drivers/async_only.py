"""Names the right form for blocking statements in async code, and the other way round: Python gives no advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

__all__ = ["AsyncOnly", "AsyncOnlyIterator", "AsyncOnlyStream", "BlockingOnly"]


class AsyncOnly:
    """A class whose objects are for `async with`."""

    if not TYPE_CHECKING:

        def __enter__(self) -> NoReturn:
            raise TypeError(f"{_name(self)} is async: write `async with`; blocking code uses turnout_io.sync")

        def __exit__(self, *exc_info: object) -> None:
            pass  # the statement `with` looks it up before it enters


class AsyncOnlyStream(AsyncOnly):
    """A class whose objects are for `async with` and `async for`."""

    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise TypeError(f"{_name(self)} is async: write `async for`; blocking code uses turnout_io.sync")

        def __await__(self) -> NoReturn:
            raise TypeError(
                f"{_name(self)} is not awaited: write `async with router.stream(…) as stream`, "
                "or `await router.stream(…).collect()` for the whole answer"
            )


class AsyncOnlyIterator:
    """An iterator for `async for`."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise TypeError("this is async: write `async for text in stream.text`; blocking code uses turnout_io.sync")

        def __await__(self) -> NoReturn:
            raise TypeError("this is not awaited: write `async for text in stream.text`, or `await stream.collect()`")


class BlockingOnly:
    """A class whose objects are for `with`.

    It has no `__aiter__` and no `__await__`: frameworks look at them to find out whether an object is async.
    """

    if not TYPE_CHECKING:

        async def __aenter__(self) -> NoReturn:
            raise TypeError(
                f"{_name(self)} is blocking: write `with`; async code uses turnout_io.asyncio or turnout_io.trio"
            )

        async def __aexit__(self, *exc_info: object) -> None:
            pass  # the statement `async with` looks it up before it enters


def _name(value: object) -> str:
    return type(value).__name__.removeprefix("Async")
