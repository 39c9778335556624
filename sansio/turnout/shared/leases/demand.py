"""Measures how fast one process uses a shared amount, so that it can request the next part before it needs it."""

from __future__ import annotations

import math
from collections import deque

import attrs

__all__ = ["Demand"]


@attrs.define(eq=False)
class Demand:
    """The recent use, counted in slices of time.

    Attributes:
        slice_seconds: The length of a slice.
        slices: How many slices the rate is measured over.
    """

    slice_seconds: float
    slices: int = 4
    _taken: deque[tuple[float, int, int]] = attrs.field(factory=deque, init=False)  # start, amount, requests

    @property
    def known(self) -> bool:
        """True if anything was ever taken."""
        return bool(self._taken)

    def add(self, amount: int, now: float) -> None:
        """Count one request that took `amount`."""
        taken = self._taken
        if taken and now < taken[-1][0] + self.slice_seconds:
            start, total, count = taken[-1]
            taken[-1] = (start, total + amount, count + 1)
            return
        taken.append((now, amount, 1))
        if len(taken) > self.slices:
            taken.popleft()

    def rate(self, now: float) -> tuple[float, float]:
        """Return the recent use per second, and the typical use of one request."""
        since = now - self.slices * self.slice_seconds
        total = count = 0
        for start, amount, requests in self._taken:
            if start > since:
                total += amount
                count += requests
        if not count:
            _, amount, requests = self._taken[-1] if self._taken else (0.0, 0, 1)
            return 0.0, amount / requests
        return total / (self.slices * self.slice_seconds), total / count

    def expected(self, seconds: float, now: float) -> int:
        """Return an upper bound for the use in the next `seconds`: the mean, three standard deviations, and one."""
        rate, typical = self.rate(now)
        mean = rate * seconds
        return math.ceil(mean + 3 * math.sqrt(mean * typical) + typical)
