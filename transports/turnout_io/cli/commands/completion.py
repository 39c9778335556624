"""`turnout completion`: the script with which a shell completes commands, options and models."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    Examples:
      turnout completion bash > ~/.local/share/bash-completion/completions/turnout
      turnout completion zsh > ~/.zfunc/_turnout
      turnout completion fish > ~/.config/fish/completions/turnout.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "turnout", "_TURNOUT_COMPLETE").source())
