"""Tracks the cost of one call and enforces `max_cost`."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse, Usage
from turnout.errors import Disconnected, Phase, ProviderError, TurnoutError
from turnout.failures import FailureClass
from turnout.prices import Price
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.operations.base import Operation
from turnout.routing.call.operations.results import usage_of
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

    def complete(self, attempt: Attempt, result: object) -> Usage:
        """Record a complete response, and return its usage: an estimate if the response has none.

        Called while the operation still counts its request as the next one.
        """
        usage = usage_of(result)
        if usage.total_tokens is None:
            usage = self.estimate(attempt, result) or usage
        attempt.usage = usage
        price = attempt.candidate.price
        if usage.cost is not None and usage.source == "reported":
            self._charge(attempt, usage.cost)
        elif price is not None and self._is_limited(attempt):
            # An estimate may be too low, because reasoning may be hidden. So the largest response counts.
            prompt, completion = self.operation.next_tokens(attempt.candidate)
            self._charge(attempt, price.at_most(prompt, max(completion, usage.completion_tokens or 0)))
        return usage

    def failed(
        self, attempt: Attempt, failure: FailureClass, phase: Phase, error: TurnoutError, *, has_content: bool
    ) -> Usage | None:
        """Record a failed attempt. Errors that the provider returned and requests that were never sent cost nothing.

        Args:
            attempt: The attempt.
            failure: The class of its failure.
            phase: How far it got.
            error: Its error.
            has_content: True if content arrived before it, perhaps in the same read.

        Returns:
            What the attempt probably used; None for nothing.
        """
        returned = isinstance(error, ProviderError) and not has_content
        if attempt.usage is not None:
            return attempt.usage  # it was complete, and cannot be used
        if phase is Phase.NOT_SENT or failure is FailureClass.STALE_CONNECTION or returned:
            attempt.lease.cost = 0.0
            return None
        return self.ended_early(attempt, broke_unanswered=isinstance(error, Disconnected) and phase is Phase.SENT)

    def ended_early(self, attempt: Attempt, *, broke_unanswered: bool = False) -> Usage | None:
        """Record an attempt that ended early, and return what it probably used; None for nothing.

        Args:
            attempt: The attempt.
            broke_unanswered: True if its connection broke before any response, so that only the prompt counts.
        """
        if attempt.usage is not None:
            return attempt.usage  # it is counted already
        if attempt.error_until is not None:
            attempt.lease.cost = 0.0  # its status is an error, which costs nothing
            return None
        price = attempt.candidate.price
        prompt, completion = self.operation.next_tokens(attempt.candidate)
        usage = self.estimate(attempt, attempt.partial(), broke_unanswered=broke_unanswered)
        if usage is not None:
            attempt.usage = usage
            if not attempt.candidate.state.profile.counts_max_tokens:
                attempt.lease.used = usage
        if price is not None and self._is_limited(attempt):
            # A response that has not arrived may have any size, so its largest one counts.
            largest = usage.completion_tokens or 0 if usage is not None and attempt.streams else completion
            self._charge(attempt, price.at_most(prompt, largest))
        return usage

    def estimate(self, attempt: Attempt, result: object, *, broke_unanswered: bool = False) -> Usage | None:
        """Estimate the usage of an attempt without a reported one; None if its operation counts no tokens.

        The prompt counts, and the part of the response that arrived. Of a response that arrives whole, and did not,
        the usual size counts: a provider seldom stops when its client leaves.
        """
        candidate = attempt.candidate
        prompt, completion = self.operation.next_tokens(candidate)
        if not prompt and not completion:
            return None
        if isinstance(result, ChatResponse):
            received = _tokens_of(result)
            # The text is not counted exactly, but no response is larger than `max_tokens`.
            completion = min(received, completion) if candidate.model.max_tokens is not None else received
        elif attempt.streams or result is not None or broke_unanswered:
            completion = 0
        else:
            completion = candidate.state.usual_completion(completion)
        return estimated_usage(usage_of(result), prompt, completion, candidate.price)

    def _is_limited(self, attempt: Attempt) -> bool:
        """True if the call or a budget limits the cost, so that an unknown one must count."""
        return self.max_cost is not None or bool(attempt.lease.money)

    def _charge(self, attempt: Attempt, cost: float) -> None:
        attempt.lease.cost = cost
        self.spent += cost

    def with_estimate(self, attempt: Attempt, partial: ChatResponse) -> ChatResponse:
        """Return the part of a response that arrived, with its estimated usage."""
        usage = attempt.usage or self.estimate(attempt, partial)
        return attrs.evolve(partial, usage=usage) if usage is not None else partial


def estimated_usage(reported: Usage, prompt: int, completion: int, price: Price | None) -> Usage:
    """Return a usage of these tokens. Counts that the provider has reported already hold."""
    usage = attrs.evolve(
        reported,
        prompt_tokens=prompt if reported.prompt_tokens is None else reported.prompt_tokens,
        completion_tokens=max(completion, reported.completion_tokens or 0),
        source="estimated",
        cost=None,
    )
    return attrs.evolve(usage, cost=price.of(usage)) if price is not None else usage


def _tokens_of(partial: ChatResponse) -> int:
    return text_tokens(partial.text + partial.reasoning) + sum(
        text_tokens(call.name + call.arguments) for call in partial.tool_calls
    )
