"""`turnout explain | trace | replay`: calls that a `TraceRecorder` wrote to a file, and calls that were not sent."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from turnout.chat import ChatRequest, ModelConfig
from turnout.routing.replay import replay as decided_again
from turnout.trace import Trace
from turnout.trace.entries import Answered, CacheHit
from turnout_io.cli.errors import CallFailed, one_line
from turnout_io.cli.options import CONFIG, ENV_FILE, JSON, MODELS, FileToWrite
from turnout_io.recorder import read_traces

__all__ = ["explain", "replay", "trace"]

_FILE = click.argument("file", type=click.Path(dir_okay=False, exists=True))


@click.command()
@click.argument("file", metavar="FILE|PROMPT")
@click.option("--line", type=click.IntRange(min=1), metavar="NUMBER", help="Only the call on this line of FILE.")
@click.option("--failed", is_flag=True, help="Only calls that got no answer.")
@JSON
@MODELS
@CONFIG
@ENV_FILE
def explain(
    file: str,
    line: int | None,
    failed: bool,
    as_json: bool,
    models: list[ModelConfig],
    config: str | None,
    env_file: str,
) -> None:
    """Explain how each call in FILE was decided, or how a call would be.

    A TraceRecorder writes FILE: one line of JSON for each call. With -m, the
    argument is a PROMPT: its candidates and requests are shown, and nothing is
    sent. `turnout chat --dry-run` does the same with all options of chat. With
    --json, each call is one line: its number, its explanation and its trace.

    \b
    Examples:
      turnout explain calls.jsonl --failed
      turnout explain calls.jsonl --line 7
      turnout explain "Hello?" -m openai/gpt-4o-mini -m gemini/gemini-2.5-flash
    """
    if models:
        from turnout_io.cli.commands.chat.dry_run import print_plan
        from turnout_io.cli.router import open_session

        with one_line(as_json=as_json), open_session(config, env_file, prices=True) as session:
            print_plan(session, ChatRequest(models[0], file, fallbacks=models[1:]), as_json=as_json)
        return
    if os.path.isdir(file):
        raise click.UsageError(f"{file} is a folder; a file of traces was expected")
    if not os.path.isfile(file):  # a PROMPT may be too long for a path
        raise click.UsageError(f"there is no file {file}; to explain a PROMPT that is not sent, add -m PROVIDER/MODEL")
    is_empty = True
    with one_line(as_json=as_json):
        for number, recorded in _traces(file, line):
            if failed and _answered(recorded):
                continue
            is_empty = False
            if as_json:
                fields = {"line": number, "explanation": str(recorded.explain()), "trace": recorded.to_dict()}
                click.echo(json.dumps(fields, ensure_ascii=False))
            else:
                click.echo(f"line {number}{_when(recorded)}{_labels(recorded)}\n{recorded.explain()}\n")
    if is_empty:
        click.echo(f"turnout: {file} has no failed call", err=True)


@click.command()
@_FILE
def replay(file: str) -> None:
    """Decide each call in FILE again from its recorded facts.

    This release must decide as the recorded one did. If not, the exit code is 1.

    \b
    Examples:
      turnout replay calls.jsonl
    """
    calls = changed = 0
    with one_line():
        for number, recorded in _traces(file):
            calls += 1
            differences = decided_again(recorded.to_dict())
            changed += bool(differences)
            for difference in differences:
                click.echo(f"line {number}: {difference}")
        if changed:
            raise CallFailed(f"{changed} of {_counted(calls)} would be decided otherwise now")
        click.echo(f"{_counted(calls)} decided again: every decision is the same")


class TraceGroup(click.Group):
    """Names the command for a file that is given without one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and os.path.isfile(args[0]):
            raise click.UsageError(f"trace has no command {args[0]!r}; for a file: turnout trace view {args[0]}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=TraceGroup)
def trace() -> None:
    """Show recorded calls as a page for the browser.

    \b
    Examples:
      turnout trace view calls.jsonl
      turnout trace view calls.jsonl --failed -o failed.html --open
    """


@trace.command(short_help="Write recorded calls as one HTML page.")
@_FILE
@click.option(
    "-o", "--output", type=FileToWrite(allow_dash=True), metavar="FILE", help='Write the page to FILE; "-" is stdout.'
)
@click.option(
    "-n", "--number", default=200, show_default=True, type=click.IntRange(min=1), metavar="NUMBER",
    help="How many calls at most: the last ones.",
)  # fmt: skip
@click.option("--line", type=click.IntRange(min=1), metavar="NUMBER", help="Only the call on this line of FILE.")
@click.option("--failed", is_flag=True, help="Only calls that got no answer.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def view(file: str, output: str | None, number: int, line: int | None, failed: bool, opens: bool) -> None:
    """Write the calls in FILE as one HTML page: attempts, waits and reasons.

    The page loads nothing from the network. Without -o it has the name of FILE
    with the ending .html, in the current folder.

    \b
    Examples:
      turnout trace view calls.jsonl
      turnout trace view calls.jsonl --failed -o failed.html --open
      turnout trace view calls.jsonl --line 7 -o - > call.html
    """
    from turnout_io.cli.commands.traces.page import MARK, page_of

    calls = 0
    shown: deque[tuple[int, Trace]] = deque(maxlen=number)
    with one_line():
        for at, recorded in _traces(file, line):
            if not (failed and _answered(recorded)):
                calls += 1
                shown.append((at, recorded))
        if not shown:
            raise CallFailed(f"{file} has no failed call")
        page = page_of(Path(file).name, list(shown), calls - len(shown))
        if output == "-":
            click.echo(page, nl=False)
            return
        path = Path(output) if output is not None else Path(f"{Path(file).stem}.html")
        if output is None and path.exists() and MARK not in path.read_text("utf-8", errors="replace"):
            raise CallFailed(f"{path} exists and is no page of this command; give another name with -o")
        path.write_text(page, encoding="utf-8")
    click.echo(f"turnout: {_counted(len(shown))} {'is' if len(shown) == 1 else 'are'} in {path}", err=True)
    if opens:
        click.launch(str(path.resolve()))


def _traces(file: str, line: int | None = None) -> Iterator[tuple[int, Trace]]:
    """Yield the traces of a file, or the one on a line.

    Raises:
        CallFailed: If there is none.
    """
    calls = found = last = 0
    for number, recorded in read_traces(file):
        calls, last = calls + 1, number
        if line is None or number == line:
            found += 1
            yield number, recorded
    if not calls:
        raise CallFailed(f"{file} has no trace; TraceRecorder writes one line for each call")
    if not found:
        raise CallFailed(f"{file} has no call on line {line}; its last one is on line {last}")


def _counted(calls: int) -> str:
    return f"{calls} call{'' if calls == 1 else 's'}"


def _answered(trace: Trace) -> bool:
    return any(isinstance(entry, Answered | CacheHit) for entry in trace.entries)


def _when(trace: Trace) -> str:
    if trace.started_at is None:
        return ""
    return f", {datetime.fromtimestamp(trace.started_at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _labels(trace: Trace) -> str:
    return "".join(f", {name}: {value}" for name, value in trace.metadata.items())
