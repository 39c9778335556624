"""Commands of the pages, as a shell runs them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.transports.cli.terminal import Terminal


def run_line(line: str, terminal: Terminal, folder: Path) -> None:
    """Run a line of a page in a shell, with the command of this checkout in place of `turnout`."""
    program = f"{shlex.quote(sys.executable)} -c 'from turnout_io.cli import main; main()'"
    done = subprocess.run(
        re.sub(r"(^|\| )turnout (?=[a-z])", lambda found: f"{found[1]}{program} ", line),
        shell=True,
        env=terminal.environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    assert done.stdout or done.stderr
