"""The progress of a batch, in numbers and in one line."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["BatchSummary", "Progress", "duration_text"]

RATE_OVER = 30.0  # seconds


@attrs.frozen(kw_only=True)
class BatchSummary:
    """The result of a run.

    Attributes:
        rows: Rows of the input; None if it is a pipe that was not read to its end.
        skipped: Rows that an earlier run answered, or gave up for good.
        answered: Rows that were answered in this run.
        failed: Rows that were given up in this run, by class of failure.
        left: Rows that were not sent yet; None if unknown.
        cost: The cost of this run, as far as it is known; None if it is known of no answer.
        seconds: How long it ran.
        stopped: "complete", "stopped", "max-cost" or "setup".
    """

    rows: int | None
    skipped: int
    answered: int
    failed: Mapping[str, int]
    left: int | None
    cost: float | None
    seconds: float
    stopped: str

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON can hold it."""
        return {**attrs.asdict(self), "failed": dict(self.failed)}


@attrs.define(eq=False)
class Progress:
    """Measures the rate of a run.

    Attributes:
        total: Rows that this run has to send; None if unknown.
        started: Monotonic seconds.
    """

    total: int | None
    started: float
    _ended: deque[tuple[float, int]] = attrs.field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        self._ended.append((self.started, 0))

    def line(
        self,
        now: float,
        *,
        done: int,
        failed: Mapping[str, int],
        in_flight: int,
        waiting: int,
        waits_for: str,
        cost: float,
    ) -> str:
        """Return one line of progress.

        Args:
            now: Monotonic seconds.
            done: Rows that were answered in this run.
            failed: Rows that were given up, by class of failure.
            in_flight: Rows that are with the router.
            waiting: Rows that wait because they met limits.
            waits_for: The reason why rows wait; "" for none.
            cost: The cost of this run so far.
        """
        ended = done + sum(failed.values())
        rate = self._rate(now, ended)
        total = f"/{self.total}" if self.total is not None else ""
        parts = [f"{ended}{total} rows", f"{rate:.1f}/s"]
        if cost:
            parts.append(f"cost {cost:.4g}")
        if failed:
            classes = ", ".join(f"{count} {code}" for code, count in sorted(failed.items()))
            parts.append(f"failed: {classes}")
        parts.append(f"{in_flight} in flight")
        if waiting:
            parts.append(f"{waiting} waiting")
        if waits_for:
            parts.append(waits_for)
        if self.total is not None and rate > 0 and self.total > ended:
            parts.append(f"{duration_text((self.total - ended) / rate)} left")
        return " · ".join(parts)

    def _rate(self, now: float, ended: int) -> float:
        self._ended.append((now, ended))
        while len(self._ended) > 2 and self._ended[0][0] < now - RATE_OVER:
            self._ended.popleft()
        start, before = self._ended[0]
        return (ended - before) / (now - start) if now > start else 0.0


def duration_text(seconds: float) -> str:
    """Return a duration for a person: `35 s`, `4 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
