"""The transport under check, behind one face: the checks are written once, for blocking and async transports alike."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Protocol, TypeAlias, TypeVar

from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.base import AsyncHttpResponse, AsyncTransport, HttpResponse, Transport

__all__ = ["AsyncioSubject", "BlockingSubject", "Response", "Subject", "TrioSubject", "run_blocking"]

T = TypeVar("T")
Deed: TypeAlias = Callable[[], Coroutine[Any, Any, T]]


class Response(Protocol):
    """One response under check."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Iterable[tuple[str, str]]: ...

    async def read(self, timeout: float | None) -> bytes: ...

    async def close(self) -> None: ...


class Subject(Protocol):
    """A transport under check.

    cancels  whether `cancelled` can be asked for: blocking code cannot be cancelled
    """

    cancels: bool

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Response: ...

    async def close(self) -> None: ...

    async def beside(self, wait: Callable[[], T]) -> T:
        """Run what blocks, while what the transport left to its event loop goes on."""
        ...

    async def together(self, *deeds: Deed[T]) -> list[T]:
        """Run all at once; their results in order."""
        ...

    async def cancelled(self, seconds: float, deed: Deed[object]) -> bool:
        """Run `deed` and cancel it after `seconds`; whether it was still under way."""
        ...


def run_blocking(steps: Coroutine[Any, Any, T]) -> T:
    """Run a check over a blocking transport: none of its awaits suspends."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise AssertionError("a check of a blocking transport was suspended")


class _BlockingResponse:
    def __init__(self, response: HttpResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Iterable[tuple[str, str]]:
        return self._response.headers

    async def read(self, timeout: float | None) -> bytes:
        return self._response.read(timeout)

    async def close(self) -> None:
        self._response.close()


class BlockingSubject:
    """A blocking transport; what runs together runs in threads."""

    cancels = False

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Response:
        return _BlockingResponse(self._transport.open(request, timeouts))

    async def close(self) -> None:
        self._transport.close()

    async def beside(self, wait: Callable[[], T]) -> T:
        return wait()

    async def together(self, *deeds: Deed[T]) -> list[T]:
        with concurrent.futures.ThreadPoolExecutor(len(deeds)) as pool:
            return list(pool.map(lambda deed: run_blocking(deed()), deeds))

    async def cancelled(self, seconds: float, deed: Deed[object]) -> bool:
        raise NotImplementedError("blocking code cannot be cancelled")


class _AsyncResponse:
    def __init__(self, response: AsyncHttpResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Iterable[tuple[str, str]]:
        return self._response.headers

    async def read(self, timeout: float | None) -> bytes:
        return await self._response.read(timeout)

    async def close(self) -> None:
        await self._response.aclose()


class _AsyncSubject:
    cancels = True

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Response:
        return _AsyncResponse(await self._transport.open(request, timeouts))

    async def close(self) -> None:
        await self._transport.aclose()


class TrioSubject(_AsyncSubject):
    """An async transport under trio."""

    async def beside(self, wait: Callable[[], T]) -> T:
        import trio

        return await trio.to_thread.run_sync(wait)

    async def together(self, *deeds: Deed[T]) -> list[T]:
        import trio

        results: dict[int, T] = {}

        async def one(number: int, deed: Deed[T]) -> None:
            results[number] = await deed()

        async with trio.open_nursery() as nursery:
            for number, deed in enumerate(deeds):
                nursery.start_soon(one, number, deed)
        return [results[number] for number in range(len(deeds))]

    async def cancelled(self, seconds: float, deed: Deed[object]) -> bool:
        import trio

        with trio.move_on_after(seconds) as scope:
            await deed()
        return scope.cancelled_caught


class AsyncioSubject(_AsyncSubject):
    """An async transport under asyncio."""

    async def beside(self, wait: Callable[[], T]) -> T:
        import asyncio

        return await asyncio.to_thread(wait)

    async def together(self, *deeds: Deed[T]) -> list[T]:
        import asyncio

        deeds_begun: list[Awaitable[T]] = [deed() for deed in deeds]
        return list(await asyncio.gather(*deeds_begun))

    async def cancelled(self, seconds: float, deed: Deed[object]) -> bool:
        import asyncio

        task = asyncio.ensure_future(deed())
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done:
            await task
            return False
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
        return False
