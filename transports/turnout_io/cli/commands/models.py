"""`turnout models`: the models that the providers list."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import attrs
import click

from turnout.chat import Capability, ModelInfo, ProviderStatus
from turnout.errors import ConnectFailed
from turnout.providers import CATALOG
from turnout_io.cli.elsewhere import HintedCommand
from turnout_io.cli.errors import CallFailed, one_line
from turnout_io.cli.options import CONFIG, ENV_FILE, JSON, SANDBOX, Duration, complete_provider
from turnout_io.cli.router import Session, check_names, no_provider, open_session

__all__ = ["models"]


# Subcommands of other programs, and how the same is done here.
_ELSEWHERE = {"default": "turnout config set model PROVIDER/MODEL", "list": "turnout models"}


_NAMED = "name it as an argument: turnout models openai"


@click.command(cls=HintedCommand, elsewhere={"-p": _NAMED, "--provider": _NAMED, "-q": "turnout models | grep TEXT"})
@click.argument("providers", nargs=-1, metavar="[PROVIDER]...", shell_complete=complete_provider)
@JSON
@click.option(
    "--timeout", default=20.0, show_default=True, type=Duration(), metavar="SECONDS",
    help="How long to wait for each provider.",
)  # fmt: skip
@SANDBOX
@CONFIG
@ENV_FILE
def models(
    providers: tuple[str, ...], as_json: bool, timeout: float, sandbox: bool, config: str | None, env_file: str
) -> None:
    """List the models of each PROVIDER, or of all that are configured.

    A provider that fails is named on stderr. The exit code is 1 if one that you
    named fails, or if all fail.

    \b
    Examples:
      turnout models
      turnout models openai groq
      turnout models --json | jq -r '.[] | select(.context_window > 200000).id'
    """
    if providers and providers[0] in _ELSEWHERE:
        raise click.UsageError(f"models takes names of providers; the way here: {_ELSEWHERE[providers[0]]}")
    with one_line(as_json=as_json), open_session(config, env_file, sandbox=sandbox) as session:
        check_names(session, providers, "models")
        names = providers or _usable(session)
        found, failed = _list_all(session, names, timeout, named=bool(providers))
    if not found and not failed:
        raise no_provider()
    for name, error in failed.items():
        message = " ".join(str(error).split())
        click.echo(f"turnout: {message if name in message else f'{name}: {message}'}", err=True)
    if as_json:
        click.echo(json.dumps([_fields(info) for info in found], ensure_ascii=False, indent=1))
    else:
        for info in found:
            window = f"  {info.context_window} tokens" if info.context_window else ""
            click.echo(f"{info.provider}/{info.id}{window}")
    if failed and (providers or not found):
        raise CallFailed(f"{len(failed)} of {len(names)} providers did not list their models")


def _usable(session: Session) -> list[str]:
    return [status.provider for status in session.router.statuses() if _lists(status)]


def _lists(status: ProviderStatus) -> bool:
    return status.status == "available" and Capability.MODELS in status.capabilities


def _list_all(
    session: Session, names: Sequence[str], timeout: float, *, named: bool
) -> tuple[list[ModelInfo], dict[str, Exception]]:
    """Ask all providers at once. Local servers that nobody named and that do not run are left out."""

    results: dict[str, tuple[ModelInfo, ...] | Exception] = {}

    def ask(name: str) -> None:
        try:
            results[name] = session.router.models(name, timeout=timeout)
        except Exception as error:
            results[name] = error

    # Daemon threads, because Ctrl-C must not wait for the slowest provider.
    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found: list[ModelInfo] = []
    failed: dict[str, Exception] = {}
    for name in names:
        result = results[name]
        if not isinstance(result, Exception):
            found += result
        elif named or not _is_absent(name, result):
            failed[name] = result
    return found, failed


def _is_absent(name: str, error: BaseException | None) -> bool:
    """Return True if a server on this machine, which needs no key, does not run."""
    return name in CATALOG and not CATALOG[name].needs_key and isinstance(error, ConnectFailed)


def _fields(info: ModelInfo) -> dict[str, Any]:
    return {"model": f"{info.provider}/{info.id}", **attrs.asdict(info)}
