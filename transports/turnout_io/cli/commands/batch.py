"""`turnout batch`: answer every row of a file, and continue an earlier run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal

import click

from turnout.batch.progress import BatchSummary, Progress, duration_text
from turnout.batch.rows import BatchInputError
from turnout.chat import ModelConfig
from turnout.serving import RequestRejected
from turnout_io.batch.files import BatchFiles, describe_models, is_pipe
from turnout_io.batch.output_file import OutputLocked, OutputRefused, is_same_file
from turnout_io.batch.provider import FIRST_PAUSE
from turnout_io.batch.request_check import request_check
from turnout_io.batch.run import Control, run
from turnout_io.batch.worker import estimate
from turnout_io.cli.commands.provider_batch import cancel_batches, check_provider, run_via_provider
from turnout_io.cli.errors import CallFailed, one_line
from turnout_io.cli.options import CONFIG, ENV_FILE, MODELS, SANDBOX, TRACE, FileToWrite
from turnout_io.cli.router import listed_prices
from turnout_io.drivers.hedging import HedgingRouter
from turnout_io.files import load_settings
from turnout_io.recorder import TraceRecorder

__all__ = ["batch"]

EVERY_ON_TERMINAL = 0.5
EVERY_IN_LOG = 10.0
MOST_KEPT = 10

COMPLETE, SOME_FAILED, WRONG_INPUT, MAX_COST, INTERRUPTED = 0, 1, 2, 3, 130


@click.command()
@click.argument("source", metavar="INPUT", type=click.Path(allow_dash=True, dir_okay=False))
@click.argument("target", metavar="OUTPUT", type=click.Path(allow_dash=True, dir_okay=False))
@MODELS
@click.option("--route", help="A route of the configuration that answers every row, in place of a model.")
@click.option("--concurrency", default=64, show_default=True, type=click.IntRange(1, 10_000), help="Calls at once.")
@click.option("--max-cost", type=click.FloatRange(min=0), help="Stop before the run may cost more; exit code 3.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for one attempt of a row.")
@click.option("--limit", type=click.IntRange(min=0), help="Send at most so many rows.")
@click.option(
    "--retry-failed", type=click.Choice(["temporary", "all", "none"]), default="temporary", show_default=True,
    help="Which rows that failed in an earlier run are sent again.",
)  # fmt: skip
@click.option(
    "--changed", type=click.Choice(["refuse", "rerun", "keep"]), default="refuse", show_default=True,
    help="What to do with rows that are another request than the one that OUTPUT answers.",
)  # fmt: skip
@click.option("--ordered", is_flag=True, help="At the end, put OUTPUT in the order of INPUT.")
@click.option("--dry-run", is_flag=True, help="Check INPUT, tell rows, tokens and the highest cost, and send nothing.")
@click.option(
    "--via", type=click.Choice(["now", "provider"]), default="now", show_default=True,
    help="Send each row now, or all rows through the provider's batch API, which takes up to 24 hours.",
)  # fmt: skip
@click.option(
    "--poll", default=FIRST_PAUSE, show_default=True, type=click.FloatRange(min=0, min_open=True),
    help="Seconds between two looks at a batch, with --via provider. Later pauses are longer.",
)  # fmt: skip
@click.option("--cancel", is_flag=True, help="Cancel the provider's batches of OUTPUT, with --via provider.")
@click.option("--drain", default=30.0, show_default=True, help="Seconds for calls in flight after Ctrl-C.")
@click.option("--summary", type=FileToWrite(), help="Write the summary there, as JSON.")
@click.option("--quiet", is_flag=True, help="Print no progress.")
@TRACE
@SANDBOX
@CONFIG
@ENV_FILE
@click.pass_context
def batch(
    context: click.Context,
    source: str,
    target: str,
    models: list[ModelConfig],
    route: str | None,
    concurrency: int,
    max_cost: float | None,
    timeout: float | None,
    limit: int | None,
    retry_failed: Literal["temporary", "all", "none"],
    changed: Literal["refuse", "rerun", "keep"],
    ordered: bool,
    dry_run: bool,
    via: Literal["now", "provider"],
    poll: float,
    cancel: bool,
    drain: float,
    summary: str | None,
    quiet: bool,
    trace: str | None,
    sandbox: bool,
    config: str | None,
    env_file: str,
) -> None:
    """Answer every row of INPUT, a file of JSON lines, and write the answers to OUTPUT.

    A row is OpenAI's {"custom_id", "method", "url", "body"}, or {"prompt": ...}, or {"messages": ...}. The same command
    again continues an earlier run: rows that are answered are not sent again.

    \b
    Examples:
      turnout batch in.jsonl out.jsonl -m openai/gpt-4o-mini --dry-run
      turnout batch in.jsonl try.jsonl -m openai/gpt-4o-mini --sandbox
      turnout batch in.jsonl out.jsonl -m openai/gpt-4o-mini --max-cost 5

    Exit codes: 0 all rows are answered; 1 some failed; 2 wrong usage or input, or OUTPUT is not this run's to write;
    3 the highest cost is reached; 130 Ctrl-C.
    """
    if route is not None and models:
        raise click.UsageError("give --model or --route, not both")
    if via == "provider" and (route is not None or is_pipe(source) or target == "-" or max_cost is not None):
        raise click.UsageError("--via provider takes files and a model, and no --route and no --max-cost")
    if via == "provider" and sandbox:
        raise click.UsageError("--sandbox answers now; it takes no --via provider")
    if via == "provider" and trace is not None:
        raise click.UsageError("--trace is for calls that are sent now; it takes no --via provider")
    if cancel and via != "provider":
        raise click.UsageError("--cancel needs --via provider")
    if ordered and is_pipe(source):
        raise click.UsageError("--ordered needs an INPUT that can be read twice, not a pipe")
    if summary is not None and any(_are_one(summary, path) for path in (source, target)):
        raise click.UsageError(f"--summary {summary} would replace INPUT or OUTPUT; name another file")
    if trace is not None and any(_are_one(trace, path) for path in (source, target)):
        raise click.UsageError(f"--trace {trace} would change INPUT or OUTPUT; name another file")
    models = models if route is None else [ModelConfig.route(route)]
    outcome: BatchSummary | None
    with one_line(), contextlib.ExitStack() as stack:
        recorder = stack.enter_context(TraceRecorder(trace)) if trace is not None else None
        router = stack.enter_context(_sandbox_router(recorder)) if sandbox else _router(config, env_file, recorder)
        settings = f"{'sandbox ' if sandbox else ''}{describe_models(router, models)}"  # no answer counts for the other
        with _wrong_input(context):
            files = BatchFiles(
                source, target, settings=settings, retry_failed=retry_failed, changed=changed, limit=limit,
                check_request=request_check(router, models, only_models=via == "provider"),
            )  # fmt: skip
            with files:
                if not quiet:
                    _tell_kept_fields(files)
                if files.torn and not quiet:
                    click.echo(f"turnout: an unfinished line of {files.torn} bytes was cut off {target}", err=True)
                if cancel:
                    cancel_batches(files, target, models, config, env_file)
                    return
                if dry_run:
                    if via == "provider":
                        check_provider(files, target, models, config, env_file)
                    _dry_run(files, router, models, max_cost)
                    files.discard_if_new()
                    return
                if via == "provider":
                    outcome = run_via_provider(files, target, models, config, env_file, poll=poll, quiet=quiet)
                else:
                    outcome = _run(files, router, models, concurrency, timeout, max_cost, drain, quiet=quiet)
                if outcome is None:
                    context.exit(INTERRUPTED)
                files.finish(ordered=ordered)
    _report(files, outcome, summary, quiet=quiet)
    context.exit(_exit_code(outcome))


def _are_one(one: str, other: str) -> bool:
    """Return whether two paths are one file, also if it is not there yet."""
    return is_same_file(one, other) or (other != "-" and os.path.realpath(one) == os.path.realpath(other))


@contextlib.contextmanager
def _wrong_input(context: click.Context) -> Iterator[None]:
    """End the command if its input is wrong, or if its output is not its to write."""
    try:
        yield
    except (BatchInputError, OutputLocked, OutputRefused) as error:
        click.echo(f"turnout: {error}", err=True)
        context.exit(WRONG_INPUT)


def _tell_kept_fields(files: BatchFiles) -> None:
    """Print which fields of rows are not sent: one of them may be a setting with a wrong name."""
    kept = files.checked.kept if files.checked is not None else None
    if kept:
        names = [f"{name} ({count} rows)" for name, count in kept.most_common(MOST_KEPT)]
        more = [f"and {len(kept) - MOST_KEPT} more"] if len(kept) > MOST_KEPT else []
        click.echo(
            f"turnout: not sent to models, but kept as turnout.fields in OUTPUT: {', '.join((*names, *more))}", err=True
        )


def _router(config: str | None, env_file: str, recorder: TraceRecorder | None) -> HedgingRouter:
    from turnout_io.asyncio import Router

    prices = listed_prices(load_settings(config, dotenv=env_file))
    if config:
        return Router.from_config(config, dotenv=env_file, on_trace=recorder, **prices)
    return Router.from_env(dotenv=env_file, on_trace=recorder, **prices)


@contextlib.contextmanager
def _sandbox_router(recorder: TraceRecorder | None) -> Iterator[HedgingRouter]:
    """Yield a router over a sandbox, which answers in place of the providers."""
    from turnout_io.asyncio import Router
    from turnout_io.sandbox import Sandbox

    with Sandbox(token_interval=0.0) as started:
        yield Router.from_env(environ=started.environ(), dotenv=None, on_trace=recorder)


def _run(
    files: BatchFiles,
    router: HedgingRouter,
    models: list[ModelConfig],
    concurrency: int,
    timeout: float | None,
    max_cost: float | None,
    drain: float,
    *,
    quiet: bool,
) -> BatchSummary:
    control = Control(drain=drain)

    async def main() -> BatchSummary:
        async with router:
            return await run(
                router,
                files.rows(),
                files.write,
                concurrency=concurrency,
                models=models,
                timeout=timeout,
                max_cost=max_cost,
                control=control,
            )

    with _stopping(control), _progress(files, router, control, quiet=quiet):
        return _in_loop(main)


def _in_loop(main: Callable[[], Coroutine[Any, Any, BatchSummary]]) -> BatchSummary:
    if sys.platform == "win32":  # the default loop there cannot watch sockets
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(main())
    return asyncio.run(main())


@contextlib.contextmanager
def _stopping(control: Control) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run gently, and the second one at once."""

    def stop(number: int, frame: object) -> None:
        if control.stopped:
            click.echo("turnout: calls in flight are cut off", err=True)
        else:
            click.echo("turnout: no further row is sent; waiting for those in flight (again to cut them off)", err=True)
        control.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _progress(files: BatchFiles, router: HedgingRouter, control: Control, *, quiet: bool) -> Iterator[None]:
    """Print how the run goes, from a thread: a line that is rewritten on a terminal, else one line now and then."""
    if quiet:
        yield
        return
    on_terminal = sys.stderr.isatty()
    progress = Progress(files.checked.left if files.checked is not None else None, time.monotonic())
    ended = threading.Event()
    checked = files.checked
    if checked is not None and checked.rows != checked.left:
        click.echo(
            f"turnout: {checked.rows} rows: {checked.done} answered before, {checked.failed} failed before and kept, "
            f"{checked.left} to send",
            err=True,
        )

    def show() -> None:
        while not ended.wait(EVERY_ON_TERMINAL if on_terminal else EVERY_IN_LOG):
            plan = control.plan
            if plan is None:
                continue
            line = progress.line(
                time.monotonic(),
                done=plan.done,
                failed=dict(plan.failures),
                in_flight=plan.in_flight,
                waiting=plan.waiting,
                waits_for=_waits_for(router),
                cost=plan.spent,
            )
            click.echo(f"\r\x1b[K{line}" if on_terminal else line, err=True, nl=not on_terminal)

    thread = threading.Thread(target=show, name="turnout-batch-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if on_terminal:
            click.echo("\r\x1b[K", err=True, nl=False)


def _waits_for(router: HedgingRouter) -> str:
    resting = [(health.available_in, health.candidate, health.reason) for health in router.health()]
    wait, candidate, reason = max(resting, default=(0.0, "", ""))
    why = f" ({reason})" if reason else ""
    return f"{candidate} rests for {duration_text(wait)}{why}" if wait > 0.5 else ""


def _dry_run(files: BatchFiles, router: HedgingRouter, models: list[ModelConfig], max_cost: float | None) -> None:
    rows = tokens = wrong = 0
    cost: float | None = 0.0
    for row in files.rows():
        rows += 1
        try:
            prompt, completion, worst = estimate(row, tuple(models), router._core.policy)
        except RequestRejected as error:
            wrong += 1
            if wrong <= 10:
                click.echo(f"line {row.line}: {error}", err=True)
            continue
        tokens += prompt + completion
        cost = None if cost is None or worst is None else cost + worst
    done = files.checked.done if files.checked is not None else 0
    click.echo(f"{rows} rows to send, {done} answered before")
    click.echo(f"at most {tokens} tokens" + (f", at most {cost:.4g} in cost" if cost is not None else ", cost unknown"))
    if wrong:
        click.echo(f"{wrong} rows are no valid requests", err=True)
        raise click.exceptions.Exit(WRONG_INPUT)
    if max_cost is not None and (cost is None or cost > max_cost):
        click.echo(f"the highest cost may exceed --max-cost {max_cost:g}")


def _report(files: BatchFiles, outcome: BatchSummary, path: str | None, *, quiet: bool) -> None:
    if not quiet:
        failed = ", ".join(f"{count} {code}" for code, count in sorted(outcome.failed.items()))
        parts = [f"{outcome.answered} answered in {duration_text(outcome.seconds)}"]
        if failed:
            parts.append(f"failed: {failed}")
        if outcome.cost:
            parts.append(f"cost {outcome.cost:.4g}")
        if outcome.stopped == "max-cost":
            parts.append("stopped: the next row might exceed --max-cost")
        if outcome.stopped == "setup":
            parts.append("stopped: the first rows all failed for a reason that is not theirs")
        click.echo(f"turnout: {'; '.join(parts)}", err=True)
    if path is not None:
        checked = files.checked
        fields = outcome.to_dict()
        fields["cost_of_output"] = files.cost if files.priced else None
        if checked is not None:
            sent = outcome.answered + sum(outcome.failed.values())
            fields |= {"rows": checked.rows, "skipped": checked.done + checked.failed, "left": checked.left - sent}
        try:
            Path(path).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise CallFailed(f"--summary {path} cannot be written: {error.strerror}") from None


def _exit_code(outcome: BatchSummary) -> int:
    if outcome.stopped == "stopped":
        return INTERRUPTED
    if outcome.stopped == "max-cost":
        return MAX_COST
    return SOME_FAILED if outcome.failed or outcome.stopped == "setup" else COMPLETE
