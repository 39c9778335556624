"""No error shows a secret, also if a report shows local variables: every way to fail, on every transport."""

from __future__ import annotations

import asyncio
import io
import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pytest
import requests
import trio
from rich.console import Console
from rich.traceback import Traceback

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from tests.transports.secrets.shown import HEADER, KEY, PASSWORD, leaks
from turnout import ChatRequest
from turnout.errors import AuthenticationFailed, TurnoutError
from turnout.providers import create
from turnout.routing import Policy
from turnout_io.conformance.certificates import Certificates
from turnout_io.conformance.harness import reply
from turnout_io.conformance.server import EndConnection, Hold, Receive, Request, Reset, ScriptedServer, Send, StartTls
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

REQUEST = ChatRequest("openai/m", "x")
POLICY = Policy(max_retries=0)
# urllib3 waits for the rest of what it cannot read, and here nothing more comes.
IMPATIENT = Policy(max_retries=0, timeout=2.0)


def with_session(proxy: str = "") -> RequestsTransport:
    session = requests.Session()
    session.trust_env = False
    session.proxies = {"http": proxy, "https": proxy}
    return RequestsTransport(session)


TRANSPORTS: dict[str, Callable[..., Any]] = {
    "socket": SocketTransport,
    "requests": RequestsTransport,
    "session": with_session,
    "trio": TrioTransport,
    "asyncio": AsyncioTransport,
}
everyone = pytest.mark.parametrize("name", TRANSPORTS)


def ask(name: str, url: str, *, stream: bool = False, settings: Callable[[], Mapping[str, Any]] = dict) -> None:
    """Send one request over this transport. No frame here has a secret in a variable."""
    providers = [create("openai", api_key=KEY, base_url=url, headers={"x-own": HEADER})]
    if name in ("trio", "asyncio"):

        async def concurrent() -> None:
            module: Any = turnout_io.trio if name == "trio" else turnout_io.asyncio
            async with module.Router(providers, policy=POLICY, transport=TRANSPORTS[name](**settings())) as router:
                if stream:
                    async with router.stream(REQUEST) as events:
                        _ = [event async for event in events]
                else:
                    await router.chat(REQUEST)

        trio.run(concurrent) if name == "trio" else asyncio.run(concurrent())
        return
    policy = IMPATIENT if name == "session" else POLICY
    with turnout_io.sync.Router(providers, policy=policy, transport=TRANSPORTS[name](**settings())) as router:
        if stream:
            with router.stream(REQUEST) as events:
                _ = list(events)
        else:
            router.chat(REQUEST)


def failure(*args: Any, **settings: Any) -> TurnoutError:
    with pytest.raises(TurnoutError) as caught:
        ask(*args, **settings)
    return caught.value


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


ECHO = b'{"error": {"message": "wrong key ' + KEY.encode() + b'"}}'
EVENT = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'


def echo(status: str) -> list[Any]:
    return [Request(), Send(reply(ECHO, f"X-Request-Id: {KEY}", f"Location: /{KEY}", status=status)), Hold()]


SERVERS: dict[str, list[Any]] = {
    "closes": [Request(), EndConnection()],
    "resets": [Request(), Reset()],
    "sends no HTTP": [Request(), Send(b"SSH-2.0 x\r\n\r\n"), Hold()],
    "sends a wrong field": [Request(), Send(b"HTTP/1.1 200 OK\r\nwrong field\r\n\r\n"), Hold()],
    "closes after 103": [Request(), Send(b"HTTP/1.1 103 Early\r\n\r\n"), EndConnection()],
    "sends half a body": [Request(), Send(reply(b"{}")[:-1]), EndConnection()],
    "sends a wrong chunk": [
        Request(), Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), EndConnection()
    ],
    "sends no gzip": [Request(), Send(reply(b"x", "Content-Encoding: gzip")), Hold()],
    "breaks a stream off": [Request(), Send(b"HTTP/1.1 200 OK\r\n\r\n" + EVENT), EndConnection()],
    "sends an error after a token": [Request(), Send(b"HTTP/1.1 200 OK\r\n\r\n" + EVENT + b"data: " + ECHO + b"\n\n")],
    "echoes with 200": echo("200 OK"),
    "echoes with 302": echo("302 Found"),
    "echoes with 401": echo("401 Unauthorized"),
    "echoes with 500": echo("500 Internal Server Error"),
    "echoes no JSON": [Request(), Send(reply(b'{"choices": ' + KEY.encode())), Hold()],
}  # fmt: skip


@everyone
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_fails(name: str, server: str, stream: bool) -> None:
    with ScriptedServer(SERVERS[server]) as scripted:
        assert leaks(failure(name, scripted.url, stream=stream)) == []


@everyone
def test_a_server_that_cannot_be_reached(name: str) -> None:
    assert leaks(failure(name, f"http://127.0.0.1:{free_port()}")) == []
    with Certificates() as certificates, ScriptedServer([StartTls(certificates.good()), Request()]) as server:
        assert leaks(failure(name, f"https://localhost:{server.port}")) == []


PROXIES: dict[str, Sequence[Any]] = {
    "closes": [Receive(), EndConnection()],
    "refuses": [Receive(), Send(b"HTTP/1.1 407 Wrong\r\nContent-Length: 0\r\n\r\n"), Hold()],
    "refuses by SOCKS": [Receive(), Send(b"\x05\xff"), Hold()],
    "knows another password": [Receive(), Send(b"\x05\x02\x01\x01"), Hold()],
}


@everyone
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h", "ftp"])
@pytest.mark.parametrize("target", ["http", "https"])
def test_a_proxy_that_fails(name: str, scheme: str, target: str) -> None:
    for steps in PROXIES.values():
        with ScriptedServer(list(steps)) as server:
            error = failure(
                name,
                f"{target}://192.0.2.1",
                settings=lambda: {"proxy": f"{scheme}://user:{quote(PASSWORD, '')}@127.0.0.1:{server.port}"},
            )
            assert leaks(error) == []


@everyone
@pytest.mark.parametrize("rest", ["127.0.0.1:99999", "127.0.0.1:0", "[::1"])
def test_the_url_of_a_proxy_that_is_none(name: str, rest: str) -> None:
    error = failure(name, "http://192.0.2.1", settings=lambda: {"proxy": f"http://user:{quote(PASSWORD, '')}@{rest}"})
    assert leaks(error) == []


def token() -> str:
    fresh = KEY + "-fresh"
    raise RuntimeError(f"no token for {len(fresh)} characters")


async def later_token() -> str:
    return token()


@pytest.mark.parametrize("make", [token, later_token])
def test_a_function_that_fetches_no_token(make: Any) -> None:
    async def concurrent() -> None:
        async with turnout_io.asyncio.Router(
            [create("azure", base_url="http://127.0.0.1:9", access_token=make)], policy=POLICY
        ) as router:
            await router.chat(ChatRequest("azure/m", "x"))

    with pytest.raises(AuthenticationFailed) as caught:
        asyncio.run(concurrent())
    assert leaks(caught.value) == []


def test_the_reports_themselves() -> None:
    """Rich and the standard library render what `leaks` looks at."""
    with ScriptedServer(SERVERS["echoes with 401"]) as server:
        error = failure("socket", server.url)
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True))
    with_rich = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    plain = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    for report in (with_rich, plain):
        assert "wrong key ***" in report
        assert KEY[:14] not in report


def test_what_is_looked_for_is_found() -> None:
    def fails(url: str, fields: dict[str, str]) -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x") as caught:
        fails(f"http://u:{quote(PASSWORD)}@h", {"Authorization": f"Bearer {KEY}"})
    assert [leak.rpartition(" ")[2] for leak in leaks(caught.value)] == ["url", "fields"]
