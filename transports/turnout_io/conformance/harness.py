"""Checks, their results, and the functions for writing them."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

import attrs

from turnout.errors import TurnoutError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance.adapters import Response, TransportAdapter
from turnout_io.conformance.server import ConnectionRecord

__all__ = [
    "Check",
    "Checks",
    "DoesNotApply",
    "Harness",
    "Outcome",
    "Result",
    "Shortfall",
    "Strictness",
    "chunk",
    "collect",
    "described",
    "expect",
    "expect_bytes",
    "expect_kind",
    "reply",
]

E = TypeVar("E", bound=TurnoutError)


class Strictness(enum.StrEnum):
    """How far a transport keeps a rule that it may keep in part, if it does not keep it exactly."""

    PER_READ = "per read"  # for each wait on the socket, so that a slow drip stretches it
    PER_BODY = "per body"  # once for all reads of one body: the timeout of the first read
    NONE = "none"  # not kept, in a way that a router can bear


@attrs.frozen
class Shortfall:
    """A rule that is not kept exactly, in a way that a router can bear.

    Attributes:
        strictness: How far it is kept.
        seen: What the check expected and what the transport did, in one line.
    """

    strictness: Strictness
    seen: str


class DoesNotApply(Exception):
    """A check found that its rule is about something that this transport does not do."""


class Outcome(enum.StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@attrs.frozen
class Result:
    """The result of one check.

    Attributes:
        strictness: How far the rule is kept. None if it is kept exactly, was broken or skipped.
        detail: What was expected and what the transport did, or why the check was skipped. Empty if the rule is kept.
    """

    rule: str
    description: str
    outcome: Outcome
    strictness: Strictness | None = None
    detail: str = ""

    @property
    def label(self) -> str:
        """In a word or two: kept, per read, per body, not kept, broken or skipped."""
        if self.outcome is not Outcome.PASSED:
            return "broken" if self.outcome is Outcome.FAILED else "skipped"
        match self.strictness:
            case None:
                return "kept"
            case Strictness.NONE:
                return "not kept"
            case _:
                return self.strictness.value


@attrs.define(eq=False)
class Harness:
    """Makes transports for a check, and waits for them.

    make  a transport with these settings (`ca_file`, `proxy`, ...), closed when the check is over
    """

    make: Callable[..., TransportAdapter]

    async def client_closed(self, adapter: TransportAdapter, connection: Callable[[], ConnectionRecord]) -> None:
        """Wait until the transport has closed a connection.

        Raises:
            AssertionError: The connection is still open after 5 s.
        """
        closed = await adapter.run_with(lambda: connection().closed_by_client.wait(5.0))
        assert closed, "the transport left the connection open: it must close it after an error and after a close"

    async def fetch(
        self,
        adapter: TransportAdapter,
        url: str,
        body: bytes = b"",
        *,
        method: str = "",
        fields: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """Open a request with timers long enough never to run out."""
        return await adapter.open(HttpRequest(method or ("POST" if body else "GET"), url, fields, body), PATIENT)


PATIENT = TransportTimeouts(connect=5.0, response_headers=10.0)

Function: TypeAlias = Callable[[Harness], Coroutine[Any, Any, "Shortfall | None"]]


@attrs.frozen
class Check:
    """One rule for transports, with the check that runs it.

    The function raises an error if the rule is broken. If a part of the rule is optional and is not kept, it returns
    a shortfall.

    Attributes:
        needs: The settings that the factory must accept.
        needs_cancellation: True if the check is for async transports only.
        needs_certificates: True if the check needs `trustme`, which makes certificates.
    """

    rule: str
    description: str
    function: Function
    needs: frozenset[str] = frozenset()
    needs_cancellation: bool = False
    needs_certificates: bool = False


@attrs.define
class Checks:
    """The checks of a file, in its order."""

    found: list[Check] = attrs.field(factory=list)

    def add(self, rule: str, description: str, *, needs: str = "") -> Callable[[Function], Function]:
        """Take the function below as the check of this rule.

        needs  names of settings, "cancellation", "trustme", with blanks between them
        """
        words = frozenset(needs.split())

        def note(function: Function) -> Function:
            self.found.append(
                Check(
                    rule,
                    description,
                    function,
                    words - {"cancellation", "trustme"},
                    needs_cancellation="cancellation" in words,
                    needs_certificates="trustme" in words,
                )
            )
            return function

        return note


def reply(body: bytes = b"", *fields: str, status: str = "200 OK") -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    """One chunk of the chunked coding; of b"" the last one, with an empty trailer section."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def collect(response: Response, seconds: float = 5.0) -> bytes:
    """The whole body. Raises AssertionError for one that does not end."""
    pieces = []
    until = time.monotonic() + seconds
    while data := await response.read(seconds):
        pieces.append(data)
        assert time.monotonic() < until, "the body does not end"
    return b"".join(pieces)


async def expect(kind: type[E], action: Coroutine[Any, Any, object]) -> E:
    """Return the error that the action raises.

    Raises:
        AssertionError: The action raises an error of another kind, or none.
    """
    try:
        result = await action
    except kind as fault:
        return fault
    except Exception as fault:
        raise AssertionError(f"expected {kind.__name__}, but got {described(fault)}") from fault
    raise AssertionError(f"expected {kind.__name__}, but got no error: {repr(result)[:80]}")


async def expect_bytes(action: Coroutine[Any, Any, bytes], expected: bytes) -> None:
    """Compare the bytes that the action returns.

    Raises:
        AssertionError: They are others, or the action raises an error of Turnout.
    """
    try:
        got = await action
    except TurnoutError as fault:
        raise AssertionError(f"expected the bytes {_shown(expected)}, but got {described(fault)}") from fault
    assert got == expected, f"expected the bytes {_shown(expected)}, but got {_shown(got)}"


def expect_kind(fault: BaseException, kind: type[E]) -> E:
    """Return the error.

    Raises:
        AssertionError: It is of another kind.
    """
    assert isinstance(fault, kind), f"expected {kind.__name__}, but got {described(fault)}"
    return fault


def described(fault: BaseException) -> str:
    """Return the class of an error and its message."""
    return f"{type(fault).__name__}: {fault}"


def _shown(data: bytes) -> str:
    return repr(data) if len(data) <= 60 else f"{data[:40]!r}… ({len(data)} bytes)"
