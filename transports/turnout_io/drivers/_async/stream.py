"""The stream of one chat response, as an iterator over events or over batches of them."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Protocol, Self
from weakref import WeakSet

from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.errors import LocalProtocolError, Phase, TransportError
from turnout.events import End, Event, Token
from turnout.routing.caching import CachedAnswer, events_of
from turnout.routing.call.machine import Call
from turnout.routing.call.operations import Operation, Stream
from turnout.routing.call.options import CallOptions
from turnout.trace import Trace
from turnout_io.caching import AnyCache
from turnout_io.drivers._async.cached import AsyncCacheEntry, cache_entry
from turnout_io.drivers._async.run import AsyncRun
from turnout_io.drivers.async_only import AsyncOnlyIterator, AsyncOnlyStream

__all__ = ["AsyncChatStream", "AsyncEventBatches", "StreamOwner"]


class StreamOwner(Protocol):
    """The members of a router that a stream uses."""

    _is_async: bool
    _cache: AnyCache | None

    def _is_locked(self) -> bool: ...
    def _needs_attention(self) -> bool: ...
    async def _prepare(self) -> None: ...
    def _start(self, operation: Operation, options: CallOptions, cached: CachedAnswer | None = None) -> Call: ...
    def _new_run(self, call: Call) -> AsyncRun: ...
    def _streams_of_loop(self) -> WeakSet[AsyncRun]: ...


class AsyncChatStream(AsyncOnlyStream):
    """One chat response while it arrives. Use it in an `async with` block and iterate over its events.

    The block starts the call and waits for the first content. If every candidate fails, the block raises the error.
    From then on `model` is the model that responds. Leaving the block early closes the connection at once. A later
    read raises an error, so that a part never looks like the complete response.
    """

    def __init__(self, router: StreamOwner, request: ChatRequest, options: CallOptions) -> None:
        self._router = router
        self._request = request
        self._options = options
        self._run: AsyncRun | None = None
        self._received: tuple[Event, ...] = ()  # by the last read
        self._events: Iterator[Event] = iter(())  # those of them that the caller has not read
        self._closed = False
        self._left_early = False
        self._closing = False
        self._stepping = False  # while a thread or task receives events
        self._siblings: WeakSet[AsyncRun] | None = None
        self._cache_entry: AsyncCacheEntry | None = None  # where the answer is stored, if a provider gives it
        self._closer: dict[str, int] = {}  # the thread that closes the call

    @property
    def model(self) -> ModelConfig:
        """Return the model that responds.

        Raises:
            LocalProtocolError: If the stream was not entered.
        """
        run = self._run
        if run is None:
            _not_entered()
        if run.call.model is None and isinstance(run.call.result, ChatResponse):
            return run.call.result.model  # from the cache
        return run.call.model if run.call.model is not None else _not_entered()

    @property
    def response(self) -> ChatResponse:
        """Return the response as far as it was received. May be read at any time after the stream was entered.

        It is complete after the end of the stream. Before, and for ever if the stream broke or was left early, it is a
        part, and its `finish_reason` is `FinishReason.UNKNOWN` unless the provider's reason has arrived.

        Raises:
            LocalProtocolError: If the stream was not entered.
        """
        finish = self._run.finish if self._run is not None else None
        if finish is not None and isinstance(finish.result, ChatResponse):
            return finish.result
        response = self._run.call.response if self._run is not None else None
        return response if response is not None else _not_entered()

    @property
    def trace(self) -> Trace:
        """Return the record of every decision so far."""
        return self._run.call.trace if self._run is not None else Trace()

    @property
    def text(self) -> AsyncTextIterator:
        """Return an iterator over the pieces of the answer's text. It passes over all other events.

        If the answer restarts (`on_interrupt="restart"`), the text begins again: iterate over the events to see that.
        """
        return AsyncTextIterator(self)

    async def collect(self) -> ChatResponse:
        """Receive the rest of the stream, and return the complete response. Needs no `async with` block.

        Raises:
            TurnoutError: If the stream breaks. `error.partial` is the response so far.
            LocalProtocolError: If the stream was left before its end.
        """
        try:
            async for _ in AsyncEventBatches(self):
                pass
        finally:
            await self.aclose()
        return self.response

    def batches(self) -> AsyncEventBatches:
        """Return an iterator over tuples of events: each tuple has the events of one read from the network.

        A server that passes the events on can write each tuple at once. Iterating over the stream and over its
        batches may alternate; no event is repeated or lost.
        """
        return AsyncEventBatches(self)

    async def __aenter__(self) -> Self:
        await self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncEventIterator:
        return AsyncEventIterator(self)

    async def __anext__(self) -> Event:
        for event in self._events:
            return event
        await self._fetch()
        for event in self._events:
            return event
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop the stream. Closes the connection, or keeps it for reuse if the response is complete.

        May be called while another thread or task waits for the next event, which then raises TransportError.
        """
        run = self._run
        if run is None:
            self._closed = True
        elif not self._closed:
            if isinstance(sys.exception(), GeneratorExit) or self._router._is_locked():
                # A generator is closed that contains the stream, perhaps by the garbage collector; or a finaliser of
                # the user's may have interrupted this thread while it holds a lock of the router.
                self._abandon()
                return
            self._closing = True  # before the check: either this method or `_advance` sees the other
            if self._stepping:
                await run.interrupt()
            else:
                await self._close_run(run)

    async def _close_run(self, run: AsyncRun) -> None:
        # Only the first thread closes the call: its state machine has no lock. `setdefault` is atomic.
        thread = threading.get_ident()
        if self._closer.setdefault("thread", thread) != thread:
            return
        try:
            await run.close()
        except BaseException:
            await run.close()  # KeyboardInterrupt was raised during the first close
            raise
        finally:
            self._end(run)
            if self._siblings is not None:
                self._siblings.discard(run)

    async def _enter(self) -> None:
        if self._run is None:
            router = self._router
            if router._needs_attention():
                await router._prepare()
            operation = Stream(self._request)
            entry = cache_entry(router._cache, operation, self._options)
            cached = await entry.get() if entry is not None else None
            if self._closed:  # perhaps by another task, while this one waited
                raise LocalProtocolError("this stream was closed before it was entered")
            self._run = router._new_run(router._start(operation, self._options, cached))
            if router._is_async:
                self._siblings = router._streams_of_loop()
                self._siblings.add(self._run)
            self._cache_entry = entry if cached is None else None
            await self._advance(self._run)
            if isinstance(cached, ChatResponse):
                self._events = iter(events_of(cached))

    async def _fetch(self) -> None:
        """Receive the next events into `_events`, which has none left. It stays empty at the end of the stream."""
        if self._run is None:
            await self._enter()
        elif not self._closed:
            await self._advance(self._run)
        elif self._left_early:
            raise _left_early()
        elif self._run.finish is not None:
            self._run.result()  # raises the error of a stream that broke

    async def _advance(self, run: AsyncRun) -> None:
        if self._stepping:
            raise LocalProtocolError("another thread or task waits for the next event of this stream")
        if run.is_abandoned:
            raise LocalProtocolError("this stream was opened in an event loop that has ended")
        self._stepping = True
        try:
            if not self._closing:
                self._received = await run.step()
                self._events = iter(self._received)
                if self._cache_entry is not None and run.call.finished:
                    entry, self._cache_entry = self._cache_entry, None
                    await entry.put(run.call.result)
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException:
            self._stepping = False
            await self._close_run(run)
            raise
        finally:
            self._stepping = False
        if self._closing:
            await self._close_run(run)
            raise _closed_meanwhile(run)
        if run.finish is not None:
            await self._close_run(run)
            run.result()

    def _abandon(self) -> None:
        """End the stream from a finaliser. See `AsyncRun.abandon`."""
        if self._run is None:
            self._closed = True
        else:
            self._end(self._run)
            self._run.abandon()

    def _end(self, run: AsyncRun) -> None:
        """Close for reading. Finds out first whether the caller has read all of it."""
        if not self._closed:
            is_unread = bool(tuple(self._events))
            has_end = any(type(event) is End for event in self._received)
            self._left_early = run.finish is None and (is_unread or not has_end)
        self._closed = True

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)

    def __del__(self) -> None:
        if self._run is not None and not self._closed:
            try:
                warnings.warn(
                    f"a stream of {self._run.call.model} was never closed; use it in an `async with` block",
                    ResourceWarning,
                    stacklevel=2,
                    source=self,
                )
            finally:  # the filters may turn the warning into an error
                self._abandon()


class AsyncEventIterator:
    """The events of a stream, one by one.

    It is not the stream itself, because it has no `close`: a generator that delegates to an iterator with `yield from`
    calls its `close` when the garbage collector finalises the generator.
    """

    __slots__ = ("_stream",)

    def __init__(self, stream: AsyncChatStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        stream = self._stream
        for event in stream._events:
            return event
        if stream._run is not None and not stream._closed:
            await stream._advance(stream._run)  # the usual case, with one coroutine less for each read
        else:
            await stream._fetch()
        for event in stream._events:
            return event
        raise StopAsyncIteration


class AsyncTextIterator(AsyncOnlyIterator):
    """The pieces of the text of a stream. Made by `AsyncChatStream.text`."""

    __slots__ = ("_events",)

    def __init__(self, stream: AsyncChatStream) -> None:
        self._events = AsyncEventIterator(stream)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        async for event in self._events:
            if type(event) is Token:
                return event.delta
        raise StopAsyncIteration

    if not TYPE_CHECKING:

        def __call__(self) -> NoReturn:
            raise TypeError("stream.text is no method: iterate over it, or write stream.collect().text for the whole")

        def __repr__(self) -> str:
            return "<the pieces of the text: iterate over them, or write stream.collect().text for the whole>"

        def __getitem__(self, index: object) -> NoReturn:
            raise TypeError("stream.text has pieces: iterate over them, or write stream.collect().text for the whole")


class AsyncEventBatches:
    """The events of a stream, grouped by the reads that received them. Made by `AsyncChatStream.batches`."""

    __slots__ = ("_stream",)

    def __init__(self, stream: AsyncChatStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[Event, ...]:
        stream = self._stream
        batch = tuple(stream._events)
        if not batch:
            await stream._fetch()
            batch = tuple(stream._events)
        if not batch:
            raise StopAsyncIteration
        return batch


def _closed_meanwhile(run: AsyncRun) -> TransportError:
    partial = run.call.response
    error = TransportError("the stream was closed by another thread or task", phase=Phase.BODY)
    error.partial, error.trace = partial, run.call.trace
    return error


def _left_early() -> LocalProtocolError:
    return LocalProtocolError(
        "this stream was left before its end: read it inside its `async with` block; "
        "`stream.response` is the part that arrived"
    )


def _not_entered() -> NoReturn:
    raise LocalProtocolError("nothing was received yet: enter the stream with `async with` first")
