"""The blocking driver: see `turnout_io.sync`.

    with Router.from_env() as router:
        reply = router.chat(ChatRequest(...))
        with router.stream(ChatRequest(...)) as stream:
            for event in stream: ...

One router may be shared by any number of threads.
"""

from __future__ import annotations

import inspect
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, NoReturn, Self, assert_never

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
from turnout_io.base import HttpResponse, Transport
from turnout_io.drivers.process_lock import process_lock
from turnout_io.drivers.router_base import LEAST_WAIT, RouterBase, auth_failures

__all__ = ["ChatStream", "Router"]


class Router(RouterBase[Transport]):
    """Routes requests over its providers, for blocking code. The transport is `requests` where none is given."""

    def __init__(
        self,
        providers: Iterable[Provider] = (),
        *,
        policy: Policy | None = None,
        transport: Transport | None = None,
        seed: int | None = None,
        on_trace: Callable[[Trace], None] | None = None,
    ) -> None:
        super().__init__(providers, policy=policy, transport=transport, seed=seed, on_trace=on_trace)
        self._lock = process_lock()
        self._wakers: dict[CandidateSelector, threading.Event] = {}

    # -- calls --------------------------------------------------------------------------------------------------

    def chat(
        self, request: ChatRequest, *, timeout: float | None = None, policy: Policy | None = None, collect: bool = False
    ) -> ChatResponse:
        """The answer, whole.

        timeout  seconds for the call, all attempts and waits together; the smallest bound holds
        policy   the rules of this call, where they are not the router's
        collect  stream on the wire, so that a silent or stalled answer is noticed at once, and return the whole

        Raises TurnoutError; `error.trace.explain()` tells what was tried.
        """
        response: ChatResponse = self._run(Chat(request, collect), timeout, policy)
        return response

    def stream(
        self,
        request: ChatRequest,
        *,
        timeout: float | None = None,
        total_timeout: float | None = None,
        policy: Policy | None = None,
    ) -> ChatStream:
        """The answer as it comes; to be used in a `with` block.

        timeout  seconds until the first content
        total_timeout    seconds for the whole stream; no bound by default
        policy   the rules of this call, where they are not the router's
        """
        return ChatStream(self, request, timeout, total_timeout, policy)

    def embed(
        self, request: EmbeddingRequest, *, timeout: float | None = None, policy: Policy | None = None
    ) -> EmbeddingResponse:
        """One vector for each text, in order."""
        response: EmbeddingResponse = self._run(Embed(request), timeout, policy)
        return response

    def count_tokens(
        self, request: ChatRequest, *, timeout: float | None = None, policy: Policy | None = None
    ) -> TokenCount:
        """Return the tokens of the request's prompt, as the provider of its model counts them.

        Raises:
            CapabilityUnsupported: If the provider does not count tokens.
        """
        count: TokenCount = self._run(CountTokens(request), timeout, policy)
        return count

    def rerank(
        self, request: RerankRequest, *, timeout: float | None = None, policy: Policy | None = None
    ) -> RerankResponse:
        """Return the documents of the request in the order of their relevance to its query.

        Raises:
            CapabilityUnsupported: If no provider of the request offers reranking.
        """
        response: RerankResponse = self._run(Rerank(request), timeout, policy)
        return response

    def models(self, provider: str, *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        """What a provider says that it offers."""
        models: tuple[ModelInfo, ...] = self._run(ListModels(provider), timeout)
        return models

    # -- life ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections that are kept for reuse."""
        if self._transport is not None:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- the driver ---------------------------------------------------------------------------------------------

    def _run(self, operation: Operation, timeout: float | None, policy: Policy | None = None) -> Any:
        run = self._drive(self._start(operation, timeout, policy=policy))
        try:
            while run.finish is None:
                run.step()
        finally:
            try:
                run.close()
            except BaseException:
                run.close()  # Ctrl-C came while it was closed
                raise
        return run.outcome()

    def _drive(self, call: Call) -> Run:
        return Run(self, call)

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
            concurrent=False,
        )

    def _network(self) -> Transport:
        if self._transport is None:
            from turnout_io.transports.requests import RequestsTransport

            with self._lock:
                if self._transport is None:
                    self._transport = RequestsTransport(pool_size=self._core.policy.max_concurrency or 16)
        return self._transport

    def _now(self) -> float:
        return time.monotonic()

    def _close(self, response: HttpResponse) -> None:
        response.close()

    def _sleep(self, call: Call, until: float) -> None:
        try:
            waker = self._wakers[call.selector] = threading.Event()
            # Looked at only now: a place that was granted before the waker was there would wake nobody.
            if not call.ready:
                waker.wait(max(0.0, until - self._now()))
        finally:  # Ctrl-C comes here as anywhere
            self._wakers.pop(call.selector, None)

    def _wake(self) -> None:
        for field in self._core.places.take_woken():
            waker = self._wakers.get(field)
            if waker is not None:
                waker.set()


class Run:
    """One call being driven: the loop that obeys its commands."""

    def __init__(self, router: Router, call: Call) -> None:
        self.call = call
        self.finish: Finish | None = None
        self._router = router
        self._told = False
        self._responses: dict[int, HttpResponse] = {}

    def step(self) -> tuple[Event, ...]:
        """Do what the call says until there are events or it is over."""
        call = self.call
        clock = self._router._now
        while True:
            command = call.next_command(clock())
            self._router._wake()
            match command:
                case Read(attempt, until, idle):
                    try:
                        data = self._responses[attempt].read(max(LEAST_WAIT, min(idle, until - clock())))
                    except (TransportError, RemoteProtocolError) as error:
                        events = call.receive_failure(attempt, error, clock())
                    else:
                        if data:
                            events = call.receive_data(attempt, data, clock())
                        else:
                            events = call.receive_end(attempt, clock())
                case Open(attempt, request, timeouts):
                    try:
                        response = self._router._network().open(sign_request(request), timeouts)
                    except (TransportError, RemoteProtocolError, AuthenticationFailed) as error:
                        events = call.receive_failure(attempt, error, clock())
                    else:
                        self._responses[attempt] = response
                        events = call.receive_head(attempt, response.status, response.headers, clock())
                case Sleep(until):
                    self._router._sleep(call, until)
                    continue
                case WaitForAny():
                    raise LocalProtocolError("a second attempt came up in a driver that has one at a time")
                case Close(attempt):
                    self._drop(attempt)
                    continue
                case Finish():
                    self.finish = command
                    return ()
                case _:
                    assert_never(command)
            if events:
                self._router._wake()
                return events

    def close(self) -> None:
        """End the call wherever it stands, and drop what is owed."""
        clock = self._router._now
        try:
            self.call.cancel(clock())
            while not isinstance(command := self.call.next_command(clock()), Finish):
                if isinstance(command, Close):
                    self._drop(command.attempt)
        finally:
            for attempt in tuple(self._responses):
                self._drop(attempt)
            self.call.abandon(clock())
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

    def _drop(self, attempt: int) -> None:
        response = self._responses.get(attempt)
        if response is not None:
            self._router._close(response)
            del self._responses[attempt]
        self._router._wake()


def sign_request(request: HttpRequest) -> HttpRequest:
    if request.auth is None:
        return request
    with auth_failures():
        signed = request.auth(request)
    if inspect.isawaitable(signed):
        raise LocalProtocolError("the request's auth is awaitable; this router is for blocking code")
    return signed


class ChatStream:
    """An answer as it comes. Use it in a `with` block, and iterate over its events.

    Entering begins the call and returns with the first content, so that a failure of every candidate is raised there
    and `model` says who answers. Leaving early closes the connection at once.
    """

    def __init__(
        self, router: Router, request: ChatRequest, timeout: float | None, total: float | None, policy: Policy | None
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

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = next(self._events, None)
        if event is None and not self._closed:
            if self._run is None:
                self._enter()
            else:
                self._advance(self._run)
            event = next(self._events, None)
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """Stop here: the connection is closed, or given back where the answer is whole."""
        if not self._closed:
            try:
                if self._run is not None:
                    self._run.close()
            except BaseException:
                if self._run is not None:
                    self._run.close()  # Ctrl-C came while it was closed
                raise
            finally:
                self._closed = True

    def _enter(self) -> None:
        if self._run is None:
            if self._closed:
                raise LocalProtocolError("this stream was closed before it was entered")
            operation = Stream(self._request)
            self._run = self._router._drive(self._router._start(operation, self._timeout, self._total, self._policy))
            self._advance(self._run)

    def _advance(self, run: Run) -> None:
        try:
            self._events = iter(run.step())
        except BaseException:
            self.close()
            raise
        if run.finish is not None:
            self.close()
            run.outcome()

    def __del__(self) -> None:
        if self._run is not None and not self._closed:
            try:
                warnings.warn(
                    f"a stream of {self._run.call.model} was dropped on the floor; use it in a `with` block",
                    ResourceWarning,
                    stacklevel=2,
                    source=self,
                )
            finally:  # the warning may have been made an error
                self.close()


def _not_entered() -> NoReturn:
    raise LocalProtocolError("nothing of the answer has come: enter the stream, with `with`, first")
