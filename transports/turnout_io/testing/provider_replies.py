"""Responses in the format of the providers, made by the sandbox's dialects and played without a network.

The sandbox plans each response byte by byte, with its faults. This module parses those bytes with the same state
machine that a transport uses for a socket, so that a scripted response equals a real one.
"""

from __future__ import annotations

import json
import random
import urllib.parse
from collections.abc import Callable, Iterator
from typing import assert_never

from turnout.errors import LocalProtocolError, RemoteProtocolError, TransportError
from turnout.http import HttpRequest, shown_url
from turnout.http.http1 import Http1Exchange
from turnout.providers.catalog.known import CATALOG
from turnout_io.testing.playback import ScriptError
from turnout_io.testing.replies import STALL, BodyStep, Reply, TransportFault
from turnout_sandbox.answers import AnswerScript, ScriptedAnswer
from turnout_sandbox.dialect import Context, DialectServer
from turnout_sandbox.dialects import PROVIDERS
from turnout_sandbox.errors import ErrorKind, RequestRejected
from turnout_sandbox.faults import Fault
from turnout_sandbox.received import Received
from turnout_sandbox.server.handler import respond
from turnout_sandbox.server.steps import ConnectionEnd, Step, build_steps

__all__ = ["ProviderReplies"]


class ProviderReplies:
    """Makes the responses of one script. Ids are the same in every run."""

    def __init__(self) -> None:
        self._rng = random.Random(0)
        self._count = 0

    def bind(
        self, provider: str, answer: AnswerScript | None, fault: Fault
    ) -> Callable[[HttpRequest], Reply | TransportFault]:
        """Return a function that responds to such a request. Raises LocalProtocolError if that cannot be scripted."""
        dialect = PROVIDERS.get(provider)
        if dialect is None:
            raise LocalProtocolError(
                f"there is no script for the provider {provider!r}; there are scripts for {', '.join(PROVIDERS)}"
            )
        if answer is not None and not isinstance(answer, str | ScriptedAnswer) and not callable(answer):
            raise LocalProtocolError(f"an answer is a str, a ScriptedAnswer or a function, not {type(answer).__name__}")

        def give(request: HttpRequest) -> Reply | TransportFault:
            self._count += 1
            context = Context(rng=self._rng, number=self._count, fault=fault, key=None, models=None, scripted=answer)
            received = _received(dialect, request)
            return _played(build_steps(respond(dialect, received, context), fault, interval=0.0, now=0.0), request)

        return give


def _received(dialect: DialectServer, request: HttpRequest) -> Received:
    """Return the request as the dialect's server receives it. Raises ScriptError if it is for another server."""
    host = next(
        (entry.name for entry in CATALOG.values() if entry.base_url and request.url.startswith(entry.base_url)), None
    )
    told = f"the script plays {dialect.name} here, but the request is {request.method} {shown_url(request.url)}"
    # The local addresses of Ollama and the like belong to the user.
    if host is not None and host != dialect.name and CATALOG[host].base_url.startswith("https://"):
        raise ScriptError(f"{told}, which is {host}'s")
    parts = urllib.parse.urlsplit(request.url)
    for path in _paths(dialect, parts.path):
        received = Received(
            provider=dialect.name,
            method=request.method,
            path=path,
            query=dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in request.headers},
            raw=request.body,
            body=_json_or_none(request.body),
            at=0.0,
            connection=0,
        )
        if _is_known(dialect, received):
            return received
    raise ScriptError(f"{told}, which that dialect does not have")


def _paths(dialect: DialectServer, path: str) -> Iterator[str]:
    """Return the paths that this one can mean: the user's endpoint may have a path before it."""
    segments = path.split("/")
    for start in range(1, len(segments)):
        rest = "/" + "/".join(segments[start:])
        yield rest
        yield dialect.base + rest


def _is_known(dialect: DialectServer, received: Received) -> bool:
    """True if the dialect has this path and method. It checks them before anything else."""
    trial = Context(rng=random.Random(0), number=1, fault=Fault(), key=None, models=None, scripted="")
    try:
        dialect.respond(received, trial)
    except RequestRejected as refused:
        return refused.kind is not ErrorKind.NO_SUCH_PATH and refused.status != 405
    return True


def _json_or_none(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _played(steps: Iterator[Step], request: HttpRequest) -> Reply | TransportFault:
    """Return the steps of a body that a transport reads from these steps of a connection."""
    exchange = Http1Exchange.to_url(request)
    while exchange.next_chunk() is not None:
        pass
    delay = 0.0
    for step in steps:
        match step:
            case bytes():
                body = exchange.receive_data(step)
                if exchange.failure is not None and not exchange.head_received:
                    return exchange.failure
                if exchange.head_received:
                    return Reply(exchange.status or 0, _steps(body, steps, exchange), exchange.headers, delay)
            case ConnectionEnd():
                end = _end(step, exchange)
                assert end is not None, "an answer without a head ends with a fault"
                return end if isinstance(end, TransportError | RemoteProtocolError) else Reply(delay=end)
            case _:
                delay += step
    raise AssertionError("a plan ends with an Ending")


def _steps(body: bytes, steps: Iterator[Step], exchange: Http1Exchange) -> Iterator[BodyStep]:
    while True:
        if body:
            yield body
        if exchange.failure is not None:
            yield exchange.failure
        if exchange.failure is not None or exchange.ended:
            return
        body = b""
        step = next(steps)
        match step:
            case bytes():
                body = exchange.receive_data(step)
            case ConnectionEnd():
                end = _end(step, exchange)
                if end is not None:
                    yield end
                return
            case _:
                yield float(step)


def _end(ending: ConnectionEnd, exchange: Http1Exchange) -> float | TransportFault | None:
    """Return the fault of an ending, or a stall. None if the response is complete."""
    match ending:
        case ConnectionEnd.HANG:
            return STALL
        case ConnectionEnd.CUT_RESET:
            return exchange.disconnected("the connection was reset inside the response")
        case ConnectionEnd.DONE | ConnectionEnd.CLOSE | ConnectionEnd.CUT_CLOSE:
            exchange.receive_eof()
            return exchange.failure
        case _:
            assert_never(ending)
