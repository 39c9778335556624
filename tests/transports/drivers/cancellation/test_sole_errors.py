"""A call raises one error as it is, although two attempts at once are two tasks: `except` needs no groups."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers import create
from turnout_io import asyncio as asyncio_driver
from turnout_io import trio as trio_driver
from turnout_io.drivers.sole_error import sole_error

ERROR, OTHER, STOP, LEFT = ValueError(), KeyError(), KeyboardInterrupt(), asyncio.CancelledError()


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([ERROR], ERROR),
        ([ERROR, OTHER], ERROR),
        ([LEFT, ERROR], ERROR),
        ([ERROR, STOP], STOP),
        ([LEFT], LEFT),
        ([LEFT, BaseExceptionGroup("inner", [ERROR, BaseExceptionGroup("inmost", [STOP])])], STOP),
    ],
)
def test_the_error_of_a_group(errors: list[BaseException], expected: BaseException) -> None:
    assert sole_error(BaseExceptionGroup("tasks", errors)) is expected


class Interrupted:
    """A transport during whose `open` the user presses Ctrl-C."""

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        raise KeyboardInterrupt

    async def aclose(self) -> None: ...


@pytest.mark.parametrize("fallbacks", [[], ["groq/m"]])
@pytest.mark.parametrize(("kind", "start"), [(trio_driver.Router, trio.run), (asyncio_driver.Router, asyncio.run)])
def test_ctrl_c_is_the_same_with_and_without_a_fallback(
    kind: Any, start: Callable[[Callable[[], Awaitable[None]]], None], fallbacks: list[str]
) -> None:
    async def main() -> None:
        providers = [create("openai", api_key="k"), create("groq", api_key="k")]
        async with kind(providers, transport=Interrupted()) as router:
            await router.chat("openai/m", "Hi", fallbacks=fallbacks)

    with pytest.raises(KeyboardInterrupt):
        start(main) if start is trio.run else start(main())  # type: ignore[arg-type]  # asyncio takes the coroutine
