"""How long this process had no turn at all: a busy machine makes every call late, and is nobody's fault."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

__all__ = ["Stalls"]

_BEAT = 0.05  # seconds
_WINDOW = 200  # of the latest stalls that are looked at


class Stalls:
    """A thread that wakes at a steady beat, and notes where it came late. It shows what held up the whole process.

    A blocking call in an event loop does not show here, as it leaves other threads alone: that is a finding.
    """

    def __init__(self) -> None:
        self._noted: list[tuple[float, float]] = []  # when it woke, and how many seconds late
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

    def _beat(self) -> None:
        due = time.monotonic() + _BEAT
        while not self._over.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            if now - due > _BEAT:
                self._noted = [*self._noted[-_WINDOW:], (now, now - due)]
            due = now + _BEAT

    def since(self, begun: float) -> float:
        """The seconds that were lost since this monotonic time."""
        return sum(late for woke, late in self._noted if woke >= begun)
