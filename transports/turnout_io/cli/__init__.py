"""The command line: `turnout demo | chat | embed | models | providers | sandbox | serve | explain | replay | simulate`.

Exit codes: 0; 1 for a call that failed, with one line on stderr; 2 for bad usage; 130 for Ctrl-C.
"""

from __future__ import annotations

import os
import sys

try:
    import click
except ImportError:  # pragma: no cover - said to the user by a process of its own
    sys.exit('turnout: the command line needs its extra: pip install "turnout[cli]"')

from turnout_io.cli.chat import chat, demo, embed, models
from turnout_io.cli.providers import markdown_matrix, providers
from turnout_io.cli.sandbox import sandbox
from turnout_io.cli.serve import serve
from turnout_io.cli.simulate import simulate
from turnout_io.cli.trace_commands import explain, replay

__all__ = ["main", "markdown_matrix"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="turnout")
def cli() -> None:
    """Send an LLM request to the right provider, and on to the next one when that track is closed."""


for command in (demo, chat, embed, models, providers, sandbox, serve, explain, replay, simulate):
    cli.add_command(command)


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
