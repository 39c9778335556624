"""The state of a call that its caller and its driver may read at any time."""

from __future__ import annotations

import attrs

from turnout._utils.transitions import refuse_transition
from turnout.chat import ChatResponse, ModelConfig
from turnout.errors import LocalProtocolError
from turnout.providers.protocol import Provider
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.in_flight import InFlight
from turnout.routing.call.operations.base import Operation
from turnout.routing.call.partial_response import PartialResponse
from turnout.routing.call.selection import CandidateSelector
from turnout.routing.call.states import CALL_TRANSITIONS, CallState
from turnout.routing.call.trace_writer import TraceWriter
from turnout.routing.policy.plan import Plan
from turnout.trace import Trace

__all__ = ["CallStatus"]


@attrs.define(eq=False)
class CallStatus:
    """The readable side of a call.

    Attributes:
        selector: Its candidates, and its place in the queue.
        state: See `CallState`.
        in_flight: Its running attempts.
    """

    _operation: Operation
    selector: CandidateSelector = attrs.field(repr=False)
    _concurrent: bool
    state: CallState = attrs.field(default=CallState.SELECTING, init=False)
    in_flight: InFlight = attrs.field(factory=InFlight, init=False)
    _writer: TraceWriter = attrs.field(init=False, repr=False)
    _plan: Plan = attrs.field(init=False, repr=False)
    _response: PartialResponse = attrs.field(init=False, repr=False)
    _latest: Attempt | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._writer = self.selector.writer
        self._plan = self.selector.plan
        self._response = PartialResponse(self._operation, self.selector.cost)

    # -- for the caller ---------------------------------------------------------------------------------------------

    @property
    def trace(self) -> Trace:
        """How the call was decided so far."""
        return self._writer.trace

    @property
    def model(self) -> ModelConfig | None:
        """The candidate of the newest attempt: once content has arrived, the one that responds."""
        return self._latest.candidate.model if self._latest is not None else None

    @property
    def provider(self) -> Provider | None:
        """The provider of the newest attempt."""
        return self._latest.candidate.provider if self._latest is not None else None

    @property
    def request(self) -> object:
        """The request of the caller; None for an operation without one."""
        return getattr(self._operation, "request", None)

    @property
    def committed(self) -> bool:
        """True if the caller has received content that no `Restarted` event has retracted."""
        return self._response.committed

    @property
    def finished(self) -> bool:
        return self.state is CallState.FINISHED

    @property
    def response(self) -> ChatResponse | None:
        """The response of the newest attempt as far as it arrived, at any time; None before its head."""
        return self._response.current(self._latest, self.trace)

    # -- for a driver -----------------------------------------------------------------------------------------------

    @property
    def is_runnable(self) -> bool:
        """True if a `Sleep` has ended before its time, because the scheduler has an answer for the waiting call."""
        return self.selector.answer is not None or self.selector.must_wake

    @property
    def may_hedge(self) -> bool:
        """True if two attempts may ever run at once in this call."""
        if not self._concurrent:
            return False
        return self._plan.may_hedge or (self._plan.shares_overlap and not self._operation.streams)

    @property
    def hedging(self) -> bool:
        """True while each `Open` and `Read` is a separate operation, which the driver starts beside the others."""
        return self.in_flight.hedging

    @property
    def no_more_hedges(self) -> bool:
        """True if no second attempt can start any more."""
        primary = self.in_flight.primary
        return self.finished or not self.may_hedge or (primary is not None and primary.has_content)

    def is_running(self, attempt: int) -> bool:
        """True if the attempt with this number runs, so that its results still count."""
        return self.in_flight.contains(attempt)

    # -- how the state changes --------------------------------------------------------------------------------------

    def _move(self, to: CallState) -> None:
        """Change the state, if the table of transitions allows it. A finished call stays finished."""
        if to is self.state or self.state is CallState.FINISHED:
            return
        if to not in CALL_TRANSITIONS[self.state]:
            refuse_transition("a call", self.state, to)
        self.state = to

    def _take_result(self, number: int, method: str) -> Attempt:
        in_flight = self.in_flight
        attempt = in_flight.primary
        if attempt is not None and attempt.number == number and self.state is CallState.RUNNING:
            return attempt  # the usual case: it runs alone
        attempt = in_flight.take_result(number)
        if attempt is None:
            raise LocalProtocolError(f"{method} was called for attempt {number}, which is not running")
        self._update_hedging()
        return attempt

    def _update_hedging(self) -> None:
        """Note that no second attempt runs or can start any more, and no operation is pending."""
        if self.state is CallState.HEDGING and not self.in_flight.hedging:
            self._move(CallState.RUNNING)
