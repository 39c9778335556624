"""Timers of the transports that need more than a scripted server: name look-ups, large values, idle connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import requests
import trio

import turnout_io.sync
from turnout import ChatRequest, ModelConfig
from turnout.errors import DeadlineExceeded, Phase, TimedOut, Timer
from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers import create
from turnout_io.conformance.certificates import Certificates
from turnout_io.conformance.harness import reply
from turnout_io.conformance.server import Hold, Pause, Request, ScriptedServer, Send, StartTls, Step
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.byte_streams import PlainStream
from turnout_io.transports.requests import Http1Adapter, RequestsTransport
from turnout_io.transports.socket import BlockingSocketRuntime, SocketTransport
from turnout_io.transports.trio import TrioTransport

Fetch = Callable[[str, TransportTimeouts, Callable[[], None]], int]


def blocking(make: Callable[[], Any]) -> Fetch:
    """Return a function that fetches a URL and returns the status. It calls `after_open` also if `open` fails."""

    def fetch(url: str, timeouts: TransportTimeouts, after_open: Callable[[], None]) -> int:
        transport = make()
        try:
            response = transport.open(HttpRequest("GET", url), timeouts)
            assert response.read(timeouts.response_headers) == b"ok"
            response.close()
            status: int = response.status
            return status
        finally:
            after_open()
            transport.close()

    return fetch


def concurrent(make: Callable[[], Any], run: Callable[..., Any]) -> Fetch:
    async def fetch(url: str, timeouts: TransportTimeouts, after_open: Callable[[], None]) -> int:
        transport = make()
        try:
            response = await transport.open(HttpRequest("GET", url), timeouts)
            assert await response.read(timeouts.response_headers) == b"ok"
            await response.aclose()
            status: int = response.status
            return status
        finally:
            after_open()
            await transport.aclose()

    return lambda *args: run(fetch, *args)


def nothing() -> None:
    """Do nothing."""


class SessionTransport(RequestsTransport):
    """A transport over a session that it closes, too."""

    def __init__(self, *adapters: Http1Adapter) -> None:
        self.session = requests.Session()
        for adapter in adapters:
            self.session.mount("http://", adapter)
        super().__init__(self.session)

    def close(self) -> None:
        super().close()
        self.session.close()


TRANSPORTS: dict[str, Fetch] = {
    "requests": blocking(RequestsTransport),
    "session-with-adapter": blocking(lambda: SessionTransport(Http1Adapter())),
    "socket": blocking(SocketTransport),
    "trio": concurrent(TrioTransport, trio.run),
    "asyncio": concurrent(AsyncioTransport, lambda steps, *args: asyncio.run(steps(*args))),
}
every_transport = pytest.mark.parametrize("name", list(TRANSPORTS))


@pytest.fixture
def silent_dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Make name look-ups wait until the event is set."""
    look_up, answer = socket.getaddrinfo, threading.Event()

    def search(*args: Any, **settings: Any) -> Any:
        if not settings.get("flags", 0) & socket.AI_NUMERICHOST and not (len(args) > 5 and args[5]):
            answer.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        return look_up(*args, **settings)

    monkeypatch.setattr(socket, "getaddrinfo", search)
    yield answer
    answer.set()


@every_transport
def test_connect_timer_bounds_a_silent_name_look_up(name: str, silent_dns: threading.Event) -> None:
    with pytest.raises(TimedOut) as caught:
        # asyncio waits for its threads when a loop ends, so the look-up ends before.
        TRANSPORTS[name](
            "http://api.example.test", TransportTimeouts(connect=0.05, response_headers=60.0), silent_dns.set
        )
    assert caught.value.timer is Timer.CONNECT
    assert caught.value.phase is Phase.NOT_SENT


def test_call_over_requests_keeps_its_deadline_if_no_name_is_found(silent_dns: threading.Event) -> None:
    provider = create("openai", api_key="sk-test", base_url="http://api.example.test/v1")
    with turnout_io.sync.Router([provider]) as router:
        with pytest.raises(DeadlineExceeded) as caught:
            router.chat(ChatRequest(ModelConfig("openai", "m"), "hello"), timeout=0.1)
        assert not silent_dns.is_set()
        assert caught.value.trace.attempts == 1


@every_transport
@pytest.mark.parametrize("seconds", [3e6, 1e10, 1e300])
def test_timer_of_many_years_is_kept(name: str, seconds: float) -> None:
    with ScriptedServer([Request(), Send(reply(b"ok")), Hold()]) as server:
        url = f"http://localhost:{server.port}"  # a name, which is looked up in a thread
        timeouts = TransportTimeouts(connect=seconds, response_headers=seconds)
        assert TRANSPORTS[name](url, timeouts, nothing) == 200


def test_timer_of_many_years_is_kept_by_the_user_s_session() -> None:
    with ScriptedServer([Request(), Send(reply(b"ok")), Hold()]) as server:
        fetch = blocking(SessionTransport)
        timeouts = TransportTimeouts(connect=1e10, response_headers=1e10)
        assert fetch(server.url, timeouts, nothing) == 200


class LateReader:
    """Reports that the deadline has passed each time when bytes arrive, as after a pause of this process."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def wait(self, deadline: float | None) -> bool:
        self._reader.wait(None)
        return False

    def close(self) -> None:
        self._reader.close()


class LateRuntime(BlockingSocketRuntime):
    def wait(self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None) -> bool:
        super().wait(reads, writes, None)
        return False

    def reader(self, stream: PlainStream) -> Any:
        return LateReader(super().reader(stream))


class LateTransport(SocketTransport):
    _runtime_class = LateRuntime


@pytest.mark.parametrize("is_secure", [False, True])
def test_bytes_that_arrived_before_a_late_check_are_read(is_secure: bool) -> None:
    head = Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    with Certificates() as certificates:
        context = certificates.good()
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # TLS 1.3 sends tickets, which are no part of a response
        steps: list[Step] = [StartTls(context)] if is_secure else []
        with ScriptedServer([*steps, Request(), head, Pause(0.05), Send(b"ok"), Hold()]) as server:
            fetch = blocking(lambda: LateTransport(ca_file=certificates.ca_file))
            url = f"https://127.0.0.1:{server.port}" if is_secure else server.url
            assert fetch(url, TransportTimeouts(connect=0.0, response_headers=0.0), nothing) == 200
