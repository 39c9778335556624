"""What `turnout serve` loads until it listens: the time of its start and its memory are mostly that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFIG = """
providers:
  up: {kind: openai-compatible, baseUrl: "http://127.0.0.1:9/v1", apiKey: k}
serve:
  listen: 127.0.0.1:0
  keys: [{name: a, key: k}]
  aliases: {a: up/m}
"""
PROGRAM = """
import sys
from turnout_io.cli.commands.serve import serve
from turnout_io.serve import run

start = run.run_gateway
def started_and_stopped(gateway, started):
    def told(addresses):
        started(addresses)
        print(*sys.modules)
        gateway.stop()
    start(gateway, told)
run.run_gateway = started_and_stopped
serve(["--quiet", "--config", sys.argv[1]], standalone_mode=False)
"""
MOST_MODULES = 285
"""Modules of our own. Each costs the start of every gateway about a third of a millisecond and 50 kB."""


def test_a_gateway_loads_only_what_its_configuration_needs(tmp_path: Path) -> None:
    config = tmp_path / "turnout.yaml"
    config.write_text(CONFIG)
    command = [sys.executable, "-c", PROGRAM, str(config)]
    environ = {"PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path, env=environ)
    loaded = set(done.stdout.split())
    dialects = {name.split(".")[2] for name in loaded if name.startswith("turnout.providers.") and "dialect" in name}
    # Ollama needs no key, so it can be used without any configuration.
    assert dialects == {"dialect", "openai_chat", "ollama"}
    for heavy in ("difflib", "html", "email", "asyncio", "requests", "turnout_sandbox", "turnout.typed"):
        assert heavy not in loaded, heavy
    ours = [name for name in loaded if name.partition(".")[0] in ("turnout", "turnout_io")]
    assert len(ours) <= MOST_MODULES, len(ours)
