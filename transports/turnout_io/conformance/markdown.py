"""The results of several transports side by side, as tables of Markdown. Nothing in them depends on time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from turnout_io.conformance.plan import Guarantee, Outcome, Result

__all__ = ["rules_table", "summary_table"]


def rules_table(results: Mapping[str, Sequence[Result]]) -> str:
    """One row for each rule: what it says, and how each transport keeps it.

    results  by the name of the transport, with the same rules in the same order
    """
    by_rule = zip(*results.values(), strict=True)
    rows = [(f"`{row[0].rule}`", row[0].description, *map(_kept, row)) for row in by_rule]
    return _table(("rule", "what it says", *(f"`{name}`" for name in results)), rows)


def summary_table(results: Mapping[str, Sequence[Result]]) -> str:
    """One row for each transport: how many rules it keeps, and which it keeps in part."""
    rows = []
    for name, found in results.items():
        kept = [result for result in found if result.outcome is Outcome.PASSED]
        broken = [result for result in found if result.outcome is Outcome.FAILED]
        in_part = [result for result in kept if result.guarantee not in (None, Guarantee.EXACT)]
        parts = ", ".join(f"`{result.rule}` ({_kept(result)})" for result in in_part)
        rows.append((f"`{name}`", str(len(kept) - len(in_part)), parts or "–", str(len(broken))))
    return _table(("transport", "rules kept", "kept in part", "broken"), rows)


def _kept(result: Result) -> str:
    match result.outcome:
        case Outcome.PASSED:
            return "exact" if result.guarantee is None else result.guarantee.value
        case Outcome.FAILED:
            return "**broken**"
        case Outcome.SKIPPED:
            return "–"
        case _:
            assert_never(result.outcome)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
