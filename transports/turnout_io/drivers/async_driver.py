"""The router for async code: one driver, over a small runtime interface that trio and asyncio fill.

`turnout_io.trio.Router` is this driver on trio. It owns no task: everything happens in the task that calls.
"""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self, assert_never

from turnout.chat import ChatRequest, ChatResponse, ModelConfig, ModelInfo
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import AuthenticationFailed, LocalProtocolError, RemoteProtocolError, TransportError
from turnout.events import Event
from turnout.http import HttpRequest
from turnout.providers.protocol import Provider
from turnout.reranking import RerankRequest, RerankResponse
from turnout.routing.call.machine import Call
from turnout.routing.call.operations import Chat, Embed, ListModels, Operation, Stream
from turnout.routing.call.selection import CandidateSelector
from turnout.routing.call.single_exchange import CountTokens, Rerank
from turnout.routing.commands import Close, Finish, Open, Read, Sleep, WaitForAny
from turnout.routing.policy.settings import Policy
from turnout.token_counting import TokenCount
from turnout.trace import Trace
from turnout_io.base import AsyncHttpResponse, AsyncTransport
from turnout_io.drivers.router_base import LEAST_WAIT, RouterBase, auth_failures

__all__ = ["AsyncChatStream", "AsyncRouter", "Group", "Run", "Runtime", "Waker", "sign_request"]


class Waker(Protocol):
    """Wakes one waiting task."""

    def set(self) -> None: ...

    async def wait(self, seconds: float) -> None:
        """Return once `set` was called, or after `seconds`."""
        ...


class Group(Protocol):
    """Tasks that end before their group does."""

    def start(self, operation: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Run `operation` in a task; what comes back cancels it."""
        ...


class Runtime(Protocol):
    """What the driver needs of an async library."""

    def now(self) -> float:
        """The library's monotonic clock, in seconds."""
        ...

    def make_waker(self) -> Waker: ...

    def group(self) -> AbstractAsyncContextManager[Group]:
        """Tasks that end before the block does."""
        ...

    async def shield(self, close: Callable[[], Awaitable[None]]) -> None:
        """Run `close` to its end although the task is cancelled."""
        ...


class AsyncRouter(RouterBase[AsyncTransport]):
    """Routes requests over its providers, for async code. Made by the subclass of each async library."""

    _blocking = False
    _runtime: Runtime
    _overlapping: type[Run]  # for calls that may have two attempts at once
    _make_transport: Callable[[Policy], AsyncTransport]

    def __init__(
        self,
        providers: Iterable[Provider] = (),
        *,
        policy: Policy | None = None,
        transport: AsyncTransport | None = None,
        seed: int | None = None,
        on_trace: Callable[[Trace], None] | None = None,
    ) -> None:
        super().__init__(providers, policy=policy, transport=transport, seed=seed, on_trace=on_trace)
        self._wakers: dict[CandidateSelector, Waker] = {}

    # -- calls --------------------------------------------------------------------------------------------------

    async def chat(
        self, request: ChatRequest, *, timeout: float | None = None, policy: Policy | None = None, collect: bool = False
    ) -> ChatResponse:
        """The answer, whole.

        timeout  seconds for the call, all attempts and waits together; the smallest bound holds
        policy   the rules of this call, where they are not the router's
        collect  stream on the wire, so that a silent or stalled answer is noticed at once, and return the whole

        Raises TurnoutError; `error.trace.explain()` tells what was tried.
        """
        response: ChatResponse = await self._run(Chat(request, collect), timeout, policy)
        return response

    def stream(
        self,
        request: ChatRequest,
        *,
        timeout: float | None = None,
        total_timeout: float | None = None,
        policy: Policy | None = None,
    ) -> AsyncChatStream:
        """The answer as it comes; to be used in an `async with` block.

        timeout  seconds until the first content
        total_timeout    seconds for the whole stream; no bound by default
        policy   the rules of this call, where they are not the router's
        """
        return AsyncChatStream(self, request, timeout, total_timeout, policy)

    async def embed(
        self, request: EmbeddingRequest, *, timeout: float | None = None, policy: Policy | None = None
    ) -> EmbeddingResponse:
        """One vector for each text, in order."""
        response: EmbeddingResponse = await self._run(Embed(request), timeout, policy)
        return response

    async def count_tokens(
        self, request: ChatRequest, *, timeout: float | None = None, policy: Policy | None = None
    ) -> TokenCount:
        """Return the tokens of the request's prompt, as the provider of its model counts them.

        Raises:
            CapabilityUnsupported: If the provider does not count tokens.
        """
        count: TokenCount = await self._run(CountTokens(request), timeout, policy)
        return count

    async def rerank(
        self, request: RerankRequest, *, timeout: float | None = None, policy: Policy | None = None
    ) -> RerankResponse:
        """Return the documents of the request in the order of their relevance to its query.

        Raises:
            CapabilityUnsupported: If no provider of the request offers reranking.
        """
        response: RerankResponse = await self._run(Rerank(request), timeout, policy)
        return response

    async def models(self, provider: str, *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        """What a provider says that it offers."""
        models: tuple[ModelInfo, ...] = await self._run(ListModels(provider), timeout)
        return models

    # -- life ---------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close the connections that are kept for reuse."""
        if self._transport is not None:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runtime.shield(self.aclose)

    # -- the driver ---------------------------------------------------------------------------------------------

    async def _run(self, operation: Operation, timeout: float | None, policy: Policy | None = None) -> Any:
        run = self._drive(self._start(operation, timeout, policy=policy))
        try:
            while run.finish is None:
                await run.step()
        finally:
            try:
                await run.close()
            except BaseException:
                await run.close()  # Ctrl-C came while it was closed
                raise
        return run.outcome()

    def _drive(self, call: Call) -> Run:
        return self._overlapping(self, call) if call.may_overlap else Run(self, call)

    def _start(
        self, operation: Operation, timeout: float | None, total: float | None = None, policy: Policy | None = None
    ) -> Call:
        self._notice_fork()
        return self._core.start(
            operation,
            self._now(),
            time.time(),
            timeout=timeout,
            total_timeout=total,
            policy=policy,
            concurrent=True,
        )

    def _network(self) -> AsyncTransport:
        if self._transport is None:
            self._transport = self._make_transport(self._core.policy)
        return self._transport

    def _now(self) -> float:
        return self._runtime.now()

    async def _close(self, response: AsyncHttpResponse) -> None:
        await self._runtime.shield(response.aclose)

    async def _sleep(self, call: Call, until: float) -> None:
        try:
            waker = self._wakers[call.selector] = self._runtime.make_waker()
            # Looked at only now: a place that was granted before the waker was there would wake nobody.
            if not call.ready:
                await waker.wait(max(0.0, until - self._now()))
        finally:
            self._wakers.pop(call.selector, None)

    def _wake(self) -> None:
        for field in self._core.places.take_woken():
            waker = self._wakers.get(field)
            if waker is not None:
                waker.set()


class Run:
    """One call being driven: the loop that obeys its commands."""

    def __init__(self, router: AsyncRouter, call: Call) -> None:
        self.call = call
        self.finish: Finish | None = None
        self._router = router
        self._told = False
        self._responses: dict[int, AsyncHttpResponse] = {}

    async def step(self) -> tuple[Event, ...]:
        """Do what the call says until there are events or it is over."""
        call = self.call
        clock = self._router._now
        while True:
            command = call.next_command(clock())
            self._router._wake()
            match command:
                case Read(attempt, until, idle):
                    try:
                        data = await self._responses[attempt].read(max(LEAST_WAIT, min(idle, until - clock())))
                    except (TransportError, RemoteProtocolError) as error:
                        events = call.receive_failure(attempt, error, clock())
                    else:
                        if data:
                            events = call.receive_data(attempt, data, clock())
                        else:
                            events = call.receive_end(attempt, clock())
                case Open(attempt, request, timeouts):
                    try:
                        response = await self._router._network().open(await sign_request(request), timeouts)
                    except (TransportError, RemoteProtocolError, AuthenticationFailed) as error:
                        events = call.receive_failure(attempt, error, clock())
                    else:
                        self._responses[attempt] = response
                        events = call.receive_head(attempt, response.status, response.headers, clock())
                case Sleep(until):
                    await self._router._sleep(call, until)
                    continue
                case WaitForAny():
                    raise LocalProtocolError("a second attempt came up in a driver that has one at a time")
                case Close(attempt):
                    await self._drop(attempt)
                    continue
                case Finish():
                    self.finish = command
                    return ()
                case _:
                    assert_never(command)
            if events:
                self._router._wake()
                return events

    async def close(self) -> None:
        """End the call wherever it stands, and drop what is owed."""
        clock = self._router._now
        try:
            self.call.cancel(clock())
            while not isinstance(command := self.call.next_command(clock()), Finish):
                if isinstance(command, Close):
                    await self._drop(command.attempt)
        finally:
            for attempt in tuple(self._responses):
                await self._drop(attempt)
            self.call.abandon(clock())
            self._router._wake()
            self._tell()

    def abandon(self) -> None:
        """End the call where nothing can be awaited any more: its place is given back, its connection is lost."""
        now = self._router._now()
        self.call.cancel(now)
        self.call.abandon(now)
        self._responses.clear()
        self._router._wake()
        self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._router._tell(self.call)

    def outcome(self) -> Any:
        assert self.finish is not None
        if self.finish.error is not None:
            raise self.finish.error
        return self.finish.result

    async def _drop(self, attempt: int) -> None:
        response = self._responses.get(attempt)
        if response is not None:
            await self._router._close(response)
            del self._responses[attempt]
        self._router._wake()


async def sign_request(request: HttpRequest) -> HttpRequest:
    if request.auth is None:
        return request
    with auth_failures():
        signed = request.auth(request)
        return await signed if inspect.isawaitable(signed) else signed


class AsyncChatStream:
    """An answer as it comes. Use it in an `async with` block, and iterate over its events.

    Entering begins the call and returns with the first content, so that a failure of every candidate is raised there
    and `model` says who answers. Leaving early closes the connection at once.
    """

    def __init__(
        self,
        router: AsyncRouter,
        request: ChatRequest,
        timeout: float | None,
        total: float | None,
        policy: Policy | None,
    ) -> None:
        self._router = router
        self._request = request
        self._timeout = timeout
        self._total = total
        self._policy = policy
        self._run: Run | None = None
        self._events: Iterator[Event] = iter(())
        self._closed = False

    @property
    def model(self) -> ModelConfig:
        """Who answers. Raises LocalProtocolError before the stream was entered."""
        model = self._run.call.model if self._run is not None else None
        return model if model is not None else _not_entered()

    @property
    def response(self) -> ChatResponse:
        """The answer as far as it came, at any time. Raises LocalProtocolError before the stream was entered."""
        finish = self._run.finish if self._run is not None else None
        if finish is not None and isinstance(finish.result, ChatResponse):
            return finish.result
        response = self._run.call.response if self._run is not None else None
        return response if response is not None else _not_entered()

    @property
    def trace(self) -> Trace:
        """What was tried, and why."""
        return self._run.call.trace if self._run is not None else Trace()

    async def __aenter__(self) -> Self:
        await self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = next(self._events, None)
        if event is None and not self._closed:
            if self._run is None:
                await self._enter()
            else:
                await self._advance(self._run)
            event = next(self._events, None)
        if event is None:
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Stop here: the connection is closed, or given back where the answer is whole."""
        if not self._closed:
            try:
                if self._run is not None:
                    await self._run.close()
            except BaseException:
                if self._run is not None:
                    await self._run.close()  # Ctrl-C came while it was closed
                raise
            finally:
                self._closed = True

    async def _enter(self) -> None:
        if self._run is None:
            if self._closed:
                raise LocalProtocolError("this stream was closed before it was entered")
            operation = Stream(self._request)
            self._run = self._router._drive(self._router._start(operation, self._timeout, self._total, self._policy))
            await self._advance(self._run)

    async def _advance(self, run: Run) -> None:
        try:
            self._events = iter(await run.step())
        except BaseException:
            await self.aclose()
            raise
        if run.finish is not None:
            await self.aclose()
            run.outcome()

    def __del__(self) -> None:
        if self._run is not None and not self._closed:
            try:
                warnings.warn(
                    f"a stream of {self._run.call.model} was dropped on the floor; use it in an `async with` block",
                    ResourceWarning,
                    stacklevel=2,
                    source=self,
                )
            finally:  # the warning may have been made an error
                self._run.abandon()


def _not_entered() -> NoReturn:
    raise LocalProtocolError("nothing of the answer has come: enter the stream, with `async with`, first")
