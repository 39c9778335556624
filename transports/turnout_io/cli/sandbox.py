"""`turnout sandbox`: the providers played on this machine."""

from __future__ import annotations

import click

from turnout_io.cli.errors import one_line

__all__ = ["sandbox"]


@click.command()
@click.option("--port", default=8089, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--script", type=click.Path(dir_okay=False, exists=True), help="Faults to play, in YAML or JSON.")
@click.option("--token-interval", default=0.03, show_default=True, type=click.FloatRange(min=0), help="In seconds.")
def sandbox(port: int, script: str | None, token_interval: float) -> None:
    """Play the providers on this machine until Ctrl-C, for your own programs to talk to."""
    from turnout_sandbox.server.serve import serve

    with one_line():
        serve(port, script, token_interval=token_interval)
