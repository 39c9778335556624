"""Checks that the author of a transport runs on it: does it keep the rules of `turnout_io.base`, and how exactly?

    from turnout_io.conformance import check_transport, render

    print(render(check_transport(MyTransport)))

or, from the command line, `python -m turnout_io.conformance my_module:MyTransport`. Each check drives the transport
against a server on the loopback interface that sends, drips, stalls and breaks off by script. Nothing here needs a
test framework. The server is there for other uses too: `turnout_io.conformance.server`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from turnout_io.conformance.checks import ALL_CHECKS, LIMIT, check_async_transport, check_transport
from turnout_io.conformance.harness import Check, Outcome, Result, Strictness

__all__ = [
    "ALL_CHECKS",
    "LIMIT",
    "Check",
    "Outcome",
    "Result",
    "Strictness",
    "check_async_transport",
    "check_transport",
    "render",
]

LEGEND = {
    "kept": "exactly as the rule says",
    "per read": "each wait on the socket has a limit, not their sum: a peer that sends slowly stretches the timer",
    "per body": "the timeout of the first read of a body holds for all its reads",
    "not kept": "the rule is optional: a router works without it",
    "broken": "the transport breaks the rule, and a router depends on it",
    "skipped": "the transport does not have this feature, or it cannot be checked here",
}


def render(results: Iterable[Result]) -> str:
    """Return the results as a table: rule, label and, if the rule is not kept, its description and the failure."""
    results = list(results)
    widths = [max(map(len, column)) for column in (("rule", *(result.rule for result in results)), LEGEND)]
    lines = [*_same_error(results), f"{'rule'.ljust(widths[0])}  label"]
    for result in results:
        line = f"{result.rule.ljust(widths[0])}  {result.label.ljust(widths[1])}"
        if result.label != "kept":
            line += "  " + "; ".join(filter(None, (result.description, result.detail)))
        lines.append(line.rstrip())
    found = Counter(result.label for result in results)
    lines += [
        "",
        *(f"{found[word]:>3} {word.ljust(widths[1])}  {told}" for word, told in LEGEND.items() if found[word]),
    ]
    return "\n".join(lines)


def _same_error(results: list[Result]) -> list[str]:
    """Return one line if most of the failed checks have the same error, wherever it was met."""
    failures = [re.sub(r" \(\w+\.py:\d+\)$", "", each.detail) for each in results if each.outcome is Outcome.FAILED]
    for told, count in Counter(failures).most_common(1):
        if count >= 3 and count * 2 > len(failures):
            return [f"{count} checks failed with the same error: {told}", ""]
    return []
