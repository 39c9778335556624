"""The blocking router under gevent: greenlets wait together, and each keeps its deadline."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from turnout_io.sandbox import Fault, Sandbox

pytest.importorskip("gevent", reason="gevent is not installed")

PROGRAM = pathlib.Path(__file__).parent / "programs" / "greenlets.py"
COUNT = 40
TEXT = " ".join(f"word{number}" for number in range(20))


@pytest.mark.full
@pytest.mark.parametrize("transport", ["sockets", "requests"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_greenlets_share_a_router(transport: str, host: str) -> None:
    with Sandbox(token_interval=0.02) as sandbox:
        sandbox.answer("openai", TEXT)
        sandbox.script("groq", Fault(abort="hang"), forever=True)
        endpoints = [sandbox.url(name).replace("127.0.0.1", host) for name in ("openai", "groq")]
        done = subprocess.run(
            [sys.executable, str(PROGRAM), transport, str(COUNT), *endpoints],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        assert told["texts"] == [TEXT] * (2 * COUNT)
        # All places are used at once, and no more than there are.
        assert sandbox.peak_in_flight("openai") == COUNT
        assert [late["error"] for late in told["late"]] == ["DeadlineExceeded"] * COUNT
        assert all(0.4 < late["seconds"] < 60.0 for late in told["late"]), told["late"]
        assert told["ticks"] > 20, "a greenlet that waits held up the others"
        assert told["held"] == 0
        assert sandbox.wait(lambda server: server.open_connections == 0)
