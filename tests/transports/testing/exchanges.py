"""Sends requests through a transport, and notes everything that a caller sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from turnout.errors import (
    RemoteProtocolError,
    TimedOut,
    TransportError,
)
from turnout.http import HttpRequest, TransportTimeouts

__all__ = ["TIMEOUTS", "URL", "Seen", "told", "use", "use_async"]

URL = "https://api.example.test/v1/chat"
TIMEOUTS = TransportTimeouts(connect=1, response_headers=1)


@attrs.frozen
class Seen:
    """What a caller sees of one exchange."""

    status: int | None
    headers: tuple[tuple[str, str], ...]
    read: tuple[object, ...]


def told(fault: Exception) -> tuple[object, ...]:
    return (type(fault), str(fault), *(getattr(fault, name, None) for name in ("phase", "timer", "reused")))


def use(transport: Any, requests: Sequence[HttpRequest], stop_after: int = 1000) -> list[Seen]:
    seen = []
    for request in requests:
        try:
            response = transport.open(request, TIMEOUTS)
        except (TransportError, RemoteProtocolError) as fault:
            seen.append(Seen(None, (), told(fault)))
            continue
        read: list[object] = []
        while len(read) < stop_after and (not read or read[-1] != b""):
            try:
                read.append(response.read(1.0))
            except (TransportError, RemoteProtocolError) as fault:
                read.append(told(fault))
                if not isinstance(fault, TimedOut):
                    break
        seen.append(Seen(response.status, tuple(response.headers), tuple(read)))
        response.close()
    transport.close()
    return seen


async def use_async(transport: Any, requests: Sequence[HttpRequest]) -> list[Seen]:
    seen = []
    for request in requests:
        try:
            response = await transport.open(request, TIMEOUTS)
        except (TransportError, RemoteProtocolError) as fault:
            seen.append(Seen(None, (), told(fault)))
            continue
        read: list[object] = []
        while not read or read[-1] != b"":
            try:
                read.append(await response.read(1.0))
            except (TransportError, RemoteProtocolError) as fault:
                read.append(told(fault))
                if not isinstance(fault, TimedOut):
                    break
        seen.append(Seen(response.status, tuple(response.headers), tuple(read)))
        await response.aclose()
    await transport.aclose()
    return seen
