"""All checks, and the running of them over a blocking or an async transport."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeAlias

from turnout_io.base import AsyncTransport, Transport
from turnout_io.conformance import (
    checks_answers,
    checks_cancellation,
    checks_connections,
    checks_endings,
    checks_timers,
    checks_tls,
)
from turnout_io.conformance.adapters import (
    AsyncioAdapter,
    BlockingAdapter,
    TransportAdapter,
    TrioAdapter,
    run_blocking,
)
from turnout_io.conformance.failures import describe_failure
from turnout_io.conformance.harness import Check, DoesNotApply, Harness, Outcome, Result, Strictness
from turnout_io.conformance.watchdog import CheckTimedOut, run_within

__all__ = ["ALL_CHECKS", "check_async_transport", "check_transport"]

_Run: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, Strictness | None]]], Strictness | None]

ALL_CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (
        checks_answers,
        checks_endings,
        checks_timers,
        checks_connections,
        checks_tls,
        checks_cancellation,
    )
    for check in module.CHECKS.found
)


LIMIT = 10.0
"""Seconds for one check. The longest one of a transport that keeps all rules takes about two on an idle machine."""


def check_transport(
    factory: Callable[..., Transport], rules: Iterable[Check] | None = None, *, limit: float = LIMIT
) -> Iterator[Result]:
    """Check a blocking transport; yield one result for each rule as soon as it is known.

    Args:
        factory: Makes a transport. It is called without arguments, and for some rules with the settings that it takes
            by name: `ca_file` (the path of a PEM file), `client_cert` (the path of a PEM file with certificate and
            key) and `proxy` (a URL, which may hold user and password). Rules that need other
            settings are skipped.
        rules: Those of `ALL_CHECKS` to check; None for all.
        limit: Seconds for one check; a check that takes longer has failed.
    """
    for check in ALL_CHECKS if rules is None else rules:
        yield _run(check, factory, BlockingAdapter, lambda action: run_blocking(action()), cancels=False, limit=limit)


def check_async_transport(
    factory: Callable[..., AsyncTransport],
    runtime: str,
    rules: Iterable[Check] | None = None,
    *,
    limit: float = LIMIT,
) -> Iterator[Result]:
    """Check an async transport under `runtime`, "trio" or "asyncio"; else like `check_transport`.

    Raises:
        ValueError: The runtime is another one.
    """
    wrap: Callable[[Any], TransportAdapter]
    run: _Run
    if runtime == "trio":
        import trio

        wrap, run = TrioAdapter, trio.run
    elif runtime == "asyncio":
        import asyncio

        wrap, run = AsyncioAdapter, lambda action: asyncio.run(action())
    else:
        raise ValueError(f'the runtime is "trio" or "asyncio", not {runtime!r}')
    for check in ALL_CHECKS if rules is None else rules:
        yield _run(check, factory, wrap, run, cancels=True, limit=limit)


def _run(
    check: Check,
    factory: Callable[..., Any],
    wrap: Callable[[Any], TransportAdapter],
    run: _Run,
    *,
    cancels: bool,
    limit: float,
) -> Result:
    if reason := _why_not(check, factory, cancels=cancels):
        return Result(check.rule, check.description, Outcome.SKIPPED, None, reason)
    made: list[TransportAdapter] = []

    def make(**settings: object) -> TransportAdapter:
        adapter = wrap(factory(**settings))
        made.append(adapter)
        return adapter

    async def whole() -> Strictness | None:
        try:
            return await check.function(Harness(make))
        finally:
            for adapter in made:
                await adapter.close()

    try:
        strictness = run_within(limit, lambda: run(whole))
    except DoesNotApply as reason:
        return Result(check.rule, check.description, Outcome.SKIPPED, None, str(reason))
    except CheckTimedOut as fault:
        return Result(check.rule, check.description, Outcome.FAILED, None, str(fault))
    except Exception as fault:
        return Result(check.rule, check.description, Outcome.FAILED, None, describe_failure(fault))
    return Result(check.rule, check.description, Outcome.PASSED, strictness)


def _why_not(check: Check, factory: Callable[..., Any], *, cancels: bool) -> str:
    """Return why this check cannot be run; "" if it can."""
    if check.needs_cancellation and not cancels:
        return "blocking code cannot be cancelled"
    if check.needs_certificates:
        try:
            import trustme  # noqa: F401  # only whether it is there
        except ImportError:
            return "trustme, which makes certificates, is not installed"
    parameters = inspect.signature(factory).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return ""
    missing = sorted(check.needs - parameters.keys())
    return f"the factory takes no {' and no '.join(missing)}" if missing else ""
