"""One attempt: a candidate, its exchange on the wire, and its timers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import attrs

from turnout._utils.transitions import refuse_transition
from turnout.chat import ChatResponse, Usage
from turnout.errors import LocalProtocolError, RemoteProtocolError, TimedOut, Timer, TurnoutError
from turnout.events import Event
from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers.protocol import Exchange
from turnout.routing.call.operations.base import Operation
from turnout.routing.call.states import ATTEMPT_TRANSITIONS, AttemptState
from turnout.routing.commands import Open, Read
from turnout.routing.policy.settings import Hedge, Policy
from turnout.routing.state.candidate import Candidate
from turnout.routing.state.lease import Lease
from turnout.routing.state.waiter import Admitted
from turnout.trace.text import duration

__all__ = ["Attempt", "start_exchange"]

RAISE_UNEXPECTED = False
"""For tests: errors of an exchange that are no `TurnoutError` pass through. Else the attempt fails with them."""


_FAULT = "this is a fault of Turnout, or of a dialect of your own, so please report it"


def start_exchange(operation: Operation, candidate: Candidate) -> tuple[Exchange[Any], HttpRequest]:
    """Return the exchange of an attempt, and its request.

    Raises:
        TurnoutError: If the dialect cannot express the request, or fails to.
    """
    try:
        exchange = operation.start_exchange(candidate.provider, candidate.model)
        return exchange, exchange.request
    except TurnoutError:
        raise
    except Exception as error:
        if RAISE_UNEXPECTED:
            raise
        raise LocalProtocolError(
            f"{candidate}: the request cannot be made: {type(error).__name__}; {_FAULT}"
        ) from error


@attrs.define(eq=False)
class Attempt:
    """One exchange on the wire.

    Attributes:
        number: Counted from 1 in its call.
        index: Of its candidate among those of the call.
        lease: Its slots and its shares of the rate limits, which it holds until it is closed.
        streams: True if its response arrives as a stream.
        time_to_first_content: Seconds that it has until its first content, or until its whole response.
        first_content_deadline: The time at which they end.
        idle_left: Seconds of silence that it may still have once content arrives.
        connect_timeout: Seconds that the connection may take.
        head_timeout: Seconds that it and the head of the response may take together.
        state: See `AttemptState`.
        is_cut: True if the call leaves it less time than its own timers do.
        usage: What it used, or probably used, once it has ended and its cost is counted.
        operation_pending: True if an operation on it was started beside that of another attempt, and has no result yet.
        error_until: Until when the body of an error is read; None for another response.
        drain_until: Until when it is read although any end of it would be a good one; None before that.
        read_at: When its newest read started.
        head_at: When its head arrived.
        read_late: True if it was read after its time had passed, and no content has arrived since.
    """

    number: int
    index: int
    candidate: Candidate
    exchange: Exchange[Any]
    lease: Lease
    streams: bool
    time_to_first_content: float
    first_content_deadline: float
    idle_left: float
    _streaming_read: Read  # the read that is repeated while content arrives
    connect_timeout: float
    head_timeout: float
    is_cut: bool = False
    state: AttemptState = attrs.field(default=AttemptState.OPENING, init=False)
    usage: Usage | None = attrs.field(default=None, init=False)
    operation_pending: bool = attrs.field(default=False, init=False)
    error_until: float | None = attrs.field(default=None, init=False)
    drain_until: float | None = attrs.field(default=None, init=False)
    read_at: float = attrs.field(default=0.0, init=False)
    head_at: float = attrs.field(default=0.0, init=False)
    read_late: bool = attrs.field(default=False, init=False)
    _broken: RemoteProtocolError | None = attrs.field(default=None, init=False)

    @classmethod
    def start(
        cls,
        number: int,
        admitted: Admitted,
        candidate: Candidate,
        exchange: Exchange[Any],
        request: HttpRequest,
        operation: Operation,
        policy: Policy,
        budget: float,
        until: float,
        now: float,
        *,
        new_connection: bool = False,
    ) -> tuple[Attempt, Open]:
        """Return the attempt, and the command that opens it.

        Args:
            number: Counted from 1 in its call.
            admitted: The place and the lease that the scheduler granted.
            candidate: Its candidate.
            exchange: The exchange that its dialect started.
            request: The request to send for it.
            operation: The operation of the call.
            policy: The policy of the candidate.
            budget: Seconds. All its timers are cut to it.
            until: The deadline of a response that has begun.
            now: Monotonic seconds.
            new_connection: True if the kept-alive connections to the provider may be dead.
        """
        timeouts = policy.timeouts
        if operation.streams:
            own = candidate.state.profile.first_content
            usual = own if own is not None else timeouts.first_token
            head, first_content = min(timeouts.response_headers, budget), min(usual, budget)
        else:
            usual = math.inf
            head = first_content = budget
        # A collected response has delivered nothing, so its silence must leave the others their share.
        between = timeouts.between_tokens if operation.streams_to_caller else min(timeouts.between_tokens, budget)
        if policy.attempt_timeout is not None:
            usual = min(usual, policy.attempt_timeout)
        attempt = cls(
            number,
            admitted.index,
            candidate,
            exchange,
            admitted.lease,
            operation.streams,
            first_content,
            now + first_content,
            between,
            Read(number, until, between),
            min(timeouts.connect, budget),
            head,
            is_cut=first_content < usual,
        )
        attempt.read_at = now
        request = attrs.evolve(request, new_connection=True) if new_connection else request
        return attempt, Open(number, request, TransportTimeouts(connect=attempt.connect_timeout, response_headers=head))

    def move(self, to: AttemptState) -> None:
        """Change the state, if the table of transitions allows it."""
        if to not in ATTEMPT_TRANSITIONS[self.state]:
            refuse_transition(f"attempt {self.number}", self.state, to)
        self.state = to

    @property
    def deadline_bound(self) -> bool:
        """True if the call leaves it less time than its own timers do, and too little to judge its candidate.

        Silence for that time does not count against the candidate's health.
        """
        seconds = self.time_to_first_content
        return self.is_cut and not self.candidate.state.is_patient_enough(seconds, streams=self.streams)

    @property
    def has_content(self) -> bool:
        """True if content has arrived."""
        return self.state is AttemptState.STREAMING or self.state is AttemptState.DRAINING

    @property
    def between_tokens(self) -> float:
        """Seconds that may pass between two events."""
        return self._streaming_read.idle

    def next_read(self, now: float, deadline: float) -> Read | None:
        """Return the next read, or None if its time has passed. `deadline` is the deadline of the call."""
        self.read_at = now
        if self.drain_until is not None:
            until = min(self.drain_until, deadline)
            return Read(self.number, until, max(0.0, until - now))  # its timeout ends the response
        if self.state is AttemptState.STREAMING:
            if now >= deadline:
                return None
            if self.idle_left <= 0:
                return self._late_read(now)
            read = self._streaming_read
            if self.idle_left == read.idle and read.until == deadline:
                return read  # the usual case, at no cost
            return Read(self.number, deadline, self.idle_left)
        if self.error_until is not None:
            until = min(self.error_until, deadline)
            return Read(self.number, until, until - now) if now < until else None
        if now >= self.first_content_deadline:
            return self._late_read(now)
        return Read(self.number, self.first_content_deadline, self.first_content_deadline - now)

    def _late_read(self, now: float) -> Read | None:
        """Return a last read of what has arrived already: a process that stood still may have missed it."""
        if self.read_late:
            return None
        self.read_late = True
        return Read(self.number, now, 0.0)

    def hedge_at(self, hedge: Hedge | None, now: float) -> float:
        """Return when a second attempt may start beside this one; infinity if that is not known, or never."""
        if hedge is None:
            return math.inf
        delay = (
            hedge.delay
            if hedge.delay is not None
            else self.candidate.state.latency.quantile(hedge.quantile, streams=self.streams)
        )
        return now + delay if delay is not None else math.inf

    # -- the exchange -----------------------------------------------------------------------------------------------

    @property
    def failure(self) -> TurnoutError | None:
        """The error of this attempt so far; None if there is none."""
        return self._broken or self.exchange.failure

    def receive_head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Give the exchange the head of its response."""
        try:
            self.exchange.receive_head(status, headers)
        except Exception as error:
            self.unexpected(error)

    def receive_end(self) -> tuple[Event, ...]:
        """Give the exchange the end of its response."""
        try:
            return self.exchange.receive_end()
        except Exception as error:
            self.unexpected(error)
            return ()

    def result(self) -> Any:
        """Return the result of the exchange.

        Raises:
            RemoteProtocolError: If it cannot be made of what arrived.
        """
        try:
            result = self.exchange.result
        except RemoteProtocolError:
            raise
        except Exception as error:
            raise self.unexpected(error) from error
        if result is None:
            raise self.unexpected(TypeError("the result of a complete exchange is None"))
        return result

    def unexpected(self, error: Exception) -> RemoteProtocolError:
        """Return the failure for an error that the exchange should not have raised: no response may end the call.

        Raises:
            LocalProtocolError: If it is one, because that blames the caller of the exchange.
        """
        if isinstance(error, LocalProtocolError) or RAISE_UNEXPECTED:
            raise error
        self._broken = RemoteProtocolError(
            f"{self.candidate}: the response cannot be read: {type(error).__name__}; {_FAULT}"
        )
        self._broken.__cause__ = error
        return self._broken

    def partial(self) -> ChatResponse | None:
        """Return the chat response as far as it arrived; None if there is none."""
        try:
            result = self.exchange.result
        except Exception as error:
            if RAISE_UNEXPECTED and not isinstance(error, LocalProtocolError):
                raise
            return None
        return result if isinstance(result, ChatResponse) else None

    def timed_out(self, reported: TimedOut | None = None) -> TimedOut:
        """Return the error for the timer that ran out. The state determines which one that is.

        Args:
            reported: The error of the transport, if it noticed first.
        """
        opening = self.state is AttemptState.OPENING
        timer, seconds, missing = self._expired(reported)
        return TimedOut(
            f"{self.candidate}: {missing} within {duration(seconds)}",
            timer=timer,
            seconds=seconds,
            reused=opening and reported is not None and reported.reused,
            phase=reported.phase if opening and reported is not None else self.state.phase,
        )

    def _expired(self, reported: TimedOut | None) -> tuple[Timer, float, str]:
        """Return the timer that ran out, its seconds, and the name of what did not arrive."""
        if self.has_content:
            return Timer.BETWEEN_TOKENS, self.between_tokens, "no event"
        if self.state is AttemptState.OPENING:
            if reported is not None and reported.timer is Timer.WRITE:
                return Timer.WRITE, self.head_timeout, "the request was not accepted"
            return Timer.RESPONSE_HEADERS, self.head_timeout, "no head of a response"
        if self.streams:
            return Timer.FIRST_TOKEN, self.time_to_first_content, "no content"
        return Timer.READ, self.time_to_first_content, "no response"
