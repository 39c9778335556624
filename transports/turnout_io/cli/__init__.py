"""The command line `turnout`. Its reference is docs/cli.md.

Exit codes of every command: 0; 1 if a call failed or something is not configured, with the reason on stderr; 2 for
wrong usage; 130 for Ctrl-C. `turnout batch` has further codes, which its help lists.
"""

from __future__ import annotations

import signal
import sys
from typing import Final

__all__ = ["main"]

# Commands that SIGTERM ends as Ctrl-C does, with their exit codes if they have not begun: a batch is not done then, and
# to stop a server is its good end. `chat` keeps what came of an answer, `embed` says how many vectors there are.
_STOPPED: Final = {"batch": 130, "chat": 130, "embed": 130, "serve": 0}


def main() -> None:
    """Run the command line."""
    # Ctrl-C can arrive while the modules are loaded, which takes longer than many commands.
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        if command in _STOPPED:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        from turnout_io.cli.app import run
    except KeyboardInterrupt:
        sys.exit(_STOPPED.get(command, 130))
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit('turnout: the command line needs its extra: pip install "turnout[cli]"')
    run()
