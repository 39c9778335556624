"""`turnout providers`: which providers can be used, which variables are missing, and what each one offers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click

from turnout.chat import Capability, ProviderStatus
from turnout.providers.catalog.spec import ProviderSpec
from turnout_io.cli.errors import one_line
from turnout_io.cli.options import CONFIG, ENV_FILE, JSON, complete_provider
from turnout_io.cli.router import check_names, open_session

__all__ = ["markdown_matrix", "providers"]

TABLE_WIDTH = 120  # columns; the table needs them all


@click.command()
@click.argument("names", nargs=-1, metavar="[PROVIDER]...", shell_complete=complete_provider)
@click.option("--markdown", is_flag=True, help="Print the table of capabilities in Markdown.")
@click.option("--available", is_flag=True, help="Only those that can be used.")
@JSON
@CONFIG
@ENV_FILE
def providers(
    names: tuple[str, ...], markdown: bool, available: bool, as_json: bool, config: str | None, env_file: str
) -> None:
    """Show each PROVIDER, or all: status, missing variables and capabilities.

    \b
    Examples:
      turnout providers
      turnout providers openai azure
      turnout providers --available
      turnout providers --json | jq -r '.[].provider'
    """
    if markdown:
        click.echo(markdown_matrix(), nl=False)
        return
    with one_line(as_json=as_json), open_session(config, env_file) as session:
        check_names(session, names, "providers")
        statuses = [
            status
            for status in session.router.statuses()
            if (not names or status.provider in names) and (not available or status.status == "available")
        ]
    if as_json:
        click.echo(json.dumps([_fields(status) for status in statuses], indent=1))
        return
    width = _width()
    if width >= TABLE_WIDTH:
        _print_table(statuses, width)
    else:
        _print_list(statuses, width)


def _width() -> int:
    """Return the width to print for: that of the terminal, or of COLUMNS; else wide, because programs read lines."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit() else 160


def _print_table(statuses: Sequence[ProviderStatus], width: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("provider", "status", "missing"):
        table.add_column(column, no_wrap=True)
    table.add_column("offers")
    for status in statuses:
        table.add_row(status.provider, status.status, ", ".join(status.missing_env), ", ".join(_offers(status)))
    Console(width=width, highlight=False).print(table)


def _print_list(statuses: Sequence[ProviderStatus], width: int) -> None:
    """Print each provider in several short lines."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(width=width, highlight=False)
    for status in statuses:
        missing = f", missing: {', '.join(status.missing_env)}" if status.missing_env else ""
        console.print(Text(status.provider, style="bold"))
        console.print(Padding(Text(f"{status.status}{missing}"), (0, 0, 0, 2), expand=False))
        console.print(Padding(Text(", ".join(_offers(status)), style="dim"), (0, 0, 0, 2), expand=False))


_COLUMNS = {
    Capability.CHAT: "chat",
    Capability.STREAM: "stream",
    Capability.TOOLS: "tools",
    Capability.JSON: "JSON",
    Capability.VISION: "images",
    Capability.REASONING: "reasoning",
    Capability.EMBEDDINGS: "embeddings",
    Capability.RERANK: "rerank",
    Capability.COUNT_TOKENS: "tokens",
    Capability.MODELS: "models",
}


def _offers(status: ProviderStatus) -> list[str]:
    return [title for capability, title in _COLUMNS.items() if capability in status.capabilities]


def _fields(status: ProviderStatus) -> dict[str, object]:
    return {
        "provider": status.provider,
        "status": status.status,
        "missing": list(status.missing_env),
        "reason": status.reason,
        "capabilities": sorted(status.capabilities),
    }


def markdown_matrix() -> str:
    """Return the catalog as a Markdown table, for the README."""
    from turnout.providers import CATALOG

    lines = [
        f"| provider | name | {' | '.join(_COLUMNS.values())} | key |",
        f"|---|---|{'---|' * len(_COLUMNS)}---|",
    ]
    for entry in CATALOG.values():
        cells = [_cell(entry, capability) for capability in _COLUMNS]
        key = f"`{entry.key_env[0]}`" if entry.needs_key else "none"
        lines.append(f"| {entry.title} | `{entry.name}` | {' | '.join(cells)} | {key} |")
    return "\n".join(lines) + "\n"


def _cell(entry: ProviderSpec, capability: Capability) -> str:
    if capability not in entry.capabilities:
        return ""
    return "any" if capability is Capability.JSON and not entry.openai_compat.json_schema else "✓"
