"""`turnout sandbox | demo`: the providers, played on this machine."""

from __future__ import annotations

import click

from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message
from turnout_io.cli.errors import one_line

__all__ = ["demo", "sandbox"]


@click.command()
@click.option(
    "--port", default=8089, show_default=True, type=click.IntRange(0, 65535), metavar="PORT",
    help="Where to listen, on 127.0.0.1. 0 takes a free port.",
)  # fmt: skip
@click.option("--script", type=click.Path(dir_okay=False, exists=True), help="Faults to play, in YAML or JSON.")
@click.option(
    "--token-interval", default=0.03, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
    help="Time between two tokens of a stream.",
)  # fmt: skip
@click.option("--env", "only_variables", is_flag=True, help="Print the variables for a shell, and end.")
def sandbox(port: int, script: str | None, token_interval: float, only_variables: bool) -> None:
    """Play the providers on this machine until Ctrl-C, for your programs.

    The variables are those of Turnout and those of the official SDKs.

    \b
    Examples:
      turnout sandbox                  # in one terminal
      eval "$(turnout sandbox --env)"  # in another one
      turnout chat hello -m openai/gpt-4o-mini
    """
    with one_line():
        from turnout_sandbox.server.serve import print_environment, serve

        if only_variables:
            print_environment(port, click.echo)
            given = "" if port == 8089 else f" --port {port}"
            note = f"turnout: these are for a sandbox on port {port}; start it with: turnout sandbox{given}"
            click.echo(note, err=True)
            return
        serve(port, script, token_interval=token_interval)


@click.command()
@click.option(
    "--interval", default=0.03, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
    help="Time between two tokens.",
)  # fmt: skip
def demo(interval: float) -> None:
    """Show a fallback: one provider fails, another answers, the trace explains it.

    No key and no network are needed: a sandbox plays the providers.
    """
    from turnout_io.cli.commands.chat.output import print_stream
    from turnout_io.sandbox import Fault, Sandbox
    from turnout_io.sync import Router

    request = ChatRequest(
        ModelConfig("openai", "gpt-4o-mini"),
        [Message.user("Recommend a cheap, fast model.")],
        fallbacks=[ModelConfig("gemini", "gemini-2.5-flash")],
    )
    click.echo("A sandbox on this machine plays the providers. OpenAI is down; Gemini is the fallback.\n")
    with Sandbox(token_interval=interval) as server, one_line():
        server.script("openai", Fault(status=503), forever=True)
        with Router.from_env(environ=server.environ(), dotenv=None, max_retries=1) as router:
            reply = print_stream(router, request, None)
    click.echo(f"\nWhat happened:\n{reply.trace.explain()}")
