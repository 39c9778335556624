"""Ctrl-C at each place where blocking code waits: the call releases everything, and the router still works."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from turnout_io.sandbox import Fault, Sandbox

PROGRAM = pathlib.Path(__file__).parent / "programs" / "ctrl_c.py"
SYN_SENT = "02"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the test reads /proc/net/tcp to find sockets that connect"
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        server.answer("openai", "well again")
        yield server


@pytest.fixture
def silent() -> Iterator[int]:
    """Return a port that accepts no connection, because its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def connecting_to(port: int) -> int:
    """Return the number of sockets that are connecting to this port of 127.0.0.1."""
    lines = pathlib.Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    return sum(line.split()[2:4] == [f"0100007F:{port:04X}", SYN_SENT] for line in lines)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < until, "the program did not reach the place of the interruption"
        os.sched_yield()


class Program:
    def __init__(self, *words: str) -> None:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *words],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def type(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def heard(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else self.process.communicate(timeout=20)

    def ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> str:
        try:
            _, errors = self.process.communicate(timeout=20)
        finally:
            self.process.kill()
        return errors.strip()


@pytest.mark.full
@pytest.mark.parametrize("transport", ["sockets", "requests"])
def test_ctrl_c_at_each_wait(transport: str, sandbox: Sandbox, silent: int) -> None:
    before = connecting_to(silent)
    program = Program(transport, sandbox.url("openai"), sandbox.url("openai"), f"http://127.0.0.1:{silent}/v1")

    def under_way() -> bool:
        return sandbox.in_flight("openai") == 1

    def refused() -> bool:
        return bool(sandbox.requests) and sandbox.requests[-1].status == 503 and sandbox.in_flight("openai") == 0

    try:
        program.type("connect")
        wait_for(lambda: connecting_to(silent) > before)
        program.ctrl_c()
        whole = {"interrupted": True, "left": [0, 0, 0, 0], "again": "well again"}
        assert program.heard() == whole, "connect"
        assert connecting_to(silent) == before, "a socket is still connecting"
        for place, fault, arrived in (
            ("head", Fault(abort="hang"), under_way),
            ("unary body", Fault(abort="hang", after_tokens=1), under_way),
            ("back off", Fault(status=503, headers={"retry-after": "50"}), refused),
            ("body", Fault(abort="hang", after_tokens=1), None),
            ("queue", Fault(abort="hang", after_tokens=1), None),
        ):
            sandbox.script("openai", fault)
            program.type(place)
            if arrived is None:
                assert program.heard() == {"begun": True}
            else:
                wait_for(arrived)
            program.ctrl_c()
            assert program.heard() == whole, place
            assert sandbox.wait(lambda server: server.in_flight("openai") == 0), (
                f"{place}: the request is still in flight at the server"
            )
            assert sandbox.open_connections <= 1, place
        assert program.process.poll() is None
    finally:
        errors = program.end()
    assert errors == ""
    assert sandbox.wait(lambda server: server.open_connections == 0)
