"""The real router core around a scripted network and a virtual clock: no socket, no waiting, any number of calls.

    world = Simulation(core, network)
    world.call(operation, at=0.0)
    world.run()
    world.outcomes        the result of each call, in the order of their start

`network(request, now)` gives the `Script` of each exchange. Time moves from one thing that happens to the next, so an
hour of faults takes no longer than the work in it. The same core, seed and scripts give the same run.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import attrs

from turnout.errors import (
    ConnectFailed,
    Disconnected,
    Phase,
    TimedOut,
    Timer,
    TurnoutError,
)
from turnout.events import Event
from turnout.http import HttpRequest, TransportTimeouts
from turnout.routing.call.machine import Call
from turnout.routing.call.operations import Operation
from turnout.routing.call.options import CallOptions
from turnout.routing.commands import Close, Command, Finish, Open, Read, Sleep, WaitForAny
from turnout.routing.router import RouterCore

__all__ = ["Outcome", "Script", "Simulation"]


@attrs.frozen(kw_only=True)
class Script:
    """How the network answers one request. Delays are in seconds, each counted from what went before it.

    connect  to a connection; `refused` makes it fail then, and inf hangs
    head     from sending to the head; `reset` closes the connection then, without a head
    reused   the connection served an earlier request, unless the request asks for a new one
    body     pieces of the body with the delay before each
    end      after the last piece: the body ends as it should, is cut, or stays silent for ever
    """

    connect: float = 0.0
    refused: bool = False
    head: float = 0.0
    reset: Literal["no", "fresh", "reused"] = "no"
    reused: bool = False
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: tuple[tuple[float, bytes], ...] = ()
    end: Literal["end", "cut", "silent"] = "end"
    end_delay: float = 0.0


@attrs.define(eq=False)
class Outcome:
    """The result of one call.

    began, ended  virtual times; `ended` is inf while it runs
    events        what reached the caller, with the time of each
    """

    call: Call
    began: float
    ended: float = math.inf
    finish: Finish | None = None
    events: list[tuple[float, Event]] = attrs.field(factory=list)

    @property
    def error(self) -> TurnoutError | None:
        return self.finish.error if self.finish is not None else None

    @property
    def result(self) -> Any:
        return self.finish.result if self.finish is not None else None


@attrs.define(eq=False)
class _Connection:
    """One exchange on the scripted network: when its next thing happens."""

    script: Script
    ready: float  # the time from which the delay of the next piece counts
    place: int = 0

    def next_bytes(self) -> tuple[float, bytes | None]:
        """(when, what): some bytes, b"" for the end, None for a cut. `when` is inf if no more bytes arrive."""
        if self.place < len(self.script.body):
            delay, piece = self.script.body[self.place]
            return self.ready + delay, piece
        if self.script.end == "silent":
            return math.inf, None
        return self.ready + self.script.end_delay, b"" if self.script.end == "end" else None


@attrs.define(eq=False)
class Simulation:
    """Drives calls of one core through virtual time.

    network  gives the script of each exchange
    observe  is shown every command before it is done: (call, command, now)
    finished is called with each outcome, which is not kept then: for more calls than the memory can hold
    concurrent  whether two attempts of one call can be on at once, as with a driver of tasks
    """

    core: RouterCore
    network: Callable[[HttpRequest, float], Script]
    observe: Callable[[Call, Command, float], None] | None = None
    finished: Callable[[Outcome], None] | None = None
    concurrent: bool = False
    now: float = 0.0
    outcomes: list[Outcome] = attrs.field(factory=list, init=False)
    _agenda: list[tuple[float, int, Callable[[], None]]] = attrs.field(factory=list, init=False)
    _order: itertools.count[int] = attrs.field(factory=itertools.count, init=False)
    _outcome_of: dict[Call, Outcome] = attrs.field(factory=dict, init=False)
    _asleep: dict[Call, object] = attrs.field(factory=dict, init=False)
    _due: set[Call] = attrs.field(factory=set, init=False)  # with results, but not yet asked for their next command
    _on: dict[tuple[Call, int], _Connection | None] = attrs.field(factory=dict, init=False)

    def call(
        self,
        operation: Operation,
        *,
        at: float = 0.0,
        cancel_at: float | None = None,
        wall: float | None = None,
        **options: Any,
    ) -> None:
        """Plan a call that starts at `at`, and that is cancelled at `cancel_at` if it still runs then.

        Args:
            wall: Seconds since 1970 at its start.
            **options: The fields of `CallOptions`.
        """

        def begin() -> None:
            call = self.core.start(operation, self.now, wall, CallOptions(**options), concurrent=self.concurrent)
            outcome = Outcome(call, self.now)
            if self.finished is None:
                self.outcomes.append(outcome)
            self._outcome_of[call] = outcome
            if cancel_at is not None:
                self.at(max(cancel_at, self.now), lambda: self._cancel(outcome))
            self._advance(outcome)

        self.at(at, begin)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Plan something else to happen."""
        heapq.heappush(self._agenda, (when, next(self._order), action))

    def run(self, until: float = math.inf) -> None:
        """Let time pass until nothing is left to happen, or until `until`."""
        while self._agenda and self._agenda[0][0] <= until:
            when, _, action = heapq.heappop(self._agenda)
            if when > self.now:
                self.now = when
            action()
            if self.core.scheduler.ready:
                self.wake_ready()

    # -- the driver ---------------------------------------------------------------------------------------------

    def wake_ready(self) -> None:
        """Continue the calls that the scheduler admitted while they slept."""
        while ready := self.core.take_ready():
            for call in ready:
                if self._asleep.pop(call, None) is not None:
                    self._advance(self._outcome_of[call])

    def _cancel(self, outcome: Outcome) -> None:
        if outcome.finish is None:
            self._asleep.pop(outcome.call, None)
            outcome.call.cancel(self.now)
            self._advance(outcome)

    def _later(self, outcome: Outcome, attempt: int, when: float, report: Callable[..., Any], *told: Any) -> None:
        """At `when`, report a result of an attempt to the call, unless the attempt has ended by then."""
        self.at(when, partial(self._happen, outcome, attempt, report, told))

    def _happen(self, outcome: Outcome, attempt: int, report: Callable[..., Any], told: tuple[Any, ...]) -> None:
        call = outcome.call
        if (call, attempt) not in self._on or not call.is_running(attempt):
            return
        if self._asleep:
            self._asleep.pop(call, None)
        events = report(attempt, *told, self.now)
        if events:
            outcome.events += [(self.now, event) for event in events]
        if not call.hedging:
            self._advance(outcome)
        elif call not in self._due:
            # Two tasks may both report before the call goes on: first comes what happens at the same time.
            self._due.add(call)
            self.at(self.now, partial(self._continue, outcome))

    def _continue(self, outcome: Outcome) -> None:
        if outcome.call in self._due:
            self._advance(outcome)

    def _advance(self, outcome: Outcome) -> None:
        """Perform the commands of the call until one of them takes time."""
        call = outcome.call
        self._due.discard(call)
        while True:
            command = call.next_command(self.now)
            if self.observe is not None:
                self.observe(call, command, self.now)
            match command:
                case Open(attempt, request, timeouts):
                    self._on[call, attempt] = None
                    self._open(outcome, attempt, request, timeouts)
                    if not call.hedging:
                        return
                case Read(attempt, until, idle):
                    self._read(outcome, attempt, min(until, self.now + idle))
                    if not call.hedging:
                        return
                case Sleep(until) | WaitForAny(until):
                    self._sleep(outcome, until)
                    return
                case Close(attempt):
                    self._on.pop((call, attempt), None)
                case Finish():
                    outcome.finish = command
                    outcome.ended = self.now
                    del self._outcome_of[call]
                    if self.finished is not None:
                        self.finished(outcome)
                    return

    def _open(self, outcome: Outcome, attempt: int, request: HttpRequest, timeouts: TransportTimeouts) -> None:
        call = outcome.call
        script = self.network(request, self.now)
        connect_limit = timeouts.connect if timeouts.connect is not None else math.inf
        head_limit = timeouts.response_headers if timeouts.response_headers is not None else math.inf
        if script.connect > min(connect_limit, head_limit):
            error: TurnoutError = TimedOut("connect", timer=Timer.CONNECT, phase=Phase.NOT_SENT)
            when = min(connect_limit, head_limit)
        elif script.refused:
            error, when = ConnectFailed("refused", reason="refused"), script.connect
        elif script.connect + script.head > head_limit:
            is_reused = script.reused and not request.new_connection
            error, when = TimedOut("head", timer=Timer.RESPONSE_HEADERS, reused=is_reused), head_limit
        elif script.reset != "no":
            error = Disconnected("reset", reused=script.reset == "reused")
            when = script.connect + script.head
        else:
            when = self.now + script.connect + script.head
            self._on[call, attempt] = _Connection(script, when)
            self._later(outcome, attempt, when, call.receive_head, script.status, script.headers)
            return
        self._later(outcome, attempt, self.now + when, call.receive_failure, error)

    def _read(self, outcome: Outcome, attempt: int, limit: float) -> None:
        call = outcome.call
        connection = self._on[call, attempt]
        assert connection is not None
        when, data = connection.next_bytes()
        if when > limit:
            late = TimedOut("read", timer=Timer.READ, phase=Phase.BODY)
            self._later(outcome, attempt, limit, call.receive_failure, late)
            return
        connection.place += 1
        connection.ready = max(when, connection.ready)
        if data is None:
            cut = Disconnected("cut", phase=Phase.BODY)
            self._later(outcome, attempt, when, call.receive_failure, cut)
        elif data:
            self._later(outcome, attempt, when, call.receive_data, data)
        else:
            self._later(outcome, attempt, when, call.receive_end)

    def _sleep(self, outcome: Outcome, until: float) -> None:
        token = object()
        self._asleep[outcome.call] = token

        def wake() -> None:
            # Another Sleep of the same call, or a wake by the core, has made this one void.
            if self._asleep.get(outcome.call) is token:
                del self._asleep[outcome.call]
                self._advance(outcome)

        if until < math.inf:
            self.at(until, wake)
