"""Each check finds a transport that breaks its rule and keeps all others."""

from __future__ import annotations

import functools
import gc
import gzip
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest
import trio

from turnout.errors import ConnectFailed, Disconnected, RemoteProtocolError, TimedOut, TransportError
from turnout.http import HttpRequest, TransportTimeouts
from turnout.http.http1 import Http1Exchange
from turnout_io.conformance import ALL_CHECKS, Result, check_async_transport, check_transport
from turnout_io.transports._sync import http1 as http1_client
from turnout_io.transports.proxies import Proxy
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

# The transports under test leave sockets open.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CHECKS = {check.rule: check for check in ALL_CHECKS}


class Response:
    """A response of the socket transport, for subclasses that break a rule."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.status, self.headers = inner, inner.status, inner.headers

    def read(self, timeout: float | None) -> bytes:
        data: bytes = self.inner.read(timeout)
        return data

    def close(self) -> None:
        self.inner.close()


class Transport:
    response: type[Response] = Response

    def __init__(self, **settings: Any) -> None:
        self.inner = SocketTransport(**settings)

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return self.response(self.inner.open(request, timeouts))

    def close(self) -> None:
        self.inner.close()


GUILTY: dict[str, tuple[Any, tuple[str, ...]]] = {}


def breaks(*rules: str) -> Callable[[type], type]:
    """Register a transport, or a response, with the rules that it breaks.

    Some rules may be kept in part. For those the strictness of the result shows the failure.
    """

    def note(guilty: type) -> type:
        is_response = issubclass(guilty, Response)
        GUILTY[guilty.__name__] = type("Guilty", (Transport,), {"response": guilty}) if is_response else guilty, rules
        return guilty

    return note


# -- answers ------------------------------------------------------------------------------------------------------


@breaks("status.is-no-error")
class RaisesForStatus(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        response = super().open(request, timeouts)
        if response.status >= 400:
            raise TransportError(f"status {response.status}")
        return response


@breaks("status.redirect-is-not-followed")
class FollowsRedirects(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        response = super().open(request, timeouts)
        target = dict(response.headers).get("Location")
        return self.open(attrs.evolve(request, url=target), timeouts) if target else response


@breaks("headers.repeated-are-kept")
class MergesFields(Response):
    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.headers = list(dict(inner.headers).items())


@breaks("body.is-not-decoded")
class Decodes(Response):
    def read(self, timeout: float | None) -> bytes:
        data = super().read(timeout)
        return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


@breaks("body.arrives-as-it-comes")
class ReadsAhead(Response):
    def read(self, timeout: float | None) -> bytes:
        data = super().read(timeout)
        while data and len(data) < 65536 and (more := super().read(timeout)):
            data += more
        return data


@breaks("body.end-is-final")
class RaisesBehindTheEnd(Response):
    ended = False

    def read(self, timeout: float | None) -> bytes:
        if self.ended:
            raise TransportError("the body has ended")
        data = super().read(timeout)
        self.ended = not data
        return data


@breaks("early-end.length", "early-end.chunked", "early-end.in-the-last-chunk", "early-end.reset-in-the-body")
class TakesAnyEndForOne(Response):
    def read(self, timeout: float | None) -> bytes:
        try:
            return super().read(timeout)
        except Disconnected:
            return b""


@breaks("early-end.stays-an-error")
class ForgetsThatItFailed(Response):
    failed = False

    def read(self, timeout: float | None) -> bytes:
        try:
            return b"" if self.failed else super().read(timeout)
        except (Disconnected, RemoteProtocolError):
            self.failed = True
            raise


# -- requests -----------------------------------------------------------------------------------------------------


@breaks("request.has-no-fields-of-its-own")
class NamesItself(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return super().open(attrs.evolve(request, headers=(*request.headers, ("User-Agent", "guilty/1"))), timeouts)


@breaks("reuse.no-cookies")
class KeepsCookies(Transport):
    cookie = ""

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        if self.cookie:
            request = attrs.evolve(request, headers=(*request.headers, ("Cookie", self.cookie)))
        response = super().open(request, timeouts)
        self.cookie = dict(response.headers).get("Set-Cookie", self.cookie)
        return response


@breaks("upload.large")
class CutsLargeBodies(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return super().open(attrs.evolve(request, body=request.body[:1_000_000]), timeouts)


# -- timers -------------------------------------------------------------------------------------------------------


@breaks("timers.head", "timers.write", "timers.connect")
class HasTimeToOpen(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        longer = {name: seconds and seconds + 2 for name, seconds in attrs.asdict(timeouts).items()}
        return super().open(request, TransportTimeouts(**longer))


@breaks("timers.read", "timers.read-is-shorter", "timers.read-until-close")
class HasTimeToRead(Response):
    def read(self, timeout: float | None) -> bytes:
        return super().read(timeout and timeout + 2)


@breaks("timers.read-is-longer")
class ReadsAsTheFirstTime(Response):
    first: float | None = None

    def read(self, timeout: float | None) -> bytes:
        self.first = self.first or timeout
        return super().read(self.first)


# -- connections --------------------------------------------------------------------------------------------------


@breaks("connect.refused", "connect.no-such-host")
class TellsOfItsOwnErrors(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        try:
            return super().open(request, timeouts)
        except ConnectFailed as error:
            raise ConnectionError(error.message) from error


@breaks("reuse.death-is-told")
class DoesNotTellOfReuse(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        try:
            return super().open(request, timeouts)
        except Disconnected as error:
            raise Disconnected(error.message) from error


@breaks("reuse.silence-is-told")
class DoesNotTellOfSilence(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        try:
            return super().open(request, timeouts)
        except TimedOut as error:
            raise TimedOut(error.message, timer=error.timer, phase=error.phase) from error


@breaks("reuse.silence-is-told")
class CallsNewConnectionsReused(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        try:
            return super().open(request, timeouts)
        except TimedOut as error:
            error.reused = True
            raise


@breaks("reuse.silence-is-told")
class ReusesAnyConnection(Transport):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return super().open(attrs.evolve(request, new_connection=False), timeouts)


@breaks("close.frees-the-connection", "close.is-no-end")
class NeverCloses(Response):
    def close(self) -> None:
        """Do nothing."""


@breaks("close.transport")
class KeepsItsConnections(Transport):
    def close(self) -> None:
        """Do nothing."""


@breaks("tls.unknown-issuer", "tls.wrong-host", "tls.expired", "tls.system-trust-by-default")
class TrustsEverybody(Transport):
    def __init__(self, **settings: Any) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__(**{**settings, "ca_file": None}, ssl_context=context)


@breaks("proxy.tunnel-with-password", "proxy.refuses")
class ShowsThePassword(Transport):
    def __init__(self, *, ca_file: str | None = None, proxy: str | None = None) -> None:
        super().__init__(ca_file=ca_file, proxy=proxy)
        self.proxy = proxy

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        password = Proxy.parse(self.proxy or "").authorization
        try:
            shown = (*request.headers, ("Proxy-Authorization", password or ""))
            return super().open(attrs.evolve(request, headers=shown), timeouts)
        except ConnectFailed as error:
            raise ConnectFailed(f"{self.proxy}: {error.message}") from error


# -- async ----------------------------------------------------------------------------------------------------------


class AsyncTransport:
    def __init__(self, **settings: Any) -> None:
        self.inner = TrioTransport(**settings)

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return await self.inner.open(request, timeouts)

    async def aclose(self) -> None:
        await self.inner.aclose()


@breaks("cancel.before-the-head", "cancel.in-the-head", "cancel.while-sending")
class LosesWhatIsCancelled(AsyncTransport):
    """A separate task opens the connection, and cancellation does not reach it."""

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        done = trio.Event()
        found: list[Any] = []

        async def go_on() -> None:
            try:
                found.append(await self.inner.open(request, timeouts))
            except (TransportError, TimedOut, RemoteProtocolError) as error:
                found.append(error)
            done.set()

        trio.lowlevel.spawn_system_task(go_on)
        await done.wait()
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]


@breaks("cancel.then-close")
class ClosesOnlyWhenItMay(AsyncTransport):
    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        inner = await self.inner.open(request, timeouts)

        class Closing:
            status, headers, read = inner.status, inner.headers, inner.read

            async def aclose(self) -> None:
                await trio.lowlevel.checkpoint()
                await inner.aclose()

        return Closing()


# -- the trials ------------------------------------------------------------------------------------------------------


def is_kept(result: Result) -> bool:
    return result.label == "kept"


@functools.cache
def verdicts() -> dict[str, list[Result]]:
    """Run the checks of all transports at once: most failures are timeouts, so the time is spent waiting."""

    def trial(name: str) -> list[Result]:
        factory, rules = GUILTY[name]
        checks = [CHECKS[rule] for rule in rules]
        if issubclass(factory, AsyncTransport):
            return list(check_async_transport(factory, "trio", checks))
        return list(check_transport(factory, checks))

    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(GUILTY, pool.map(trial, GUILTY), strict=True))
    gc.collect()
    return found


@pytest.mark.full
@pytest.mark.parametrize("name", GUILTY)
def test_a_transport_that_breaks_a_rule_fails(name: str) -> None:
    assert [result.rule for result in verdicts()[name]] == list(GUILTY[name][1])
    assert not [result for result in verdicts()[name] if is_kept(result)]


@pytest.mark.parametrize(
    "timers", [False, pytest.param(True, marks=pytest.mark.full)], ids=["without-timers", "timers"]
)
def test_a_transport_that_breaks_no_rule_passes(timers: bool) -> None:
    rules = sorted({rule for _, rules in GUILTY.values() for rule in rules})
    checks = [CHECKS[rule] for rule in rules if rule.startswith("timers.") == timers]
    results = [*check_transport(Transport, checks), *check_async_transport(AsyncTransport, "trio", checks)]
    assert not [result for result in results if result.label not in ("kept", "skipped")]


# -- a pool that is careless ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        # The next request waits on a connection that is not free, until a timeout of the check.
        pytest.param("reuse.not-where-forbidden", marks=pytest.mark.full),
        pytest.param("reuse.not-before-the-end", marks=pytest.mark.full),
        "reuse.surplus-is-no-answer",
    ],
)
def test_a_pool_that_takes_every_connection_back_fails(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Http1Exchange, "reusable", property(lambda self: True))
    monkeypatch.setattr(http1_client.Http1Response, "close", _release)
    assert not is_kept(next(check_transport(SocketTransport, [CHECKS[rule]])))


def _release(response: Any) -> None:
    stream, response._stream = response._stream, None
    if stream is not None:
        response._client.release(response._key, stream, response._process)


@pytest.mark.parametrize("rule", ["reuse.not-after-bytes-while-idle", "reuse.not-after-an-idle-close"])
def test_a_pool_that_does_not_look_fails(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1_client, "_is_alive", lambda stream: True)
    assert not is_kept(next(check_transport(SocketTransport, [CHECKS[rule]])))
