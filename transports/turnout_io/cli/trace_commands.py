"""`turnout explain | replay`: the calls that a `TraceRecorder` has written down."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from turnout.routing.replay import replay as decided_again
from turnout.trace import Trace
from turnout.trace.entries import Answered
from turnout_io.cli.errors import CallFailed, one_line
from turnout_io.recorder import read_traces

__all__ = ["explain", "replay"]

_FILE = click.argument("file", type=click.Path(dir_okay=False, exists=True))


@click.command()
@_FILE
@click.option("--line", type=click.IntRange(min=1), help="Only the call on this line.")
@click.option("--failed", is_flag=True, help="Only calls that got no answer.")
def explain(file: str, line: int | None, failed: bool) -> None:
    """Tell how each call in FILE was decided. FILE is what a TraceRecorder writes: a line of JSON for each call."""
    with one_line():
        for number, trace in read_traces(file):
            if (line is None or number == line) and not (failed and _answered(trace)):
                click.echo(f"line {number}{_when(trace)}{_labels(trace)}\n{trace.explain()}\n")


@click.command()
@_FILE
def replay(file: str) -> None:
    """Decide each call in FILE again, from its recorded facts: this release must decide as the recorded one did.

    Exit code 1 where it does not.
    """
    calls = changed = 0
    with one_line():
        for number, trace in read_traces(file):
            calls += 1
            differences = decided_again(trace.to_dict())
            changed += bool(differences)
            for difference in differences:
                click.echo(f"line {number}: {difference}")
        if changed:
            raise CallFailed(f"{changed} of {_counted(calls)} would be decided otherwise now")
        click.echo(f"{_counted(calls)} decided again: every decision is the same")


def _counted(calls: int) -> str:
    return f"{calls} call{'' if calls == 1 else 's'}"


def _answered(trace: Trace) -> bool:
    return any(isinstance(entry, Answered) for entry in trace.entries)


def _when(trace: Trace) -> str:
    if trace.started_at is None:
        return ""
    return f", {datetime.fromtimestamp(trace.started_at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _labels(trace: Trace) -> str:
    return "".join(f", {name}: {value}" for name, value in trace.metadata.items())
