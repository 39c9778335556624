"""What the parts of the benchmark suite return, and how it is written: as text, JSON and Markdown."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from benchmarks.environments import PEERS
from benchmarks.server import Server

__all__ = ["Context", "Ratio", "Report", "Table", "as_json", "as_markdown", "as_text"]


_LIBRARIES = ("attrs", "msgspec", "h11", "trio", "requests")


@attrs.frozen(kw_only=True)
class Context:
    """What a part needs.

    Attributes:
        server: The server, running.
        own: Turnout's clients and those written by hand: the interpreter of each, by its name.
        peers: The same of other libraries; empty if none is installed.
        rounds: How many turns each client has; the cheapest counts.
        scale: A factor for the amount of work: 1 for figures to publish, less for a quick look.
    """

    server: Server
    own: Mapping[str, str]
    peers: Mapping[str, str] = attrs.field(factory=dict)
    rounds: int = 3
    scale: float = 1.0

    def times(self, full: int, least: int = 1) -> int:
        """Return how often to do what is done `full` times at scale 1."""
        return max(least, round(full * self.scale))

    def clients(self, *names: str) -> dict[str, str]:
        """Return the interpreters of these clients of ours."""
        return {name: self.own[name] for name in names}


@attrs.frozen
class Table:
    """Figures with names; the first column holds words."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@attrs.frozen
class Ratio:
    """One figure that has an aim.

    Attributes:
        name: What is compared with what.
        value: The figure, measured.
        aim: The largest value that meets the aim, or the smallest if `at_least` is true.
        unit: Of both; "×" for a ratio.
        at_least: Whether larger is better.
    """

    name: str
    value: float
    aim: float
    unit: str = "×"
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """True if the figure meets its aim."""
        return self.value >= self.aim if self.at_least else self.value <= self.aim


@attrs.frozen
class Report:
    """The outcome of one part.

    Attributes:
        name: The part.
        tables: Everything that was measured, for people.
        ratios: The figures that have an aim.
        notes: Sentences about them: why an aim is not met, in numbers that were counted.
        bars: For the plot: microseconds of each client, by its title.
    """

    name: str
    tables: tuple[Table, ...]
    ratios: tuple[Ratio, ...] = ()
    bars: Mapping[str, float] = attrs.field(factory=dict)
    notes: tuple[str, ...] = attrs.field(default=(), kw_only=True)


def as_text(report: Report) -> str:
    """Return the tables and ratios of a report as lines of text."""
    blocks = [_text_table(table) for table in report.tables]
    if report.ratios:
        rows = tuple(_ratio_cells(ratio) for ratio in report.ratios)
        blocks.append(_text_table(Table("Aims", ("", "measured", "aim", ""), rows)))
    blocks += [textwrap.fill(note, 120) for note in report.notes]
    return "\n\n".join(blocks)


def _text_table(table: Table) -> str:
    lines = [table.columns, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]
    text = [table.title]
    for line in lines:
        first, *others = line
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def _ratio_cells(ratio: Ratio) -> tuple[str, ...]:
    sign = "≥" if ratio.at_least else "≤"
    return (
        ratio.name,
        f"{_number(ratio.value)} {ratio.unit}",
        f"{sign} {_number(ratio.aim)} {ratio.unit}",
        "met" if ratio.is_met else "not met",
    )


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def as_json(reports: Sequence[Report], context: Context) -> str:
    """Return the reports as JSON, with what is known of the machine."""
    machine: dict[str, Any] = {
        "date": _date(),
        "processor": _processor(),
        "load": _load(),
        "versions": _versions(context),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "machine": platform.machine(),
        "system": platform.system(),
        "server": context.server.language,
        "rounds": context.rounds,
        "scale": context.scale,
    }
    return json.dumps({"machine": machine, "reports": [attrs.asdict(each) for each in reports]}, indent=1) + "\n"


def _date() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _processor() -> str:
    """Return the class of the machine: how many processors it has, and which ones if that is known."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        models = []
    return f"{os.cpu_count()} × {models[0] if models else platform.machine()}"


def _load() -> float:
    """Return how many processes waited for a processor in the last minutes: on a quiet machine about 1."""
    return round(os.getloadavg()[2], 1) if hasattr(os, "getloadavg") else 0.0


def _versions(context: Context) -> dict[str, str]:
    """Return the versions of the libraries that were measured with, and of the peers."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    for name in PEERS:
        if name in context.peers:
            versions |= dict(spec.split("==") for spec in PEERS[name])
    return versions


def as_markdown(reports: Sequence[Report], context: Context) -> str:
    """Return the reports as a page of Markdown."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    lines = [
        "# Benchmarks",
        "",
        f"{_date()}: {python}, {platform.system()} {platform.machine()}, {_processor()}; a loopback server in "
        f"{context.server.language}; CPU time of the client's process by `getrusage`, the least of {context.rounds} "
        f"rounds in which all clients take turns; {context.scale:g} × the full amount of work. "
        "`python -m benchmarks --docs` makes this page.",
        "",
        f"Load of the machine: {_load():g}. Above 1, other processes ran too: then ratios hold roughly, and "
        "microseconds do not. Other processes also empty the caches of the processor, which costs long paths of code "
        "more than short loops.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in _versions(context).items()) + ".",
        "",
    ]
    ratios = [ratio for report in reports for ratio in report.ratios]
    for title, group in (
        ("Aims that are not met", [ratio for ratio in ratios if not ratio.is_met]),
        ("Aims that are met", [ratio for ratio in ratios if ratio.is_met]),
    ):
        if group:
            lines += [f"## {title}", ""]
            lines += _markdown_table(("work", "measured", "aim", ""), [_ratio_cells(ratio) for ratio in group])
    for report in reports:
        lines += [f"## {report.name}", ""]
        for table in report.tables:
            lines += [table.title, "", *_markdown_table(table.columns, table.rows)]
        for note in report.notes:
            lines += [*textwrap.wrap(note, 120), ""]
    return "\n".join(lines)


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" + "---:|" * (len(columns) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return [*lines, ""]
