"""One call as a state machine: an exchange for each attempt, and a plan over them.

The machine never blocks, sleeps or reads a clock. `next_command()` returns the next action. The driver performs it and
reports the result with `receive_head`, `receive_data`, `receive_end` or `receive_failure`. It passes the
returned events to the caller, and fetches the next command. `cancel` may be called at any time. After it the machine
returns only the `Close` commands that are still pending, and `Finish`.

The states and their transitions are in `turnout.routing.call.states`. Invariants: every `Open` is followed by one
`Close`. A lease is held from `Open` to `Close`. Nothing is opened after the deadline, nor after the caller has received
content, unless the policy allows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from turnout.errors import (
    LocalProtocolError,
    Phase,
    ProviderError,
    RemoteProtocolError,
    TimedOut,
    Timer,
    TransportError,
    TurnoutError,
)
from turnout.events import End, Event, Restarted
from turnout.failures import FailureClass
from turnout.http import HttpRequest
from turnout.routing.call.attempt import Attempt, start_exchange
from turnout.routing.call.ending import CallEnding
from turnout.routing.call.final_error import deadline_entry
from turnout.routing.call.idempotency import with_idempotency_key
from turnout.routing.call.operations.results import (
    content_filter_error,
    rate_limit_of,
    unmet_of,
    usage_of,
    with_cost,
    with_totals,
)
from turnout.routing.call.recovery import Failure
from turnout.routing.call.states import AttemptState, CallState
from turnout.routing.commands import Close, Command, Finish, Read, Sleep, WaitForAny
from turnout.routing.policy.classify import Action
from turnout.routing.policy.decisions import Decision, GiveUp, Retry
from turnout.routing.state.candidate import Candidate
from turnout.routing.state.waiter import Admitted

__all__ = ["Call"]

# Timers of a transport that can run out while the core times the same wait.
_SILENCE = frozenset({Timer.READ, Timer.RESPONSE_HEADERS, Timer.WRITE})


@attrs.define(eq=False)
class Call(CallEnding):
    """One call of a router. `RouterCore.start` makes it."""

    _backoff_until: float = attrs.field(default=-math.inf, init=False)
    # The candidates whose kept-alive connections were dead or silent in this call.
    _distrusted: frozenset[int] = attrs.field(default=frozenset(), init=False)
    _answers: int = attrs.field(default=0, init=False)  # whole ones that were received, also those of no use

    # -- commands ---------------------------------------------------------------------------------------------------

    def next_command(self, now: float) -> Command:
        """Return the next action. Perform it and report its result before the next one is fetched."""
        in_flight = self.in_flight
        while True:
            if in_flight.to_close:
                return Close(in_flight.to_close.popleft().number)
            primary = in_flight.primary
            if primary is not None:
                command = self._next_hedged_command(primary, now) if in_flight.hedging else self._read(primary, now)
            elif self._finish is not None:
                return self._finish
            else:
                command = self._start_next_attempt(now)
            if command is not None:
                return command

    def _read(self, attempt: Attempt, now: float) -> Read | None:
        if attempt.state is AttemptState.OPENING:
            raise LocalProtocolError(f"next_command was called while attempt {attempt.number} was still to be opened")
        command = attempt.next_read(now, self._deadline)
        if command is None:
            (self._close if attempt.state is AttemptState.DRAINING else self._on_timeout)(attempt, now)
        return command

    def _start_next_attempt(self, now: float) -> Command | None:
        """Start the next attempt, wait, or give up, while none is running."""
        if self._is_stopping:
            self.cancel(now)
            return None
        selector = self.selector
        if selector.counts_money and not selector.is_queued and now >= self._backoff_until:
            for error in selector.exclude_over_budget(now):
                self._recovery.errors.add(error, "")
        if not self._plan.left:
            self._stop(self._recovery.errors.exhausted(), now)
            return None
        if self._deadline_passed(now):
            activity = "while the call waited in the queue" if selector.is_queued else "between two attempts"
            self._fail_for_deadline(Phase.NOT_SENT, activity, now)
            return None
        if now < self._backoff_until:
            self._move(CallState.BACKING_OFF)
            return Sleep(min(self._backoff_until, self._deadline))
        if self.state is CallState.BACKING_OFF:
            self._move(CallState.SELECTING)
        # Only while it may have to be woken: the two refer to each other, which only the garbage collector would end.
        selector.call = self
        found = selector.select(now)
        if isinstance(found, Admitted):
            selector.call = None
            return self._open(found, now)
        if isinstance(found, GiveUp):
            self._stop(self._recovery.errors.rejected(found), now)
            return None
        self._move(CallState.QUEUED)
        return Sleep(min(found, self._deadline))

    def _open(self, admitted: Admitted, now: float, *, hedge: bool = False) -> Command | None:
        selector, index, lease = self.selector, admitted.index, admitted.lease
        errors = self._recovery.errors
        errors.tried.add(index)
        if not hedge:
            self._move(CallState.SELECTING)
        try:
            candidate = selector.current(index)
            exchange, request = start_exchange(self._operation, candidate)
        except TurnoutError as error:
            # The dialect cannot express the request, and nothing was sent. Another candidate may take it.
            self._scheduler.release(lease, now, sent=False)
            errors.add(error, str(selector.candidates[index]))
            selector.exclude(index, error.message if isinstance(error, ProviderError) else str(error), now)
            return None
        elapsed = self._writer.elapsed(now)
        share = self._plan.time_for_attempt(index, elapsed)
        self._plan.attempt_started(index)
        alone = not self.may_hedge or self._response.interrupted is not None
        # The first attempt goes on when it has used its share, and the next candidate starts beside it.
        overlaps = not alone and not hedge and self._plan.shares_overlap and not self._operation.streams
        budget = max(share, self._plan.deadline - elapsed) if overlaps else share
        number = self._plan.attempts
        until = self._total_deadline if self._operation.streams_to_caller else self._deadline
        attempt, command = Attempt.start(
            number,
            admitted,
            candidate,
            exchange,
            self._keyed(request, candidate),
            self._operation,
            candidate.policy,
            budget,
            until,
            now,
            new_connection=index in self._distrusted,
        )
        replaces = hedge and self.in_flight.replaces
        hedge_at = math.inf if alone else attempt.hedge_at(self._policy.hedge, now)
        self.in_flight.start(attempt, hedge_at, now + share if overlaps else math.inf)
        self._latest = self.in_flight.primary
        if not hedge:
            self._move(CallState.HEDGING if self.in_flight.hedging else CallState.RUNNING)
        self._writer.attempt_started(
            now,
            number,
            index,
            str(candidate),
            forced=admitted.forced,
            probe=lease.is_probe,
            hedge=hedge,
            replaces=replaces,
            omitted_settings=tuple(exchange.dropped),
        )
        return command

    def _keyed(self, request: HttpRequest, candidate: Candidate) -> HttpRequest:
        """Return the request with its idempotency key, if the provider has a header field for one."""
        header: str | None = getattr(candidate.provider, "idempotency_header", None)
        if header is None:
            return request
        return with_idempotency_key(request, header, self.trace, str(candidate), self._answers)

    # -- two attempts at once ---------------------------------------------------------------------------------------

    def _next_hedged_command(self, primary: Attempt, now: float) -> Command | None:
        """Return an operation to start on either attempt, the second attempt itself, or a wait for a result."""
        in_flight = self.in_flight
        idle = in_flight.next_idle()
        if idle is not None:
            command = self._read(idle, now)
            idle.operation_pending = command is not None and in_flight.hedging
            return command
        if now >= in_flight.hedge_at:
            admitted = None
            if not self._deadline_passed(now):
                self.selector.look_up(now)
                budgeted = not in_flight.replaces
                admitted = self._scheduler.acquire_hedge(self.selector, primary.index, now, budgeted=budgeted)
            if admitted is not None:
                in_flight.hedge_at = math.inf
                return self._open(admitted, now, hedge=True)
            in_flight.hedge_refused()
        return WaitForAny(in_flight.hedge_at)

    # -- results ----------------------------------------------------------------------------------------------------

    def receive_head(
        self, attempt: int, status: int, headers: Iterable[tuple[str, str]], now: float
    ) -> tuple[Event, ...]:
        """Take the head of a response."""
        if not isinstance(status, int):
            raise TypeError(f"receive_head takes the status as an int, not {type(status).__name__}")
        running = self._take_result(attempt, "receive_head")
        if running.state is not AttemptState.OPENING:
            raise LocalProtocolError(f"receive_head was called twice for attempt {attempt}")
        running.receive_head(status, headers)
        running.move(AttemptState.RESPONSE_STARTED)
        running.head_at = now
        if not 200 <= status < 300:
            running.error_until = now + self._policy.timeouts.error_body
        self._writer.response_started(now, attempt, status)
        if running.failure is not None:
            return self._fail(running, running.failure, (), now)
        return ()

    def receive_data(self, attempt: int, data: bytes, now: float) -> tuple[Event, ...]:
        """Take bytes of the body, and return the events for the caller."""
        running = self._take_result(attempt, "receive_data")
        if running.state is AttemptState.DRAINING:
            return ()  # padding after the terminator
        exchange = running.exchange
        try:
            events = exchange.receive_data(data)
        except Exception as error:
            return self._fail(running, running.unexpected(error), (), now)
        if exchange.failure is not None:
            return self._fail(running, exchange.failure, events, now)
        if events:
            running.idle_left = running.between_tokens
            running.read_late = False
            running.drain_until = None
            if running.state is not AttemptState.STREAMING:
                self._on_first_content(running, events, now)
        else:
            if running.drain_until is None and exchange.can_end:
                running.drain_until = now + self._policy.timeouts.drain
            running.idle_left -= max(0.0, now - running.read_at)
            if running.state is AttemptState.RESPONSE_STARTED:
                running.move(AttemptState.BODY)
        if exchange.complete:
            return self._complete(running, events, now)
        return events if self._operation.streams_to_caller else ()

    def receive_end(self, attempt: int, now: float) -> tuple[Event, ...]:
        """Take the end of the body, if it ended as HTTP requires."""
        running = self._take_result(attempt, "receive_end")
        if running.state is AttemptState.DRAINING:
            return self._close(running, now)
        return self._end_body(running, now)

    def _end_body(self, running: Attempt, now: float) -> tuple[Event, ...]:
        events = running.receive_end()
        if running.failure is not None:
            return self._fail(running, running.failure, events, now)
        if events and running.state is not AttemptState.STREAMING:
            self._on_first_content(running, events, now)
        delivered = self._complete(running, events, now)
        if self.in_flight.primary is running:
            self._close(running, now)
        return delivered

    def receive_failure(self, attempt: int, error: TurnoutError, now: float) -> tuple[Event, ...]:
        """Take a failure of the transport."""
        if not isinstance(error, TurnoutError):
            raise TypeError(
                "receive_failure takes an error of Turnout, such as ConnectFailed or Disconnected, not "
                f"{type(error).__name__}: {error}"
            )
        running = self._take_result(attempt, "receive_failure")
        if running.state is AttemptState.DRAINING:
            return self._close(running, now)  # the response is complete, whatever happens to its connection
        if isinstance(error, TransportError) and running.exchange.can_end:
            return self._end_body(running, now)  # and so is one that only lacks its usage
        if isinstance(error, ProviderError) and not error.provider:
            error.provider = running.candidate.provider.name  # code that signs requests does not know the provider
        if isinstance(error, TimedOut) and (self._deadline_passed(now) or error.timer in _SILENCE):
            return self._on_timeout(running, now, error)
        if isinstance(error, TimedOut) and error.timer is Timer.CONNECT and error.seconds is None:
            error.seconds = running.connect_timeout
        return self._fail(running, error, (), now)

    # -- how an attempt ends ----------------------------------------------------------------------------------------

    def _on_first_content(self, attempt: Attempt, events: tuple[Event, ...], now: float) -> None:
        """Take note of the first content. From now on silence is measured between events."""
        attempt.move(AttemptState.STREAMING)
        if self.in_flight.hedging:
            self._cancel_loser(attempt, now)
        self._writer.first_content(now, attempt.number)
        # The rate limits in the head are recorded now, for calls that start before this response has ended.
        self._scheduler.record_first_content(attempt.lease, now, attempt.exchange.rate_limit, attempt.head_at)
        if self._operation.streams_to_caller and not all(isinstance(event, End) for event in events):
            self._response.committed = True
            self._deadline = self._total_deadline

    def _complete(self, attempt: Attempt, events: tuple[Event, ...], now: float) -> tuple[Event, ...]:
        """Take the complete response of an exchange."""
        provider = attempt.candidate.provider.name
        try:
            received = attempt.result()
        except RemoteProtocolError as error:
            return self._fail(attempt, error, (), now)
        self._answers += 1
        priced = with_cost(received, attempt.candidate.price)
        usage = self.selector.cost.complete(attempt, priced)
        filtered = content_filter_error(priced, provider)
        if filtered is not None and not self.committed:
            rule = attempt.candidate.policy.rule(FailureClass.CONTENT_FILTER, provider)
            if rule.action is not Action.RAISE:
                return self._fail(attempt, filtered, (), now)
        result = self._operation.merge(priced)
        unmet = self._operation.unmet_demand(result) if not self.committed else None
        if unmet is not None:
            # The candidate itself did well: only its answer is of no use.
            self._scheduler.record_success(attempt.lease, now, usage_of(priced), rate_limit_of(priced), attempt.head_at)
            self._operation.restart()
            return self._fail(attempt, unmet, (), now)
        try:
            is_last = self._operation.add_result(result)
        except RemoteProtocolError as error:
            return self._fail(attempt, error, (), now)
        if self.in_flight.hedging:
            self._cancel_loser(attempt, now)
        self._scheduler.record_success(attempt.lease, now, usage_of(priced), rate_limit_of(priced), attempt.head_at)
        self._writer.attempt_completed(now, attempt.number, usage, attempt.exchange.skipped)
        self._plan.part_returned()
        if is_last:
            self._writer.answered(now, str(attempt.candidate), unmet_of(result))
            self._end(Finish(self._operation.result(self.trace)))
        else:
            self._response.merged = attempt
        attempt.move(AttemptState.DRAINING)
        attempt.first_content_deadline = now + self._policy.timeouts.drain
        if not self._operation.streams_to_caller:
            return ()
        return events if is_last and result is received else with_totals(events, result, is_last=is_last)

    def _on_timeout(self, attempt: Attempt, now: float, reported: TimedOut | None = None) -> tuple[Event, ...]:
        """Handle a timer that ran out: the deadline of the call, or else a timer of the attempt."""
        # A transport that waits for no real time, such as a script, says how long the silence would have been.
        until = now if reported is None or reported.seconds is None else attempt.read_at + reported.seconds
        if not self._deadline_passed(max(now, until)) or getattr(attempt.exchange, "status_error", None) is not None:
            return self._fail(attempt, attempt.timed_out(reported), (), now)
        # The deadline is the caller's own. It counts against the candidate's health only if there was enough time.
        self._recovery.record_silence(attempt, now)
        phase = attempt.state.phase
        seconds = self._deadline - self._writer.started
        partial = self._response.of(attempt) if attempt.has_content else None
        entry = deadline_entry(self._writer.elapsed(now), attempt.number, phase, seconds)
        self._writer.attempt_failed(entry, self.selector.cost.ended_early(attempt))
        activity = f"while {attempt.candidate} {'was responding' if attempt.has_content else 'was silent'}"
        self._close(attempt, now)
        self._fail_for_deadline(phase, activity, now, partial, str(attempt.candidate))
        return ()

    def _fail(self, attempt: Attempt, error: TurnoutError, events: tuple[Event, ...], now: float) -> tuple[Event, ...]:
        """Handle the failure of an attempt. `events` arrived before the fault in the same read."""
        if isinstance(error, TransportError):
            # The status of an error response has decided already, even if its body breaks off or stalls.
            error = getattr(attempt.exchange, "status_error", None) or error
        splits_batch = self._operation.split_batch(error, attempt.candidate.model)
        failure = self._recovery.record(
            attempt,
            error,
            now,
            running=self.in_flight.beside(attempt),
            with_events=bool(events),
            splits_batch=splits_batch,
        )
        self._close(attempt, now, sent=failure.entry.phase is not Phase.NOT_SENT)
        if self.committed:
            return self._on_interrupt(failure, events, now)
        # Events before the fault are withheld, because another attempt starts from the beginning.
        self._apply(failure, self._recovery.decide(failure, now), now)
        return ()

    def _on_interrupt(self, failure: Failure, events: tuple[Event, ...], now: float) -> tuple[Event, ...]:
        """Handle a stream that broke after the caller had received content."""
        mode, response = self._policy.on_interrupt, self._response
        response.interrupted = failure.partial
        if mode == "raise" or (mode == "resume" and not self._operation.prepare_resume(failure.partial)):
            self._stop(failure.error, now)
            return events
        # The deadline of the first content starts again; the deadline of the whole stream holds as before.
        self._deadline = min(now + self.trace.deadline, self._total_deadline)
        decision = self._recovery.decide_after_content(failure, now, self._deadline)
        if isinstance(decision, GiveUp):
            self._stop(failure.error, now)
            return events
        self._apply(failure, decision, now)
        response.committed = False
        if mode == "resume":
            response.merged = failure.attempt
            return events
        self._operation.restart()
        return (*events, Restarted(self._plan.attempts + 1, failure.partial))

    def _apply(self, failure: Failure, decision: Decision, now: float) -> None:
        """Carry out the decision after a failure."""
        excluded = [str(self.selector.candidates[index]) for index in getattr(decision, "excluded", ())]
        beside = self.in_flight.primary is not None
        self._writer.decided(now, str(failure.attempt.candidate), decision, excluded, beside=beside)
        if isinstance(decision, Retry):
            # Another attempt that failed beside this one may have to wait for longer.
            self._backoff_until = max(self._backoff_until, now + decision.wait)
        if not isinstance(decision, GiveUp):
            if decision.new_connection:
                self._distrusted |= {failure.attempt.index}
            if self.in_flight.primary is not None and self.may_hedge:
                self.in_flight.replace_failed(now + decision.wait if isinstance(decision, Retry) else now)
                self._move(CallState.HEDGING)
        elif decision.final or self.in_flight.primary is None:
            # Else the attempt beside it may still return the response.
            self._stop(self._recovery.final_error(decision), now)
