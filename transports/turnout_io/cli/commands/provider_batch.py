"""`turnout batch --via provider`: the rows go through the batch API of their provider."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
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
    poll: float,
    quiet: bool,
) -> BatchSummary | None:
    """Return the summary; None after Ctrl-C or SIGTERM, which leave the batches running at the provider."""

    def report(line: str) -> None:
        if not quiet:
            click.echo(f"turnout: {line}", err=True)

    run = _new_run(files, target, models, config, env_file)
    run.report, run.first_pause = report, poll
    try:
        with _interruptible(), run.router:
            return run.run()
    except KeyboardInterrupt:
        report("the batches continue at the provider; the same command fetches them, and with --cancel ends them")
        return None


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM interrupt the run as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_provider(
    files: BatchFiles, target: str, models: Sequence[ModelConfig], config: str | None, env_file: str
) -> None:
    """Check that the provider's batch API can answer every row.

    Raises:
        BatchInputError: If it cannot.
    """
    _new_run(files, target, models, config, env_file).check()


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
