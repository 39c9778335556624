"""The server that the benchmarks talk to: a process of its own on loopback, so that its work is no client's.

It is compiled from `server.c` if a C compiler is there. Otherwise the same server in Python is run, and the report
names it: with it the CPU of the clients is the same, but the machine has less left for them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from benchmarks.server.routes import encode_routes

__all__ = ["Server", "running_server"]

_HERE = Path(__file__).parent


@attrs.frozen
class Server:
    """A server that runs.

    Attributes:
        port: Where it listens on 127.0.0.1.
        language: What it is written in: "C" or "Python".
    """

    port: int
    language: str

    def base_url(self, route: str) -> str:
        """Return the base URL under which every request gets the reply of `route`."""
        return f"http://127.0.0.1:{self.port}/{route}/v1"


@contextmanager
def running_server() -> Iterator[Server]:
    """Run the server as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="turnout-benchmarks-") as name:
        folder = Path(name)
        (folder / "routes").write_bytes(encode_routes())
        program, language = _program(folder)
        process = subprocess.Popen(
            [*program, str(folder / "routes")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the benchmark server did not start: exit code {process.wait(10)}")
            yield Server(int(line), language)
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


def _program(folder: Path) -> tuple[list[str], str]:
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is not None:
        target = folder / "server"
        built = subprocess.run([compiler, "-O2", "-o", str(target), str(_HERE / "server.c")], capture_output=True)
        if built.returncode == 0:
            return [str(target)], "C"
    return [sys.executable, str(_HERE / "python_server.py")], "Python"
