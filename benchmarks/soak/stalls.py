"""How long this process had no turn: a busy machine makes every call late, and no code is the cause."""

from __future__ import annotations

import bisect
import contextlib
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Stalls"]

_BEAT = 0.05  # seconds
# Of the main thread, which runs the event loop: CPU time, time in the queue for a CPU, and turns (proc(5), in ns).
_SCHEDULED = Path("/proc/self/schedstat")


class Stalls:
    """A thread that wakes at a steady beat, and notes the seconds that were lost since the beat before.

    Lost is the larger one of two times: how late it woke, because the whole process stood still, and how long the event
    loop was in the queue for a CPU. A blocking call in an event loop shows in neither: that is a finding.
    """

    def __init__(self) -> None:
        self._woke: list[float] = [0.0]
        self._lost: list[float] = [0.0]  # in all, at each time in `_woke`
        self._queued = _queued()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def note(self, now: float, late: float, queued: float) -> None:
        """Note one beat.

        Args:
            now: The monotonic time.
            late: The seconds after which it woke too late.
            queued: The seconds for which the event loop was in the queue, since the start of the process.
        """
        lost, self._queued = max(late, queued - self._queued, 0.0), queued
        if lost > _BEAT / 2:
            # In this order, because other threads read: each time has its sum.
            self._lost.append(self._lost[-1] + lost)
            self._woke.append(now)

    def since(self, begun: float) -> float:
        """Return the seconds that were lost since this monotonic time."""
        before = bisect.bisect_left(self._woke, begun) - 1
        return self._lost[-1] - self._lost[max(before, 0)]

    def _beat(self) -> None:
        due = time.monotonic() + _BEAT
        while not self._over.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            self.note(now, now - due if now - due > _BEAT else 0.0, _queued())
            due = now + _BEAT


def _queued() -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):  # a kernel without this count
        return int(_SCHEDULED.read_text().split()[1]) / 1e9
    return 0.0
