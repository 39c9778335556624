"""SOCKS5 proxies, on every transport: they connect, they refuse, and their bytes may be split anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import ConnectFailed, TimedOut
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance.certificates import Certificates
from turnout_io.conformance.harness import reply
from turnout_io.conformance.server import Hold, Request, ScriptedServer, Send, StartTls, Step
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.proxies import Proxy
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.socks import SocksTunnel
from turnout_io.transports.trio import TrioTransport

PATIENT = TransportTimeouts(connect=10.0, response_headers=10.0)
MANY: list[Step] = [Request(), Send(reply(b"ok")), Request(), Send(reply(b"ok")), Hold()]
TRANSPORTS: dict[str, Callable[..., Any]] = {
    "socket": SocketTransport,
    "requests": RequestsTransport,
    "trio": TrioTransport,
    "asyncio": AsyncioTransport,
}
ALL = pytest.mark.parametrize("name", TRANSPORTS)


def get(name: str, transport: Any, url: str, times: int = 1) -> list[bytes]:
    """Send requests over a transport of any kind, and return the bodies."""

    async def fetch() -> list[bytes]:
        bodies = []
        for _ in range(times):
            response = await transport.open(HttpRequest("GET", url), PATIENT)
            bodies.append(await response.read(10.0))
            await response.read(10.0)
            await response.aclose()
        await transport.aclose()
        return bodies

    if name == "trio":
        return trio.run(fetch)
    if name == "asyncio":
        return asyncio.run(fetch())
    bodies = []
    for _ in range(times):
        response = transport.open(HttpRequest("GET", url), PATIENT)
        bodies.append(response.read(10.0))
        response.read(10.0)
        response.close()
    transport.close()
    return bodies


@attrs.define
class SocksServer:
    """A SOCKS5 server for loopback connections.

    Attributes:
        password: The user name and the password that it wants, or None.
        code: The reply code; 0 connects.
        targets: The hosts and ports that clients wanted, names as names.
    """

    password: tuple[bytes, bytes] | None = None
    code: int = 0
    targets: list[tuple[str, int]] = attrs.field(factory=list)
    _listener: socket.socket = attrs.field(init=False)
    _stack: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack, init=False)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> SocksServer:
        self._listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as file, contextlib.suppress(OSError, struct.error, IndexError):
            methods = file.read(file.read(2)[1])
            method = 2 if self.password is not None else 0
            client.sendall(bytes((5, method if method in methods else 255)))
            if method == 2:
                file.read(1)
                given = (file.read(file.read(1)[0]), file.read(file.read(1)[0]))
                client.sendall(bytes((1, given != self.password)))
                if given != self.password:
                    return
            kind = file.read(4)[3]
            if kind == 3:
                host = file.read(file.read(1)[0]).decode()
            else:
                host = socket.inet_ntop(
                    *((socket.AF_INET, file.read(4)) if kind == 1 else (socket.AF_INET6, file.read(16)))
                )
            (port,) = struct.unpack("!H", file.read(2))
            self.targets.append((host, port))
            for byte in bytes((5, self.code, 0, 1, 127, 0, 0, 1, 0, 0)):
                client.sendall(bytes((byte,)))
            if not self.code:
                with socket.create_connection(("127.0.0.1", port)) as server:
                    threading.Thread(target=_copy, args=(client, server), daemon=True).start()
                    _copy(server, client)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@ALL
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_request_through_a_socks_proxy(name: str, scheme: str) -> None:
    with ScriptedServer(MANY) as server, SocksServer(password=(b"user", b"p@ss")) as proxy:
        port = int(server.authority.rpartition(":")[2])
        transport = TRANSPORTS[name](proxy=f"{scheme}://user:p%40ss@127.0.0.1:{proxy.port}")
        assert get(name, transport, f"http://localhost:{port}/", times=2) == [b"ok", b"ok"]
        ((host, wanted),) = proxy.targets
        assert wanted == port
        assert (host == "localhost") == (scheme == "socks5h"), "socks5h leaves the look-up to the proxy"
        assert len(server.connections) == 1


@ALL
def test_tls_through_a_socks_proxy(name: str) -> None:
    with (
        Certificates() as certificates,
        SocksServer() as proxy,
        ScriptedServer([StartTls(certificates.good()), *MANY]) as server,
    ):
        port = server.authority.rpartition(":")[2]
        transport = TRANSPORTS[name](ca_file=certificates.ca_file, proxy=f"socks5h://127.0.0.1:{proxy.port}")
        assert get(name, transport, f"https://localhost:{port}/", times=2) == [b"ok", b"ok"]


@ALL
def test_errors_of_a_socks_proxy_are_the_same_on_every_transport(name: str) -> None:
    def error(url: str) -> ConnectFailed:
        with pytest.raises(ConnectFailed) as caught:
            get(name, TRANSPORTS[name](proxy=url), "http://host.test:81/")
        assert "secret" not in str(caught.value)
        return caught.value

    with SocksServer(password=(b"user", b"secret")) as proxy:
        address = f"127.0.0.1:{proxy.port}"
        missing = error(f"socks5h://{address}")
        assert "wants a user name and password" in str(missing)
        assert f"the proxy socks5h://{address}" in str(missing)
        wrong = error(f"socks5h://user:wrong-secret@{address}")
        assert "does not accept its user name and password" in str(wrong)
        assert missing.reason == wrong.reason == "proxy-refused"
    for code, reason, words in ((2, "proxy-refused", "do not allow"), (5, "proxy", "refused"), (99, "proxy", "99")):
        with SocksServer(code=code) as proxy:
            refused = error(f"socks5h://127.0.0.1:{proxy.port}")
            assert (refused.reason, words in str(refused), "host.test:81" in str(refused)) == (reason, True, True)
    unknown = error("socks4://127.0.0.1:1080")
    assert unknown.reason == "proxy-refused"


@ALL
def test_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    with SocksServer() as proxy, pytest.raises(ConnectFailed, match=r'pip install "turnout\[socks\]"'):
        get(name, TRANSPORTS[name](proxy=f"socks5://127.0.0.1:{proxy.port}"), "http://127.0.0.1:81/")


@ALL
def test_silent_socks_proxy_is_bounded_by_the_connect_timeout(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = TRANSPORTS[name](proxy=f"socks5h://127.0.0.1:{listener.getsockname()[1]}")
        timeouts = TransportTimeouts(connect=0.2, response_headers=10.0)

        async def open_async() -> None:
            await transport.open(HttpRequest("GET", "http://host.test/"), timeouts)

        runs: dict[str, Callable[[], Any]] = {
            "trio": lambda: trio.run(open_async),
            "asyncio": lambda: asyncio.run(open_async()),
        }
        with pytest.raises(TimedOut, match="no connection to the proxy"):
            runs.get(name, lambda: transport.open(HttpRequest("GET", "http://host.test/"), timeouts))()


OPENED = b"\x05\x00" + b"\x05\x00\x00\x03\x04name\x00\x50"


def _receive(tunnel: SocksTunnel, data: bytes, cuts: list[int]) -> str:
    """Return what a tunnel makes of bytes that are cut at these positions."""
    starts = sorted({0, *(cut % (len(data) + 1) for cut in cuts)})
    try:
        for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
            tunnel.data_to_send()
            if data[start:end]:
                tunnel.receive_data(data[start:end])
    except ConnectFailed as error:
        return str(error)
    return "open" if tunnel.is_open else "pending"


REPLIES = st.one_of(
    st.just(OPENED), st.binary(max_size=40), st.binary(max_size=30).map(lambda tail: OPENED[:2] + b"\x05" + tail)
)


@given(REPLIES, st.lists(st.integers(0, 40)))
def test_any_bytes_split_anywhere_give_one_result(data: bytes, cuts: list[int]) -> None:
    proxy = Proxy.parse("socks5h://user:password@proxy.test")
    whole = _receive(SocksTunnel(proxy, "host.test", 80), data, [])
    assert _receive(SocksTunnel(proxy, "host.test", 80), data, cuts) == whole
    if data == OPENED:
        assert whole == "open"
