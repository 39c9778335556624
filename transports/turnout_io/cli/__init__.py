"""The command line `turnout`. Its reference is docs/cli.md.

Exit codes of every command: 0; 1 if a call failed or something is not configured, with the reason on stderr; 2 for
wrong usage; 130 for Ctrl-C. `turnout batch` has further codes, which its help lists.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    # Ctrl-C can arrive while the modules are loaded, which takes longer than many commands.
    try:
        from turnout_io.cli.app import run
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit('turnout: the command line needs its extra: pip install "turnout[cli]"')
    run()
