"""A check that fails says what it expected and what it got; one that does not end is given up."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from turnout.errors import ConnectFailed, Disconnected, TransportError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance import (
    ALL_CHECKS,
    Outcome,
    Result,
    Strictness,
    check_async_transport,
    check_transport,
    checks,
    render,
)
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
    assert describe_failure(ValueError("five")) == "expected no error, but got ValueError: five"
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


# -- what a check found in a transport that keeps a rule in part -----------------------------------------------------

CONDITIONS = [
    pytest.param(test, message, id=f"{path.stem}:{line}")
    for path in sorted(Path(checks.__file__).parent.glob("checks_*.py"))
    for line, test, message in (
        (node.lineno, node.test, node.msg)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assert)
    )
]


@pytest.mark.parametrize(("test", "message"), CONDITIONS)
def test_each_condition_shows_what_came(test: ast.expr, message: ast.expr | None) -> None:
    """A condition without a message is shown as it is written, with the values of its names: it needs names."""
    if message is None:
        assert isinstance(test, ast.Compare), ast.unparse(test)
        assert not isinstance(test.left, ast.Call | ast.Await | ast.Subscript), ast.unparse(test)
    else:
        assert "repr(" not in ast.unparse(message)
        assert isinstance(message, ast.JoinedStr | ast.Constant | ast.Name), ast.unparse(message)


class LosesTheRest(Response):
    """Forgets that a read failed, and takes what follows for the end."""

    failed = False

    def read(self, timeout: float | None) -> bytes:
        try:
            return b"" if self.failed else super().read(timeout)
        except TransportError:
            self.failed = True
            raise


class InPart(Wrapper):
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return LosesTheRest(super().open(request, timeouts))


def test_a_rule_that_is_not_kept_has_what_came_and_what_was_expected() -> None:
    (result,) = check_transport(InPart, [CHECKS["early-end.stays-an-error"]])
    assert (result.label, result.strictness) == ("not kept", Strictness.NONE)
    assert result.detail == "expected a second error of the read after the one that failed, but got b''"
    assert result.detail in render([result])


# -- what makes no transport ----------------------------------------------------------------------------------------


class NoClose:
    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any: ...


class NoAclose:
    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any: ...


class BlockingAclose(NoAclose):
    def aclose(self) -> None: ...


class CoroutineClose(NoClose):
    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("factory", "run", "told"),
    [
        (NoClose, "blocking", "NoClose has no method `close`: a blocking transport has open and close"),
        (NoAclose, "trio", "NoAclose has no method `aclose`: an async transport has open and aclose"),
        (object, "blocking", "object has no method `open`"),
        (lambda: None, "asyncio", "None has no method `open`"),
        (Wrapper(), "blocking", "give the class or function that makes the transport, not a transport: write Wrapper"),
        (Wrapper, "trio", "Wrapper is not an async transport, because its `open` is not async"),
        (NoAclose, "blocking", "NoAclose is not a blocking transport, because its `open` is async"),
        (Wrapper.open, "blocking", "calling the factory without arguments makes no transport: TypeError"),
        (BlockingAclose, "asyncio", "aclose of an async transport must be an async function, but it returned NoneType"),
        (CoroutineClose, "blocking", "close of a blocking transport must not be async"),
    ],
)
def test_a_factory_of_something_else_is_refused(factory: Any, run: str, told: str) -> None:
    with pytest.raises(TypeError) as refused:
        check_transport(factory) if run == "blocking" else check_async_transport(factory, run)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ("read", "expected a response with the members status, headers, read and close from open, but Bare has no"),
        ("close", "Bare has no method close"),
    ],
)
def test_a_response_without_a_method_is_named(member: str, told: str) -> None:
    class Bare:
        def __init__(self, inner: Any) -> None:
            self.status, self.headers = inner.status, inner.headers
            for name in {"read", "close"} - {member}:
                setattr(self, name, getattr(inner, name))

    class Opens(Wrapper):
        def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
            return Bare(super().open(request, timeouts))

    assert told in fails(Opens, "body.length")
