"""The response of a call as far as it arrived, and whether the caller has it already."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse
from turnout.errors import DemandUnmet, TurnoutError
from turnout.responses import longest
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.cost import CostTracker
from turnout.routing.call.final_error import as_interrupted
from turnout.routing.call.operations.base import Operation
from turnout.routing.call.states import AttemptState
from turnout.trace import Trace

__all__ = ["PartialResponse"]


@attrs.define(eq=False)
class PartialResponse:
    """The response as far as it arrived, over all attempts that returned a part of it.

    Attributes:
        operation: The operation of the call.
        cost: The cost of the call so far.
        committed: True if the caller has received content that no `Restarted` event has retracted.
        interrupted: The newest response that broke after that.
        longest: The longest response that broke off, also if the caller has received nothing of it.
        merged: The newest attempt of which the operation has joined the part to the parts before it.
    """

    operation: Operation
    cost: CostTracker
    committed: bool = False
    interrupted: ChatResponse | None = None
    longest: ChatResponse | None = None
    merged: Attempt | None = None

    def of(self, attempt: Attempt) -> ChatResponse | None:
        """Return the response of an attempt as far as it arrived, joined to the part of an earlier attempt."""
        if attempt is self.merged:
            return self.operation.prefix
        partial = attempt.partial()
        if partial is None:
            return None
        merged: ChatResponse = self.operation.merge(self.cost.with_estimate(attempt, partial))
        return merged

    def current(self, latest: Attempt | None, trace: Trace) -> ChatResponse | None:
        """Return the response of the newest attempt; if it has none, the one that an earlier attempt interrupted."""
        found = None
        if latest is not None and latest.state is not AttemptState.OPENING:
            found = self.of(latest)
        found = found or self.interrupted
        return attrs.evolve(found, trace=trace) if found is not None else None

    def final_error(self, error: TurnoutError, candidate: object, trace: Trace) -> TurnoutError:
        """Return the error that ends the call, with the response as far as it arrived.

        That is the one that the caller has. If it has none, or `Restarted` has retracted it, it is the longest of all
        attempts.
        """
        prefix = self.operation.prefix
        # What the caller has, and the rest continues. Longer parts may be of answers that it never saw.
        shown = prefix or (self.interrupted if self.committed else None)
        if not _continues(error.partial, shown):
            error.partial = None
        if not self.committed and not isinstance(error, DemandUnmet):
            error.partial = longest(error.partial, self.longest if _continues(self.longest, shown) else None, prefix)
        interrupted = self.interrupted or (prefix if self.committed else None)
        if interrupted is not None:
            error = as_interrupted(error, error.partial or interrupted, str(candidate))
        self.operation.attach_partial(error)
        error.trace = trace
        if error.partial is not None:
            error.partial = attrs.evolve(error.partial, trace=trace)
        return error


def _continues(response: ChatResponse | None, part: ChatResponse | None) -> bool:
    """True if a response begins with this part, or if one of them is missing."""
    if response is None or part is None:
        return True
    return response.text.startswith(part.text) and response.reasoning.startswith(part.reasoning)
