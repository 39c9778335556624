"""The parts that the routers of every driver share: construction, settings, and reports that need no I/O."""

from __future__ import annotations

import inspect
import os
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, cast

from turnout._utils.names import Advised, Elsewhere
from turnout._utils.signatures import written_as
from turnout.chat import ChatRequest, ProviderStatus
from turnout.embeddings import EmbeddingRequest
from turnout.providers.catalog.spec import ProviderSpec
from turnout.providers.protocol import Provider
from turnout.redaction import without_locals
from turnout.routing.call.machine import Call
from turnout.routing.call.options import NO_OPTIONS, CallOptions
from turnout.routing.policy.settings import Policy
from turnout.routing.router import RouterCore
from turnout.routing.state.budgets import BudgetStatus
from turnout.routing.state.candidate_state import Health
from turnout.trace import Trace
from turnout_io.drivers.checks import check_on_trace, check_policy, check_providers, meant_route
from turnout_io.drivers.router_changes import RouterChanges, warn
from turnout_io.process_lock import process_lock

if TYPE_CHECKING:
    from turnout.config.settings import Settings
    from turnout.reranking import RerankRequest
    from turnout.shared.bell import Bell
    from turnout.shared.state import SharedStatus
    from turnout_io.caching import AnyCache
    from turnout_io.shared.valkey import Valkey

__all__ = ["CALL_OPTIONS", "MIN_WAIT", "CompletionsHint", "RouterBase"]

# Seconds. Time passes between a command and its execution, and a transport never receives a timeout in the past: for a
# socket, 0 means not to wait at all, and a negative timeout is an error.
MIN_WAIT = 0.001

TransportT = TypeVar("TransportT")
RequestT = TypeVar("RequestT")


class _Abandoned(Protocol):
    def release(self) -> None: ...


RunT = TypeVar("RunT", bound=_Abandoned)


CALL_OPTIONS = ("timeout", "policy", "affinity", "api_keys", "priority", "cache")
_ARGUMENTS = frozenset(("providers", "policy", "transport", "seed", "on_trace", "cache", "shared"))


class CompletionsHint:
    """Has the place of `chat.completions` in OpenAI's SDK. Its errors name the right method."""

    def create(self, *_: object, **__: object) -> None:
        raise AttributeError('there is no chat.completions: write router.chat("openai/gpt-4o-mini", "Hello", …)')

    parse = stream = create

    def list(self, *_: object, **__: object) -> None:
        raise AttributeError("there is no models.list: write router.models('openai')")


class RouterBase(RouterChanges, Advised, Generic[TransportT, RunT]):
    """Routes requests over its providers.

    Args:
        providers: Providers from `turnout.providers.create`, or your own. Add more with `register`.
        policy: Timeouts, retries, concurrency. See `turnout.routing.policy.settings.Policy`.
        transport: Sends the requests. By default the driver makes one.
        seed: The seed of the jitter, to repeat a run. By default it is random.
        on_trace: Called with the trace of each call after the call has ended, with success or not. `TraceRecorder`
            writes traces to a file. It runs in the thread or task of the call, so it should be quick. Its errors are
            logged under `turnout`.
        cache: Asked before each chat, stream and embedding, and given every whole answer (`turnout_io.caching`).
        shared: The store through which processes share limits, budgets and cooldowns. The router must then be used in a
            `with` block, which connects it.
    """

    _is_async = False  # whether the driver and its transports are async
    _hedges = False  # whether the driver can perform two attempts of one call at once
    _now: Callable[[], float]  # returns monotonic seconds; may be called from any thread

    def __init__(
        self,
        providers: Iterable[Provider] = (),
        *,
        policy: Policy | None = None,
        transport: TransportT | None = None,
        seed: int | None = None,
        on_trace: Callable[[Trace], None] | None = None,
        cache: AnyCache | None = None,
        shared: Valkey | None = None,
    ) -> None:
        if "TURNOUT_LOG" in os.environ:
            from turnout_io.logs import show_logs

            show_logs(os.environ)
        policy = Policy() if policy is None else policy
        check_policy(policy)
        if policy.hedge is not None and not self._hedges:
            warn("hedge has no effect in the blocking router, which makes one attempt at a time")
        # Async routers need the lock too, because several event loops may share one. It costs little.
        core_lock = process_lock()
        self._valkey = shared
        self._bell: Bell | None = None
        limits = None
        if shared is not None:
            from turnout_io.shared.valkey import shared_limits

            limits = shared_limits(shared, core_lock, policy)
            self._bell = limits.bell
        self._core = RouterCore(policy, random.Random(seed), core_lock, shared=limits)
        self._seed = seed
        self._process = os.getpid()
        self._fork_lock = process_lock()
        # Calls that finalisers ended: finalisers append to `_abandoned` without a lock, and the next operation moves
        # each call to `_unclosed` after its slots were given back.
        self._abandoned: deque[RunT] = deque()
        self._unclosed: deque[RunT] = deque()
        self._abandoned_lock = process_lock()
        self._locks = (core_lock, self._fork_lock, self._abandoned_lock)
        if transport is not None:
            self._check(transport)
        self._transport = transport
        if on_trace is not None:
            check_on_trace(on_trace)
        self._on_trace = on_trace
        self._cache = self._checked_cache(cache)
        self._overrides: dict[str, Any] = {}
        check_providers(providers)
        for provider in providers:
            self.register(provider)
        if self._core.statuses(0.0):  # any time: there are no calls yet
            self._core.check_names()

    @classmethod
    @without_locals
    @written_as("Router.from_env(dotenv='.env', timeout=30, …)")
    def from_env(
        cls,
        *,
        dotenv: str | Path | None = ".env",
        environ: Mapping[str, str] | None = None,
        transport: TransportT | None = None,
        seed: int | None = None,
        on_trace: Callable[[Trace], None] | None = None,
        cache: AnyCache | None = None,
        shared: Valkey | None = None,
        entries: Iterable[ProviderSpec] = (),
        **overrides: Any,
    ) -> Self:
        """Return a router with every provider of the catalog, with keys and URLs from the environment and `dotenv`.

        Args:
            dotenv: A file of variables. Only the default may be absent. None reads no file.
            environ: Variables to use instead of the process's environment.
            transport: See the class.
            seed: See the class.
            on_trace: See the class.
            cache: See the class.
            shared: See the class.
            entries: Your own providers, in addition to those of the catalog.
            **overrides: Fields of `Policy`: `Router.from_env(max_concurrency=16, timeout=30)`.

        Raises:
            SettingsError: If a variable or a file is wrong.
        """
        return cls._from_files(None, dotenv, environ, transport, seed, on_trace, cache, shared, entries, overrides)

    @classmethod
    @without_locals
    @written_as("Router.from_config('turnout.yaml')")
    def from_config(
        cls,
        path: str | Path,
        *,
        dotenv: str | Path | None = ".env",
        environ: Mapping[str, str] | None = None,
        transport: TransportT | None = None,
        seed: int | None = None,
        on_trace: Callable[[Trace], None] | None = None,
        cache: AnyCache | None = None,
        shared: Valkey | None = None,
        entries: Iterable[ProviderSpec] = (),
        **overrides: Any,
    ) -> Self:
        """Return the router that a YAML file describes. Values of `${VAR}` are from the environment and `dotenv`.

        Args:
            path: The YAML file.
            dotenv: A file of variables. Only the default may be absent. None reads no file.
            environ: Variables to use instead of the process's environment.
            transport: See the class.
            seed: See the class.
            on_trace: See the class.
            cache: See the class.
            shared: See the class.
            entries: Your own providers, in addition to those of the catalog.
            **overrides: Fields of `Policy`. They replace those of the file.

        Raises:
            SettingsError: If a variable or a file is wrong.
            FileNotFoundError: If `path` does not exist.
        """
        return cls._from_files(path, dotenv, environ, transport, seed, on_trace, cache, shared, entries, overrides)

    @classmethod
    def _from_files(
        cls,
        path: str | Path | None,
        dotenv: str | Path | None,
        environ: Mapping[str, str] | None,
        transport: TransportT | None,
        seed: int | None,
        on_trace: Callable[[Trace], None] | None,
        cache: AnyCache | None,
        shared: Valkey | None,
        entries: Iterable[ProviderSpec],
        overrides: Mapping[str, Any],
    ) -> Self:
        from turnout.config.settings import own_entries
        from turnout_io.files import load_settings, placed

        own = own_entries(entries)

        def load() -> Settings:
            return load_settings(path, dotenv=dotenv, environ=environ, entries=own)

        settings = load()
        with placed(path):
            if shared is None and settings.shared is not None:
                from turnout_io.shared.valkey import from_settings

                shared = from_settings(settings.shared)
            policy = settings.policy(**overrides)
            router = cls(policy=policy, transport=transport, seed=seed, on_trace=on_trace, cache=cache, shared=shared)
            router._load, router._overrides = load, dict(overrides)
            router._take_over(settings, settings.build_providers())
            router._core.check_names()
        return router

    # -- requests -----------------------------------------------------------------------------------------------

    @staticmethod
    def _call_options(settings: dict[str, Any], total_timeout: float | None = None) -> CallOptions:
        """Remove the options of the call from `settings`, and return them."""
        if not settings:
            return CallOptions(total_timeout=total_timeout) if total_timeout is not None else NO_OPTIONS
        options = {name: settings.pop(name) for name in CALL_OPTIONS if name in settings}
        return CallOptions(total_timeout=total_timeout, **options)

    def _chat_request(self, method: str, given: tuple[Any, ...], settings: dict[str, Any]) -> ChatRequest:
        if len(given) == 1 and not settings and type(given[0]) is ChatRequest:
            return given[0]
        from turnout.inputs.requests import chat_request

        return self._read(chat_request, method, given, settings)

    def _read(self, read: Callable[..., RequestT], *call: Any) -> RequestT:
        try:
            return read(*call)
        except ValueError as error:
            raise meant_route((*self._core.route_names(), *self._core.alias_names()), *call[-2:]) or error from None

    def _embedding_request(self, given: tuple[Any, ...], settings: dict[str, Any]) -> EmbeddingRequest:
        if len(given) == 1 and not settings and type(given[0]) is EmbeddingRequest:
            return given[0]
        from turnout.inputs.requests import embedding_request

        return self._read(embedding_request, given, settings)

    def _rerank_request(self, given: tuple[Any, ...], settings: dict[str, Any]) -> RerankRequest:
        from turnout.inputs.requests import rerank_request

        return self._read(rerank_request, given, settings)

    if not TYPE_CHECKING:
        from_yaml = Elsewhere("write Router.from_config('turnout.yaml')")
        from_file = Elsewhere("write Router.from_config('turnout.yaml')")
        load = Elsewhere("write Router.from_config('turnout.yaml')")
        from_dict = Elsewhere("write Router.from_env(max_retries=3, …), or Router.from_config('turnout.yaml')")

        def __new__(cls, *args: Any, **keywords: Any) -> Any:
            unknown = keywords.keys() - _ARGUMENTS
            if unknown and cls.__init__.__module__.startswith("turnout_io."):
                from turnout._utils.hints.keywords import unknown_router_argument

                raise unknown_router_argument(min(unknown))
            return super().__new__(cls)

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)

    def _check(self, transport: TransportT) -> None:
        """Raise TypeError if this driver cannot use `transport`: later errors would not name the reason."""
        if isinstance(transport, type):
            name = transport.__name__
            raise TypeError(f"the class {name} is not a transport, but an instance of it may be: write {name}(…)")
        open_method = getattr(transport, "open", None)
        if not callable(open_method):
            raise TypeError(f"{type(transport).__name__} is not a transport: it has no method `open` (turnout_io.base)")
        is_async = inspect.iscoroutinefunction(open_method)
        if is_async != self._is_async:
            kind, wanted = ("async", "a blocking") if is_async else ("blocking", "an async")
            raise TypeError(f"{type(transport).__name__} is {kind}; this router needs {wanted} transport")
        close = "aclose" if is_async else "close"
        if not callable(getattr(transport, close, None)):
            raise TypeError(
                f"{type(transport).__name__} is not a transport: it has no method `{close}` (turnout_io.base)"
            )

    def _checked_cache(self, cache: AnyCache | None) -> AnyCache | None:
        """Return `cache`. Raise TypeError if this driver cannot use it: later errors would only be logged."""
        if cache is None:
            return None
        if isinstance(cache, type) or not (
            callable(getattr(cache, "get", None)) and callable(getattr(cache, "put", None))
        ):
            name = cache.__name__ if isinstance(cache, type) else type(cache).__name__
            raise TypeError(
                f"{name} is not a cache: it must be an object with the methods get and put, "
                "as turnout_io.caching.MemoryCache() is"
            )
        if not self._is_async and (inspect.iscoroutinefunction(cache.get) or inspect.iscoroutinefunction(cache.put)):
            raise TypeError(f"{type(cache).__name__} is async; this router needs a cache with blocking methods")
        return cache

    def _check_loop(self) -> None:
        """Raise LocalProtocolError if an async router is used on the other library. Blocking code has no loop."""

    def _check_fork(self) -> None:
        """Give up the parent's calls in a forked process. Called before a call starts."""
        if self._process == os.getpid():
            return
        with self._fork_lock:
            if self._process != os.getpid():
                if self._core.shared is not None:
                    self._leave_shared()
                self._core.scheduler.reset_after_fork()
                if self._seed is None:
                    # Otherwise all workers of one parent would draw the same jitter, and retry at the same time.
                    self._core.rng = random.Random()
                self._process = os.getpid()

    def _leave_shared(self) -> None:
        """In a forked process, give up the parent's leases and its connection to the store."""
        from turnout_io.shared.valkey import new_state

        shared, valkey = self._core.shared, self._valkey
        assert shared is not None
        assert valkey is not None
        self._discard_link()
        shared.entered = False
        shared.state = new_state(valkey)
        self._bell = shared.bell
        self._reopen_link(valkey)

    def _discard_link(self) -> None:
        raise NotImplementedError

    def _reopen_link(self, valkey: Valkey) -> None:
        """Connect a forked process to the store. An async router must be entered again there."""

    # -- calls that finalisers ended ----------------------------------------------------------------------------

    def _is_locked(self) -> bool:
        """Return True if any thread holds a lock of this router, perhaps the caller's own thread."""
        return any(lock.locked() for lock in self._locks)

    def _release_abandoned(self) -> None:
        """Give back the slots of the calls that finalisers ended. Not called by a finaliser."""
        with self._abandoned_lock:
            while self._abandoned:
                run = self._abandoned[0]
                run.release()
                # Removed last: if KeyboardInterrupt is raised here, the next operation releases it again.
                self._unclosed.append(run)
                self._abandoned.popleft()
        self._notify_waiters()

    def _notify_waiters(self) -> None:
        """Wake the calls that the scheduler admitted or rejected since the last time."""
        raise NotImplementedError

    def _report(self, call: Call) -> None:
        """Pass the trace of a call that has ended to the log and to `on_trace`."""
        if "logging" in sys.modules:  # otherwise no program can have enabled lines below the level of warnings
            from turnout_io.logs import log_call

            log_call(call.trace)
        if self._on_trace is None:
            return
        try:
            from turnout_io.drivers.outcome import CallContent, outcome_of

            call.trace.outcome = outcome_of(call)
            if getattr(self._on_trace, "wants_content", False):
                observe = cast("Callable[[Trace, CallContent], object]", self._on_trace)
                observe(call.trace, CallContent(call.request, call.result))
            else:
                self._on_trace(call.trace)
        except Exception:
            # The caller must not lose a result or an error because, for example, the disk is full.
            import logging

            logging.getLogger("turnout").exception("on_trace failed; the call itself is not affected")

    def health(self) -> tuple[Health, ...]:
        """Return the health of each candidate that was used so far. May be called from any thread."""
        self._release_abandoned()
        return self._core.health(self._now())

    def budgets(self) -> tuple[BudgetStatus, ...]:
        """Return how much of each budget is left, for each provider, model or user that calls have named so far.

        With `shared`, it is the part of this process. May be called from any thread.
        """
        self._release_abandoned()
        return self._core.budgets(self._now(), time.time())

    def shared_status(self) -> SharedStatus | None:
        """Return the condition of the shared limits; None if this router shares nothing."""
        shared = self._core.shared
        return shared.status(self._now()) if shared is not None else None

    def statuses(self) -> tuple[ProviderStatus, ...]:
        """Return the status of every registered provider, as known so far. It sends nothing.

        May be called from any thread.
        """
        return self._core.statuses(self._now())

    @written_as("router.explain_plan(ChatRequest('openai/gpt-4o-mini', 'Why do points freeze?'))")
    def explain_plan(self, request: ChatRequest | EmbeddingRequest) -> tuple[ProviderStatus, ...]:
        """Return the candidates of this request, in order, with the reason if one would be skipped."""
        return self._core.explain_plan(request)
