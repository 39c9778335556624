"""`turnout simulate`: what the policy would do, on a virtual clock."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import attrs
import click

from turnout.config.values import SettingsError
from turnout.simulation import read_scenario
from turnout.simulation import simulate as run
from turnout_io.cli.errors import one_line
from turnout_io.cli.options import JSON
from turnout_io.files import read_yaml
from turnout_io.recorder import TraceRecorder

__all__ = ["simulate"]


@click.command()
@click.argument("scenario", type=click.Path(dir_okay=False, exists=True))
@click.option("--seed", type=int, help="Instead of the scenario's own.")
@click.option("--trace", type=click.Path(dir_okay=False), help="Write the trace of every call into this file.")
@JSON
def simulate(scenario: str, seed: int | None, trace: str | None, as_json: bool) -> None:
    """Play SCENARIO, a YAML file of providers, faults and calls, and tell who served whom, and what it took.

    No network, no waiting: an hour of an outage takes seconds, and the same seed gives the same report.
    """
    with one_line(), contextlib.ExitStack() as stack:
        document = read_yaml(Path(scenario))
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
        report = run(played, recorder)
        if as_json:
            click.echo(json.dumps(report.to_dict(), indent=1))
        else:
            click.echo(report)
