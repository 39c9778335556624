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
from turnout_io.conformance.harness import Check, DoesNotApply, Harness, Outcome, Result, Shortfall
from turnout_io.conformance.watchdog import CheckTimedOut, run_within

__all__ = ["ALL_CHECKS", "LIMIT", "check_async_transport", "check_transport"]

_Run: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, Shortfall | None]]], Shortfall | None]

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
    """Check a blocking transport; return one result for each rule as soon as it is known.

    Args:
        factory: Makes a transport. It is called without arguments, and for some rules with the settings that it takes
            by name: `ca_file` (the path of a PEM file), `client_cert` (the path of a PEM file with certificate and
            key) and `proxy` (a URL, which may hold user and password). Rules that need other
            settings are skipped.
        rules: Those of `ALL_CHECKS` to check; None for all.
        limit: Seconds for one check; a check that takes longer has failed.

    Raises:
        TypeError: The factory makes no blocking transport. The message has the reason.
    """

    def run(action: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return run_blocking(action())

    _check_factory(factory, BlockingAdapter, run)
    checks = ALL_CHECKS if rules is None else rules
    return (_run(check, factory, BlockingAdapter, run, cancels=False, limit=limit) for check in checks)


def check_async_transport(
    factory: Callable[..., AsyncTransport],
    runtime: str,
    rules: Iterable[Check] | None = None,
    *,
    limit: float = LIMIT,
) -> Iterator[Result]:
    """Check an async transport under `runtime`, "trio" or "asyncio"; else like `check_transport`.

    Raises:
        TypeError: The factory makes no async transport. The message has the reason.
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
    _check_factory(factory, wrap, run)
    checks = ALL_CHECKS if rules is None else rules
    return (_run(check, factory, wrap, run, cancels=True, limit=limit) for check in checks)


def _why_no_transport(made: object, *, is_async: bool) -> str:
    """Return why an object is no transport; "" if it is one."""
    kind, closing = ("an async", "aclose") if is_async else ("a blocking", "close")
    what, opening = "None" if made is None else type(made).__name__, getattr(made, "open", None)
    if callable(opening) and inspect.iscoroutinefunction(opening) != is_async:
        told = "is not async: write `async def open`, or check it" if is_async else "is async: check it"
        return f"{what} is not {kind} transport, because its `open` {told} with {_OTHER[is_async]}"
    for name in ("open", closing):
        if not callable(getattr(made, name, None)):
            return f"{what} has no method `{name}`: {kind} transport has open and {closing} (turnout_io.base)"
    return ""


_OTHER = {
    True: "check_transport, or at the command line without --runtime",
    False: "check_async_transport, or at the command line with --runtime trio or --runtime asyncio",
}


def _check_factory(factory: Callable[..., Any], wrap: Callable[[Any], TransportAdapter], run: _Run) -> None:
    """Raise TypeError if no check could use what the factory makes."""
    given: object = factory
    if not callable(given):
        name = type(given).__name__
        raise TypeError(f"give the class or function that makes the transport, not a transport: write {name}")

    async def probe() -> None:
        try:
            made = factory()
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            raise TypeError(f"calling the factory without arguments makes no transport: {told}") from error
        if reason := _why_no_transport(made, is_async=wrap is not BlockingAdapter):
            raise TypeError(reason)
        try:
            await wrap(made).close()
        except AssertionError as error:
            raise TypeError(str(error)) from None

    run(probe)


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

    async def whole() -> Shortfall | None:
        try:
            return await check.function(Harness(make))
        finally:
            for adapter in made:
                await adapter.close()

    try:
        shortfall = run_within(limit, lambda: run(whole))
    except DoesNotApply as reason:
        return Result(check.rule, check.description, Outcome.SKIPPED, None, str(reason))
    except CheckTimedOut as fault:
        return Result(check.rule, check.description, Outcome.FAILED, None, str(fault))
    except Exception as fault:
        return Result(check.rule, check.description, Outcome.FAILED, None, describe_failure(fault))
    if shortfall is None:
        return Result(check.rule, check.description, Outcome.PASSED)
    return Result(check.rule, check.description, Outcome.PASSED, shortfall.strictness, shortfall.seen)


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
