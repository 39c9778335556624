"""The writing of a trace: what happened, with the seconds from the call's beginning."""

from __future__ import annotations

import math

import attrs

from turnout.routing.policy.plan import Blocked
from turnout.trace import Trace
from turnout.trace.entries import CandidateBlocked, Entry

__all__ = ["TICK", "TraceWriter"]

# The times of a trace are kept to this many seconds.
TICK = 1e-6


@attrs.define(eq=False)
class TraceWriter:
    """Writes the trace of a call that began at the monotonic time `started`."""

    trace: Trace
    started: float

    def at(self, now: float) -> float:
        """Seconds from the call's beginning, as the trace keeps them and the plan decides by them."""
        return round(now - self.started, 6)

    def note(self, entry: Entry) -> None:
        self.trace.entries.append(entry)

    def passed_over(self, place: int, candidate: object, obstacle: Blocked, now: float) -> None:
        wait = obstacle.wait if obstacle.wait < math.inf else None
        self.note(CandidateBlocked(self.at(now), place, str(candidate), obstacle.reason, wait))
