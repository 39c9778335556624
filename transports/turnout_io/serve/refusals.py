"""The gateway's own refusals: their errors, how they are sent, and connections above the bound."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Final

import trio

from turnout.http.http1_server import MalformedRequest, RequestHead, ServedRequest
from turnout.serving import ServedError
from turnout_io.serve.body_memory import BodyMemory
from turnout_io.serve.chat import JSON_HEADERS
from turnout_io.serve.connection import Connection, ConnectionLimits, Handler, MalformedHandler, Responder
from turnout_io.serve.endpoints import canonical_path, no_capacity
from turnout_io.serve.served_call import MESSAGES, dialect_of, request_id_of

__all__ = ["NO_ROOM", "malformed_request", "refuse_connection", "send_error", "unsupported_coding"]

NO_ROOM: Final = "this gateway holds as many bytes of requests as it may (serve.maxBodies); try again later"
_TOO_MANY: Final = "this gateway has as many connections as it may (serve.maxConnections); try again later"
# Seconds. A client that is refused may not hold its connection for long.
_TIMEOUT: Final = 5.0
# Seconds, as the header has them. OpenAI's SDKs sleep inside the call for at most 60, and a limit for a minute asks for
# just that. Beyond it SDKs differ: groq 1.7.0 asks again at once, and anthropic 2.15.0 sleeps for hours
# (findings/anthropic-waits-out-any-retry-after.sh). All of them follow x-should-retry.
_TOO_LONG: Final = 60


def malformed_request(fault: MalformedRequest) -> ServedError:
    return ServedError(
        status=fault.status,
        type="invalid_request_error",
        code="malformed_request",
        messages_type="request_too_large" if fault.status == 413 else "invalid_request_error",
        message=fault.message,
    )


def unsupported_coding(coding: str) -> ServedError:
    return ServedError(
        status=415,
        type="invalid_request_error",
        code="unsupported_content_encoding",
        messages_type="invalid_request_error",
        message=f"a body in the coding {coding[:40]!r} cannot be read; send it without Content-Encoding",
    )


def _may_retry(error: ServedError, attempts: int) -> bool:
    """Return whether an SDK may repeat a request at once or after a short sleep inside the call.

    SDKs repeat 408, 409, 429 and 5xx by themselves, in addition to the attempts of the router.
    """
    if not error.retryable:
        return False
    if error.retry_after is None:
        return attempts <= 1
    return math.ceil(error.retry_after) < _TOO_LONG


async def send_error(
    responder: Responder,
    path: str,
    error: ServedError,
    request_id: str,
    headers: list[tuple[str, str]],
    *,
    attempts: int = 0,
) -> None:
    """Send an error in the protocol of a path.

    Args:
        responder: Writes it.
        path: Without `/v1`.
        error: The error.
        request_id: The id of the request.
        headers: Further headers.
        attempts: The attempts that the router has made.
    """
    dialect = dialect_of(path)
    fields = [*JSON_HEADERS, *headers]
    if not _may_retry(error, attempts):
        fields.append(("x-should-retry", "false"))
    if error.retry_after is not None:
        fields += [
            ("retry-after", str(math.ceil(error.retry_after))),
            ("retry-after-ms", str(math.ceil(error.retry_after * 1000))),
        ]
    if error.status == 401:
        fields.append(("www-authenticate", "Bearer"))
    status = error.messages_status if dialect is MESSAGES else error.status
    await responder.send_whole(status, fields, dialect.build_error(error, request_id))


async def refuse_connection(
    stream: trio.abc.Stream,
    answer: Handler,
    malformed: MalformedHandler,
    date: Callable[[], str],
    memory: BodyMemory,
) -> None:
    """Read one request, and answer that there are too many connections.

    Without a word, a client would see a connection that was reset, and would not know that it may try again. Checks of
    the gateway's health are answered: else a supervisor would end a gateway that is only busy.

    Args:
        stream: The connection.
        answer: Answers a check of the health.
        malformed: Answers bytes that are no request.
        date: Returns the value of the header Date.
        memory: Bounds the bodies of all connections together.
    """

    async def early(head: RequestHead, responder: Responder) -> bool:
        with responder.scope, trio.move_on_after(_TIMEOUT):
            path, error = canonical_path(head.path), no_capacity(_TOO_MANY).error
            await send_error(responder, path, error, request_id_of(None), [])
        return True

    async def handle(request: ServedRequest, responder: Responder) -> None:
        connection.keep_alive = False
        if canonical_path(request.head.path) in ("/health", "/ready"):
            await answer(request, responder)
        else:
            await early(request.head, responder)

    limits = ConnectionLimits(
        head_timeout=_TIMEOUT, body_timeout=_TIMEOUT, idle_timeout=_TIMEOUT, write_timeout=_TIMEOUT
    )
    connection = Connection(stream, limits, handle, malformed, early, date, memory)
    with contextlib.suppress(Exception):  # one client must not end the gateway for all others
        await connection.serve()
