"""Tracks the cost of one call and enforces `max_cost`."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse, Usage
from turnout.errors import Phase, ProviderError, TurnoutError
from turnout.failures import FailureClass
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.operations.base import Operation
from turnout.routing.policy.estimate import text_tokens
from turnout.routing.state.candidate import Candidate

__all__ = ["CostTracker"]


@attrs.define(eq=False)
class CostTracker:
    """The cost of one call so far. An attempt that ends early may be billed for its part, which is estimated.

    Attributes:
        operation: The operation of the call.
        max_cost: The limit of the call; None if there is none.
        spent: The cost so far.
    """

    operation: Operation
    max_cost: float | None
    spent: float = 0.0

    def over_budget_reason(self, candidate: Candidate, beside: Candidate | None = None) -> str | None:
        """Return why this candidate might exceed the budget; None if it cannot.

        Args:
            candidate: The candidate of the next attempt.
            beside: The candidate of an attempt that runs at the same time.
        """
        remaining = self.operation.remaining_tokens(candidate)
        if self.max_cost is None or not any(remaining):
            return None
        if candidate.price is None:
            return "its price is not known, and the call has a max_cost"
        left = self.max_cost - self.spent
        if beside is not None and beside.price is not None:
            left -= beside.price.at_most(*self.operation.next_tokens(beside))
        worst_case = candidate.price.at_most(*remaining)
        return f"it may cost {worst_case:.6g}, and {left:.6g} is left of max_cost" if worst_case > left else None

    def complete(self, attempt: Attempt, usage: Usage) -> None:
        """Record a complete response. Called while the operation still counts its request as the next one."""
        cost, price = usage.cost, attempt.candidate.price
        if cost is None and price is not None and self._counts(attempt):
            cost = price.at_most(*self.operation.next_tokens(attempt.candidate))
        self._record(attempt, cost)

    def failed(self, attempt: Attempt, failure: FailureClass, phase: Phase, error: TurnoutError) -> None:
        """Record a failed attempt. Errors that the provider returned and requests that were never sent cost nothing."""
        returned = isinstance(error, ProviderError) and not attempt.has_content
        if phase is not Phase.NOT_SENT and failure is not FailureClass.STALE_CONNECTION and not returned:
            self.record_partial(attempt)
        elif not attempt.cost_recorded:
            self._record(attempt, 0.0)

    def record_partial(self, attempt: Attempt) -> None:
        """Record an attempt that ended early: the part of a stream that arrived, or else the largest response."""
        price = attempt.candidate.price
        if price is None or attempt.cost_recorded or not self._counts(attempt):
            return
        prompt, completion = self.operation.next_tokens(attempt.candidate)
        if attempt.streams:
            completion = _tokens_of(attempt.partial())
        self._record(attempt, price.at_most(prompt, completion))

    def _counts(self, attempt: Attempt) -> bool:
        """True if an unknown cost must be estimated, because the call or a budget limits it."""
        return self.max_cost is not None or bool(attempt.lease.money)

    def _record(self, attempt: Attempt, cost: float | None) -> None:
        attempt.cost_recorded = True
        attempt.lease.cost = cost
        self.spent += cost or 0.0


def _tokens_of(partial: ChatResponse | None) -> int:
    if partial is None:
        return 0
    return text_tokens(partial.text + partial.reasoning) + sum(
        text_tokens(call.name + call.arguments) for call in partial.tool_calls
    )
