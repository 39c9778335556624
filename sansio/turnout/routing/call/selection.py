"""The field of one call: its usable candidates as they stand now, and its way to a place on one of them."""

from __future__ import annotations

import math
from functools import partial

import attrs

from turnout.errors import BudgetExceeded
from turnout.routing.call.cost import CostTracker
from turnout.routing.call.operations import Operation
from turnout.routing.call.trace_writer import TraceWriter
from turnout.routing.policy.plan import Blocked, GiveUp, Plan, TryCandidate, WaitUntil
from turnout.routing.state.candidate import Candidate
from turnout.routing.state.candidate_state import CandidateState, Lease
from turnout.routing.state.router_lock import Places
from turnout.routing.state.scheduler import Admitted, Answer, BlockedCandidates
from turnout.trace.entries import Queued, QueueFull, Skipped

__all__ = ["CandidateSelector"]

# Seconds; three years. A cooldown may be given as any number, and the rounding of waits keeps to what is sure to fit.
LONGEST_WAIT = 1e8


@attrs.define(eq=False)
class CandidateSelector:
    """Seeks a place for a call, and waits for one (`turnout.routing.state.scheduler.Applicant`).

    granted  what it was told while it waited, until it asks again: its place, or that there is none to wait for; set
             and taken under the lock of `places`
    leases   what it holds: that of the attempt that is on, or of both
    queued   whether it waits in the core's queue
    """

    places: Places[CandidateSelector]
    candidates: tuple[Candidate, ...]
    operation: Operation
    plan: Plan
    bill: CostTracker
    journal: TraceWriter
    granted: Answer | None = attrs.field(default=None, init=False)
    leases: list[Lease] = attrs.field(factory=list, init=False)
    queued: bool = attrs.field(default=False, init=False)
    _waits_until: float = attrs.field(default=-math.inf, init=False)

    def select(self, now: float) -> Admitted | GiveUp | float:
        """A place now; the time until which to wait for one; or why there is none to wait for."""
        if self.queued and self.granted is None and now < self._waits_until:
            return self._waits_until
        answer = self.places.ask(self, now)
        if isinstance(answer, Admitted):
            self.queued = False
            self._pass_over(answer.passed, now)
            return answer
        decision, passed = answer
        journal = self.journal
        if isinstance(decision, WaitUntil):
            self._waits_until = journal.started + decision.until
            if not self.queued:
                self.queued = True
                self._pass_over(passed, now)
                until = round(decision.until, 6) if decision.until < math.inf else None
                journal.note(Queued(journal.at(now), until, decision.reason))
            return self._waits_until
        self.queued = False
        self._pass_over(passed, now)
        if decision.queue is not None:
            journal.note(QueueFull(journal.at(now), decision.queue))
        return decision

    def withdraw(self, now: float) -> None:
        """Leave the queue; a place that was granted meanwhile is passed on."""
        if self.queued:
            self.queued = False
            self.places.withdraw(self)
        granted, self.granted = self.granted, None
        if isinstance(granted, Admitted):
            self.places.release(granted.lease, now)

    def leave_out(self, place: int, reason: str, now: float) -> None:
        """This candidate cannot be asked at all."""
        self.plan.unusable(place)
        self.journal.note(Skipped(self.journal.at(now), str(self.candidates[place]), reason, place))

    def leave_out_too_dear(self, now: float) -> list[BudgetExceeded]:
        """Leave out the candidates that are not sure to stay within the call's budget."""
        errors = []
        for place in tuple(self.plan.left):
            reason = self.bill.too_dear(self.candidates[place])
            if reason is not None:
                self.leave_out(place, reason, now)
                errors.append(BudgetExceeded(f"{self.candidates[place]}: {reason}"))
        return errors

    # -- as admission sees it -----------------------------------------------------------------------------------

    def size(self, place: int) -> int:
        """Tokens that a request to the candidate at `place` may come to."""
        return sum(self.operation.size(self.candidates[place]))

    def apply(self, now: float) -> tuple[TryCandidate | WaitUntil | GiveUp, BlockedCandidates, CandidateState | None]:
        """What the plan says now, what stood in the way, and the standing of the candidate that it would try."""
        passed: list[tuple[int, Blocked]] = []

        def look(place: int) -> Blocked | None:
            obstacle = self._obstacle(place, now)
            if obstacle is not None:
                # Rounded as the trace keeps it, so that a replay sees what was seen here; and upwards, so that the
                # obstacle is gone when its time has come.
                wait = math.inf
                if obstacle.wait < math.inf:
                    wait = math.ceil(min(obstacle.wait, LONGEST_WAIT) * 1e6 + 1) / 1e6
                obstacle = Blocked(obstacle.reason, wait)
                passed.append((place, obstacle))
            return obstacle

        decision = self.plan.choose(look, self.journal.at(now))
        standing = self.candidates[decision.index].standing if isinstance(decision, TryCandidate) else None
        return decision, tuple(passed), standing

    def beside(self, place: int, now: float) -> tuple[TryCandidate | None, CandidateState | None]:
        """Whom to ask beside an attempt on `place` that is slow."""
        candidates = self.candidates

        def free(other: int) -> bool:
            dear = self.bill.too_dear(candidates[other], candidates[place])
            return dear is None and self._obstacle(other, now) is None

        choice = self.plan.beside(place, free)
        return choice, candidates[choice.index].standing if choice is not None else None

    def _obstacle(self, place: int, now: float) -> Blocked | None:
        return self.candidates[place].standing.obstacle(partial(self.size, place), now)

    def _pass_over(self, passed: BlockedCandidates, now: float) -> None:
        for place, obstacle in passed:
            self.journal.passed_over(place, self.candidates[place], obstacle, now)
