"""What the socket transports do beyond the rules of `turnout_io.base`: runs, threads, expiry, environment, files."""

from __future__ import annotations

import asyncio
import pathlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import requests
import trio

from turnout.errors import LocalProtocolError, TransportError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance.harness import chunk, reply
from turnout_io.conformance.server import Gate, Hold, Request, ScriptedServer, Send, Step
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

PATIENT = TransportTimeouts(connect=5.0, response_headers=5.0)
ANSWER: tuple[Step, ...] = (Request(), Send(reply(b"ok")))
ONE: list[Step] = [*ANSWER, Hold()]
MANY: list[Step] = [*ANSWER * 4, Hold()]
RUNS: list[Any] = [
    pytest.param(TrioTransport, trio.run, id="trio"),
    pytest.param(AsyncioTransport, lambda steps, *args: asyncio.run(steps(*args)), id="asyncio"),
]
Run = Callable[..., Any]


def get(transport: SocketTransport | RequestsTransport, url: str) -> bytes:
    response = transport.open(HttpRequest("GET", url), PATIENT)
    body = response.read(5.0)
    assert response.read(5.0) == b""
    response.close()
    return body


async def fetch(transport: TrioTransport | AsyncioTransport, url: str) -> bytes:
    response = await transport.open(HttpRequest("GET", url), PATIENT)
    body = await response.read(5.0)
    assert await response.read(5.0) == b""
    await response.aclose()
    return body


@pytest.mark.parametrize(("factory", "run"), RUNS)
def test_a_second_run_opens_connections_of_its_own(
    factory: Callable[[], TrioTransport | AsyncioTransport], run: Run
) -> None:
    with ScriptedServer(MANY, MANY) as server:
        transport = factory()

        async def twice() -> None:
            for _ in range(2):
                assert await fetch(transport, server.url) == b"ok"

        run(twice)
        assert len(server.connections) == 1
        run(twice)
        assert len(server.connections) == 2
        assert server.connections[0].closed_by_client.wait(5.0)
        run(transport.aclose)
        assert server.connections[1].closed_by_client.wait(5.0)


@pytest.mark.parametrize(("factory", "run"), RUNS)
def test_a_response_can_be_closed_after_its_run(
    factory: Callable[[], TrioTransport | AsyncioTransport], run: Run
) -> None:
    with ScriptedServer([Request(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"), Hold()]) as server:
        transport = factory()

        async def begin() -> Any:
            return await transport.open(HttpRequest("GET", server.url), PATIENT)

        response = run(begin)
        run(response.aclose)
        assert server.connections[0].closed_by_client.wait(5.0)
        run(transport.aclose)


def test_threads_share_the_pool() -> None:
    with ScriptedServer(*[[*ANSWER * 40, Hold()] for _ in range(8)]) as server:
        transport = SocketTransport(max_keepalive_connections=8)
        bodies: list[bytes] = []

        def work() -> None:
            bodies.extend(get(transport, server.url) for _ in range(5))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20.0)
        assert bodies == [b"ok"] * 40
        assert len(server.connections) <= 8
        transport.close()


def test_an_idle_connection_expires() -> None:
    with ScriptedServer(MANY, MANY) as server:
        transport = SocketTransport(keepalive_expiry=0.0)
        for connections in (1, 2):
            assert get(transport, server.url) == b"ok"
            assert len(server.connections) == connections
            assert server.connections[-1].closed_by_client.wait(5.0)
        transport.close()


def test_nothing_is_kept_after_close_and_the_transport_may_still_be_used() -> None:
    with ScriptedServer(ONE, ONE) as server:
        transport = SocketTransport()
        transport.close()
        for number in range(2):
            assert get(transport, server.url) == b"ok"
            assert server.connections[number].closed_by_client.wait(5.0)


@pytest.mark.parametrize("factory", [SocketTransport, RequestsTransport])
def test_the_environment_names_the_proxy(factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(ONE, ONE) as server:
        monkeypatch.setenv("http_proxy", server.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        transport = factory()
        assert get(transport, "http://api.example.invalid/v1") == b"ok"
        assert server.requests[0].target == "http://api.example.invalid/v1"
        transport.close()
        for settings in ({"trust_env": False}, {"proxy": ""}):
            straight = factory(**settings)
            with pytest.raises(TransportError):
                get(straight, "http://api.example.invalid/v1")
            straight.close()
        assert len(server.requests) == 1


def test_a_netrc_file_replaces_no_key(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedServer(MANY) as server:
        request = HttpRequest("GET", server.url, (("Authorization", "Bearer k"),))
        transport = RequestsTransport()
        transport.open(request, PATIENT).close()
        assert server.requests[0].get("authorization") == "Bearer k"
        transport.close()
    for setting in (None, ("user", "password")):
        with ScriptedServer([*ONE], [*ONE]) as server, requests.Session() as session:
            session.auth = setting
            RequestsTransport(session).open(HttpRequest("GET", server.url, request.headers), PATIENT).close()
            sent = server.requests[0].get("authorization")
            # An auth of the session replaces the key, because the user configured it; a file does not.
            assert (sent == "Bearer k") == (setting is None)
            requests.get(server.url, headers=dict(request.headers), timeout=5.0)
            assert server.requests[1].get("authorization") != "Bearer k", "`requests` alone would use the file"


@pytest.mark.parametrize("factory", [SocketTransport, RequestsTransport])
@pytest.mark.parametrize("setting", ["ca_file", "client_cert"])
def test_a_certificate_file_that_cannot_be_used_is_named(factory: Callable[..., Any], setting: str) -> None:
    with ScriptedServer([Hold()]) as server:
        transport = factory(**{setting: "/nowhere/at-all.pem"})
        with pytest.raises(LocalProtocolError, match=r"/nowhere/at-all\.pem"):
            transport.open(HttpRequest("GET", f"https://127.0.0.1:{server.port}"), PATIENT)
        transport.close()


def test_a_response_that_is_forgotten_is_told_of() -> None:
    with ScriptedServer([Request(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"), Hold()]) as server:
        transport = SocketTransport()
        opened = [transport.open(HttpRequest("GET", server.url), PATIENT)]
        with pytest.warns(ResourceWarning, match="unclosed"):
            opened.clear()
        assert server.connections[0].closed_by_client.wait(5.0)


@pytest.mark.parametrize(("factory", "run"), RUNS)
def test_a_flood_lets_other_tasks_run(factory: Callable[[], TrioTransport | AsyncioTransport], run: Run) -> None:
    """Reads that never have to wait still give way."""
    body = chunk(b"x" * 1000) * 3000
    script: list[Step] = [Request(), Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Gate("go")]
    with ScriptedServer([*script, Send(body + chunk(b"")), Hold()]) as server:

        async def main() -> int:
            transport = factory()
            response = await transport.open(HttpRequest("GET", server.url), PATIENT)
            turns = 0
            over = False

            async def count(pause: Callable[[], Coroutine[Any, Any, None]]) -> None:
                nonlocal turns
                while not over:
                    turns += 1
                    await pause()

            async def read() -> None:
                nonlocal over
                server.open_gate("go")
                while await response.read(5.0):
                    pass
                over = True

            if factory is TrioTransport:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(count, trio.lowlevel.checkpoint)
                    nursery.start_soon(read)
            else:
                await asyncio.gather(count(lambda: asyncio.sleep(0)), read())
            await response.aclose()
            await transport.aclose()
            return turns

        assert run(main) > 10
