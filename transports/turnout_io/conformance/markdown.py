"""The results of several transports side by side, as tables of Markdown. Nothing in them depends on time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from turnout_io.conformance.harness import Result

__all__ = ["rules_table", "summary_table"]


def rules_table(results: Mapping[str, Sequence[Result]]) -> str:
    """Return one row for each rule: its description, and how each transport keeps it.

    results  by the name of the transport, with the same rules in the same order
    """
    by_rule = zip(*results.values(), strict=True)
    rows = [(f"`{row[0].rule}`", row[0].description, *map(_shown, row)) for row in by_rule]
    return _table(("rule", "what it says", *(f"`{name}`" for name in results)), rows)


def summary_table(results: Mapping[str, Sequence[Result]]) -> str:
    """One row for each transport: how many rules it keeps, and which it keeps in part or not."""
    rows = []
    for name, found in results.items():
        kept = sum(result.label == "kept" for result in found)
        broken = sum(result.label == "broken" for result in found)
        others = [result for result in found if result.label not in ("kept", "broken", "skipped")]
        parts = ", ".join(f"`{result.rule}` ({result.label})" for result in others)
        rows.append((f"`{name}`", str(kept), parts or "–", str(broken)))
    return _table(("transport", "rules kept", "kept in part, or not kept (a router still works)", "broken"), rows)


def _shown(result: Result) -> str:
    return {"broken": "**broken**", "skipped": "–"}.get(result.label, result.label)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
