"""The commands of a call to its driver. The driver performs one, reports its result, and fetches the next.

They are structs of msgspec, because a stream makes one for each read: one takes 0.1 µs, and of attrs 0.5.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from turnout.errors import TurnoutError
from turnout.http import HttpRequest, TransportTimeouts

__all__ = ["Close", "Command", "Finish", "Open", "Read", "Sleep", "WaitForAny"]


class Open(msgspec.Struct, frozen=True):
    """Start an attempt: send `request`. Report with `receive_head` or `receive_failure`."""

    attempt: int
    request: HttpRequest
    timeouts: TransportTimeouts


class Read(msgspec.Struct, frozen=True, gc=False):
    """Wait for bytes of an attempt, at most min(`idle`, `until` - now) seconds.

    Report with `receive_data`, `receive_end` or `receive_failure`.

    Attributes:
        until: Monotonic time; infinity for no limit.
        idle: Seconds, from the start of this wait, so that a slow consumer does not count as a silent server.
    """

    attempt: int
    until: float
    idle: float


class Sleep(msgspec.Struct, frozen=True, gc=False):
    """Do nothing until the monotonic time `until`, or until `Scheduler.take_ready` returns the call."""

    until: float


class WaitForAny(msgspec.Struct, frozen=True, gc=False):
    """Nothing is left to start: wait until a started operation has its result, at most until `until`.

    It is returned only while `Call.hedging`, when the driver starts each `Open` and `Read` beside the others.
    """

    until: float


class Close(msgspec.Struct, frozen=True, gc=False):
    """Close an attempt. It is returned exactly once for every `Open`; perform it also after a cancellation."""

    attempt: int


class Finish(msgspec.Struct, frozen=True):
    """The call has ended: return `result`, or raise `error`. Both are None if the call was cancelled."""

    result: Any = None
    error: TurnoutError | None = None


Command: TypeAlias = Open | Read | Sleep | WaitForAny | Close | Finish
