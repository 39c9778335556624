"""The field of one call: its usable candidates, as they stand now."""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs

from turnout.routing.attempt import Candidate
from turnout.routing.operations import Operation
from turnout.routing.plan import Hold, Obstacle, Plan, Stop, Try
from turnout.routing.standing import Standing

__all__ = ["Field"]


@attrs.define(eq=False)
class Field:
    """Looks at the candidates of a call for its plan. It changes nothing of either."""

    candidates: tuple[Candidate, ...]
    operation: Operation
    plan: Plan

    def size(self) -> int:
        """Tokens that the next request may come to."""
        return sum(self.operation.size())

    def choose(
        self, at: float, now: float
    ) -> tuple[Try | Hold | Stop, tuple[tuple[int, Obstacle], ...], Standing | None]:
        """What the plan says now, what stood in the way, and the standing of the candidate that it would try."""
        passed: list[tuple[int, Obstacle]] = []

        def look(place: int) -> Obstacle | None:
            obstacle = self.candidates[place].standing.obstacle(self.size, now)
            if obstacle is not None:
                # Rounded as the trace keeps it, so that a replay sees what was seen here; and upwards, so that the
                # obstacle is gone when its time has come.
                wait = math.ceil(obstacle.wait * 1e6 + 1) / 1e6 if obstacle.wait < math.inf else math.inf
                obstacle = Obstacle(obstacle.state, wait)
                passed.append((place, obstacle))
            return obstacle

        decision = self.plan.choose(look, at)
        standing = self.candidates[decision.place].standing if isinstance(decision, Try) else None
        return decision, tuple(passed), standing

    def beside(self, place: int, now: float) -> tuple[Try | None, Standing | None]:
        """Whom to ask beside an attempt on `place` that is slow."""
        candidates = self.candidates
        choice = self.plan.beside(place, lambda other: candidates[other].standing.obstacle(self.size, now))
        return choice, candidates[choice.place].standing if choice is not None else None

    def too_dear(self, left: float) -> Iterator[tuple[int, str]]:
        """The candidates that are not sure to stay within `left` of the call's budget, and why."""
        for place in tuple(self.plan.left):
            price = self.candidates[place].price
            if price is None:
                yield place, "its price is not known, and the call has a max_cost"
                continue
            dearest = price.at_most(*self.operation.size())
            if dearest > left:
                yield place, f"it may cost {dearest:.6g}, and {left:.6g} is left of max_cost"
