"""The transport under check, behind one face: the checks are written once, for blocking and async transports alike."""

from __future__ import annotations

import concurrent.futures
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.base import AsyncHttpResponse, AsyncTransport, HttpResponse, Transport

__all__ = ["AsyncioAdapter", "BlockingAdapter", "Response", "TransportAdapter", "TrioAdapter", "run_blocking"]

T = TypeVar("T")
Action: TypeAlias = Callable[[], Coroutine[Any, Any, T]]


class Response(Protocol):
    """One response under check."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Iterable[tuple[str, str]]: ...

    async def read(self, timeout: float | None) -> bytes: ...

    async def close(self) -> None: ...


class TransportAdapter(Protocol):
    """A transport under check.

    cancels  whether `cancel_after` works: blocking code cannot be cancelled
    """

    cancels: bool

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Response: ...

    async def close(self) -> None: ...

    async def run_with(self, wait: Callable[[], T]) -> T:
        """Run a blocking function while the event loop of the transport continues."""
        ...

    async def run_all(self, *actions: Action[T]) -> list[T]:
        """Run all at once; their results in order."""
        ...

    async def cancel_after(self, seconds: float, action: Action[object]) -> bool:
        """Run `action` and cancel it after `seconds`; whether it was still under way."""
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


class _Members:
    """The members of a response that are values. One of another type than the interface has is named."""

    closing = "close"

    def __init__(self, response: Any) -> None:
        self._response = response
        for name in ("read", self.closing):
            assert callable(getattr(response, name, None)), (
                f"expected a response with the members status, headers, read and {self.closing} from open, but "
                f"{type(response).__name__} has no method {name}"
            )

    @property
    def status(self) -> int:
        status = self._response.status
        assert isinstance(status, int), f"response.status must be an int, not {type(status).__name__}"
        return status

    @property
    def headers(self) -> Iterable[tuple[str, str]]:
        headers = self._response.headers
        wanted = "response.headers must be a list of (name, value) strings"
        is_list = isinstance(headers, Iterable) and not isinstance(headers, Mapping | str | bytes)
        assert is_list, f"{wanted}, not {type(headers).__name__}"
        fields: list[Any] = list(headers)
        for field in fields:
            is_pair = isinstance(field, tuple | list) and len(field) == 2 and all(isinstance(one, str) for one in field)
            assert is_pair, f"{wanted}, and one field is {field!r}"
        return fields


def _call(name: str, method: Callable[[], object]) -> None:
    result = method()
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()  # else Python warns that nothing awaited it
        raise AssertionError(f"{name} of a blocking transport must not be async, but it returned an awaitable")


async def _awaited(name: str, result: Any) -> Any:
    assert inspect.isawaitable(result), (
        f"{name} of an async transport must be an async function, but it returned {type(result).__name__}, which "
        "cannot be awaited"
    )
    return await result


def _data(data: object) -> bytes:
    assert isinstance(data, bytes), f"response.read must return bytes, not {type(data).__name__}"
    return data


class _BlockingResponse(_Members):
    _response: HttpResponse

    async def read(self, timeout: float | None) -> bytes:
        return _data(self._response.read(timeout))

    async def close(self) -> None:
        _call("response.close", self._response.close)


class BlockingAdapter:
    """A blocking transport; what runs together runs in threads."""

    cancels = False

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Response:
        return _BlockingResponse(self._transport.open(request, timeouts))

    async def close(self) -> None:
        _call("close", self._transport.close)

    async def run_with(self, wait: Callable[[], T]) -> T:
        return wait()

    async def run_all(self, *actions: Action[T]) -> list[T]:
        with concurrent.futures.ThreadPoolExecutor(len(actions)) as pool:
            return list(pool.map(lambda action: run_blocking(action()), actions))

    async def cancel_after(self, seconds: float, action: Action[object]) -> bool:
        raise NotImplementedError("blocking code cannot be cancelled")


class _AsyncResponse(_Members):
    _response: AsyncHttpResponse
    closing = "aclose"

    async def read(self, timeout: float | None) -> bytes:
        return _data(await _awaited("response.read", self._response.read(timeout)))

    async def close(self) -> None:
        await _awaited("response.aclose", self._response.aclose())


class _AsyncAdapter:
    cancels = True

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Response:
        return _AsyncResponse(await self._transport.open(request, timeouts))

    async def close(self) -> None:
        await _awaited("aclose", self._transport.aclose())


class TrioAdapter(_AsyncAdapter):
    """An async transport under trio."""

    async def run_with(self, wait: Callable[[], T]) -> T:
        import trio

        return await trio.to_thread.run_sync(wait)

    async def run_all(self, *actions: Action[T]) -> list[T]:
        import trio

        results: dict[int, T] = {}

        async def one(number: int, action: Action[T]) -> None:
            results[number] = await action()

        async with trio.open_nursery() as nursery:
            for number, action in enumerate(actions):
                nursery.start_soon(one, number, action)
        return [results[number] for number in range(len(actions))]

    async def cancel_after(self, seconds: float, action: Action[object]) -> bool:
        import trio

        with trio.move_on_after(seconds) as scope:
            await action()
        return scope.cancelled_caught


class AsyncioAdapter(_AsyncAdapter):
    """An async transport under asyncio."""

    async def run_with(self, wait: Callable[[], T]) -> T:
        import asyncio

        return await asyncio.to_thread(wait)

    async def run_all(self, *actions: Action[T]) -> list[T]:
        import asyncio

        started: list[Awaitable[T]] = [action() for action in actions]
        return list(await asyncio.gather(*started))

    async def cancel_after(self, seconds: float, action: Action[object]) -> bool:
        import asyncio

        task = asyncio.ensure_future(action())
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
