"""One attempt: a candidate, its exchange on the wire, and its timers."""

from __future__ import annotations

import math
from typing import Any

import attrs

from turnout.chat import ChatResponse
from turnout.errors import LocalProtocolError, Phase, TimedOut, Timer
from turnout.http import TransportTimeouts
from turnout.providers.protocol import Exchange
from turnout.routing.call.operations import Operation
from turnout.routing.commands import Open, Read
from turnout.routing.policy.settings import Hedge, Policy
from turnout.routing.state.candidate import Candidate
from turnout.routing.state.candidate_state import Lease
from turnout.routing.state.scheduler import Admitted

__all__ = ["Attempt"]


@attrs.define(eq=False)
class Attempt:
    """One exchange on the wire.

    place       of its candidate among those of the call
    lease       what it holds of the candidate until it is dropped
    streams     whether its answer comes as a stream
    allowed     seconds until its first content, or until the whole of a unary answer
    content_by  the time at which those are over
    idle_left   seconds of silence that it still has, once content flows
    steady      the Read that is asked for again and again while content flows
    flowing     whether content has come
    hurried     whether the call leaves it less time than its own timers do, and less than its candidate takes lately:
                that nothing came in it says nothing against the candidate
    whole       whether the answer is whole; only its HTTP body has still to end
    billed      whether what its answer costs has been counted
    busy        whether an operation on it was begun beside another's, and has no outcome yet
    """

    number: int
    place: int
    candidate: Candidate
    exchange: Exchange[Any]
    lease: Lease
    streams: bool
    allowed: float
    content_by: float
    idle_left: float
    steady: Read
    hurried: bool = False
    phase: Phase = Phase.SENT
    flowing: bool = False
    whole: bool = False
    billed: bool = False
    busy: bool = False
    read_at: float = 0.0
    head_at: float = 0.0

    @classmethod
    def begun(
        cls,
        number: int,
        admitted: Admitted,
        candidate: Candidate,
        exchange: Exchange[Any],
        operation: Operation,
        policy: Policy,
        budget: float,
        until: float,
        now: float,
    ) -> tuple[Attempt, Open]:
        """The attempt, and the command that opens it; all its timers are cut to `budget` seconds."""
        timers, standing = policy.timeouts, candidate.standing
        if operation.streams:
            own = standing.facts.first_content
            usual = own if own is not None else timers.first_token
            head, first_content = min(timers.response_headers, budget), min(usual, budget)
        else:
            usual = math.inf
            head = first_content = budget
        if policy.attempt_timeout is not None:
            usual = min(usual, policy.attempt_timeout)
        takes = standing.latency.first_content.value
        attempt = cls(
            number,
            admitted.choice.index,
            candidate,
            exchange,
            admitted.lease,
            operation.streams,
            first_content,
            now + first_content,
            timers.between_tokens,
            Read(number, until, timers.between_tokens),
            hurried=first_content < usual and takes is not None and takes >= first_content,
        )
        return attempt, Open(
            number, exchange.request, TransportTimeouts(connect=min(timers.connect, budget), response_headers=head)
        )

    def next_read(self, now: float, deadline: float) -> Read | None:
        """The read to do now; None where its time is over. `deadline` is the call's own."""
        self.read_at = now
        if self.whole or not self.flowing:
            if now >= self.content_by:
                return None
            return Read(self.number, self.content_by, self.content_by - now)
        if now >= deadline or self.idle_left <= 0:
            return None
        if self.idle_left == self.steady.idle and self.steady.until == deadline:
            return self.steady  # the usual case, at no cost
        return Read(self.number, deadline, self.idle_left)

    def hedge_at(self, hedge: Hedge | None, now: float) -> float:
        """When another attempt may begin beside this one; inf where that is not known, or never."""
        if hedge is None:
            return math.inf
        after = hedge.delay if hedge.delay is not None else self.candidate.standing.latency.quantile(hedge.quantile)
        return now + after if after is not None else math.inf

    def partial(self) -> ChatResponse | None:
        """What has come of an answer, where this is to become one."""
        try:
            result = self.exchange.result
        except LocalProtocolError:
            return None
        return result if isinstance(result, ChatResponse) else None

    def timed_out(self) -> TimedOut:
        """The error for a timer that ran out: which one, by what was being waited for."""
        if self.flowing:
            timer, told = Timer.BETWEEN_TOKENS, f"nothing came for {self.steady.idle:.3g} s"
        elif self.phase is Phase.SENT:
            timer, told = Timer.RESPONSE_HEADERS, "no head of an answer came in time"
        elif self.streams:
            timer, told = Timer.FIRST_TOKEN, f"no content came within {self.allowed:.3g} s"
        else:
            timer, told = Timer.READ, f"no answer came within {self.allowed:.3g} s"
        return TimedOut(f"{self.candidate}: {told}", timer=timer, phase=self.phase)
