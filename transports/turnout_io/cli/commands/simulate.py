"""`turnout simulate`: how a policy would behave, on a virtual clock."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from pathlib import Path

import attrs
import click

from turnout._utils.names import did_you_mean
from turnout.config.values import SettingsError
from turnout.simulation import read_scenario
from turnout.simulation import simulate as run
from turnout_io.cli.errors import one_line
from turnout_io.cli.options import JSON, FileToWrite
from turnout_io.files import read_yaml
from turnout_io.recorder import TraceRecorder

__all__ = ["scenario_names", "simulate"]

SECONDS_BETWEEN_LINES = 10.0


def scenario_names() -> list[str]:
    """Return the names of the scenarios that are installed with the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in (files("turnout_io") / "scenarios").iterdir()
        if entry.name.endswith(".yaml")
    )


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in scenario_names() if name.startswith(incomplete)]


@click.command()
@click.argument("scenario", shell_complete=_complete)
@click.option("--seed", type=int, metavar="NUMBER", help="Seed of the random numbers, in place of the scenario's.")
@click.option("--trace", type=FileToWrite(), help="Write the trace of every call to this file.")
@click.option("--show", is_flag=True, help="Print the scenario, and simulate nothing.")
@JSON
def simulate(scenario: str, seed: int | None, trace: str | None, show: bool, as_json: bool) -> None:
    """Simulate SCENARIO, and print which provider served the calls, and how fast.

    SCENARIO is a YAML file, or one that is installed with turnout: brown-out,
    outage, rate-limit or slow-tail. There is no network and no waiting: an hour
    takes seconds, and the same seed gives the same report.

    \b
    Examples:
      turnout simulate outage
      turnout simulate outage --seed 7 --trace calls.jsonl
      turnout simulate outage --show > mine.yaml
    """
    with _scenario_file(scenario) as path, one_line(), contextlib.ExitStack() as stack:
        if show:
            click.echo(path.read_text("utf-8"), nl=False)
            return
        document = read_yaml(path)
        try:
            played = read_scenario(document)
        except SettingsError as error:
            raise SettingsError(f"{scenario}: {error}") from None
        if seed is not None:
            played = attrs.evolve(played, seed=seed)
        recorder = None
        if trace is not None:
            Path(trace).unlink(missing_ok=True)
            recorder = stack.enter_context(TraceRecorder(trace))
        report = run(played, recorder, stack.enter_context(_shown_progress()))
        if as_json:
            click.echo(json.dumps(report.to_dict(), indent=1))
        else:
            click.echo(report)


@contextlib.contextmanager
def _shown_progress() -> Iterator[Callable[[float], None]]:
    """Yield a function that shows the progress on stderr: a bar on a terminal, else a line every ten seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _progress_lines(time.monotonic)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("simulating", total=1.0)
        yield lambda part: progress.update(task, completed=part)


def _progress_lines(clock: Callable[[], float]) -> Callable[[float], None]:
    shown_at = clock()

    def show(part: float) -> None:
        nonlocal shown_at
        if clock() - shown_at >= SECONDS_BETWEEN_LINES:
            shown_at = clock()
            click.echo(f"turnout: {part:.0%} of the scenario is simulated", err=True)

    return show


@contextlib.contextmanager
def _scenario_file(scenario: str) -> Iterator[Path]:
    """Yield the path of a scenario: a file, or an installed one by its name."""
    path, names = Path(scenario), scenario_names()
    if path.is_file():
        yield path
    elif scenario in names:
        with as_file(files("turnout_io") / "scenarios" / f"{scenario}.yaml") as installed:
            yield installed
    elif path.stem in names:
        raise click.UsageError(f"there is no file {scenario}; the installed scenario is: turnout simulate {path.stem}")
    else:
        raise click.UsageError(
            f"there is no file and no installed scenario {scenario!r}{did_you_mean(scenario, names)}"
        )
