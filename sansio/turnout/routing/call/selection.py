"""Selects a candidate for one call, and waits in the queue if none is free."""

from __future__ import annotations

import math

import attrs

from turnout.errors import BudgetExceeded
from turnout.failures import FailureClass
from turnout.routing.call.candidates import CandidateFinder
from turnout.routing.call.cost import CostTracker
from turnout.routing.call.operations.base import Operation
from turnout.routing.call.trace_writer import TraceWriter
from turnout.routing.policy.decisions import GiveUp, WaitUntil
from turnout.routing.policy.settings import Policy
from turnout.routing.state.budgets import Spending
from turnout.routing.state.candidate import Candidate
from turnout.routing.state.limits import Amounts
from turnout.routing.state.scheduler import Scheduler
from turnout.routing.state.waiter import Admitted, BlockedCandidates, Waiter
from turnout.trace.entries import Skipped

__all__ = ["CandidateSelector"]


@attrs.define(eq=False)
class CandidateSelector(Waiter):
    """The way of one call to its next attempt.

    Attributes:
        scheduler: The router's.
        operation: The operation of the call.
        cost: The cost of the call so far.
        writer: Of the call's trace.
        finder: Finds further candidates.
        is_queued: True if the call waits.
    """

    scheduler: Scheduler
    operation: Operation
    cost: CostTracker
    writer: TraceWriter
    finder: CandidateFinder
    is_queued: bool = attrs.field(default=False, init=False)
    unusable: list[Skipped] = attrs.field(factory=list, init=False)  # the models that no attempt can have
    _classes: set[FailureClass] = attrs.field(factory=set, init=False)  # their fallbacks were looked up

    def select(self, now: float) -> Admitted | GiveUp | float:
        """Return an admission, the time until which to wait for one, or the reason to give up."""
        if self.is_queued and self.answer is None and now < self.wake_at:
            self.must_wake = False
            return self.wake_at
        answer = self.scheduler.acquire(self, now)
        if answer is None and self.finder.has_more:
            self.look_up(now)
            answer = self.scheduler.acquire(self, now)
        if answer is None:
            return self.wake_at
        self._record_blocked(answer.blocked, now)
        if answer.throttled:
            self.writer.throttled(now)
        if isinstance(answer, Admitted):
            self.is_queued = False
            return answer
        decision = answer.decision
        if isinstance(decision, WaitUntil):
            self.is_queued = True
            self.writer.queued(now, decision)
            return self.wake_at
        self.is_queued = False
        if decision.queue is not None:
            self.writer.queue_full(now, decision.queue)
        return decision

    def withdraw(self, now: float) -> None:
        """Leave the queue; the scheduler passes on a slot that it granted meanwhile."""
        if self.is_queued:
            self.is_queued = False
            self.scheduler.withdraw(self, now)

    def look_up(self, now: float, enough: float = math.inf) -> None:
        """Look up further candidates, until so many are known or there are no more."""
        for found in self.finder.find():
            if isinstance(found, Candidate):
                self._add(found, "")
                if len(self.candidates) >= enough:
                    break
            else:
                self._leave_out(found, now)
        self.plan.unseen = self.finder.unseen

    def look_up_fallbacks(self, failure: FailureClass, policy: Policy, now: float) -> None:
        """Look up the candidates that a policy names for a class of failure. The plan decides whether they are used."""
        if not policy.fallbacks or failure in self._classes:
            return
        self._classes.add(failure)
        for found in self.finder.find_fallbacks(failure, policy):
            if isinstance(found, Candidate):
                self._add(found, failure.value)
            else:
                self._leave_out(found, now)

    def _leave_out(self, found: Skipped, now: float) -> None:
        self.unusable.append(found)
        self.writer.skipped(now, None, found.candidate, found.reason)

    def _add(self, candidate: Candidate, only_after: str) -> None:
        info = self.finder.info_of(candidate, only_after)
        self.candidates.append(candidate)
        self.plan.add(info, candidate.policy)
        self.writer.candidate_found(info, self.plan.own.get(len(self.candidates) - 1))

    def current(self, index: int) -> Candidate:
        """Return a candidate with the provider that has its name now: it may have been replaced during a wait.

        Raises:
            ProviderNotRegistered: If the provider was removed.
        """
        candidate = self.finder.current(self.candidates[index])
        self.candidates[index] = candidate
        return candidate

    def exclude(self, index: int, reason: str, now: float) -> None:
        """Remove a candidate that cannot take this request at all."""
        self.look_up(now)
        self.plan.exclude(index)
        self.writer.skipped(now, index, str(self.candidates[index]), reason)

    def exclude_over_budget(self, now: float) -> list[BudgetExceeded]:
        """Remove the candidates with a worst-case cost above the remaining budget."""
        errors = []
        self.look_up(now)
        for index in tuple(self.plan.left):
            reason = self.cost.over_budget_reason(self.candidates[index]) or self._unpriced_reason(index)
            if reason is not None:
                self.exclude(index, reason, now)
                errors.append(BudgetExceeded(f"{self.candidates[index]}: {reason}"))
        return errors

    def _unpriced_reason(self, index: int) -> str | None:
        """Return why budgets exclude this candidate for good; None if they do not."""
        spending = self.spending_of(index)
        if spending is None or spending.cost is not None or not spending.accounts:
            return None
        return f"its price is not known, and a budget of {spending.accounts[0]} counts it"

    @property
    def counts_money(self) -> bool:
        """True if candidates may be excluded because of their cost."""
        return self.cost.max_cost is not None or bool(self.scheduler.budgets)

    @property
    def streams(self) -> bool:
        return self.operation.streams

    @property
    def has_more(self) -> bool:
        return self.finder.has_more

    # -- as the scheduler sees it -----------------------------------------------------------------------------------

    def amounts_for(self, index: int) -> Amounts:
        candidate = self.candidates[index]
        prompt, completion = self.operation.next_tokens(candidate)
        if candidate.model.max_tokens is None or not candidate.state.profile.counts_max_tokens:
            completion = candidate.state.usual_completion(completion)
        return Amounts.of(prompt, completion)

    def spending_of(self, index: int) -> Spending | None:
        budgets = self.scheduler.budgets
        candidate = self.candidates[index]
        if not budgets or self.finder.has_own_key(candidate):
            return None
        tokens = self.operation.next_tokens(candidate)
        if not any(tokens):
            return None  # it costs nothing: a list of models, a count of tokens
        model = candidate.model
        accounts = budgets.accounts_of(model.provider, str(model), self.operation.metadata)
        cost = candidate.price.at_most(*tokens) if candidate.price is not None else None
        return Spending(budgets, accounts, cost) if cost != 0.0 else None  # a free model needs no money

    def is_affordable(self, index: int, beside: int) -> bool:
        return self.cost.over_budget_reason(self.candidates[index], self.candidates[beside]) is None

    def _record_blocked(self, blocked: BlockedCandidates, now: float) -> None:
        for index, obstacle in blocked:
            self.writer.blocked(now, index, str(self.candidates[index]), obstacle)
