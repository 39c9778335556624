"""What a call tells its driver to do. One command is done, its outcome is told, the next is asked for."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from turnout.errors import TurnoutError
from turnout.http import HttpRequest, TransportTimeouts

__all__ = ["Close", "Command", "Finish", "Open", "Read", "Sleep", "WaitForAny"]


@attrs.frozen
class Open:
    """Begin an attempt: send `request`. Then `receive_head` or `receive_failure`."""

    attempt: int
    request: HttpRequest
    timeouts: TransportTimeouts


@attrs.frozen
class Read:
    """Wait for bytes of an attempt, at most min(`idle`, `until` - now) seconds.

    Then `receive_data`, `receive_end` or `receive_failure`. `until` is a monotonic time, inf for no bound; `idle` is
    in seconds and counts from the beginning of this wait, so that a slow consumer is not taken for a silent server.
    """

    attempt: int
    until: float
    idle: float


@attrs.frozen
class Sleep:
    """Do nothing until the monotonic time `until`, or until `RouterCore.places.take_woken()` has the call's `field`."""

    until: float


@attrs.frozen
class WaitForAny:
    """Nothing is left to begin: wait until an operation that was begun has its outcome, at most until `until`.

    It comes only while `Call.lanes` overlap, where every Open and Read is an operation to begin beside the others.
    """

    until: float


@attrs.frozen
class Close:
    """Close an attempt. It comes exactly once for every `Open`, and must be done, also when cancelled."""

    attempt: int


@attrs.frozen
class Finish:
    """The call is over: return `result`, or raise `error`. Both are None where the call was cancelled."""

    result: Any = None
    error: TurnoutError | None = None


Command: TypeAlias = Open | Read | Sleep | WaitForAny | Close | Finish
