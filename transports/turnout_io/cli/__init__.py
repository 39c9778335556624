"""The command line: `turnout demo | chat | embed | models | providers | sandbox | serve | batch | explain | …`.

Exit codes: 0; 1 for a call that failed, with one line on stderr; 2 for bad usage; 130 for Ctrl-C.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

try:
    import click
except ImportError:  # pragma: no cover - said to the user by a process of its own
    sys.exit('turnout: the command line needs its extra: pip install "turnout[cli]"')

__all__ = ["main"]

# Each command with its module. A module is imported when its command is used: all of them cost half a second.
_COMMANDS: Final = {
    "demo": "chat",
    "chat": "chat",
    "embed": "chat",
    "models": "chat",
    "providers": "providers",
    "sandbox": "sandbox",
    "serve": "serve",
    "batch": "batch",
    "explain": "trace_commands",
    "replay": "trace_commands",
    "simulate": "simulate",
}


class _Commands(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(f"turnout_io.cli.{module}"), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="turnout")
def cli() -> None:
    """Send an LLM request to the right provider, and on to the next one when that track is closed."""


def main() -> None:
    """Run the command line."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to tell them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
