"""`turnout providers`: who can be asked, what is missing, and what each offers."""

from __future__ import annotations

import sys

import click

from turnout.chat import Capability, ProviderStatus
from turnout.providers.catalog.spec import ProviderSpec
from turnout_io.cli.errors import one_line
from turnout_io.cli.options import CONFIG, ENV_FILE
from turnout_io.cli.router import user_router

__all__ = ["markdown_matrix", "providers"]


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table of capabilities in Markdown.")
@CONFIG
@ENV_FILE
def providers(markdown: bool, config: str | None, env_file: str) -> None:
    """Show every provider: whether it can be used, what is missing, and what it offers."""
    if markdown:
        click.echo(markdown_matrix(), nl=False)
        return
    from rich.console import Console
    from rich.table import Table

    with one_line(), user_router(config, env_file, sandbox=False) as router:
        table = Table(box=None, pad_edge=False)
        for column in ("provider", "status", "missing"):
            table.add_column(column, no_wrap=True)
        table.add_column("offers")
        for status in router.statuses():
            table.add_row(status.provider, status.status, ", ".join(status.missing_env), ", ".join(_offers(status)))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


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


def markdown_matrix() -> str:
    """The catalog as a Markdown table, for the README."""
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
