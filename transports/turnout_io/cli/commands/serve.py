"""`turnout serve`: a gateway for programs in any language."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click

from turnout.config.values import SettingsError
from turnout_io.cli.elsewhere import HintedCommand
from turnout_io.cli.errors import Unusable, WrongUsage, one_line
from turnout_io.cli.options import CONFIG, ENV_FILE, TRACE
from turnout_io.cli.router import configured

if TYPE_CHECKING:
    from turnout.chat import ProviderStatus
    from turnout.config.settings import Settings

__all__ = ["serve"]


_ALL: Final = "all models of all providers with a key are served; names for them are serve.aliases of the config file"
_DEBUG: Final = "the log has one line for each request; TURNOUT_LOG=debug adds decisions"
_WORKERS: Final = "a gateway is one process; start more of them on other ports"
# Options of similar servers, and how the same is done here.
_ELSEWHERE: Final = {
    **dict.fromkeys(
        ("--port", "--host", "--bind", "-p"), "the address is --listen HOST:PORT, as in --listen 127.0.0.1:8080"
    ),
    **dict.fromkeys(("--model", "-m", "--alias"), _ALL),
    **dict.fromkeys(("--debug", "--detailed_debug", "--verbose", "-v"), _DEBUG),
    **dict.fromkeys(("--num_workers", "--workers", "-w"), _WORKERS),
    "--api_base": "it is providers.NAME.endpoint of the config file",
    "--drop_params": "it is unsupported: drop for the provider in the config file",
    "--test": "curl http://127.0.0.1:8080/v1/models asks a gateway; turnout doctor checks the providers",
    "-c": "it is --config",
}


class _ServeCommand(HintedCommand):
    """Names the way here for a model too, which is an argument of similar commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and "/" in args[0] and not args[0].startswith("-"):
            raise click.UsageError(f"serve takes no model: {_ALL}", ctx)
        return super().parse_args(ctx, args)


@click.command(cls=_ServeCommand, elsewhere=_ELSEWHERE)
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; 127.0.0.1:8080 if the file does not say.")
@click.option("--sandbox", is_flag=True, help="Answer from a sandbox on this machine, without keys and network.")
@click.option("--quiet", is_flag=True, help="Write no line for each request.")
@TRACE
@CONFIG
@ENV_FILE
def serve(listen: str | None, sandbox: bool, quiet: bool, trace: str | None, config: str | None, env_file: str) -> None:
    """Serve OpenAI's and Anthropic's protocols over all providers, until Ctrl-C.

    \b
    Examples:
      turnout serve --sandbox
      turnout serve --config turnout.yaml --listen 127.0.0.1:8080
    """
    # A search for cycles among the objects of modules finds nothing, and costs a tenth of the start.
    gc.disable()
    try:
        _serve(listen, sandbox, quiet, trace, config, env_file)
    except KeyboardInterrupt:
        pass  # stopped before it served
    finally:
        gc.enable()


def _serve(
    listen: str | None, sandbox: bool, quiet: bool, trace: str | None, config: str | None, env_file: str
) -> None:
    try:
        from turnout_io.serve.run import build_gateway, run_gateway
    except ModuleNotFoundError as error:
        if error.name != "trio":
            raise
        raise click.ClickException('the gateway needs its extra: pip install "turnout[serve]"') from None
    from turnout_io.files import load_settings, placed
    from turnout_io.recorder import TraceRecorder
    from turnout_io.serve.settings import parse_address

    if listen is not None:
        try:
            parse_address(listen, "--listen")
        except SettingsError as error:
            raise WrongUsage(str(error)) from None
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("turnout.serve").setLevel(logging.WARNING if quiet else logging.INFO)
    with one_line(), contextlib.ExitStack() as stack:
        models: tuple[str, ...] = ()
        if sandbox:
            from turnout_io.sandbox import Sandbox
            from turnout_sandbox.dialects import PROVIDERS

            models = tuple(f"{name}/{model}" for name, server in PROVIDERS.items() for model in server.models)

            environ = stack.enter_context(Sandbox(token_interval=0.02)).environ()
            settings = load_settings(config, dotenv=None, environ=environ)
        else:
            settings = load_settings(config, dotenv=env_file)
        recorder = stack.enter_context(TraceRecorder(trace)) if trace is not None else None
        with placed(config):
            gateway = build_gateway(settings, listen=listen, models=models, recorder=recorder)
        if not _can_answer(settings, gateway.router.statuses()):
            raise Unusable(_NO_PROVIDER)

        def started(addresses: tuple[str, ...]) -> None:
            gc.freeze()
            gc.enable()
            for address in addresses:
                click.echo(f"turnout: serving on {address}", err=True)
            names = [*gateway.endpoints.names.aliases, *gateway.endpoints.names.routes]
            if names:
                click.echo(f"turnout: models: {', '.join(names)}", err=True)
            if gateway.settings.allows_any:
                click.echo("turnout: every provider/model can be used, such as openai/gpt-4o-mini", err=True)
            if not gateway.settings.keys:
                click.echo("turnout: no key is needed, and only this machine can connect", err=True)

        run_gateway(gateway, started)


_NO_PROVIDER = (
    "no provider is configured, so no request could be answered. Set a key, such as\n"
    "  export OPENAI_API_KEY=...\n"
    "A server on this machine needs no key, but a file that names it (turnout serve --config FILE):\n"
    "  providers: {ollama: {}}\n"
    "turnout providers lists all providers; turnout serve --sandbox serves invented answers without one."
)


def _can_answer(settings: Settings, statuses: Iterable[ProviderStatus]) -> bool:
    """Return True if a provider has its key, or if the user has named one that needs none.

    A local server that nobody has named is available too, but nothing shows that it runs.
    """
    named = {one.name for one in settings.providers if one.is_named or one.base_url}
    named |= {choice.model.provider for route in settings.routes for choice in route.choices}
    return any(configured(status) or (status.status == "available" and status.provider in named) for status in statuses)
