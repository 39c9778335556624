"""One call as a state machine: an exchange for each attempt, and a plan over them.

It never blocks, sleeps or reads a clock. `next_command` says what to do; the driver does it and tells what happened
with `receive_head`, `receive_data`, `receive_end` or `receive_failure`, whose events go straight to the caller; then
it asks again. `cancel` may come at any time; the commands after it are only the drops that are still owed.

States: planning (no attempt), waiting (for a place, or for a back-off's end), opening, reading, lingering (the answer
is whole, its HTTP body has not ended), finished. Invariants: every Open is followed by one Drop; a place is held from
Open to Drop; nothing is opened after the deadline, nor after content has reached the caller.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from turnout.chat import ChatResponse, ModelConfig
from turnout.errors import (
    ConcurrencyExceeded,
    LocalProtocolError,
    Phase,
    ProviderError,
    RemoteProtocolError,
    TimedOut,
    Timer,
    TurnoutError,
)
from turnout.events import Event
from turnout.http import Timeouts
from turnout.routing.attempt import Attempt, Candidate
from turnout.routing.classify import FailureClass, classify
from turnout.routing.commands import Command, Drop, Finish, Open, Read, Sleep
from turnout.routing.operations import Operation
from turnout.routing.plan import Again, Next, Plan
from turnout.routing.policy import Policy
from turnout.routing.trace import (
    Answered,
    Content,
    Ended,
    Finished,
    Head,
    MovedOn,
    Retrying,
    Skipped,
    Started,
    Trace,
    Waiting,
)
from turnout.routing.verdicts import all_failed, deadline_exceeded, failed_entry, interrupted

if TYPE_CHECKING:
    from turnout.routing.router import RouterCore

__all__ = ["Call"]


@attrs.define(eq=False)
class Call:
    """One call of a router. Made by `RouterCore.start`."""

    _core: RouterCore
    _operation: Operation
    _candidates: tuple[Candidate, ...]
    _policy: Policy
    trace: Trace
    _started: float
    _deadline: float
    _total: float
    _seed: int
    _plan: Plan = attrs.field(init=False)
    _live: Attempt | None = attrs.field(default=None, init=False)
    _drops: deque[int] = attrs.field(factory=deque, init=False)
    _finish: Finish | None = attrs.field(default=None, init=False)
    _committed: bool = attrs.field(default=False, init=False)
    _not_before: float = attrs.field(default=-math.inf, init=False)
    _place: bool = attrs.field(default=False, init=False)  # whether a place is held
    _queued: bool = attrs.field(default=False, init=False)
    _errors: list[TurnoutError] = attrs.field(factory=list, init=False)
    _tried: set[int] = attrs.field(factory=set, init=False)
    _last: Attempt | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._plan = Plan(len(self._candidates), self._policy, self._deadline, self._seed)

    # -- what the caller may ask --------------------------------------------------------------------------------

    @property
    def model(self) -> ModelConfig | None:
        """The candidate of the newest attempt; once content has come, who answers."""
        return self._last.candidate.model if self._last is not None else None

    @property
    def committed(self) -> bool:
        """Whether content has reached the caller."""
        return self._committed

    @property
    def finished(self) -> bool:
        return self._finish is not None

    @property
    def ready(self) -> bool:
        """Whether a place was granted that waits to be used: a Sleep is then over, whatever its time."""
        return self._place and self._live is None

    @property
    def response(self) -> ChatResponse | None:
        """The answer of the newest attempt as far as it came, at any time; None before its head."""
        attempt = self._last
        if attempt is None or attempt.phase in (Phase.NOT_SENT, Phase.SENT):
            return None
        partial = attempt.partial()
        return attrs.evolve(partial, trace=self.trace) if partial is not None else None

    # -- commands -----------------------------------------------------------------------------------------------

    def next_command(self, now: float) -> Command:
        """What to do now. Each command is done, and its outcome told, before the next is asked for."""
        while True:
            if self._drops:
                return Drop(self._drops.popleft())
            live = self._live
            if live is not None:
                command = self._read(live, now)
            elif self._finish is not None:
                return self._finish
            else:
                command = self._advance(now)
            if command is not None:
                return command

    def _read(self, live: Attempt, now: float) -> Command | None:
        if live.phase is Phase.SENT:
            raise LocalProtocolError(f"next_command came while attempt {live.number} was still to be opened")
        live.read_at = now
        if live.whole:
            if now >= live.content_by:
                self._close(live)
                return None
            return Read(live.number, live.content_by, live.content_by - now)
        if not live.flowing:
            if now >= live.content_by:
                self._expire(live, now)
                return None
            return Read(live.number, live.content_by, live.content_by - now)
        if now >= self._deadline or live.idle_left <= 0:
            self._expire(live, now)
            return None
        if live.idle_left == live.steady.idle and live.steady.until == self._deadline:
            return live.steady  # the usual case, at no cost
        return Read(live.number, self._deadline, live.idle_left)

    def _advance(self, now: float) -> Command | None:
        """No attempt is on: begin the next, wait, or give up."""
        if now >= self._deadline:
            self._fail_deadline(now)
            return None
        if self._plan.exhausted:
            self._stop(all_failed(self._errors, len(self._tried)), now)
            return None
        if now < self._not_before:
            return Sleep(min(self._not_before, self._deadline))
        candidate = self._candidates[self._plan.place]
        if not self._take_place(candidate, now):
            return None if self._finish is not None else Sleep(self._deadline)
        return self._open(candidate, now)

    def _take_place(self, candidate: Candidate, now: float) -> bool:
        # Another thread may grant a place between these two lines: `granted` sets `_place` first, so this order of
        # reading cannot miss both.
        queued = self._queued
        if self._place:
            return True
        if queued:
            return False
        answer = self._core.take_place(self)
        if answer == "held":
            self._place = True
            return True
        if answer == "full":
            limit = self._policy.max_concurrency
            self._stop(
                ConcurrencyExceeded(
                    f"the router is full: {limit} attempts are in flight; "
                    "raise max_concurrency, or let calls wait with on_full='wait'"
                ),
                now,
            )
            return False
        self._queued = True
        self._note(Waiting(self._at(now), str(candidate), "every place of the router is taken"))
        return False

    def granted(self) -> None:
        """The core hands over a place that became free."""
        self._place = True
        self._queued = False

    def _open(self, candidate: Candidate, now: float) -> Command | None:
        try:
            exchange = self._operation.begin(candidate.provider, candidate.model)
        except TurnoutError as error:
            # It cannot be put into this dialect, and nothing was sent: another candidate may take it.
            self._errors.append(error)
            self._tried.add(self._plan.place)
            self._note(
                Skipped(
                    self._at(now), str(candidate), str(error) if not isinstance(error, ProviderError) else error.message
                )
            )
            self._plan.move_on()
            self._give_place_back()
            return None
        self._plan.began()
        self._tried.add(self._plan.place)
        timers = self._policy.timers
        budget = self._plan.time_for_attempt(now)
        if self._operation.streams:
            own = candidate.provider.first_content_timeout(candidate.model.model_id)
            head = min(timers.head, budget)
            first_content = min(own if own is not None else timers.first_content, budget)
        else:
            head = first_content = budget
        number = self._plan.attempts
        attempt = Attempt(
            number,
            candidate,
            exchange,
            self._operation.streams,
            first_content,
            now + first_content,
            timers.idle,
            Read(number, self._total, timers.idle)
            if self._operation.delivers
            else Read(number, self._deadline, timers.idle),
        )
        self._live = self._last = attempt
        self._note(Started(self._at(now), number, str(candidate), tuple(getattr(exchange, "dropped", ()))))
        return Open(number, exchange.request, Timeouts(connect=min(timers.connect, budget), head=head))

    # -- what happened ------------------------------------------------------------------------------------------

    def receive_head(
        self, attempt: int, status: int, headers: Iterable[tuple[str, str]], now: float
    ) -> tuple[Event, ...]:
        live = self._attempt(attempt, "receive_head")
        if live.phase is not Phase.SENT:
            raise LocalProtocolError(f"receive_head came twice for attempt {attempt}")
        live.exchange.receive_head(status, headers)
        live.phase = Phase.HEAD
        self._note(Head(self._at(now), attempt, status))
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
            self._close(live)
            return ()
        events = live.exchange.receive_end()
        if live.exchange.failure is not None:
            return self._fail(live, live.exchange.failure, events, now)
        if events and not live.flowing:
            self._flow(live, now)
        delivered = self._complete(live, events, now)
        if self._live is live:
            self._close(live)
        return delivered

    def receive_failure(self, attempt: int, error: TurnoutError, now: float) -> tuple[Event, ...]:
        """The transport failed."""
        live = self._attempt(attempt, "receive_failure")
        if live.whole:
            self._close(live)  # the answer is whole; how its connection ends is of no interest
            return ()
        if isinstance(error, TimedOut) and error.timer in (Timer.READ, Timer.HEAD, Timer.WRITE):
            return self._expire(live, now)
        return self._fail(live, error, (), now)

    def refuse(self, error: TurnoutError, now: float) -> None:
        """End the call before anything was tried."""
        self._stop(error, now)

    def cancel(self, now: float) -> None:
        """The caller wants no more. What is owed is dropped; then comes a Finish without result and error."""
        if self._queued:
            self._core.withdraw(self)
            self._queued = False
        if self._live is not None:
            self._close(self._live)
        self._give_place_back()
        if self._finish is None:
            self._note(Finished(self._at(now), "cancelled by the caller"))
            self._finish = Finish()

    # -- how an attempt ends ------------------------------------------------------------------------------------

    def _flow(self, live: Attempt, now: float) -> None:
        """The first content of an attempt came: from now on silence is measured between events."""
        live.flowing = True
        live.phase = Phase.BODY
        self._note(Content(self._at(now), live.number))
        if self._operation.delivers:
            self._committed = True
            self._deadline = self._total

    def _complete(self, live: Attempt, events: tuple[Event, ...], now: float) -> tuple[Event, ...]:
        """The exchange has its answer whole."""
        try:
            last = self._operation.accept(live.exchange.result)
        except RemoteProtocolError as error:
            return self._fail(live, error, (), now)
        self._note(Ended(self._at(now), live.number, getattr(live.exchange, "skipped", 0)))
        if last:
            self._note(Answered(self._at(now), str(live.candidate)))
            self._finish = Finish(self._operation.result(self.trace))
        live.whole = True
        live.content_by = now + self._policy.timers.linger
        return events if self._operation.delivers else ()

    def _expire(self, live: Attempt, now: float) -> tuple[Event, ...]:
        """A timer ran out on `live`: say which, by what was being waited for."""
        if now < self._deadline:
            return self._fail(live, live.timed_out(), (), now)
        self._note(failed_entry(self._at(now), live.number, FailureClass.SILENT, live.phase, None))
        partial = live.partial() if live.flowing else None
        seconds = self._deadline - self._started
        awaited = f"while {live.candidate} was answering" if live.flowing else f"while {live.candidate} was asked"
        error = deadline_exceeded(seconds, live.phase, awaited, self._errors)
        candidate = str(live.candidate)
        self._close(live)
        if self._committed:
            self._stop(interrupted(error, partial, candidate), now)
        else:
            error.partial = partial
            self._stop(error, now)
        return ()

    def _fail(self, live: Attempt, error: TurnoutError, events: tuple[Event, ...], now: float) -> tuple[Event, ...]:
        """An attempt failed; `events` came before the fault in the same read."""
        failure = classify(error)
        self._note(failed_entry(self._at(now), live.number, failure, live.phase, error))
        partial = live.partial() if live.flowing or events else None
        kept = interrupted(error, partial, str(live.candidate)) if partial is not None else error
        self._errors.append(kept)
        candidate = str(live.candidate)
        self._close(live)
        if self._committed:
            self._stop(kept, now)
            return events
        # Not committed: what came before the fault is withheld, for another attempt begins from the start.
        retry_after = error.retry_after if isinstance(error, ProviderError) else None
        decision = self._plan.failed(failure, retry_after, now)
        if isinstance(decision, Again):
            self._not_before = now + decision.wait
            self._note(Retrying(self._at(now), candidate, decision.wait, decision.reason))
        elif isinstance(decision, Next):
            self._not_before = -math.inf
            self._note(MovedOn(self._at(now), candidate, decision.reason))
        else:
            self._note(MovedOn(self._at(now), candidate, decision.reason))
            self._stop(self._errors[-1] if decision.final else all_failed(self._errors, len(self._tried)), now)
        return ()

    def _close(self, live: Attempt) -> None:
        self._live = None
        self._drops.append(live.number)
        self._give_place_back()

    def _give_place_back(self) -> None:
        if self._place:
            self._place = False
            self._core.give_place_back()

    # -- how a call ends ----------------------------------------------------------------------------------------

    def _fail_deadline(self, now: float) -> None:
        """The deadline passed with no attempt on."""
        awaited = "while waiting for a place in the router" if self._queued else "before another attempt could begin"
        if self._queued:
            self._core.withdraw(self)
            self._queued = False
        seconds = self._deadline - self._started
        self._stop(deadline_exceeded(seconds, Phase.NOT_SENT, awaited, self._errors), now)

    def _stop(self, error: TurnoutError, now: float) -> None:
        self._give_place_back()
        self._note(Finished(self._at(now), type(error).__name__))
        self._operation.keep(error)
        error.trace = self.trace
        if error.partial is not None:
            error.partial = attrs.evolve(error.partial, trace=self.trace)
        self._finish = Finish(error=error)

    # -- small things -------------------------------------------------------------------------------------------

    def _attempt(self, number: int, called: str) -> Attempt:
        live = self._live
        if live is None or live.number != number:
            raise LocalProtocolError(f"{called} came for attempt {number}, which is not on")
        return live

    def _at(self, now: float) -> float:
        return round(now - self._started, 6)

    def _note(self, entry: Any) -> None:
        self.trace.entries.append(entry)
