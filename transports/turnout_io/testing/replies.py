"""A scripted response as a value: a head, and a body with its pieces, pauses and faults."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

from turnout.errors import LocalProtocolError, RemoteProtocolError, TransportError
from turnout.http import Headers

__all__ = ["STALL", "BodyStep", "Reply", "TransportFault"]

STALL: Final = math.inf
"""A pause without end, for `Reply(body=[b"some", STALL])` or `Reply(delay=STALL)`. The reader runs into its timeout."""

TransportFault: TypeAlias = TransportError | RemoteProtocolError
"""An error that a transport raises if the peer or the network fails."""

BodyStep: TypeAlias = bytes | float | TransportFault
"""One step of a body: a piece that one `read` returns, seconds of silence, or the error that ends it."""


def _fields(fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    pairs: Any = fields.items() if isinstance(fields, Mapping) else fields
    return Headers(pairs)


def _steps(body: bytes | str | Mapping[str, Any] | Iterable[BodyStep]) -> Iterable[BodyStep]:
    match body:
        case bytes():
            return (body,) if body else ()
        case str():
            return _steps(body.encode("utf-8", "surrogatepass"))
        case Mapping():
            return _steps(json.dumps(body, ensure_ascii=False))
        case Iterator():
            return body
        case _:
            return tuple(map(checked_step, body))


def _status(reply: Reply, attribute: attrs.Attribute[int], status: int) -> None:
    if not (isinstance(status, int) and 200 <= status <= 599):
        raise LocalProtocolError(f"Reply(status={status!r}): give the status of a final response, 200 to 599")


def _delay(reply: Reply, attribute: attrs.Attribute[float], delay: float) -> None:
    if not delay >= 0:
        raise LocalProtocolError(f"Reply(delay={delay!r}): give seconds, zero or more")


@attrs.frozen
class Reply:
    """One response to one request.

        Reply(429, {"error": {"message": "slow down"}}, {"retry-after": "2"})
        Reply(200, [b"data: ...\\n\\n", 0.5, b"data: ...\\n\\n", Disconnected("cut")])

    No real time passes. A wait that is longer than its timeout raises `TimedOut` immediately; a shorter one ends
    immediately.

    Attributes:
        status: The HTTP status.
        body: Bytes, text, a mapping (sent as JSON), or steps in order (see `BodyStep`). An iterator of steps serves one
            request. It is closed with the response, if it has `close`.
        headers: Fields in order, or a mapping.
        delay: Seconds until the head arrives.
    """

    status: int = attrs.field(default=200, validator=_status)
    body: Iterable[BodyStep] = attrs.field(default=(), converter=_steps, repr=False)
    headers: Headers = attrs.field(factory=Headers, converter=_fields)
    delay: float = attrs.field(default=0.0, validator=_delay)

    @property
    def single_use(self) -> bool:
        """True if the body is an iterator, which cannot be played again."""
        return isinstance(self.body, Iterator)


def checked_step(step: object) -> BodyStep:
    """Return a step of a script. Raises LocalProtocolError for anything else."""
    match step:
        case bytes() | TransportError() | RemoteProtocolError():
            return step
        case float() | int() if step >= 0 and not isinstance(step, bool):
            return float(step)
        case _:
            raise LocalProtocolError(
                f"a scripted body is made of bytes, seconds (0 or more) and transport errors, not of {step!r:.80}"
            )
