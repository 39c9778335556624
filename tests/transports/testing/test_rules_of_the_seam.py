"""The transports for tests keep the rules of `turnout_io.base` that make sense for them.

A scripted transport has no wire. To run the checks on it as they stand, its script fetches each answer over a real
socket and plays it: what the checks see is then the scripted transport's own status, fields, body, errors and ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.errors import RemoteProtocolError, TransportError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance import ALL_CHECKS, Check, Outcome, check_async_transport, check_transport
from turnout_io.testing import (
    AsyncRecordingTransport,
    AsyncScriptedTransport,
    BodyStep,
    RecordingTransport,
    Reply,
    ScriptedTransport,
)
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.socket import SocketResponse, SocketTransport
from turnout_io.transports.trio import TrioTransport

PATIENT = TransportTimeouts(connect=5, response_headers=10)

# Without a wire there is no time, no TLS, nothing to be cancelled in, and nothing to wait in together.
OF_A_WIRE = (
    "timers.",
    "tls.",
    "proxy.",
    "cancel.",
    "concurrency",
    "close.ends-a-read",
    "close.transport",
    "upload.",
    "reuse.silence-is-told",
)
ON_A_SCRIPT = [check for check in ALL_CHECKS if not check.rule.startswith(OF_A_WIRE) and not check.needs]


class Played:
    """The body of a live response, as steps. (A generator would not be told of a close before its first read.)"""

    def __init__(self, response: SocketResponse) -> None:
        self._response = response
        self.close = response.close

    def __iter__(self) -> Iterator[BodyStep]:
        return self

    def __next__(self) -> BodyStep:
        try:
            data = self._response.read(5.0)
        except (TransportError, RemoteProtocolError) as fault:
            return fault
        if not data:
            raise StopIteration
        return data


RECORDED: list[tuple[str, Callable[..., Any], Callable[..., Any]]] = [
    ("blocking", RecordingTransport, SocketTransport),
    ("trio", AsyncRecordingTransport, TrioTransport),
    ("asyncio", AsyncRecordingTransport, AsyncioTransport),
]


# Clocks and TLS are the business of the transport under it, which has tests of its own.
PASSED_BY = [check for check in ALL_CHECKS if not check.rule.startswith(("timers.", "tls.", "proxy."))]


@pytest.mark.full
@pytest.mark.parametrize("check", PASSED_BY, ids=lambda check: check.rule)
@pytest.mark.parametrize(("run", "record", "transport"), RECORDED, ids=[run for run, _, _ in RECORDED])
def test_a_recording_transport_keeps_every_rule_that_the_one_under_it_keeps(
    run: str, record: Callable[..., Any], transport: Callable[..., Any], check: Check, tmp_path: Path
) -> None:
    numbers = itertools.count()

    def factory(**settings: Any) -> Any:
        return record(transport(**settings), tmp_path / f"{next(numbers)}.json")

    results = check_transport(factory, [check]) if run == "blocking" else check_async_transport(factory, run, [check])
    result = next(results)
    if result.outcome is Outcome.SKIPPED:
        assert (run, check.needs_cancellation) == ("blocking", True), result.detail
        return
    assert result.outcome is Outcome.PASSED, result.detail
    assert result.strictness is None, result.detail


@pytest.fixture
def live() -> Iterator[SocketTransport]:
    transport = SocketTransport()
    yield transport
    transport.close()


@pytest.mark.parametrize("check", ON_A_SCRIPT, ids=lambda check: check.rule)
@pytest.mark.parametrize("run", ["blocking", "trio", "asyncio"])
def test_a_scripted_transport(run: str, check: Check, live: SocketTransport) -> None:
    def fetched(request: HttpRequest) -> Reply | TransportError | RemoteProtocolError:
        try:
            response = live.open(request, PATIENT)
        except (TransportError, RemoteProtocolError) as fault:
            return fault
        return Reply(response.status, Played(response), response.headers)

    def blocking() -> ScriptedTransport:
        transport = ScriptedTransport()
        transport.add(fetched, times=None)
        return transport

    def concurrent() -> AsyncScriptedTransport:
        transport = AsyncScriptedTransport()
        transport.add(fetched, times=None)
        return transport

    results = (
        check_transport(blocking, [check]) if run == "blocking" else check_async_transport(concurrent, run, [check])
    )
    result = next(results)
    assert result.outcome is Outcome.PASSED, result.detail
