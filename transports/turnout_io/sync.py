"""The router for blocking code: scripts, threads, Celery, gevent. No event loop.

    with Router.from_env() as router:
        reply = router.chat(ChatRequest(...))
        with router.stream(ChatRequest(...)) as stream:
            for event in stream: ...

One router may be shared by any number of threads.
"""

from __future__ import annotations

import inspect
import random
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, assert_never

from turnout.chat import ChatRequest, ChatResponse, ModelConfig, ModelInfo, ProviderStatus
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import LocalProtocolError, RemoteProtocolError, TransportError
from turnout.events import Event
from turnout.http import HttpRequest
from turnout.providers.protocol import Provider
from turnout.routing.call import Call
from turnout.routing.commands import Drop, Finish, Open, Read, Sleep
from turnout.routing.operations import Chat, Embed, ListModels, Operation, Stream
from turnout.routing.policy import Policy
from turnout.routing.router import RouterCore
from turnout.routing.trace import Trace
from turnout_io.base import HttpResponse, Transport

__all__ = ["ChatStream", "Router"]


class Router:
    """Routes requests over its providers.

    providers  what `turnout.providers.create` makes, or your own; more with `register`
    policy     timeouts, retries, concurrency; see `turnout.routing.policy.Policy`
    transport  how bytes travel; by default `requests`, with a session of its own
    seed       of the jitter, for runs that must repeat; by default a fresh one
    """

    def __init__(
        self,
        providers: Iterable[Provider] = (),
        *,
        policy: Policy | None = None,
        transport: Transport | None = None,
        seed: int | None = None,
    ) -> None:
        self._core = RouterCore(policy or Policy(), random.Random(seed), threading.Lock())
        self._transport = transport
        self._lock = threading.Lock()
        self._wakers: dict[Call, threading.Event] = {}
        for provider in providers:
            self.register(provider)

    @classmethod
    def from_env(
        cls,
        *,
        dotenv: str | Path | None = ".env",
        environ: Mapping[str, str] | None = None,
        transport: Transport | None = None,
        **overrides: Any,
    ) -> Self:
        """A router over every provider of the catalog, with keys and endpoints from the environment and `dotenv`.

        `overrides` are fields of `Policy`: `Router.from_env(max_concurrency=16, timeout=30)`.
        """
        from turnout_io.files import load_settings

        return cls._from_settings(load_settings(dotenv=dotenv, environ=environ), transport, overrides)

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        *,
        dotenv: str | Path | None = ".env",
        environ: Mapping[str, str] | None = None,
        transport: Transport | None = None,
        **overrides: Any,
    ) -> Self:
        """A router as a YAML file describes it; `${VAR}` in it is taken from the environment and `dotenv`."""
        from turnout_io.files import load_settings

        return cls._from_settings(load_settings(path, dotenv=dotenv, environ=environ), transport, overrides)

    @classmethod
    def _from_settings(cls, settings: Any, transport: Transport | None, overrides: Mapping[str, Any]) -> Self:
        router = cls(policy=settings.policy(**overrides), transport=transport)
        for provider, enabled in settings.build_providers():
            router.register(provider, enabled=enabled)
        return router

    # -- calls --------------------------------------------------------------------------------------------------

    def chat(self, request: ChatRequest, *, timeout: float | None = None, collect: bool = False) -> ChatResponse:
        """The answer, whole.

        timeout  seconds for the call, all attempts and waits together; the smallest bound holds
        collect  stream on the wire, so that a silent or stalled answer is noticed at once, and return the whole

        Raises TurnoutError; `error.trace.explain()` tells what was tried.
        """
        result = self._run(Chat(request, collect), timeout)
        assert isinstance(result, ChatResponse)
        return result

    def stream(self, request: ChatRequest, *, timeout: float | None = None, total: float | None = None) -> ChatStream:
        """The answer as it comes; to be used in a `with` block.

        timeout  seconds until the first content
        total    seconds for the whole stream; no bound by default
        """
        return ChatStream(self, request, timeout, total)

    def embed(self, request: EmbeddingRequest, *, timeout: float | None = None) -> EmbeddingResponse:
        """One vector for each text, in order."""
        result = self._run(Embed(request), timeout)
        assert isinstance(result, EmbeddingResponse)
        return result

    def models(self, provider: str, *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        """What a provider says that it offers."""
        result: tuple[ModelInfo, ...] = self._run(ListModels(provider), timeout)
        return result

    # -- providers ----------------------------------------------------------------------------------------------

    def register(self, provider: Provider, *, enabled: bool = True, replace: bool = False) -> None:
        """Add a provider under its name."""
        self._core.register(provider, enabled=enabled, replace=replace)

    def statuses(self) -> tuple[ProviderStatus, ...]:
        """The status of every registered provider."""
        return self._core.statuses()

    def provider_plan(self, request: ChatRequest | EmbeddingRequest) -> tuple[ProviderStatus, ...]:
        """Who would be asked for this request, in order, and why some would be skipped."""
        return self._core.provider_plan(request)

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

    def _run(self, operation: Operation, timeout: float | None) -> Any:
        run = _Run(self, self._start(operation, timeout))
        try:
            while run.finish is None:
                run.step()
        finally:
            run.close()
        return run.outcome()

    def _start(self, operation: Operation, timeout: float | None, total: float | None = None) -> Call:
        return self._core.start(operation, time.monotonic(), time.time(), timeout=timeout, total=total)

    def _network(self) -> Transport:
        if self._transport is None:
            from turnout_io.requests_transport import RequestsTransport

            with self._lock:
                if self._transport is None:
                    self._transport = RequestsTransport(pool_size=self._core.policy.max_concurrency or 16)
        return self._transport

    def _sleep(self, call: Call, until: float) -> None:
        waker = self._wakers.setdefault(call, threading.Event())
        self._wake()  # a grant may have come before the waker was there
        left = until - time.monotonic()
        if left > 0:
            waker.wait(left)
        self._wakers.pop(call, None)

    def _wake(self) -> None:
        for call in self._core.take_woken():
            waker = self._wakers.get(call)
            if waker is not None:
                waker.set()


class _Run:
    """One call being driven: the loop that obeys its commands."""

    def __init__(self, router: Router, call: Call) -> None:
        self.call = call
        self.finish: Finish | None = None
        self._router = router
        self._responses: dict[int, HttpResponse] = {}

    def step(self) -> tuple[Event, ...]:
        """Do what the call says until there are events or it is over."""
        call = self.call
        clock = time.monotonic
        while True:
            command = call.next_command(clock())
            match command:
                case Read(attempt, until, idle):
                    try:
                        data = self._responses[attempt].read(min(idle, until - clock()))
                    except (TransportError, RemoteProtocolError) as error:
                        events = call.receive_failure(attempt, error, clock())
                    else:
                        if data:
                            events = call.receive_data(attempt, data, clock())
                        else:
                            events = call.receive_end(attempt, clock())
                case Open(attempt, request, timeouts):
                    try:
                        response = self._router._network().open(_authorised(request), timeouts)
                    except (TransportError, RemoteProtocolError) as error:
                        events = call.receive_failure(attempt, error, clock())
                    else:
                        self._responses[attempt] = response
                        events = call.receive_head(attempt, response.status, response.headers, clock())
                case Sleep(until):
                    self._router._sleep(call, until)
                    continue
                case Drop(attempt):
                    self._drop(attempt)
                    continue
                case Finish():
                    self.finish = command
                    return ()
                case _:
                    assert_never(command)
            if events:
                return events

    def close(self) -> None:
        """End the call wherever it stands, and drop what is owed."""
        self.call.cancel(time.monotonic())
        while not isinstance(command := self.call.next_command(time.monotonic()), Finish):
            if isinstance(command, Drop):
                self._drop(command.attempt)
        self._router._wake()

    def outcome(self) -> Any:
        assert self.finish is not None
        if self.finish.error is not None:
            raise self.finish.error
        return self.finish.result

    def _drop(self, attempt: int) -> None:
        response = self._responses.pop(attempt, None)
        if response is not None:
            response.close()
        self._router._wake()


def _authorised(request: HttpRequest) -> HttpRequest:
    if request.auth is None:
        return request
    signed = request.auth(request)
    if inspect.isawaitable(signed):
        raise LocalProtocolError("the request's auth is awaitable; this router is for blocking code")
    return signed


class ChatStream:
    """An answer as it comes. Use it in a `with` block, and iterate over its events.

    Entering begins the call and returns with the first content, so that a failure of every candidate is raised there
    and `model` says who answers. Leaving early closes the connection at once.
    """

    def __init__(self, router: Router, request: ChatRequest, timeout: float | None, total: float | None) -> None:
        self._router = router
        self._request = request
        self._timeout = timeout
        self._total = total
        self._run: _Run | None = None
        self._events: Iterator[Event] = iter(())
        self._closed = False

    @property
    def model(self) -> ModelConfig | None:
        """Who answers; None before the stream was entered."""
        return self._run.call.model if self._run is not None else None

    @property
    def response(self) -> ChatResponse | None:
        """The answer as far as it came, at any time."""
        if self._run is None:
            return None
        finish = self._run.finish
        if finish is not None and isinstance(finish.result, ChatResponse):
            return finish.result
        return self._run.call.response

    @property
    def trace(self) -> Trace | None:
        """What was tried, and why; None before the stream was entered."""
        return self._run.call.trace if self._run is not None else None

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
        for event in self._events:
            return event
        run = self._enter()
        if self._closed or run.finish is not None:
            raise StopIteration
        self._advance(run)
        for event in self._events:
            return event
        raise StopIteration

    def close(self) -> None:
        """Stop here: the connection is closed, or given back where the answer is whole."""
        if not self._closed:
            self._closed = True
            if self._run is not None:
                self._run.close()

    def _enter(self) -> _Run:
        if self._run is None:
            if self._closed:
                raise LocalProtocolError("this stream was closed before it was entered")
            operation = Stream(self._request)
            self._run = _Run(self._router, self._router._start(operation, self._timeout, self._total))
            self._advance(self._run)
        return self._run

    def _advance(self, run: _Run) -> None:
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
            warnings.warn(
                f"a stream of {self.model} was dropped on the floor; use it in a `with` block",
                ResourceWarning,
                source=self,
            )
            self.close()
