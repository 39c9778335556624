"""The deadlines of the reads in one trio run, without a cancel scope for each read.

A stream waits for each of its chunks, each time with a later deadline. To enter and leave a scope with a deadline costs
about as much as the read. So a read that waits has at most one timer, which may be of an earlier read. When its time
comes and the present deadline is later, the timer is set again; else the read ends. A system task of the run waits for
the first timer, while there is one.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Protocol

import trio

__all__ = ["ReadTimers", "TimedRead", "timers_of_run"]

# Timers that were replaced or cancelled are removed once there are this many, and more of them than of others.
COMPACT_ABOVE = 64


class TimedRead(Protocol):
    """What has a deadline.

    Attributes:
        deadline: The time by which the present wait must end; None while nothing waits.
        timer_at: The time of its timer; infinity if it has none. Changed by `ReadTimers` alone.
    """

    deadline: float | None
    timer_at: float

    def end_wait(self) -> None:
        """End the present wait: its deadline has passed."""
        ...


class ReadTimers:
    """The timers of one trio run, the soonest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, TimedRead]] = []  # it can hold timers that were replaced or cancelled
        self._order = itertools.count()
        self._unused = 0  # how many of them
        self._sooner: trio.Event | None = None  # ends the wait of the task; None while there is no task

    def set(self, read: TimedRead, at: float) -> None:
        """Set the timer of a read, in place of the one it has."""
        if read.timer_at < math.inf:
            self.cancel(read)
        read.timer_at = at
        heapq.heappush(self._heap, (at, next(self._order), read))
        if self._sooner is None:
            self._sooner = trio.Event()
            trio.lowlevel.spawn_system_task(self._run)
        elif self._heap[0][2] is read:
            self._sooner.set()

    def cancel(self, read: TimedRead) -> None:
        """Forget the timer of a read, if it has one."""
        if read.timer_at == math.inf:
            return
        read.timer_at = math.inf
        self._unused += 1
        if self._unused > COMPACT_ABOVE and self._unused > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if entry[2].timer_at == entry[0]]
            heapq.heapify(self._heap)
            self._unused = 0

    async def _run(self) -> None:
        while self._heap:
            self._sooner = trio.Event()
            with trio.CancelScope(deadline=self._heap[0][0]):
                await self._sooner.wait()
            self._end_waits(trio.current_time())
        self._sooner = None

    def _end_waits(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            at, _, read = heapq.heappop(self._heap)
            if read.timer_at != at:
                self._unused = max(0, self._unused - 1)
                continue
            read.timer_at = math.inf
            if read.deadline is None:
                continue
            if read.deadline <= now:
                read.end_wait()
            else:
                self.set(read, read.deadline)


_timers: trio.lowlevel.RunVar[ReadTimers] = trio.lowlevel.RunVar("turnout_read_timers")


def timers_of_run() -> ReadTimers:
    """Return the timers of the caller's run."""
    try:
        return _timers.get()
    except LookupError:
        timers = ReadTimers()
        _timers.set(timers)
        return timers
