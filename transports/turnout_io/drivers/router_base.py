"""What the routers of every driver share: how they are made, and what they tell without any I/O."""

from __future__ import annotations

import contextlib
import inspect
import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from turnout.chat import ChatRequest, ProviderStatus
from turnout.embeddings import EmbeddingRequest
from turnout.errors import AuthenticationFailed, TurnoutError
from turnout.providers.catalog.spec import ProviderSpec
from turnout.providers.protocol import Provider
from turnout.routing.call.machine import Call
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy
from turnout.routing.router import RouterCore
from turnout.routing.state.candidate_state import Health, health_of
from turnout.trace import Trace
from turnout_io.drivers.process_lock import process_lock

__all__ = ["LEAST_WAIT", "RouterBase"]

# Seconds. Time passes between a command and its obeying, and a transport is given no time that is over: to a socket,
# 0 means not to wait at all, and less than that is an error.
LEAST_WAIT = 0.001

TransportT = TypeVar("TransportT")


@contextlib.contextmanager
def auth_failures() -> Iterator[None]:
    """What a request's `auth` raises is a failure of that attempt: another candidate has other credentials."""
    try:
        yield
    except TurnoutError:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise AuthenticationFailed(f"the credentials of this request could not be had: {told}") from error


class RouterBase(Generic[TransportT]):
    """Routes requests over its providers.

    providers  what `turnout.providers.create` makes, or your own; more with `register`
    policy     timeouts, retries, concurrency; see `turnout.routing.policy.settings.Policy`
    transport  how bytes travel; the driver's own by default
    seed       of the jitter, for runs that must repeat; by default a fresh one
    on_trace   called with the trace of each call when that is over, whatever it came to; `TraceRecorder` writes them
               to a file. It runs where the call ran, so it should be quick; its errors are logged under `turnout`.
    """

    _blocking = True  # whether the driver, and so its transport, is

    def __init__(
        self,
        providers: Iterable[Provider] = (),
        *,
        policy: Policy | None = None,
        transport: TransportT | None = None,
        seed: int | None = None,
        on_trace: Callable[[Trace], None] | None = None,
    ) -> None:
        # One lock for every driver: an async router is driven by one thread, where it costs next to nothing.
        self._core = RouterCore(policy or Policy(), random.Random(seed), process_lock())
        self._seed = seed
        self._process = os.getpid()
        self._forked = process_lock()
        if transport is not None:
            self._check(transport)
        self._transport = transport
        if on_trace is not None and not callable(on_trace):
            raise TypeError(f"on_trace must be a function of a Trace, not {type(on_trace).__name__}")
        self._on_trace = on_trace
        for provider in providers:
            self.register(provider)

    @classmethod
    def from_env(
        cls,
        *,
        dotenv: str | Path | None = ".env",
        environ: Mapping[str, str] | None = None,
        transport: TransportT | None = None,
        seed: int | None = None,
        on_trace: Callable[[Trace], None] | None = None,
        entries: Iterable[ProviderSpec] = (),
        **overrides: Any,
    ) -> Self:
        """A router over every provider of the catalog, with keys and endpoints from the environment and `dotenv`.

        `entries` are providers of your own, known beside those of the catalog; `overrides` are fields of `Policy`:
        `Router.from_env(max_concurrency=16, timeout=30)`.
        """
        return cls._from_files(None, dotenv, environ, transport, seed, on_trace, entries, overrides)

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        *,
        dotenv: str | Path | None = ".env",
        environ: Mapping[str, str] | None = None,
        transport: TransportT | None = None,
        seed: int | None = None,
        on_trace: Callable[[Trace], None] | None = None,
        entries: Iterable[ProviderSpec] = (),
        **overrides: Any,
    ) -> Self:
        """A router as a YAML file describes it; `${VAR}` in it is taken from the environment and `dotenv`."""
        return cls._from_files(path, dotenv, environ, transport, seed, on_trace, entries, overrides)

    @classmethod
    def _from_files(
        cls,
        path: str | Path | None,
        dotenv: str | Path | None,
        environ: Mapping[str, str] | None,
        transport: TransportT | None,
        seed: int | None,
        on_trace: Callable[[Trace], None] | None,
        entries: Iterable[ProviderSpec],
        overrides: Mapping[str, Any],
    ) -> Self:
        from turnout_io.files import load_settings

        settings = load_settings(path, dotenv=dotenv, environ=environ, entries=entries)
        router = cls(policy=settings.policy(**overrides), transport=transport, seed=seed, on_trace=on_trace)
        for provider, enabled in settings.build_providers():
            router.register(provider, enabled=enabled)
        for route in settings.routes:
            router.add_route(route)
        return router

    def _check(self, transport: TransportT) -> None:
        """Refuse at once what is no transport, or one of the other kind: its error would come late, and say nothing."""
        opening = getattr(transport, "open", None)
        if not callable(opening):
            raise TypeError(f"{type(transport).__name__} is no transport: it has no method `open` (turnout_io.base)")
        blocking = not inspect.iscoroutinefunction(opening)
        if blocking != self._blocking:
            kind, wanted = ("blocking", "an async") if blocking else ("async", "a blocking")
            raise TypeError(f"{type(transport).__name__} is {kind}; this router needs {wanted} transport")

    def _now(self) -> float:
        """The driver's monotonic clock, in seconds."""
        raise NotImplementedError

    def _notice_fork(self) -> None:
        """In a forked process, part with the parent's calls. Called before a call begins."""
        if self._process == os.getpid():
            return
        with self._forked:
            if self._process != os.getpid():
                self._core.places.part_with_calls()
                if self._seed is None:
                    # Else all the workers of one parent would draw the same waits, and come back at once.
                    self._core.rng = random.Random()
                self._process = os.getpid()

    def _tell(self, call: Call) -> None:
        """The call is over and owes nothing more."""
        if self._on_trace is None:
            return
        try:
            self._on_trace(call.trace)
        except Exception:
            # The caller has an answer or an error of its own, which must not be lost over a full disk.
            import logging

            logging.getLogger("turnout").exception("on_trace failed; the call itself is not affected")

    def register(self, provider: Provider, *, enabled: bool = True, replace: bool = False) -> None:
        """Add a provider under its name. ValueError where the name is taken and `replace` is not given."""
        self._core.register(provider, enabled=enabled, replace=replace)

    def add_route(self, route: Route, *, replace: bool = False) -> None:
        """Add a route, to be asked for as `ModelConfig.route(name)`. ValueError where the name is taken."""
        self._core.add_route(route, replace=replace)

    def health(self) -> tuple[Health, ...]:
        """How each candidate stands that was asked so far."""
        now = self._now()
        return tuple(health_of(standing, now) for standing in self._core.places.standings().values())

    def statuses(self) -> tuple[ProviderStatus, ...]:
        """The status of every registered provider."""
        return self._core.statuses()

    def explain_plan(self, request: ChatRequest | EmbeddingRequest) -> tuple[ProviderStatus, ...]:
        """Who would be asked for this request, in order, and why some would be skipped."""
        return self._core.explain_plan(request)
