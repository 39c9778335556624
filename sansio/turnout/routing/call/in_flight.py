"""The running attempts of one call: one, or two while a hedge is in progress."""

from __future__ import annotations

import math
from collections import deque

import attrs

from turnout.routing.call.attempt import Attempt

__all__ = ["InFlight"]


@attrs.define(eq=False)
class InFlight:
    """The attempts that run, and those that the driver must still close.

    Attributes:
        primary: The attempt of the call; of two, the one that started first.
        hedge: The one beside it.
        hedge_at: When one may start beside it; infinity for never.
        replaces: True if the second attempt does the work of one that failed or has used its share of the time. Then
            the budget of hedges does not count.
        hedging: True if a second attempt runs or may start: each `Open` and `Read` is then a separate operation.
        to_close: Attempts that have ended and must be closed.
    """

    primary: Attempt | None = None
    hedge: Attempt | None = None
    hedge_at: float = math.inf
    replaces: bool = False
    _overlap_at: float = math.inf
    hedging: bool = False
    to_close: deque[Attempt] = attrs.field(factory=deque)

    def start(self, attempt: Attempt, hedge_at: float = math.inf, overlap_at: float = math.inf) -> None:
        """Add an attempt. The times count only for the first.

        Args:
            attempt: The attempt.
            hedge_at: When a hedge may start beside it.
            overlap_at: When it has used its share of the time, so that another candidate starts beside it.
        """
        if self.primary is None:
            self.primary = attempt
            self.replaces = overlap_at <= hedge_at
            self.hedge_at = min(hedge_at, overlap_at)
            self._overlap_at = overlap_at
            self.hedging = self.hedge_at < math.inf
        else:
            self.hedge = attempt
        attempt.operation_pending = self.hedging

    def beside(self, attempt: Attempt) -> Attempt | None:
        """Return the other running attempt."""
        return self.hedge if attempt is self.primary else self.primary

    def contains(self, number: int) -> bool:
        """True if the attempt with this number is running."""
        return any(one is not None and one.number == number for one in (self.primary, self.hedge))

    def take_result(self, number: int) -> Attempt | None:
        """Return the attempt with this number and mark its operation as done; None if it is no longer running."""
        attempt = self.primary
        if attempt is None or attempt.number != number:
            attempt = self.hedge
            if attempt is None or attempt.number != number:
                return None
        if self.hedging:
            attempt.operation_pending = False
            self._update()
        return attempt

    def next_idle(self) -> Attempt | None:
        """Return an attempt without a pending operation."""
        return next((one for one in (self.primary, self.hedge) if one is not None and not one.operation_pending), None)

    def finish(self, attempt: Attempt) -> None:
        """Remove an attempt that has ended. If another one runs beside it, that is now the attempt of the call."""
        if attempt is self.primary:
            self.primary = self.hedge
        self.hedge = None
        self.hedge_at = math.inf
        self.to_close.append(attempt)
        self._update()

    def hedge_refused(self) -> None:
        """Note that no second attempt may start now. Once the first has used its share of the time, one may."""
        self.hedge_at = math.inf if self.replaces else self._overlap_at
        self.replaces = True

    def replace_failed(self, at: float) -> None:
        """Plan an attempt beside the one that still runs, in place of one that failed."""
        self.hedge_at, self.replaces = at, True
        self._update()

    def declare_winner(self, winner: Attempt) -> Attempt | None:
        """Keep only the winner, and return the attempt that lost."""
        loser = self.hedge if winner is self.primary else self.primary
        self.primary, self.hedge, self.hedge_at = winner, None, math.inf
        if loser is not None:
            self.to_close.append(loser)
        self._update()
        return loser

    def _update(self) -> None:
        """End hedging once at most one attempt is left and no operation is pending."""
        pending = self.primary is not None and self.primary.operation_pending
        self.hedging = pending or self.hedge is not None or self.hedge_at < math.inf
