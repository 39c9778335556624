"""One call as a state machine: an exchange for each attempt, and a plan over them.

It never blocks, sleeps or reads a clock. `next_command` says what to do; the driver does it and tells what happened
with `receive_head`, `receive_data`, `receive_end` or `receive_failure`, whose events go straight to the caller; then
it asks again. `cancel` may come at any time; the commands after it are only the drops that are still owed.

States: planning (no attempt), waiting (for a place, or for a back-off's end), opening, reading, lingering (the answer
is whole, its HTTP body has not ended), finished. Invariants: every Open is followed by one Drop; a lease is held from
Open to Drop; nothing is opened after the deadline, nor after content has reached the caller unless the policy says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from turnout.chat import ChatResponse, ModelConfig, Usage
from turnout.errors import (
    LocalProtocolError,
    Phase,
    ProviderError,
    RemoteProtocolError,
    TimedOut,
    Timer,
    TurnoutError,
)
from turnout.events import Event, Restarted
from turnout.failures import FailureClass
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.final_error import AttemptErrors, failed_entry, interrupted
from turnout.routing.call.in_flight import InFlight
from turnout.routing.call.operations import Operation
from turnout.routing.call.partial_response import PartialResponse
from turnout.routing.call.results import priced, refusal, with_usage
from turnout.routing.call.selection import CandidateSelector
from turnout.routing.call.trace_writer import TICK, TraceWriter
from turnout.routing.commands import Close, Command, Finish, Read, Sleep, WaitForAny
from turnout.routing.policy.classify import Action, classify
from turnout.routing.policy.plan import Fallback, GiveUp, Plan, Retry
from turnout.routing.policy.settings import Policy
from turnout.routing.state.router_lock import Places
from turnout.routing.state.scheduler import Admitted
from turnout.trace import Trace, entries

__all__ = ["Call"]

_NO_USAGE = Usage(source="absent")
# Timers of a transport that ran out while something was awaited which the core times, too.
_SILENCE = frozenset({Timer.READ, Timer.RESPONSE_HEADERS, Timer.WRITE})


@attrs.define(eq=False)
class Call:
    """One call of a router. Made by `RouterCore.start`.

    field  its candidates and its way to a place; a driver knows it by this when a place is granted
    lanes  its attempts that are on; while they overlap, each Open and Read is an operation to begin
    """

    _places: Places[CandidateSelector]
    _operation: Operation
    selector: CandidateSelector
    _policy: Policy
    _journal: TraceWriter
    _deadline: float
    _total: float
    _concurrent: bool = False
    in_flight: InFlight = attrs.field(factory=InFlight, init=False)
    _finish: Finish | None = attrs.field(default=None, init=False)
    _delivery: PartialResponse = attrs.field(
        init=False, default=attrs.Factory(lambda call: PartialResponse(call._operation), True)
    )
    _not_before: float = attrs.field(default=-math.inf, init=False)
    _failures: AttemptErrors = attrs.field(factory=AttemptErrors, init=False)
    _last: Attempt | None = attrs.field(default=None, init=False)

    @property
    def trace(self) -> Trace:
        """How the call was decided so far."""
        return self._journal.trace

    @property
    def _plan(self) -> Plan:
        return self.selector.plan

    # -- what the caller may ask --------------------------------------------------------------------------------

    @property
    def model(self) -> ModelConfig | None:
        """The candidate of the newest attempt; once content has come, who answers."""
        return self._last.candidate.model if self._last is not None else None

    @property
    def committed(self) -> bool:
        """Whether content has reached the caller that still stands."""
        return self._delivery.committed

    @property
    def finished(self) -> bool:
        return self._finish is not None

    @property
    def ready(self) -> bool:
        """Whether it was let in or turned away while it waited: a Sleep is then over, whatever its time."""
        return self.selector.granted is not None

    @property
    def may_overlap(self) -> bool:
        """Whether two attempts may ever be on at once in this call."""
        return self._concurrent and self._plan.may_overlap

    @property
    def settled(self) -> bool:
        """Whether two attempts will be on at once no more, as far as can be told."""
        live = self.in_flight.live
        return self._finish is not None or not self.may_overlap or (live is not None and live.flowing)

    @property
    def response(self) -> ChatResponse | None:
        """The answer of the newest attempt as far as it came, at any time; None before its head."""
        return self._delivery.so_far(self._last, self.trace)

    # -- commands -----------------------------------------------------------------------------------------------

    def next_command(self, now: float) -> Command:
        """What to do now. Each command is done, and its outcome told, before the next is asked for."""
        lanes = self.in_flight
        while True:
            if lanes.drops:
                return Close(lanes.drops.popleft().number)
            live = lanes.live
            if live is not None:
                command = self._read(live, now) if not lanes.overlapping else self._begin_beside(live, now)
            elif self._finish is not None:
                return self._finish
            else:
                command = self._advance(now)
            if command is not None:
                return command

    def _read(self, live: Attempt, now: float) -> Read | None:
        if live.phase is Phase.SENT:
            raise LocalProtocolError(f"next_command came while attempt {live.number} was still to be opened")
        command = live.next_read(now, self._deadline)
        if command is None:
            (self._close if live.whole else self._expire)(live, now)
        return command

    def _advance(self, now: float) -> Command | None:
        """No attempt is on: begin the next, wait, or give up."""
        field = self.selector
        if self._is_over(now):
            awaited = "waiting for a place in the router" if field.queued else "no attempt was on"
            seconds = self._deadline - self._journal.started
            self._stop(self._failures.deadline_exceeded(seconds, Phase.NOT_SENT, f"while {awaited}"), now)
            return None
        if now < self._not_before:
            return Sleep(min(self._not_before, self._deadline))
        if self._policy.max_cost is not None and not field.queued:
            self._failures.errors += field.leave_out_too_dear(now)
        if not self._plan.left:
            self._stop(self._failures.nobody_left(), now)
            return None
        found = field.select(now)
        if isinstance(found, Admitted):
            return self._open(found, now)
        if isinstance(found, GiveUp):
            self._stop(self._failures.turned_away(found), now)
            return None
        return Sleep(min(found, self._deadline))

    def _open(self, admitted: Admitted, now: float, *, hedge: bool = False) -> Command | None:
        place, lease = admitted.choice.index, admitted.lease
        field = self.selector
        candidate = field.candidates[place]
        self._failures.tried.add(place)
        try:
            exchange = self._operation.begin(candidate.provider, candidate.model)
        except TurnoutError as error:
            # It cannot be put into this dialect, and nothing was sent: another candidate may take it.
            self._places.release(lease, now)
            self._failures.errors.append(error)
            field.leave_out(place, error.message if isinstance(error, ProviderError) else str(error), now)
            return None
        budget = self._plan.time_for_attempt(self._at(now))
        self._plan.began()
        number = self._plan.attempts
        until = self._total if self._operation.delivers else self._deadline
        attempt, command = Attempt.begun(
            number, admitted, candidate, exchange, self._operation, self._policy, budget, until, now
        )
        alone = not self.may_overlap or self._delivery.broken is not None
        self.in_flight.began(attempt, math.inf if alone else attempt.hedge_at(self._policy.hedge, now))
        self._last = self.in_flight.live
        dropped = tuple(getattr(exchange, "dropped", ()))
        forced, probe = admitted.choice.forced, lease.probe
        self._note(entries.Started(self._at(now), number, place, str(candidate), forced, probe, hedge, dropped))
        return command

    # -- two attempts at once -----------------------------------------------------------------------------------

    def _begin_beside(self, live: Attempt, now: float) -> Command | None:
        """An operation to begin on either attempt, or the second attempt itself, or a wait for what was begun."""
        lanes, hedge = self.in_flight, self._policy.hedge
        idle = lanes.idle()
        if idle is not None:
            command = self._read(idle, now)
            idle.busy = command is not None and lanes.overlapping
            return command
        if hedge is not None and now >= lanes.rival_at:
            lanes.rival_at = math.inf
            admitted = self._places.beside(self.selector, live.place, now) if not self._is_over(now) else None
            if admitted is not None:
                return self._open(admitted, now, hedge=True)
        return WaitForAny(lanes.rival_at)

    def _overtake(self, winner: Attempt, now: float) -> None:
        """The first content came: the other attempt is of no use any more."""
        loser = self.in_flight.overtake(winner)
        self._last = winner
        if loser is not None:
            self._note(entries.AttemptCancelled(self._at(now), loser.number, "another was faster"))
            self.selector.bill.broken_off(loser)
            self._places.overtaken(loser.lease, now)
            self._places.release(loser.lease, now)

    # -- what happened ------------------------------------------------------------------------------------------

    def receive_head(
        self, attempt: int, status: int, headers: Iterable[tuple[str, str]], now: float
    ) -> tuple[Event, ...]:
        live = self._attempt(attempt, "receive_head")
        if live.phase is not Phase.SENT:
            raise LocalProtocolError(f"receive_head came twice for attempt {attempt}")
        live.exchange.receive_head(status, headers)
        live.phase, live.head_at = Phase.HEAD, now
        self._note(entries.ResponseStarted(self._at(now), attempt, status))
        if live.exchange.failure is not None:
            return self._fail(live, live.exchange.failure, (), now)
        return ()

    def receive_data(self, attempt: int, data: bytes, now: float) -> tuple[Event, ...]:
        """Bytes of the body. The events are for the caller."""
        live = self._attempt(attempt, "receive_data")
        if live.whole:
            return ()  # padding after the terminator
        exchange = live.exchange
        events = exchange.receive_data(data)
        if exchange.failure is not None:
            return self._fail(live, exchange.failure, events, now)
        if not events:
            live.idle_left -= max(0.0, now - live.read_at)
            live.phase = Phase.BODY
            if exchange.complete:
                return self._complete(live, events, now)
            return ()
        live.idle_left = live.steady.idle
        if not live.flowing:
            self._flow(live, now)
        if exchange.complete:
            return self._complete(live, events, now)
        return events if self._operation.delivers else ()

    def receive_end(self, attempt: int, now: float) -> tuple[Event, ...]:
        """The body ended as HTTP says it should."""
        live = self._attempt(attempt, "receive_end")
        if live.whole:
            self._close(live, now)
            return ()
        events = live.exchange.receive_end()
        if live.exchange.failure is not None:
            return self._fail(live, live.exchange.failure, events, now)
        if events and not live.flowing:
            self._flow(live, now)
        delivered = self._complete(live, events, now)
        if self.in_flight.live is live:
            self._close(live, now)
        return delivered

    def receive_failure(self, attempt: int, error: TurnoutError, now: float) -> tuple[Event, ...]:
        """The transport failed."""
        live = self._attempt(attempt, "receive_failure")
        if live.whole:
            self._close(live, now)  # the answer is whole; how its connection ends is of no interest
            return ()
        if isinstance(error, ProviderError) and not error.provider:
            error.provider = live.candidate.provider.name  # what signs requests does not know for whom
        if isinstance(error, TimedOut) and (self._is_over(now) or error.timer in _SILENCE):
            return self._expire(live, now)
        return self._fail(live, error, (), now)

    def refuse(self, error: TurnoutError, now: float) -> None:
        """End the call before anything was tried."""
        self._stop(error, now)

    def cancel(self, now: float) -> None:
        """The caller wants no more. What is owed is dropped; then comes a Finish without result and error."""
        self._close_all(now)
        if self._finish is None:
            self._note(entries.CallFailed(self._at(now), "cancelled by the caller"))
            self._finish = Finish()

    def abandon(self, now: float) -> None:
        """The last word of a driver. An exception of a signal's handler, as Ctrl-C's, may break off any step of this
        call: what it then holds, and does not know of, is given back here."""
        self._places.part_with(self.selector, now)

    # -- how an attempt ends ------------------------------------------------------------------------------------

    def _flow(self, live: Attempt, now: float) -> None:
        """The first content of an attempt came: from now on silence is measured between events."""
        live.flowing = True
        live.phase = Phase.BODY
        if self.in_flight.overlapping:
            self._overtake(live, now)
        self._note(entries.FirstContent(self._at(now), live.number))
        # What the head said of limits is learnt now, for the calls that begin before this answer has ended.
        self._places.content_came(live.lease, now, getattr(live.exchange, "rate_limit", None), live.head_at)
        if self._operation.delivers:
            self._delivery.committed = True
            self._deadline = self._total

    def _complete(self, live: Attempt, events: tuple[Event, ...], now: float) -> tuple[Event, ...]:
        """The exchange has its answer whole."""
        provider, came = live.candidate.provider.name, live.exchange.result
        fresh = priced(came, live.candidate.price)
        usage: Usage = getattr(fresh, "usage", _NO_USAGE)
        self.selector.bill.complete(live, usage)
        filtered = refusal(fresh, provider)
        rule = self._policy.rule(FailureClass.CONTENT_FILTER, provider)
        if filtered is not None and not self.committed and rule.action is not Action.RAISE:
            return self._fail(live, filtered, (), now)
        result = self._operation.joined(fresh)
        try:
            last = self._operation.accept(result)
        except RemoteProtocolError as error:
            return self._fail(live, error, (), now)
        if self.in_flight.overlapping:
            self._overtake(live, now)
        self._places.succeeded(live.lease, now, usage, getattr(fresh, "rate_limit", None), live.head_at)
        skipped = getattr(live.exchange, "skipped", 0)
        self._note(entries.AttemptCompleted(self._at(now), live.number, usage.total_tokens, usage.cost, skipped))
        if last:
            self._note(entries.Answered(self._at(now), str(live.candidate)))
            self._finish = Finish(self._operation.result(self.trace))
        live.whole = True
        live.content_by = now + self._policy.timeouts.drain
        if not self._operation.delivers:
            return ()
        return events if result is came else with_usage(events, result.usage)

    def _expire(self, live: Attempt, now: float) -> tuple[Event, ...]:
        """A timer ran out on `live`: say which, by what was being waited for."""
        if not self._is_over(now):
            return self._fail(live, live.timed_out(), (), now)
        # The caller's own deadline is nobody's fault, so the candidate's health does not suffer.
        self._note(failed_entry(self._at(now), live.number, FailureClass.NO_RESPONSE, live.phase, None))
        partial = self._delivery.partial(live) if live.flowing else None
        seconds = self._deadline - self._journal.started
        awaited = f"while {live.candidate} was answering" if live.flowing else f"while {live.candidate} was asked"
        error = self._failures.deadline_exceeded(seconds, live.phase, awaited)
        error.partial = partial
        self._close(live, now)
        self._stop(interrupted(error, partial, str(live.candidate)) if self.committed else error, now)
        return ()

    def _fail(self, live: Attempt, error: TurnoutError, events: tuple[Event, ...], now: float) -> tuple[Event, ...]:
        """An attempt failed; `events` came before the fault in the same read."""
        failure = classify(error)
        entry = failed_entry(self._at(now), live.number, failure, live.phase, error)
        self._note(entry)
        partial = self._delivery.partial(live) if live.flowing or events else None
        kept = interrupted(error, partial, str(live.candidate)) if partial is not None else error
        self._failures.errors.append(kept)
        self.selector.bill.failed(live, failure, entry.phase, error)
        rule = self._policy.rule(failure, live.candidate.provider.name)
        if live.hurried and isinstance(error, TimedOut) and error.timer is not Timer.CONNECT:
            rule = attrs.evolve(rule, health=False)
        self._places.failed(live.lease, now, rule, entry.retry_after)
        self._close(live, now)
        at, place = self._at(now), live.place
        if not self.committed:
            # What came before the fault is withheld, for another attempt begins from the start.
            self._follow(live, self._plan.failed(place, failure, entry.retry_after, entry.phase, at), now)
            return ()
        mode = self._policy.on_interrupt
        self._delivery.broken = partial
        if mode == "raise" or (mode == "resume" and not self._operation.go_on(partial)):
            self._stop(kept, now)
            return events
        # The deadline of the first content begins anew; `total` holds as before.
        self._deadline = min(now + self.trace.deadline, self._total)
        self._plan.deadline = round(self._deadline - self._journal.started, 6)
        self._note(entries.StreamBroke(at, live.number, mode, self._plan.deadline))
        decision = self._plan.broke(place, failure, entry.retry_after, entry.phase, at, resume=mode == "resume")
        if isinstance(decision, GiveUp):
            self._stop(kept, now)
            return events
        self._follow(live, decision, now)
        self._delivery.committed = False
        if mode == "resume":
            return events
        return (*events, Restarted(self._plan.attempts + 1, partial))

    def _follow(self, failed: Attempt, decision: Retry | Fallback | GiveUp, now: float) -> None:
        """What the plan decided after a failure."""
        candidate, at = str(failed.candidate), self._at(now)
        if isinstance(decision, Retry):
            # Another attempt that failed beside this one may have to wait for longer.
            self._not_before = max(self._not_before, now + decision.wait)
            self._note(entries.Retrying(at, candidate, round(decision.wait, 6), decision.reason))
            return
        self._note(entries.FellBack(at, candidate, decision.reason))
        if isinstance(decision, Fallback):
            for place in decision.excluded:
                self._note(entries.Skipped(at, str(self.selector.candidates[place]), entries.NO_LARGER))
        elif decision.final or self.in_flight.live is None:  # else the attempt beside it may still bring the answer
            self._stop(self._failures.errors[-1] if decision.final else self._failures.all_failed(), now)

    def _close(self, live: Attempt, now: float) -> None:
        self.in_flight.over(live)
        self._last = self.in_flight.live or self._last
        self._places.release(live.lease, now)

    # -- how a call ends ----------------------------------------------------------------------------------------

    def _close_all(self, now: float) -> None:
        self.selector.withdraw(now)
        while (live := self.in_flight.live) is not None:
            if not live.whole:
                self._note(entries.AttemptCancelled(self._at(now), live.number, "the call is over"))
            self._close(live, now)

    def _stop(self, error: TurnoutError, now: float) -> None:
        self._close_all(now)
        error = self._delivery.sealed(error, self.model, self.trace)
        self._note(entries.CallFailed(self._at(now), type(error).__name__))
        self._finish = Finish(error=error)

    def _attempt(self, number: int, called: str) -> Attempt:
        live = self.in_flight.told(number)
        if live is None:
            raise LocalProtocolError(f"{called} came for attempt {number}, which is not on")
        return live

    def _is_over(self, now: float) -> bool:
        """Whether the deadline has passed, as near as the trace tells times: less than that is nobody's to use."""
        return now > self._deadline - TICK

    def _at(self, now: float) -> float:
        return self._journal.at(now)

    def _note(self, entry: entries.Entry) -> None:
        self._journal.note(entry)
