"""Ends a call and its attempts: releases their leases, and lets the driver close the attempts."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse
from turnout.errors import (
    Phase,
    TurnoutError,
)
from turnout.events import Event
from turnout.routing.caching import CachedAnswer
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.final_error import as_interrupted
from turnout.routing.call.recovery import Recovery
from turnout.routing.call.states import AttemptState, CallState
from turnout.routing.call.status import CallStatus
from turnout.routing.call.trace_writer import TIME_RESOLUTION
from turnout.routing.commands import Finish
from turnout.routing.policy.settings import Policy
from turnout.routing.state.scheduler import Scheduler
from turnout.trace.entries import CANCELLED

__all__ = ["CallEnding"]


@attrs.define(eq=False)
class CallEnding(CallStatus):
    """The part of a call that ends its attempts, and the call itself."""

    _scheduler: Scheduler = attrs.field(repr=False)
    _policy: Policy = attrs.field(repr=False)
    _deadline: float
    _total_deadline: float
    _recovery: Recovery = attrs.field(init=False, repr=False)
    _finish: Finish | None = attrs.field(default=None, init=False)
    _is_stopping: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        CallStatus.__attrs_post_init__(self)
        self._recovery = Recovery(self._policy, self.selector, self._response)

    # -- how a caller or a driver ends the call ---------------------------------------------------------------------

    def reject(self, error: TurnoutError, now: float) -> None:
        """End the call before any attempt."""
        self._stop(error, now)

    def answer(self, result: CachedAnswer, now: float) -> None:
        """End the call before any attempt, with an answer of a cache."""
        self._writer.cache_hit(now, str(result.model))
        self._end(Finish(attrs.evolve(result, trace=self.trace)))

    @property
    def result(self) -> object:
        """The result of a call that has ended with one; None otherwise."""
        return self._finish.result if self._finish is not None else None

    def cancel(self, now: float) -> None:
        """Cancel the call. Pending attempts are closed; then `Finish` follows, without result and without error."""
        self._close_all(now)
        if not self.finished:
            self._writer.call_failed(now, CANCELLED)
            self._end(Finish())

    def stop_waiting(self) -> None:
        """Let a running attempt end, and start no other. Without a result of it, the call then ends as cancelled.

        Any thread may call it. The driver wakes the call if it waits.
        """
        self._is_stopping = True

    def release(self, now: float) -> None:
        """Release everything that the call still holds.

        The driver calls this last, because the handler of a signal such as Ctrl-C can raise at any step of the call.
        """
        self.selector.call = None
        self._scheduler.release_all(self.selector, now)

    # -- how an attempt ends ----------------------------------------------------------------------------------------

    def _cancel_loser(self, winner: Attempt, now: float) -> None:
        """Cancel the other attempt, because the first content of this one arrived."""
        loser = self.in_flight.declare_winner(winner)
        self._latest = winner
        self._update_hedging()
        if loser is not None:
            usage = self.selector.cost.ended_early(loser)
            self._writer.attempt_cancelled(now, loser.number, "another was faster", usage)
            loser.move(AttemptState.CLOSED)
            self._recovery.record_silence(loser, now)
            self._scheduler.record_lost_race(loser.lease, now)
            self._scheduler.release(loser.lease, now)

    def _close(self, attempt: Attempt, now: float, *, sent: bool = True) -> tuple[Event, ...]:
        """End an attempt: release its lease, and let the driver close it. No event follows."""
        self.in_flight.finish(attempt)
        attempt.move(AttemptState.CLOSED)
        self._latest = self.in_flight.primary or self._latest
        self._scheduler.release(attempt.lease, now, sent=sent)
        if self.in_flight.primary is None:
            self._move(CallState.SELECTING)
        else:
            self._update_hedging()
        return ()

    # -- how a call ends --------------------------------------------------------------------------------------------

    def _close_all(self, now: float) -> None:
        self.selector.withdraw(now)
        self.selector.call = None
        while (attempt := self.in_flight.primary) is not None:
            if attempt.state is not AttemptState.DRAINING:
                usage = self.selector.cost.ended_early(attempt)
                self._writer.attempt_cancelled(now, attempt.number, "the call has ended", usage)
            self._close(attempt, now)

    def _fail_for_deadline(
        self, phase: Phase, activity: str, now: float, partial: ChatResponse | None = None, candidate: str = ""
    ) -> None:
        seconds = self._deadline - self._writer.started
        error = self._recovery.errors.deadline_exceeded(seconds, phase, activity)
        error.partial = partial
        self._stop(as_interrupted(error, partial, candidate) if self.committed else error, now)

    def _stop(self, error: TurnoutError, now: float) -> None:
        self._close_all(now)
        error = self._response.final_error(error, self.model, self.trace)
        self._writer.call_failed(now, type(error).__name__)
        self._end(Finish(error=error))

    def _end(self, finish: Finish) -> None:
        self._finish = finish
        self._move(CallState.FINISHED)

    def _deadline_passed(self, now: float) -> bool:
        """True if the deadline has passed, compared with the resolution of the trace: less time is of no use."""
        return now > self._deadline - TIME_RESOLUTION
