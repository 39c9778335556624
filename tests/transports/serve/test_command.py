"""`turnout serve` as a process of its own: it starts, serves over real sockets and TLS, and stops on a signal."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import attrs
import pytest
import trio
import trustme
import yaml

from turnout.config.values import SettingsError
from turnout_io.recorder import read_traces
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.serve import Gateway, read_gateway_settings
from turnout_io.trio import Router

pytestmark = pytest.mark.full
PROGRAM = [sys.executable, "-c", "from turnout_io.cli import main; main()", "serve"]
_PROVIDER_VARIABLES = ("_API_KEY", "_API_KEYS", "_ENDPOINT", "_BASE_URL", "_HOST", "_TOKEN", "_ACCESS_KEY")
HELLO = [{"role": "user", "content": "hello"}]


@attrs.define
class Running:
    """A gateway that runs."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str]
    context: ssl.SSLContext | None = None
    timeout: float = 20

    def connect(self) -> http.client.HTTPConnection:
        if self.context is not None:
            return http.client.HTTPSConnection("localhost", self.port, timeout=self.timeout, context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        connection = self.connect()
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        found = response.status, response.read()
        connection.close()
        return found


@contextlib.contextmanager
def running(
    *arguments: str, environ: dict[str, str] | None = None, context: ssl.SSLContext | None = None
) -> Iterator[Running]:
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stderr=subprocess.PIPE, text=True, env={**_clean_environ(), **(environ or {})}
    )
    assert process.stderr is not None
    lines: list[str] = []
    try:
        port = _port(process.stderr, lines)
        yield Running(process, port, lines, context)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def _clean_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.endswith(_PROVIDER_VARIABLES)}


def refused(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a gateway that cannot start."""
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False, env=_clean_environ()
    )


def _port(stderr: IO[str], lines: list[str]) -> int:
    for line in stderr:
        lines.append(line.strip())
        if "serving on" in line:
            return int(line.rpartition(":")[2])
    raise AssertionError(f"the gateway did not start: {lines}")


def configured(folder: Path, sandbox: Sandbox, **serve: object) -> str:
    providers = {name: {"apiKey": sandbox.key(name), "baseUrl": sandbox.url(name)} for name in ("openai", "anthropic")}
    path = folder / "turnout.yaml"
    path.write_text(yaml.safe_dump({"providers": providers, "serve": {"listen": "127.0.0.1:0", **serve}}))
    return str(path)


def test_a_sandbox_answers_if_it_is_asked_for() -> None:
    with running("--sandbox", "--listen", "127.0.0.1:0") as gateway:
        status, body = gateway.ask("POST", "/v1/chat/completions", {"model": "openai/gpt-4o-mini", "messages": HELLO})
        assert status == 200
        assert json.loads(body)["choices"][0]["message"]["content"]
        listed = [model["id"] for model in json.loads(gateway.ask("GET", "/v1/models")[1])["data"]]
        assert "openai/gpt-4o-mini" in listed
        assert {name.partition("/")[0] for name in listed} >= {"openai", "anthropic", "gemini", "groq"}


@pytest.mark.parametrize("file", [None, "serve: {listen: 127.0.0.1:0}", "providers: {openai: {}}"])
def test_without_any_provider_nothing_is_served(tmp_path: Path, file: str | None) -> None:
    arguments = ["--listen", "127.0.0.1:0"]
    if file is not None:
        (tmp_path / "turnout.yaml").write_text(file)
        arguments += ["--config", str(tmp_path / "turnout.yaml")]
    done = refused(*arguments)
    assert done.returncode == 1
    for text in ("no provider is configured", "OPENAI_API_KEY", "providers: {ollama: {}}", "turnout serve --sandbox"):
        assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("file", "environ"),
    [
        ("{}", {"GROQ_API_KEY": "k"}),
        ("{}", {"OPENAI_API_KEYS": "one,two"}),
        ("{}", {"OLLAMA_HOST": "127.0.0.1:11434"}),
        ("providers: {ollama: {}}", {}),
        ("routes: {local: {choices: [ollama/qwen3]}}", {}),
        ("providers: {engine: {kind: openai-compatible, baseUrl: http://127.0.0.1:1/v1}}", {}),
        ("{}", {"GROQ_API_KEY": "k", "OPENAI_BASE_URL": "of another program"}),
    ],
)
def test_a_provider_with_a_key_or_with_a_name_is_served(tmp_path: Path, file: str, environ: dict[str, str]) -> None:
    (tmp_path / "turnout.yaml").write_text(file)
    config = str(tmp_path / "turnout.yaml")
    with running("--config", config, "--listen", "127.0.0.1:0", environ=environ) as gateway:
        assert gateway.ask("GET", "/health") == (200, b'{"status":"ok"}')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_a_stream_end(tmp_path: Path, number: int) -> None:
    with Sandbox(token_interval=0.05) as sandbox:
        sandbox.answer("openai", "one two three four five six seven eight nine ten")
        with running("--config", configured(tmp_path, sandbox)) as gateway:
            connection = gateway.connect()
            body = {"model": "openai/gpt-4o-mini", "messages": HELLO, "stream": True}
            connection.request("POST", "/v1/chat/completions", json.dumps(body))
            response = connection.getresponse()
            first = response.read1()
            gateway.process.send_signal(number)
            rest = response.read()
            response.close()
            connection.close()
            assert (first + rest).endswith(b"data: [DONE]\n\n")
            assert gateway.process.wait(timeout=20) == 0
            assert gateway.process.stderr is not None
            assert "stopping: 1 request in flight" in gateway.process.stderr.read()
            with pytest.raises(OSError, match=r"refused|reset"):
                gateway.ask("GET", "/health")


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; the process inherits it
        try:
            with running("--config", configured(tmp_path, sandbox)) as gateway:
                gateway.process.send_signal(signal.SIGHUP)
                assert gateway.ask("GET", "/health")[0] == 200
                gateway.process.send_signal(signal.SIGTERM)
                assert gateway.process.wait(timeout=20) == 0
        finally:
            signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_it_serves_is_a_good_end(tmp_path: Path, number: int) -> None:
    config = tmp_path / "turnout.yaml"
    os.mkfifo(config)
    process = subprocess.Popen([*PROGRAM, "--config", str(config)], stderr=subprocess.PIPE, text=True)
    with config.open("wb"):  # opened by both sides: the process reads its configuration
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_a_client_that_leaves_is_seen_by_the_provider(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        sandbox.script("openai", Fault(stall=60, after_tokens=2), forever=True)
        with running("--config", configured(tmp_path, sandbox)) as gateway:
            connection = gateway.connect()
            body = {"model": "openai/gpt-4o-mini", "messages": HELLO, "stream": True}
            connection.request("POST", "/v1/chat/completions", json.dumps(body))
            response = connection.getresponse()
            assert response.read1()
            assert sandbox.in_flight("openai") == 1
            response.close()
            connection.close()
            assert sandbox.wait(lambda sandbox: sandbox.in_flight("openai") == 0)


def test_keys_and_metrics_on_an_address_of_their_own(tmp_path: Path) -> None:
    keys = [{"name": "team", "key": "${TEAM_KEY}"}]
    aliases = {"fast": ["openai/gpt-4o-mini"]}
    with Sandbox() as sandbox:
        path = configured(tmp_path, sandbox, keys=keys, aliases=aliases, budgetFile=str(tmp_path / "budget"))
        with running("--config", path, environ={"TEAM_KEY": "secret"}) as gateway:
            assert gateway.ask("GET", "/v1/models")[0] == 401
            status, body = gateway.ask("GET", "/v1/models", authorization="Bearer secret")
            assert status == 200
            assert [model["id"] for model in json.loads(body)["data"]] == ["fast"]
            assert (tmp_path / "budget").exists()
            assert gateway.process.stderr is not None
            assert not any("secret" in line for line in gateway.lines)


def test_handshakes_count_as_connections(tmp_path: Path) -> None:
    authority = trustme.CA()
    pem = str(tmp_path / "server.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Sandbox() as sandbox:
        path = configured(tmp_path, sandbox, tlsCertificate=pem, tlsKey=pem, maxConnections=1)
        with running("--config", path, context=context) as gateway:
            assert gateway.ask("GET", "/v1/models")[0] == 200
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=20):  # it says nothing
                status, body = gateway.ask("GET", "/v1/models")
            assert status == 503
            assert b"serve.maxConnections" in body


def test_an_address_for_metrics_that_is_taken_leaves_no_listener() -> None:
    async def main() -> None:
        (taken,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        (first,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port, used = (one.socket.getsockname()[1] for one in (first, taken))
        await first.aclose()
        settings = read_gateway_settings({"listen": f"127.0.0.1:{port}", "metrics": f"127.0.0.1:{used}"})
        async with Router([]) as router:
            with pytest.raises(SettingsError, match=r"serve\.metrics"):
                await Gateway(router, settings).serve()
        (again,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
        await again.aclose()
        await taken.aclose()

    trio.run(main)


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    pem = str(tmp_path / "server.pem")
    with Sandbox() as sandbox:
        path = configured(tmp_path, sandbox, tlsCertificate=pem, tlsKey=pem)
        with running("--config", path, context=context) as gateway:
            assert "https://" in "".join(gateway.lines)
            assert gateway.ask("GET", "/health") == (200, b'{"status":"ok"}')
            plain = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
            plain.request("GET", "/health")
            with pytest.raises((http.client.HTTPException, OSError)):
                plain.getresponse().close()
            plain.close()
            assert gateway.ask("GET", "/health")[0] == 200


@pytest.mark.parametrize(
    ("serve", "router", "named"),
    [
        ({"listen": "0.0.0.0:8080"}, {}, "serve.keys must have a key"),
        ({"aliases": {"fast": ["nobody/x"]}}, {}, "there is no provider 'nobody'"),
        ({"aliases": {"fast": ["route/x"]}}, {}, "there is no route 'x'"),
        ({}, {"onInterrupt": "restart"}, "restart cannot be used"),
        ({"tlsCertificate": "none.pem", "tlsKey": "none.pem"}, {}, "serve.tlsCertificate"),
        ({"listen": "127.0.0.1:1x"}, {}, "serve.listen"),
    ],
)
def test_settings_that_cannot_be_used(
    tmp_path: Path, serve: dict[str, object], router: dict[str, object], named: str
) -> None:
    path = tmp_path / "turnout.yaml"
    serve = {"listen": "127.0.0.1:0", **serve}
    path.write_text(yaml.safe_dump({"runtime": {"router": router}, "serve": serve}))
    done = refused("--sandbox", "--config", str(path))
    assert done.returncode == 1
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_traces_of_requests_are_appended(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    with running("--sandbox", "--listen", "127.0.0.1:0", "--trace", str(file)) as gateway:
        for _ in range(2):
            body = {"model": "openai/gpt-4o-mini", "messages": HELLO}
            assert gateway.ask("POST", "/v1/chat/completions", body)[0] == 200
    assert len(list(read_traces(file))) == 2
