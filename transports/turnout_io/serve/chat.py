"""Serves one chat call: a whole answer, or a stream."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

import attrs
import trio

from turnout.chat import ChatResponse, Usage
from turnout.errors import LocalProtocolError, TurnoutError
from turnout.events import End
from turnout.serving import Answerer, InboundChat, StreamWriter, served_error
from turnout_io.serve.connection import Responder, StopReason
from turnout_io.serve.served_call import ServedCall, header_text
from turnout_io.trio import ChatStream, Router

__all__ = ["ActiveStream", "Deadlines", "serve_stream", "serve_whole"]

_STREAM_HEADERS: Final = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    # nginx would otherwise collect the events of an answer.
    ("x-accel-buffering", "no"),
)
JSON_HEADERS: Final = [("content-type", "application/json")]


@attrs.frozen
class Deadlines:
    """The seconds that a client gives its call.

    Args:
        timeout: Until the answer, or until the first content of a stream.
        total: For a whole stream.
    """

    timeout: float | None = None
    total: float | None = None


def answerer_of(model: str) -> Answerer:
    """Return the facts about an answer that its envelope has, with a new id."""
    return Answerer(model=model, id=secrets.token_hex(12), created=int(time.time()))


async def serve_whole(call: ServedCall, inbound: InboundChat, router: Router, deadlines: Deadlines) -> None:
    """Answer with one document.

    Raises:
        TurnoutError: No provider could answer.
    """
    response = await router.chat(inbound.request, timeout=deadlines.timeout, policy=call.policy, priority=call.priority)
    call.trace, call.usage, call.answered = response.trace, response.usage, str(response.model)
    body = call.dialect.build_response(inbound, response, answerer_of(call.answered))
    ignored = inbound.not_received(call.scopes_of(response.model))
    headers = [*JSON_HEADERS, *call.headers(ignored), *_upstream_headers(response)]
    cost = response.trace.cost
    if cost is not None:
        headers.append(("x-turnout-cost", f"{cost:.10g}"))
    await call.responder.send_whole(200, headers, body)


def _upstream_headers(response: ChatResponse) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    if response.request_id:
        fields.append(("x-turnout-upstream-request-id", header_text(response.request_id)))
    if response.served_model:
        fields.append(("x-turnout-served-model", header_text(response.served_model)))
    return fields


@attrs.define(eq=False)
class ActiveStream:
    """A stream that is running, for the task that fills silences.

    Args:
        responder: Writes the response.
        ping: Returns a sign of life.
        headers: The headers of the response, if it must begin before the first token.
    """

    responder: Responder
    ping: Callable[[], bytes]
    headers: list[tuple[str, str]]
    begun: bool = False
    pinging: bool = False

    def begin(self, headers: list[tuple[str, str]]) -> None:
        """Begin the response with these headers, unless it has begun."""
        if not self.begun:
            self.begun = True
            self.responder.begin(200, [*_STREAM_HEADERS, *headers])

    async def send_ping(self) -> None:
        """Send a sign of life."""
        self.pinging = True
        try:
            self.begin(self.headers)
            await self.responder.send(self.ping())
        finally:
            self.pinging = False


async def serve_stream(
    call: ServedCall,
    inbound: InboundChat,
    router: Router,
    deadlines: Deadlines,
    active: set[ActiveStream],
) -> None:
    """Answer with a stream. Its head leaves with the first content, so that a failure before has its own status.

    Args:
        call: The call.
        inbound: Its request.
        router: Makes the stream.
        deadlines: The seconds of the client.
        active: The streams that receive pings during a silence.

    Raises:
        TurnoutError: No provider could answer, and the response has not begun.
    """
    dialect, responder = call.dialect, call.responder
    early = dialect.make_writer(inbound, answerer_of(inbound.model_name))
    entry = ActiveStream(responder, early.ping, call.headers(inbound.ignored))
    writer: StreamWriter = early
    active.add(entry)
    try:
        stream = router.stream(
            inbound.request,
            timeout=deadlines.timeout,
            total_timeout=deadlines.total,
            policy=call.policy,
            priority=call.priority,
        )
        try:
            async with stream:
                call.first_content_at = trio.current_time()
                call.trace, call.answered = stream.trace, str(stream.model)
                writer = dialect.make_writer(inbound, answerer_of(call.answered))
                ignored = inbound.not_received(call.scopes_of(stream.model))
                entry.begin([*call.headers(ignored), *_upstream_headers(stream.response)])
                await _write(call, stream, writer)
        finally:
            if call.usage is None:
                call.usage = _usage_of(stream)
    except TurnoutError as error:
        if not entry.begun:
            raise
        call.cause, call.error = error, served_error(error)
        await responder.finish(writer.error(call.error, call.request_id))
    except trio.Cancelled:
        if responder.stop_reason is StopReason.SHUTDOWN and entry.begun:
            call.writer = writer
        raise
    finally:
        active.discard(entry)


async def _write(call: ServedCall, stream: ChatStream, writer: StreamWriter) -> None:
    """Write the events of a stream: all events of one read in one write."""
    responder = call.responder
    ahead = writer.opening()
    latest: ChatResponse | None = None

    def partial() -> ChatResponse:
        nonlocal latest
        latest = stream.response
        return latest

    async for events in stream.batches():
        latest = None
        ahead += writer.events(events, partial)
        if type(events[-1]) is End:
            # A response is built anew each time, which is a large part of a short stream's cost.
            call.usage = (latest or stream.response).usage
            await responder.finish(ahead)
            return
        if ahead:
            await responder.send(ahead)
            ahead = b""


def _usage_of(stream: ChatStream) -> Usage | None:
    try:
        return stream.response.usage
    except LocalProtocolError:
        return None  # nothing of an answer has arrived
