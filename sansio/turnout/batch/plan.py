"""Decides the next step of a batch: send a row, wait, or stop.

The driver runs as many workers as the batch may have in flight. Each calls `next`, takes that step, and reports with
`answered` or `failed`. Limits are the router's; here a row that only met limits waits for another turn, so a batch that
is faster than its provider slows down and fails nothing.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias

import attrs

from turnout.batch.failures import Problem
from turnout.batch.output import Answered, RowFailure
from turnout.batch.rows import BatchRow

__all__ = ["BatchPlan", "Begin", "Stop", "StopReason", "Wait"]

StopReason: TypeAlias = Literal["complete", "stopped", "max-cost", "setup"]

LOOK_EVERY: Final = 0.2
"""Seconds between two looks at whether the next row has come."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
SETUP_FAILURES: Final = 5
"""So many rows in a row that fail for a reason that is not theirs, and none answered, stop a run."""


@attrs.frozen
class Begin:
    """Send this row."""

    row: BatchRow


@attrs.frozen
class Wait:
    """Ask again at `until`, or when a row has ended; infinity if only that can help."""

    until: float


@attrs.frozen
class Stop:
    """Nothing is left to begin, and no row will wait for another turn."""

    reason: StopReason


@attrs.define(eq=False)
class _Limited:
    """A row that met limits."""

    row: BatchRow
    since: float
    turns: int = 1


@attrs.define(eq=False)
class BatchPlan:
    """Decides for one run.

    Attributes:
        rows: The rows to send, in order. They are drawn one by one, so the input is never held as a whole. If they have
            a method `ready`, no row is drawn while it returns False, because that would block.
        max_cost: The highest cost of the run, in the currency of the prices; None for no bound.
        worst_cost: Returns the highest possible cost of a row; needed with `max_cost`.
        patience: Seconds for which a row may meet nothing but limits before it is given up for this run.
        rng: The source of jitter.
        done: Rows that were answered in this run.
        failures: Rows that were given up in this run, by the class of their failure.
        in_flight: Rows that were begun and have not ended.
        spent: The cost of the rows of this run.
        error: The exception that `rows` raised. Nothing more begins then, and the driver raises it after the last row.
    """

    rows: Iterator[BatchRow]
    max_cost: float | None = None
    worst_cost: Callable[[BatchRow], float] | None = None
    patience: float = 3600.0
    rng: random.Random = attrs.field(factory=lambda: random.Random(0))
    done: int = attrs.field(default=0, init=False)
    failures: Counter[str] = attrs.field(factory=Counter, init=False)
    in_flight: int = attrs.field(default=0, init=False)
    spent: float = attrs.field(default=0.0, init=False)
    error: Exception | None = attrs.field(default=None, init=False)
    _unpriced: int = attrs.field(default=0, init=False)  # answers whose cost is not known
    _reserved: dict[BatchRow, float] = attrs.field(factory=dict, init=False)
    _held: BatchRow | None = attrs.field(default=None, init=False)  # drawn, and not yet affordable
    _limited: list[tuple[float, int, _Limited]] = attrs.field(factory=list, init=False)
    _turns: dict[BatchRow, _Limited] = attrs.field(factory=dict, init=False)
    _number: itertools.count[int] = attrs.field(factory=itertools.count, init=False)
    _exhausted: bool = attrs.field(default=False, init=False)
    _stop: StopReason | None = attrs.field(default=None, init=False)
    _setup: int = attrs.field(default=0, init=False)
    _ready: Callable[[], bool] | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ready = getattr(self.rows, "ready", None)

    @property
    def waiting(self) -> int:
        """Rows that wait because they met limits."""
        return len(self._limited)

    @property
    def stopped(self) -> StopReason | None:
        """Why no further row begins; None while rows may begin, and after the last one."""
        return self._stop

    @property
    def blocked(self) -> bool:
        """True if a worker may wait for the end of a row: for money, or for the last rows."""
        return self._held is not None or self._exhausted

    @property
    def cost(self) -> float | None:
        """The cost of the run, as far as it is known; None if it is known of no answer."""
        return None if self._unpriced and self._unpriced == self.done and not self.spent else self.spent

    @property
    def failed(self) -> int:
        """Rows that were given up in this run."""
        return sum(self.failures.values())

    def stop(self, reason: StopReason = "stopped") -> None:
        """Begin no further row. Those in flight may end."""
        if self._stop is None:
            self._stop = reason

    def next(self, now: float) -> Begin | Wait | Stop:
        """Return the next step of a worker.

        Args:
            now: Monotonic seconds.
        """
        if self._stop is not None:
            return Stop(self._stop)
        row = self._next_row(now)
        if self.error is not None:
            return Stop("stopped")
        if row is None:
            if not self._exhausted:
                return Wait(min(now + LOOK_EVERY, self._limited[0][0] if self._limited else math.inf))
            if self._limited:
                return Wait(self._limited[0][0])
            # A row in flight may yet have to wait for another turn.
            return Wait(math.inf) if self.in_flight else Stop("complete")
        if self.max_cost is not None:
            assert self.worst_cost is not None
            worst = self.worst_cost(row)
            if self.spent + sum(self._reserved.values()) + worst > self.max_cost:
                self._held = row
                if self.in_flight:
                    return Wait(math.inf)  # a part of the reserved cost will not be spent
                self.stop("max-cost")
                return Stop("max-cost")
            self._reserved[row] = worst
        self.in_flight += 1
        return Begin(row)

    def answered(self, row: BatchRow, answer: Answered, now: float) -> None:
        """Note the answer of a row."""
        self._end(row, answer.cost)
        self._turns.pop(row, None)
        self._setup = -1  # the setup works
        self.done += 1
        self._unpriced += answer.cost is None

    def failed_row(self, row: BatchRow, problem: Problem, now: float) -> RowFailure | None:
        """Note the failure of a row.

        Returns:
            What to write; None if the row waits for another turn, in this run or, after a stop, in the next one.
        """
        self._end(row, problem.failure.cost)
        if problem.limited and self._stop is not None:
            self._turns.pop(row, None)
            return None
        if problem.limited:
            turn = self._turns.get(row)
            if turn is None:
                turn = self._turns[row] = _Limited(row, now)
            else:
                turn.turns += 1
            if now - turn.since < self.patience:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(turn.turns - 1, 16))
                wait = max(problem.retry_after or 0.0, pause) * self.rng.uniform(1.0, 1.2)
                heapq.heappush(self._limited, (now + wait, next(self._number), turn))
                return None
        self._turns.pop(row, None)
        self.failures[problem.failure.code] += 1
        if problem.setup and self._setup >= 0:
            self._setup += 1
            if self._setup >= SETUP_FAILURES:
                self.stop("setup")
        return problem.failure

    def abandoned(self, row: BatchRow) -> None:
        """Note that a row was begun and its answer will not be known: the run was cut off."""
        self._end(row, None)
        self._turns.pop(row, None)

    # -- inside -------------------------------------------------------------------------------------------------

    def _next_row(self, now: float) -> BatchRow | None:
        if self._held is not None:
            row, self._held = self._held, None
            return row
        if self._limited and self._limited[0][0] <= now:
            return heapq.heappop(self._limited)[2].row
        if self._exhausted or (self._ready is not None and not self._ready()):
            return None
        try:
            drawn = next(self.rows, None)
        except Exception as error:
            self.error, drawn = error, None
            self.stop()
        self._exhausted = drawn is None
        return drawn

    def _end(self, row: BatchRow, cost: float | None) -> None:
        self.in_flight -= 1
        reserved = self._reserved.pop(row, 0.0)
        # An unknown cost counts as the highest possible one.
        self.spent += reserved if cost is None and self.max_cost is not None else cost or 0.0
