"""All checks, and the running of them over a blocking or an async transport."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

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
from turnout_io.conformance.harness import Check, DoesNotApply, Harness, Outcome, Result, Strictness

__all__ = ["ALL_CHECKS", "check_async_transport", "check_transport"]

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


def check_transport(factory: Callable[..., Transport], rules: Iterable[Check] | None = None) -> Iterator[Result]:
    """Check a blocking transport: one result for each rule, as it comes.

    factory  makes a transport. It is called without arguments, and for some rules with the settings that it takes by
             name: `ca_file` (a path, of a PEM file), `client_cert` (a path, of a PEM file with certificate and key) and
             `proxy` (a URL, with user and password in it where there are any). Rules whose settings it does not take
             are skipped.
    rules    those of `ALL_CHECKS` to check; None for all
    """
    for check in ALL_CHECKS if rules is None else rules:
        yield _run(check, factory, BlockingAdapter, lambda action: run_blocking(action()), cancels=False)


def check_async_transport(
    factory: Callable[..., AsyncTransport], runtime: str, rules: Iterable[Check] | None = None
) -> Iterator[Result]:
    """Check an async transport under `runtime`, "trio" or "asyncio"; else like `check_transport`."""
    wrap: Callable[[Any], TransportAdapter]
    run: Callable[[Callable[[], Coroutine[Any, Any, Strictness | None]]], Strictness | None]
    if runtime == "trio":
        import trio

        wrap, run = TrioAdapter, trio.run
    elif runtime == "asyncio":
        import asyncio

        wrap, run = AsyncioAdapter, lambda action: asyncio.run(action())
    else:
        raise ValueError(f'the runtime is "trio" or "asyncio", not {runtime!r}')
    for check in ALL_CHECKS if rules is None else rules:
        yield _run(check, factory, wrap, run, cancels=True)


def _run(
    check: Check,
    factory: Callable[..., Any],
    wrap: Callable[[Any], TransportAdapter],
    run: Callable[[Callable[[], Coroutine[Any, Any, Strictness | None]]], Strictness | None],
    *,
    cancels: bool,
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
        strictness = run(whole)
    except DoesNotApply as reason:
        return Result(check.rule, check.description, Outcome.SKIPPED, None, str(reason))
    except Exception as fault:
        told = str(fault) or "an assertion does not hold"
        where = _line_in_checks(fault)
        return Result(check.rule, check.description, Outcome.FAILED, None, f"{type(fault).__name__}: {told}{where}")
    return Result(check.rule, check.description, Outcome.PASSED, strictness)


def _why_not(check: Check, factory: Callable[..., Any], *, cancels: bool) -> str:
    """Why this check cannot be run; "" where it can."""
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


def _line_in_checks(fault: BaseException) -> str:
    """The line of the check that failed, so that it can be looked up."""
    trace, found = fault.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "checks_" in name:
            found = f" ({name.rpartition('/')[2]}:{trace.tb_lineno})"
        trace = trace.tb_next
    return found
