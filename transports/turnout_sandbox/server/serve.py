"""Runs the sandbox at the command line: prints its URLs and the variables for programs, until Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import pathlib
import sys
import threading
from collections.abc import Callable
from typing import TextIO

from turnout.errors import LocalProtocolError
from turnout_sandbox.environment import sdk_variables, turnout_variables
from turnout_sandbox.received import Received
from turnout_sandbox.sandbox import Sandbox
from turnout_sandbox.script_file import read_script

__all__ = ["print_environment", "serve"]


def serve(
    port: int = 8089,
    script: str | pathlib.Path | None = None,
    *,
    token_interval: float = 0.03,
    out: TextIO | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve on 127.0.0.1 until Ctrl-C, or until `stop` is set.

    Print the URL of each provider, the environment variables, and one line for each response. The only keys in the
    output are those of the sandbox. `script` is a file as `script_file` describes.

    Raises:
        OSError: The file cannot be read.
        LocalProtocolError: The script is wrong, or another program uses the port.
    """
    write = _Lines(out or sys.stdout)
    plan = {} if script is None else read_script(script)
    sandbox = Sandbox(port=port, token_interval=token_interval, on_request=write.request)
    for provider, entry in plan.items():
        sandbox.script(provider, *entry.faults, forever=entry.forever)
        if entry.answer is not None:
            sandbox.answer(provider, entry.answer)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        try:
            stack.enter_context(sandbox)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise LocalProtocolError(
                f"another program uses port {port}: give another one with --port, or --port 0 for a free one"
            ) from error
        write.line(f"Turnout sandbox on http://127.0.0.1:{sandbox.port} (Ctrl-C ends it)\n")
        for provider in sandbox.providers:
            write.line(f"  {provider:<12} {sandbox.url(provider)}")
        write.line("\nPaste this to point a program at it:\n")
        print_environment(sandbox.port, write.line)
        write.line("")
        (stop or threading.Event()).wait()


def print_environment(port: int, write: Callable[[str], object] = print) -> None:
    """Print shell commands that point programs at a sandbox on this port.

    Args:
        port: The port of the sandbox.
        write: Gets each line.

    Raises:
        LocalProtocolError: The port is 0, so that the sandbox would take another one.
    """
    if port == 0:
        raise LocalProtocolError("port 0 stands for any free port: give the port of the sandbox that runs")
    for name, value in {**sdk_variables(port), **turnout_variables(port)}.items():
        write(f"export {name}={value}")


class _Lines:
    """Whole lines from any thread, at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        with self._lock:
            self._out.write(text + "\n")
            self._out.flush()

    def request(self, received: Received) -> None:
        took = (received.ended or received.at) - received.at
        what = f"{received.provider or '?':<12} {received.method} {received.path}"
        self.line(f"{received.at:8.3f}s  {what}  {received.model}  {received.status} {received.outcome} in {took:.3f}s")
