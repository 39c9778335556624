"""`turnout batch --via provider`: the rows go through the batch API of their provider."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from turnout.batch.progress import BatchSummary
from turnout.chat import ModelConfig
from turnout_io.batch.files import BatchFiles
from turnout_io.batch.provider import ProviderRun

__all__ = ["cancel_batches", "run_via_provider"]


def run_via_provider(
    files: BatchFiles,
    target: str,
    models: Sequence[ModelConfig],
    config: str | None,
    env_file: str,
    *,
    quiet: bool,
) -> BatchSummary | None:
    """Return the summary; None after Ctrl-C, which leaves the batches running at the provider."""

    def report(line: str) -> None:
        if not quiet:
            click.echo(f"turnout: {line}", err=True)

    run = _new_run(files, target, models, config, env_file)
    run.report = report
    try:
        with run.router:
            return run.run()
    except KeyboardInterrupt:
        report("the batches continue at the provider; the same command fetches them, and with --cancel ends them")
        return None


def cancel_batches(
    files: BatchFiles, target: str, models: Sequence[ModelConfig], config: str | None, env_file: str
) -> None:
    """Cancel the batches of an output."""
    run = _new_run(files, target, models, config, env_file)
    with run.router:
        names = run.cancel()
    click.echo(f"cancelled: {', '.join(names)}" if names else "no batch is running")


def _new_run(
    files: BatchFiles, target: str, models: Sequence[ModelConfig], config: str | None, env_file: str
) -> ProviderRun:
    from turnout_io.sync import Router

    router = Router.from_config(config, dotenv=env_file) if config else Router.from_env(dotenv=env_file)
    return ProviderRun(router, files, Path(target), models)
