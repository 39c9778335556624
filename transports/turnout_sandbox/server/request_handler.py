"""Turns a request into the steps that answer it: provider, script, dialect, steps."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from turnout.http import Headers
from turnout.http.http1_server import ServedRequest
from turnout_sandbox.answers import AnswerScript
from turnout_sandbox.dialect import Context, DialectServer
from turnout_sandbox.dialects import HOST_FOLDERS
from turnout_sandbox.faults import Abort, Fault
from turnout_sandbox.received import Received, ResponseOutcome
from turnout_sandbox.server.connection import ServedExchange
from turnout_sandbox.server.handler import respond
from turnout_sandbox.server.responses import Response, StreamedResponse, UnaryResponse
from turnout_sandbox.server.steps import Step, build_steps

__all__ = ["ProviderState", "RequestHandler"]

_HEALTHY = Fault()


def joined_fields(headers: Headers) -> dict[str, str]:
    """Return the fields by name in lower case, the values of a repeated name joined by commas (RFC 9110, 5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        joined[lower] = f"{joined[lower]}, {value}" if lower in joined else value
    return joined


@attrs.define
class ProviderState:
    """The state of one provider. The condition of the handler guards it."""

    dialect: DialectServer
    key: str | None
    models: frozenset[str] | None
    script: deque[Fault] = attrs.field(factory=deque)
    always: tuple[Fault, ...] = ()  # played in turn once the script is empty
    answer: AnswerScript | None = None
    count: int = 0
    looped: int = 0
    in_flight: int = 0
    peak: int = 0

    def next_fault(self) -> Fault:
        if self.script:
            return self.script.popleft()
        if self.always:
            self.looped += 1
            return self.always[(self.looped - 1) % len(self.always)]
        return _HEALTHY


@attrs.define(eq=False)
class _ServedExchange:
    """One request while it is answered."""

    steps: Iterator[Step]
    received: Received
    _handler: RequestHandler

    def closed(self, outcome: ResponseOutcome) -> None:
        self._handler.closed(self.received, outcome)


@attrs.define(eq=False)
class RequestHandler:
    """Takes requests in the loop's thread; everything that others look at is behind `changed`."""

    states: Mapping[str, ProviderState]
    token_interval: float
    started: float
    rng: random.Random
    on_request: Callable[[Received], None] | None = None
    changed: threading.Condition = attrs.field(factory=threading.Condition)
    received: list[Received] = attrs.field(factory=list)
    failures: list[Exception] = attrs.field(factory=list)

    def begin(self, raw: ServedRequest, connection: int) -> ServedExchange:
        received = self._received(raw, connection)
        state = self.states.get(received.provider)
        context = None
        with self.changed:
            self.received.append(received)
            if state is not None:
                state.count += 1
                state.in_flight += 1
                state.peak = max(state.peak, state.in_flight)
                context = self._context(state)
            self.changed.notify_all()
        if state is None or context is None:
            response, fault = _unknown_provider(received, sorted(self.states)), _HEALTHY
        else:
            response, fault = self._answer(state.dialect, received, context), context.fault
        if not (fault.after_tokens is None and fault.abort in (Abort.CLOSE, Abort.RESET, Abort.HANG)):
            status = 200 if isinstance(response, StreamedResponse) else response.status
            with self.changed:
                received.status = status if fault.status is None else fault.status
                self.changed.notify_all()
        steps = build_steps(
            response,
            fault,
            interval=self.token_interval,
            now=time.time(),
            http11=raw.head.http_version == "1.1",
            keep_alive=raw.head.keep_alive,
            head_only=received.method == "HEAD",
        )
        return _ServedExchange(steps, received, self)

    def closed(self, received: Received, outcome: ResponseOutcome) -> None:
        with self.changed:
            received.outcome = outcome
            received.ended = time.monotonic() - self.started
            state = self.states.get(received.provider)
            if state is not None:
                state.in_flight -= 1
            self.changed.notify_all()
        if self.on_request is not None:
            self.on_request(received)

    def _received(self, raw: ServedRequest, connection: int) -> Received:
        parts = urllib.parse.urlsplit(raw.head.target)
        _, _, rest = parts.path.partition("/")
        provider, slash, path = rest.partition("/")
        if provider in HOST_FOLDERS:
            provider, path, slash = HOST_FOLDERS[provider], f"/{provider}/{path}", ""
        known = provider in self.states
        return Received(
            provider=provider if known else "",
            method=raw.head.method,
            path=slash + path if known else parts.path,
            query=dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)),
            headers=joined_fields(raw.head.headers),
            raw=raw.body,
            body=_json_or_none(raw.body),
            at=time.monotonic() - self.started,
            connection=connection,
        )

    def _context(self, state: ProviderState) -> Context:
        return Context(
            rng=self.rng,
            number=state.count,
            fault=state.next_fault(),
            key=state.key,
            models=state.models,
            scripted=state.answer,
        )

    def _answer(self, dialect: DialectServer, received: Received, context: Context) -> Response:
        if received.method == "HEAD":  # HEAD has the status and the fields of GET (RFC 9110, 9.3.2)
            received = attrs.evolve(received, method="GET")
        try:
            return respond(dialect, received, context)
        except Exception as error:
            # A scripted function failed, or the sandbox: the client gets a 500, and the end of the sandbox raises it.
            with self.changed:
                self.failures.append(error)
            text = f"the sandbox could not answer: {type(error).__name__}\n".encode()
            return UnaryResponse(500, (("content-type", "text/plain"),), text)


def _unknown_provider(received: Received, known: list[str]) -> Response:
    if received.path == "/" and received.method == "GET":
        body, status = {"sandbox": "turnout", "providers": known}, 200
    else:
        text = f"no provider of the sandbox at {received.path}; paths begin with one of {', '.join(known)}"
        body, status = {"error": text, "providers": known}, 404
    return UnaryResponse(status, (("content-type", "application/json"),), json.dumps(body).encode())


def _json_or_none(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
