"""Checks that the author of a transport runs on it: does it keep the rules of `turnout_io.base`, and how exactly?

    from turnout_io.conformance import check_transport, render

    print(render(check_transport(MyTransport)))

or, from the command line, `python -m turnout_io.conformance my_module:MyTransport`. Each check drives the transport
against a server on the loopback interface that sends, drips, stalls and breaks off by script. Nothing here needs a
test framework. The server is there for other uses too: `turnout_io.conformance.server`.
"""

from __future__ import annotations

from collections.abc import Iterable

from turnout_io.conformance.checks import ALL_CHECKS, check_async_transport, check_transport
from turnout_io.conformance.plan import Check, Guarantee, Outcome, Result

__all__ = [
    "ALL_CHECKS",
    "Check",
    "Guarantee",
    "Outcome",
    "Result",
    "check_async_transport",
    "check_transport",
    "render",
]


def render(results: Iterable[Result]) -> str:
    """The results as a table: rule, result, guarantee, and what there is to say."""
    rows = [
        (result.rule, result.outcome.value, result.guarantee.value if result.guarantee else "", result.detail)
        for result in results
    ]
    header = ("rule", "result", "guarantee", "")
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in (header, *rows)
    ]
    passed, failed, skipped = (
        sum(row[1] == outcome for row in rows) for outcome in (Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED)
    )
    return "\n".join([*lines, f"{passed} passed, {failed} failed, {skipped} skipped"])
