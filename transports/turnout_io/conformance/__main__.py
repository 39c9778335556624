"""`python -m turnout_io.conformance my_module:factory`, or `--all` for the transports of this package."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from turnout_io.conformance import (
    ALL_CHECKS,
    LIMIT,
    Check,
    Outcome,
    Result,
    check_async_transport,
    check_transport,
    render,
)
from turnout_io.conformance.markdown import rules_table, summary_table

__all__ = ["SHIPPED", "main"]

SHIPPED = (
    ("turnout_io.transports.requests:RequestsTransport", "blocking"),
    ("turnout_io.transports.socket:SocketTransport", "blocking"),
    ("turnout_io.transports.trio:TrioTransport", "trio"),
    ("turnout_io.transports.asyncio:AsyncioTransport", "asyncio"),
)


def main(arguments: list[str]) -> int:
    """Print a table for each transport; return 1 if a rule is broken, else 0.

    Raises:
        SystemExit: The arguments are wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m turnout_io.conformance", description=__doc__)
    parser.add_argument("factory", nargs="?", help="what makes the transport, as module:name")
    parser.add_argument("--all", action="store_true", help="check the transports that come with this package")
    parser.add_argument("--runtime", choices=["trio", "asyncio"], help="the event loop of an async transport")
    parser.add_argument("--markdown", action="store_true", help="print one table of all transports")
    parser.add_argument("-k", metavar="RULE", action="append", help="only rules whose name has this text")
    parser.add_argument("--limit", type=float, default=LIMIT, metavar="SECONDS", help="for one check (%(default)s)")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not print each rule while it is checked")
    options = parser.parse_args(arguments)
    if options.all == bool(options.factory):
        parser.error("name a factory as module:name, or give --all")
    checks = [check for check in ALL_CHECKS if not options.k or any(text in check.rule for text in options.k)]
    if not checks:
        parser.error(f"no rule has {' or '.join(options.k)} in its name; --markdown --all lists them")
    progress = None if options.quiet else _Progress(len(checks))
    found: dict[str, list[Result]] = {}
    for name, runtime in SHIPPED if options.all else ((options.factory, options.runtime),):
        try:
            results = _check(name, runtime, checks, options.limit, progress)
        except _Unusable as error:
            if options.all and isinstance(error.__cause__, ModuleNotFoundError):
                print(f"{name}: skipped: {error}\n", file=sys.stderr)
                continue
            parser.error(f"{name}: {error}")
        found[name.rpartition(":")[2]] = results
        if not options.markdown:
            print(f"{name}{f' on {runtime}' if runtime not in (None, 'blocking') else ''}\n{render(results)}\n")
    if options.markdown:
        print(f"{summary_table(found)}\n\n{rules_table(found)}")
    return 1 if any(result.outcome is Outcome.FAILED for results in found.values() for result in results) else 0


class _Progress:
    """Prints each rule before its check, and then its label, to standard error."""

    def __init__(self, total: int) -> None:
        self._total = total

    def begin(self, number: int, check: Check) -> None:
        print(f"[{number}/{self._total}] {check.rule} … ", end="", file=sys.stderr, flush=True)

    def end(self, result: Result) -> None:
        print(result.label, file=sys.stderr, flush=True)


class _Unusable(Exception):
    """The factory makes no transport that can be checked. The message has the reason."""


def _import(name: str) -> Callable[..., Any]:
    """What makes the transport."""
    module, colon, attribute = name.partition(":")
    sys.path.insert(0, "")
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        package, dot, last = module.rpartition(".")
        advice = f"; write {package}:{last}, if {last} is in the module {package}" if dot and not colon else ""
        raise _Unusable(f"{error}{advice}") from error
    finally:
        sys.path.remove("")
    if not attribute:
        raise _Unusable("give what makes the transport as module:name, such as my_module:MyTransport")
    factory = getattr(imported, attribute, None)
    if not callable(factory):
        told = f"{module} has no {attribute}" if factory is None else f"{attribute} cannot be called"
        raise _Unusable(f"{told}; give what makes the transport as module:name")
    made: Callable[..., Any] = factory
    return made


def _check(
    name: str, runtime: str | None, checks: Sequence[Check], limit: float, progress: _Progress | None
) -> list[Result]:
    """Check the transport of one factory.

    Raises:
        _Unusable: The factory cannot be used.
    """
    factory = _import(name)
    try:
        if runtime in ("trio", "asyncio"):
            found = check_async_transport(factory, runtime, checks, limit=limit)
        else:
            found = check_transport(factory, checks, limit=limit)
    except TypeError as error:
        raise _Unusable(str(error)) from error
    results: list[Result] = []
    for number, check in enumerate(checks, 1):
        if progress is not None:
            progress.begin(number, check)
        results.append(next(found))
        if progress is not None:
            progress.end(results[-1])
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
