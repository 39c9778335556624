"""What one call has come to so far, so that it keeps to its `max_cost`."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse, Usage
from turnout.errors import Phase, ProviderError, TurnoutError
from turnout.failures import FailureClass
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.operations import Operation
from turnout.routing.policy.estimate import text_tokens
from turnout.routing.state.candidate import Candidate

__all__ = ["CostTracker"]


@attrs.define(eq=False)
class CostTracker:
    """The money of one call. An attempt that breaks off may be billed as far as it came: that is estimated.

    max_cost  what the call may come to; None where nobody counts
    spent     what it has come to
    """

    operation: Operation
    max_cost: float | None
    spent: float = 0.0

    def too_dear(self, candidate: Candidate, beside: Candidate | None = None) -> str | None:
        """Why this candidate, asked beside another, is not sure to stay within the budget; None where it is."""
        rest = self.operation.rest(candidate)
        if self.max_cost is None or not any(rest):
            return None
        if candidate.price is None:
            return "its price is not known, and the call has a max_cost"
        left = self.max_cost - self.spent
        if beside is not None and beside.price is not None:
            left -= beside.price.at_most(*self.operation.size(beside))
        dearest = candidate.price.at_most(*rest)
        return f"it may cost {dearest:.6g}, and {left:.6g} is left of max_cost" if dearest > left else None

    def complete(self, attempt: Attempt, usage: Usage) -> None:
        """An attempt brought its answer whole. Called while the operation still counts its request as the next."""
        attempt.billed = True
        price = attempt.candidate.price
        if usage.cost is not None:
            self.spent += usage.cost
        elif self.max_cost is not None and price is not None:
            self.spent += price.at_most(*self.operation.size(attempt.candidate))

    def failed(self, attempt: Attempt, failure: FailureClass, phase: Phase, error: TurnoutError) -> None:
        """An attempt failed in `phase`: a refusal costs nothing, nor does what was never sent, or never arrived."""
        refused = isinstance(error, ProviderError) and not attempt.flowing
        if phase is not Phase.NOT_SENT and failure is not FailureClass.STALE_CONNECTION and not refused:
            self.broken_off(attempt)

    def broken_off(self, attempt: Attempt) -> None:
        """An attempt is given up that may be billed: with what has come of a stream, else with all that may come."""
        price = attempt.candidate.price
        if self.max_cost is None or price is None or attempt.billed:
            return
        prompt, completion = self.operation.size(attempt.candidate)
        if attempt.streams:
            completion = _tokens_of(attempt.partial())
        self.spent += price.at_most(prompt, completion)


def _tokens_of(partial: ChatResponse | None) -> int:
    if partial is None:
        return 0
    return text_tokens(partial.text + partial.reasoning) + sum(
        text_tokens(call.name + call.arguments) for call in partial.tool_calls
    )
