"""What has come of a call's answer, and whether the caller has it already."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse
from turnout.errors import Phase, TurnoutError
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.final_error import interrupted
from turnout.routing.call.operations import Operation
from turnout.trace import Trace

__all__ = ["PartialResponse"]


@attrs.define(eq=False)
class PartialResponse:
    """The answer as far as it came, over all attempts that brought a part of it.

    committed  whether content has reached the caller that still stands
    broken     the newest answer that broke after that
    """

    operation: Operation
    committed: bool = False
    broken: ChatResponse | None = None

    def partial(self, attempt: Attempt) -> ChatResponse | None:
        """The answer as far as it came, with what an earlier attempt had brought of it."""
        partial = attempt.partial()
        if partial is None:
            return None
        joined: ChatResponse = self.operation.joined(partial)
        return joined

    def so_far(self, newest: Attempt | None, trace: Trace) -> ChatResponse | None:
        """The answer of the newest attempt; where it has brought none, what an earlier one had brought."""
        came = None
        if newest is not None and newest.phase not in (Phase.NOT_SENT, Phase.SENT):
            came = self.partial(newest)
        came = came or self.broken
        return attrs.evolve(came, trace=trace) if came is not None else None

    def sealed(self, error: TurnoutError, candidate: object, trace: Trace) -> TurnoutError:
        """The error that ends the call, with everything that came."""
        if self.broken is not None:
            error = interrupted(error, error.partial or self.broken, str(candidate))
        self.operation.keep(error)
        error.trace = trace
        if error.partial is not None:
            error.partial = attrs.evolve(error.partial, trace=trace)
        return error
