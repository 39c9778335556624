"""`turnout serve`: a gateway for programs in any language."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from turnout_io.cli.errors import one_line
from turnout_io.cli.options import CONFIG, ENV_FILE
from turnout_io.cli.router import configured

if TYPE_CHECKING:
    from turnout.config.settings import Settings

__all__ = ["serve"]


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; 127.0.0.1:8080 if the file does not say.")
@click.option("--sandbox", is_flag=True, help="Answer from a sandbox on this machine, without keys and network.")
@click.option("--quiet", is_flag=True, help="Write no line for each request.")
@CONFIG
@ENV_FILE
def serve(listen: str | None, sandbox: bool, quiet: bool, config: str | None, env_file: str) -> None:
    """Serve OpenAI's and Anthropic's protocols over all providers, until Ctrl-C.

    \b
    Examples:
      turnout serve --sandbox
      turnout serve --config turnout.yaml --listen 127.0.0.1:8080
    """
    try:
        from turnout_io.serve.run import build_gateway, run_gateway
    except ModuleNotFoundError as error:
        if error.name != "trio":
            raise
        raise click.ClickException('the gateway needs its extra: pip install "turnout[serve]"') from None
    from turnout_io.files import load_settings

    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("turnout.serve").setLevel(logging.WARNING if quiet else logging.INFO)
    with one_line(), contextlib.ExitStack() as stack:
        settings = load_settings(config, dotenv=env_file)
        if sandbox or (config is None and not _any_configured(settings)):
            settings = stack.enter_context(_sandbox(config, asked=sandbox))
        gateway = build_gateway(settings, listen=listen)

        def started(addresses: tuple[str, ...]) -> None:
            for address in addresses:
                click.echo(f"turnout: serving on {address}", err=True)
            names = [*gateway.settings.aliases, *(f"route/{route.name}" for route in settings.routes)]
            if names:
                click.echo(f"turnout: models: {', '.join(names)}", err=True)
            if gateway.settings.allows_any:
                click.echo("turnout: every provider/model can be used, such as openai/gpt-4o-mini", err=True)
            if not gateway.settings.keys:
                click.echo("turnout: no key is needed, and only this machine can connect", err=True)

        run_gateway(gateway, started)


def _any_configured(settings: Settings) -> bool:
    from turnout_io.trio import Router

    router = Router()
    for provider in settings.providers:
        router.register(provider.build(), enabled=provider.enabled)
    return any(configured(status) for status in router.statuses())


@contextlib.contextmanager
def _sandbox(config: str | None, *, asked: bool) -> Iterator[Settings]:
    """Run a sandbox, and return settings with all its providers."""
    from turnout_io.files import load_settings
    from turnout_io.sandbox import Sandbox

    if not asked:
        click.echo("turnout: no provider is configured, so a sandbox answers; `turnout providers` says more", err=True)
    with Sandbox(token_interval=0.02) as server:
        yield load_settings(config, dotenv=None, environ=server.environ())
