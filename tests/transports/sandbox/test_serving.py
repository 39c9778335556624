"""Script files, and the sandbox at the command line."""

from __future__ import annotations

import http.client
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import pytest

from turnout.errors import LocalProtocolError, ProviderNotRegistered
from turnout_io.sandbox import Abort, Fault, Sandbox, read_script, serve
from turnout_sandbox.__main__ import main

SCRIPT = """
openai:
  - status: 429
    headers: {retry-after: "2"}
  - {delay: 0.5, abort: reset, after_tokens: 3}
  - {}
gemini:
  faults: [{error: quota}]
  forever: true
ollama:
  answer: Always this.
"""


def test_a_script_in_yaml_and_the_same_in_json(tmp_path: pathlib.Path) -> None:
    in_yaml, in_json = tmp_path / "script.yaml", tmp_path / "script.json"
    in_yaml.write_text(SCRIPT, encoding="utf-8")
    script = read_script(in_yaml)
    assert script["openai"].faults == (
        Fault(status=429, headers={"retry-after": "2"}),
        Fault(delay=0.5, abort=Abort.RESET, after_tokens=3),
        Fault(),
    )
    assert (script["gemini"].forever, script["ollama"].answer) == (True, "Always this.")
    data = {
        "openai": [
            {"status": 429, "headers": {"retry-after": "2"}},
            {"delay": 0.5, "abort": "reset", "after_tokens": 3},
            {},
        ],
        "gemini": {"faults": [{"error": "quota"}], "forever": True},
        "ollama": {"answer": "Always this."},
    }
    in_json.write_text(json.dumps(data), encoding="utf-8")
    assert read_script(in_json) == script
    in_yaml.write_text("", encoding="utf-8")
    assert read_script(in_yaml) == {}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("openai: [{stats: 1}]", "stats"),
        ("openai: [{status: 9}]", "status"),
        ("openai: [7]", "mapping"),
        ("openai: 7", "list"),
        ("[1]", "mapping"),
        ("openai: {forever: 1}", "forever"),
        ("openai: {always: true}", "always"),
        ("openai: {answer: 7}", "answer"),
        ("a: [", "YAML"),
        ("openai: [{delay: 2001-99-99}]", "line 1"),
        ("openai: &a [*a]", "contains itself"),
        ("openai: [{headers: 7}]", "openai"),
    ],
)
def test_a_slip_in_a_script_is_named_with_its_file(tmp_path: pathlib.Path, text: str, word: str) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LocalProtocolError, match=word) as caught:
        read_script(file)
    assert str(file) in str(caught.value)


def test_it_serves_until_it_is_stopped_and_prints_the_requests(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(SCRIPT, encoding="utf-8")
    ready, stop = threading.Event(), threading.Event()

    class Printed(io.StringIO):
        def flush(self) -> None:
            if "export OLLAMA_ENDPOINT" in self.getvalue():
                ready.set()

    out = Printed()
    server = threading.Thread(target=serve, args=(0, file), kwargs={"token_interval": 0.0, "out": out, "stop": stop})
    server.start()
    try:
        assert ready.wait(10)
        endpoint = re.search(r"export OLLAMA_ENDPOINT=http://127.0.0.1:(\d+)/ollama", out.getvalue())
        assert endpoint is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(endpoint[1]), timeout=10)
        body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "stream": False}
        connection.request("POST", "/ollama/api/chat", json.dumps(body), {"authorization": "Bearer sk-private"})
        assert json.loads(connection.getresponse().read())["message"]["content"] == "Always this."
        connection.close()
    finally:
        stop.set()
        server.join(10)
    assert not server.is_alive()
    assert re.search(r"ollama +POST /api/chat  tiny  200 complete", out.getvalue())
    assert "sk-private" not in out.getvalue()


def test_an_unknown_provider_in_a_script_and_a_port_in_use_are_errors(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "script.json"
    file.write_text('{"opneai": []}', encoding="utf-8")
    with pytest.raises(ProviderNotRegistered, match="opneai"):
        serve(0, file)
    assert main(["--port", "0", "--script", str(file)]) == 1
    assert main(["--script", str(tmp_path / "none.yaml")]) == 1
    told = capsys.readouterr().err
    assert "opneai" in told
    assert "none.yaml" in told


def test_the_module_runs_and_ends_at_an_interrupt() -> None:
    command = [sys.executable, "-m", "turnout_sandbox", "--port", "0", "--token-interval", "0"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    piped = subprocess.PIPE
    with subprocess.Popen(command, stdout=piped, stderr=piped, text=True, env=environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        assert "http://127.0.0.1:" in first
        for line in process.stdout:
            if line.startswith("export ANTHROPIC_ENDPOINT"):
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_env_prints_the_variables_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--env", "--port", "8123"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(re.fullmatch(r"export [A-Z0-9_]+=[\w:/.-]+", line) for line in lines)
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "OLLAMA_HOST", "OPENAI_ENDPOINT"):
        (value,) = [line.partition("=")[2] for line in lines if line.startswith(f"export {name}=")]
        assert value.startswith("http://127.0.0.1:8123/")


def test_env_needs_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--env", "--port", "0"]) == 1
    assert "give the port" in capsys.readouterr().err


def test_a_port_that_another_program_uses_is_named() -> None:
    with Sandbox() as other, pytest.raises(LocalProtocolError, match=f"port {other.port}: .* --port 0 for a free one"):
        serve(other.port)
