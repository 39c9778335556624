"""`python -m turnout_io.conformance my_module:factory`, or `--all` for the transports that come with this package."""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

from turnout_io.conformance import Outcome, Result, check_async_transport, check_transport, render
from turnout_io.conformance.markdown import rules_table, summary_table

__all__ = ["SHIPPED", "main"]

SHIPPED = (
    ("turnout_io.requests_transport:RequestsTransport", "blocking"),
    ("turnout_io.socket_transport:SocketTransport", "blocking"),
    ("turnout_io.trio_transport:TrioTransport", "trio"),
    ("turnout_io.asyncio_transport:AsyncioTransport", "asyncio"),
)


def main(arguments: list[str]) -> int:
    """Print a table for each transport; 1 where a rule is broken, else 0. Raises SystemExit for bad usage."""
    parser = argparse.ArgumentParser(prog="python -m turnout_io.conformance", description=__doc__)
    parser.add_argument("factory", nargs="?", help="what makes the transport, as module:name")
    parser.add_argument("--all", action="store_true", help="check the transports that come with this package")
    parser.add_argument("--runtime", choices=["trio", "asyncio"], default="trio", help="for an async transport")
    parser.add_argument("--markdown", action="store_true", help="print one table of all that was checked")
    options = parser.parse_args(arguments)
    if not options.all and not options.factory:
        parser.error("name a factory as module:name, or give --all")
    subjects = SHIPPED if options.all else ((options.factory, options.runtime),)
    found: dict[str, list[Result]] = {}
    for name, runtime in subjects:
        results = found[name.rpartition(":")[2]] = list(_check(_import(name), runtime))
        if not options.markdown:
            print(f"{name}\n{render(results)}\n")
    if options.markdown:
        print(f"{summary_table(found)}\n\n{rules_table(found)}")
    return 1 if any(result.outcome is Outcome.FAILED for results in found.values() for result in results) else 0


def _import(name: str) -> Callable[..., Any]:
    """What makes the transport. Raises SystemExit with a line that says what is wrong."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, "")
    try:
        factory = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        raise SystemExit(f"{name}: {error}") from error
    finally:
        sys.path.remove("")
    if not callable(factory):
        raise SystemExit(f"{name}: give what makes the transport as module:name, such as my_module:MyTransport")
    made: Callable[..., Any] = factory
    return made


def _check(factory: Callable[..., Any], runtime: str) -> Iterator[Result]:
    """An async transport is known by its `open`."""
    if inspect.iscoroutinefunction(getattr(factory(), "open", None)):
        return check_async_transport(factory, runtime)
    return check_transport(factory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
