"""One request to the gateway while it is served: its client, its result and its trace."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

import attrs
import trio

from turnout.chat import ModelConfig, Usage
from turnout.http.http1_server import ServedRequest
from turnout.routing.policy.settings import Policy
from turnout.serving import ChatCompletions, ChatDialect, Messages, Responses, ServedError, StreamWriter
from turnout.trace import Trace
from turnout_io.serve.connection import Responder
from turnout_io.serve.keys import Client

__all__ = ["CHAT", "MESSAGES", "RESPONSES", "ServedCall", "current_call", "dialect_of", "record_trace", "request_id_of"]

CHAT: Final = ChatCompletions()
MESSAGES: Final = Messages()
RESPONSES: Final = Responses()

# A header field has room for this many names; more are counted.
_MAX_NAMES: Final = 40

current_call: ContextVar[ServedCall | None] = ContextVar("turnout_served_call", default=None)
"""The call that this task serves: the router reports the trace of a call in the task that made it."""


def record_trace(trace: Trace) -> None:
    """Keep the trace with the call that this task serves: give it to the router as `on_trace`."""
    call = current_call.get()
    if call is not None:
        call.trace = trace


def dialect_of(path: str) -> ChatDialect:
    """Return the dialect in which errors of a path are written."""
    if path.startswith("/messages"):
        return MESSAGES
    return RESPONSES if path.startswith("/responses") else CHAT


def request_id_of(given: str | None) -> str:
    """Return the client's own id for a request if it is a short printable text, and a new id otherwise."""
    if given and len(given) <= 128 and given.isascii() and given.isprintable():
        return given
    return f"req_{secrets.token_hex(12)}"


@attrs.define(eq=False)
class ServedCall:
    """One request.

    Args:
        request: The request.
        responder: Writes its response.
        path: The path without `/v1`.
        request_id: The id of the request, in the response and in the log.
        client: The client. None before the key is checked.
        model_name: The model as the client named it.
        answered: The candidate that answered, as `provider/model`.
        trace: The attempts. None if no provider was needed.
        usage: The tokens of the answer.
        error: The error that the client received.
        cause: The error behind it, for the log.
        started_at: Seconds of trio's clock.
        first_content_at: Seconds of trio's clock. None if no content was sent.
        writer: The writer of a stream that the gateway cut because it stops, for the error at its end.
        policy: The settings in which this call differs from the router's; None for nothing.
        scopes: The scopes of each provider's own fields (`turnout.types.extras`), by its name.
    """

    request: ServedRequest
    responder: Responder
    path: str
    request_id: str
    client: Client | None = None
    model_name: str = ""
    answered: str = ""
    trace: Trace | None = None
    usage: Usage | None = None
    error: ServedError | None = None
    cause: BaseException | None = None
    started_at: float = attrs.field(factory=trio.current_time)
    first_content_at: float | None = None
    writer: StreamWriter | None = None
    policy: Policy | None = None
    scopes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)

    @property
    def dialect(self) -> ChatDialect:
        """The dialect of the path."""
        return dialect_of(self.path)

    @property
    def priority(self) -> float:
        """The priority of the client's calls."""
        return self.client.priority if self.client is not None else 0.0

    def scopes_of(self, model: ModelConfig) -> tuple[str, ...]:
        """Return the scopes of the provider of a model."""
        return self.scopes.get(model.provider, ())

    def headers(self, ignored: tuple[str, ...] = ()) -> list[tuple[str, str]]:
        """Return the headers with the model that answered and the number of attempts."""
        fields = [("x-turnout-model", header_text(self.answered))] if self.answered else []
        if self.trace is not None and self.trace.attempts:
            fields.append(("x-turnout-attempts", str(self.trace.attempts)))
        if self.client is not None and self.client.settings is not None:
            fields += self.client.headers(trio.current_time())
        if ignored:
            shown = ", ".join(ignored[:_MAX_NAMES])
            more = f", … {len(ignored) - _MAX_NAMES} more" if len(ignored) > _MAX_NAMES else ""
            fields.append(("x-turnout-ignored", header_text(shown + more)))
        return fields


def header_text(text: str) -> str:
    """Return a text that a header can hold: other characters become a question mark."""
    if text.isascii() and text.isprintable():
        return text[:2000]
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:2000]
