"""A terminal for the tests of the command line: it starts real processes in a home folder of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from turnout_io.cli.app import cli

# Ctrl-C must work even if the process that runs the tests ignores SIGINT, which children inherit.
_PROGRAM = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
COMMAND = [sys.executable, "-c", "from turnout_io.cli import main; main()"]
COMMAND_WITH_CTRL_C = [sys.executable, "-c", f"{_PROGRAM}from turnout_io.cli import main; main()"]


class Terminal:
    """Runs commands with no variables of the user's except those that are given."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.endswith(("_API_KEY", "_ENDPOINT"))
            and name not in ("TURNOUT_MODEL", "XDG_CONFIG_HOME", "COLUMNS")
        }
        home = {"HOME": str(folder), "APPDATA": str(folder), "PYTHONUTF8": "1", "PYTHONWARNINGS": "error"}
        self.environ = {**clean, **environ, **home}
        self.folder = folder

    @property
    def settings(self) -> Path:
        """The folder of the user's settings on Linux."""
        return self.folder / ".config" / "turnout"

    def configure(self, text: str) -> None:
        """Write the user's config file."""
        self.settings.mkdir(parents=True, exist_ok=True)
        (self.settings / "config.yaml").write_text(text, "utf-8")

    def type(
        self, *words: str, stdin: str | bytes = "", variables: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *words],
            env={**self.environ, **(variables or {})},
            cwd=self.folder,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        out, errors = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in errors, errors
        return subprocess.CompletedProcess(done.args, done.returncode, out, errors)

    def check(
        self, *words: str, stdin: str | bytes = "", variables: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in this process, which takes a tenth of the time of another one."""
        environ: dict[str, str | None] = dict.fromkeys(os.environ)
        runner = CliRunner(env={**environ, **self.environ, **(variables or {})})
        result = runner.invoke(cli, words, input=stdin, prog_name="turnout")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command that Ctrl-C can end."""
        return subprocess.Popen(
            [*COMMAND_WITH_CTRL_C, *words],
            env=self.environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
