"""A check that fails says what it expected and what it got; one that does not end is given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from turnout.errors import ConnectFailed, Disconnected, TransportError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance import ALL_CHECKS, Outcome, Result, check_async_transport, check_transport
from turnout_io.conformance.failures import describe_failure
from turnout_io.conformance.watchdog import CheckTimedOut, run_within
from turnout_io.transports.socket import SocketTransport

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CHECKS = {check.rule: check for check in ALL_CHECKS}


def fails(factory: Callable[..., Any], rule: str, limit: float = 10.0) -> str:
    (result,) = check_transport(factory, [CHECKS[rule]], limit=limit)
    assert result.outcome is Outcome.FAILED
    return result.detail


class Wrapper:
    """A transport that does everything right, for others to break."""

    def __init__(self) -> None:
        self.inner = SocketTransport()

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return self.inner.open(request, timeouts)

    def close(self) -> None:
        self.inner.close()


class AddsAField(Wrapper):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return super().open(attrs.evolve(request, headers=(*request.headers, ("User-Agent", "x/1"))), timeouts)


class AddsALength(Wrapper):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        more = () if request.body else (("Content-Length", "0"),)
        return super().open(attrs.evolve(request, headers=(*request.headers, *more)), timeouts)


class NamesNoHost(Wrapper):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        try:
            return super().open(request, timeouts)
        except ConnectFailed as error:
            raise ConnectFailed("it did not work") from error


class RaisesItsOwn(Wrapper):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        if "a..b" in request.url:
            raise AttributeError("'NoneType' object has no attribute 'rfind'")
        return super().open(request, timeouts)


class Response:
    status = 200

    def __init__(self, inner: Any) -> None:
        self.inner, self.headers = inner, inner.headers

    def read(self, timeout: float | None) -> bytes:
        data: bytes = self.inner.read(timeout)
        return data

    def close(self) -> None:
        self.inner.close()


class HidesTheStatus(Wrapper):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return Response(super().open(request, timeouts))


@pytest.mark.parametrize(
    ("factory", "rule", "told"),
    [
        (AddsAField, "request.has-no-fields-of-its-own", "the transport added user-agent"),
        (AddsALength, "request.has-no-fields-of-its-own", "expected no Content-Length on a GET, but it is 0"),
        (NamesNoHost, "connect.refused", "the message must name the port"),
        (NamesNoHost, "connect.no-such-host", "the message must name the host, but it is: it did not work"),
        (RaisesItsOwn, "connect.bad-url", "'http://a..b/': expected TurnoutError, but got AttributeError"),
    ],
)
def test_a_failure_says_what_was_wrong(factory: Callable[..., Any], rule: str, told: str) -> None:
    assert told in fails(factory, rule)


def test_a_failure_shows_the_condition_and_its_values() -> None:
    told = fails(HidesTheStatus, "status.is-no-error")
    assert told.startswith("expected response.status == int(status[:3]), but ")
    assert "response.status is 200" in told
    assert "status is '400 Bad Request'" in told
    assert "(checks_answers.py:" in told


def test_an_error_outside_the_checks_has_its_type() -> None:
    assert describe_failure(ValueError("five")) == "an unexpected ValueError: five"
    assert describe_failure(AssertionError()) == "an assertion failed"


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Blocks the transport under test until the test ends, so that no thread is left behind."""
    opened = threading.Event()
    yield opened
    opened.set()


def test_a_transport_that_ignores_its_timeout_fails_in_time(gate: threading.Event) -> None:
    class Blocks(Wrapper):
        def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
            gate.wait()
            raise TransportError("the test has ended")

    assert "did not end in 0.05 s" in fails(Blocks, "timers.head", limit=0.05)


@pytest.mark.parametrize("runtime", ["trio", "asyncio"])
def test_an_async_transport_that_blocks_its_loop_fails_in_time(gate: threading.Event, runtime: str) -> None:
    class Blocks:
        async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
            gate.wait()
            raise TransportError("the test has ended")

        async def aclose(self) -> None:
            return None

    result: Result = next(check_async_transport(Blocks, runtime, [CHECKS["timers.head"]], limit=0.05))
    assert (result.outcome, "did not end in 0.05 s" in result.detail) == (Outcome.FAILED, True)


def test_run_within_returns_and_raises_what_the_action_does() -> None:
    def fail() -> None:
        raise Disconnected("gone")

    assert run_within(5.0, lambda: 7) == 7
    with pytest.raises(Disconnected, match="gone"):
        run_within(5.0, fail)


def test_run_within_gives_up(gate: threading.Event) -> None:
    with pytest.raises(CheckTimedOut, match="ignores its timeout"):
        run_within(0.01, gate.wait)


@attrs.define
class Members:
    """A response with other types than the interface has."""

    inner: Any
    status: Any
    headers: Any
    is_text: bool

    def read(self, timeout: float | None) -> Any:
        data = self.inner.read(timeout)
        return data.decode("latin-1") if self.is_text else data

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize(
    ("rule", "change", "told"),
    [
        ("headers.repeated-are-kept", {"headers": dict}, "headers must be a list of (name, value) strings, not dict"),
        (
            "headers.odd-but-legal",
            {"headers": lambda fields: [(name.encode(), value) for name, value in fields]},
            "must be a list of (name, value) strings, and one field is (b'",
        ),
        ("status.is-no-error", {"status": str}, "response.status must be an int, not str"),
        ("body.length", {"is_text": lambda _: True}, "response.read must return bytes, not str"),
    ],
)
def test_a_member_of_another_type_is_named(rule: str, change: dict[str, Callable[[Any], Any]], told: str) -> None:
    class Changes(Wrapper):
        def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
            inner = super().open(request, timeouts)
            members: dict[str, Any] = {"status": inner.status, "headers": inner.headers, "is_text": False}
            return Members(inner, **members | {name: make(members[name]) for name, make in change.items()})

    assert told in fails(Changes, rule)
