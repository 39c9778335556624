"""The attempts of one call that are on: one, or two while it is open which of them will be faster."""

from __future__ import annotations

import math
from collections import deque

import attrs

from turnout.routing.call.attempt import Attempt

__all__ = ["InFlight"]


@attrs.define(eq=False)
class InFlight:
    """Which attempts are on, and which are owed a Drop.

    live         the attempt of the call; of two, the one that began first
    rival        the one beside it
    rival_at     when one may begin beside it; inf for never
    overlapping  whether a second attempt is on or may come: each Open and Read is then an operation to begin
    drops        attempts that are over, and have still to be dropped
    """

    live: Attempt | None = None
    rival: Attempt | None = None
    rival_at: float = math.inf
    overlapping: bool = False
    drops: deque[Attempt] = attrs.field(factory=deque)

    def began(self, attempt: Attempt, rival_at: float) -> None:
        if self.live is None:
            self.live = attempt
            self.rival_at = rival_at
            self.overlapping = rival_at < math.inf
        else:
            self.rival = attempt
        attempt.busy = self.overlapping

    def is_on(self, number: int) -> bool:
        """Whether what happens to this attempt is still of interest."""
        return any(one is not None and one.number == number for one in (self.live, self.rival))

    def told(self, number: int) -> Attempt | None:
        """The attempt of this number, whose operation has an outcome now; None where it is not on."""
        attempt = self.live
        if attempt is None or attempt.number != number:
            attempt = self.rival
            if attempt is None or attempt.number != number:
                return None
        if self.overlapping:
            attempt.busy = False
            self._settle()
        return attempt

    def idle(self) -> Attempt | None:
        """An attempt with no operation under way."""
        return next((one for one in (self.live, self.rival) if one is not None and not one.busy), None)

    def over(self, attempt: Attempt) -> None:
        """The attempt is over. Where another is on beside it, that one is now the call's."""
        if attempt is self.live:
            self.live = self.rival
        self.rival = None
        self.rival_at = math.inf
        self.drops.append(attempt)
        self._settle()

    def overtake(self, winner: Attempt) -> Attempt | None:
        """The winner is now alone; gives back the one that it has overtaken."""
        loser = self.rival if winner is self.live else self.live
        self.live, self.rival, self.rival_at = winner, None, math.inf
        if loser is not None:
            self.drops.append(loser)
        self._settle()
        return loser

    def _settle(self) -> None:
        """Nothing overlaps any more once one attempt at most is left, with no operation under way."""
        busy = self.live is not None and self.live.busy
        self.overlapping = busy or self.rival is not None or self.rival_at < math.inf
