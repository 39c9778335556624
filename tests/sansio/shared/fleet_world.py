"""A fleet in virtual time: processes with leases, a store that runs the model, and what can go wrong between them.

One log of everything that was spent, with one clock, judges whether any window held more than the limit.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Iterable

import attrs

from tests.sansio.shared.window_model import WindowModel
from turnout.shared.leases.timing import WindowTiming
from turnout.shared.leases.window import FailMode, Taken, WindowLease
from turnout.shared.messages import WindowReply, WindowRequest

RECONNECT = 0.2


@attrs.define(eq=False)
class Traffic:
    """What one process wants to spend: `rate` requests a second of `amount` each, at random times."""

    rate: float
    amount: int = 1
    queue: int = 50  # calls that wait at most; more are turned away


@attrs.define(eq=False)
class Process:
    name: str
    traffic: Traffic
    lease: WindowLease
    offset: float  # its clock less the world's
    alive: bool = True
    stopped_until: float = -math.inf
    cut: bool = False
    spent: int = 0
    waiting: deque[tuple[float, int]] = attrs.field(factory=deque)
    waits: list[float] = attrs.field(factory=list)
    requests: int = 0
    connection: int = 0  # replies of an earlier connection are not seen
    armed: float = math.inf


@attrs.define(eq=False)
class World:
    seed: int
    limit: int
    traffic: list[Traffic]
    seconds: float = 60.0
    burst: int | None = None
    fail: FailMode = "local-share"
    latency: float = 0.002
    lose: float = 0.0  # the share of messages whose connection breaks under way
    late: float = 0.0  # seconds for which a request of a broken connection may still be under way
    correction: float = 0.0  # the share of an amount that turns out to be unused, a second later
    now: float = 0.0
    up: bool = True
    clock_step: float = 0.0
    store: WindowModel = attrs.field(factory=WindowModel)
    processes: list[Process] = attrs.field(factory=list)
    log: list[list[float]] = attrs.field(factory=list)  # [time, amount]
    exchanges: list[tuple[int, WindowRequest, WindowReply] | None] = attrs.field(factory=list)  # None: a flush
    _events: list[tuple[float, int, Callable[[], object]]] = attrs.field(factory=list)
    _ticket: itertools.count[int] = attrs.field(factory=itertools.count)
    _rng: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        for index, traffic in enumerate(self.traffic):
            self.join(f"p{index}", traffic)

    # -- what a test says ---------------------------------------------------------------------------------------

    def join(self, name: str, traffic: Traffic) -> Process:
        lease = WindowLease("limit", self.limit, name, seconds=self.seconds, fail=self.fail)
        if self.burst is not None:
            lease.burst = self.burst
        process = Process(name, traffic, lease, offset=self._rng.uniform(-1000, 1000))
        self.processes.append(process)
        if self.up:
            lease.found(self.clock(process))
        else:
            self.at(self.now + RECONNECT, lambda: self._reconnect(process))
        self._arm(process)
        if traffic.rate > 0:
            self.at(self.now + self._rng.expovariate(traffic.rate), lambda: self._arrive(process))
        return process

    def at(self, time: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._events, (time, next(self._ticket), action))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = until

    def kill(self, process: Process) -> None:
        process.alive = False

    def stop(self, process: Process, seconds: float) -> None:
        """As SIGSTOP and, after `seconds`, SIGCONT."""
        process.stopped_until = self.now + seconds
        self.at(process.stopped_until, lambda: self._look(process))

    def flush(self) -> None:
        self.store.flush()
        self.exchanges.append(None)

    def server_down(self, seconds: float, *, flush: bool) -> None:
        self.up = False
        if flush:
            self.flush()
        for process in self.processes:
            self._break(process)

        def back() -> None:
            self.up = True

        self.at(self.now + seconds, back)

    def cut_off(self, process: Process, seconds: float) -> None:
        process.cut = True
        self._break(process)

        def back() -> None:
            process.cut = False

        self.at(self.now + seconds, back)

    # -- judgement ----------------------------------------------------------------------------------------------

    def most(self) -> int:
        """The most that was spent in any window."""
        most = total = 0.0
        inside: deque[tuple[float, float]] = deque()
        for time, amount in sorted((entry[0], entry[1]) for entry in self.log):
            while inside and inside[0][0] <= time - self.seconds + 1e-6:  # clocks are floats
                total -= inside.popleft()[1]
            inside.append((time, amount))
            total += amount
            most = max(most, total)
        return round(most)

    def used(self, start: float, end: float) -> float:
        """The share of the limit that was spent between two times."""
        spent = sum(amount for time, amount in self.log if start <= time < end)
        return spent / (self.limit * (end - start) / self.seconds)

    def requests_per_thousand(self) -> float:
        return 1000 * sum(process.requests for process in self.processes) / max(1, len(self.log))

    # -- inside -------------------------------------------------------------------------------------------------

    def clock(self, process: Process) -> float:
        return self.now + process.offset

    def store_clock(self) -> int:
        return round((self.now + 1_800_000_000 + self.clock_step) * 1000)

    def _runs(self, process: Process) -> bool:
        return process.alive and self.now >= process.stopped_until

    def _arrive(self, process: Process) -> None:
        traffic = process.traffic
        if not process.alive:
            return
        self.at(self.now + self._rng.expovariate(traffic.rate), lambda: self._arrive(process))
        if self._runs(process) and len(process.waiting) < traffic.queue:
            process.waiting.append((self.now, traffic.amount))
            if len(process.waiting) == 1:
                self._serve(process)
            else:
                process.lease.wait(traffic.amount, self.clock(process))

    def _serve(self, process: Process) -> None:
        """Let in those who wait, first come, first served."""
        lease, waiting, now = process.lease, process.waiting, self.clock(process)
        while waiting:
            since, amount = waiting[0]
            wait = lease.wait(amount, now)
            if wait > 0:
                for _, other in itertools.islice(waiting, 1, 20):
                    lease.wait(other, now)
                if not lease.connected and wait < math.inf:
                    self.at(self.now + max(0.001, wait), lambda: self._look(process))
                break
            waiting.popleft()
            taken = lease.take(amount, now)
            entry = [self.now, float(amount)]
            self.log.append(entry)
            process.spent += amount
            process.waits.append(self.now - since)
            if self.correction:
                self._correct_later(process, taken, entry)
        self._arm(process)

    def _correct_later(self, process: Process, taken: Taken, entry: list[float]) -> None:
        less = int(entry[1] * self.correction)

        def correct() -> None:
            if process.alive:
                process.lease.correct(taken, -less)
                entry[1] -= less
                self._look(process)

        self.at(self.now + self._rng.expovariate(1.0), correct)

    def _look(self, process: Process) -> None:
        if self._runs(process):
            self._serve(process)

    def _arm(self, process: Process) -> None:
        due = process.lease.due(self.clock(process)) - process.offset
        if due < math.inf and (due < process.armed or process.armed <= self.now):
            process.armed = max(due, self.now)
            self.at(process.armed, lambda: self._send(process))

    def _send(self, process: Process) -> None:
        if self.now >= process.armed:
            process.armed = math.inf
        if not self._runs(process):
            return
        lease = process.lease
        if lease.due(self.clock(process)) > self.clock(process) + 1e-6:
            self._arm(process)
            return
        request = lease.request(self.clock(process))
        if request is None:
            return
        process.requests += 1
        connection = process.connection
        delay = self._rng.uniform(0.1, 2.0) * self.latency
        if self._rng.random() < self.lose:
            arrives = self._rng.random() < 0.5  # the request or the reply is lost, and the connection with it
            if arrives:
                self.at(self.now + delay + self._rng.uniform(0, self.late), lambda: self._apply(request))
            self.at(self.now + 2 * delay, lambda: self._break(process, connection))
        else:
            self.at(self.now + delay, lambda: self._reach(process, request, connection))

    def _apply(self, request: WindowRequest) -> WindowReply | None:
        if not self.up:
            return None
        reply = self.store.apply(request, self.store_clock())
        self.exchanges.append((self.store_clock(), request, reply))
        return reply

    def _reach(self, process: Process, request: WindowRequest, connection: int) -> None:
        reply = self._apply(request) if not process.cut else None
        if reply is None:
            self._break(process, connection)
            return
        delay = self._rng.uniform(0.1, 2.0) * self.latency
        self.at(self.now + delay, lambda: self._hear(process, reply, connection))

    def _hear(self, process: Process, reply: WindowReply, connection: int) -> None:
        if not process.alive or process.connection != connection:
            return
        if self.now < process.stopped_until:
            self.at(process.stopped_until, lambda: self._hear(process, reply, connection))
            return
        process.lease.receive(reply, self.clock(process))
        self._serve(process)

    def _break(self, process: Process, connection: int | None = None) -> None:
        if not process.alive or (connection is not None and connection != process.connection):
            return
        process.connection += 1
        process.lease.lost(self.clock(process))
        self._look(process)
        self.at(self.now + RECONNECT * self._rng.uniform(0.5, 1.5), lambda: self._reconnect(process))

    def _reconnect(self, process: Process) -> None:
        if not process.alive:
            return
        if not self.up or process.cut or self.now < process.stopped_until:
            self.at(self.now + RECONNECT, lambda: self._reconnect(process))
            return
        process.lease.found(self.clock(process))
        self._serve(process)


def timing(world: World) -> WindowTiming:
    return WindowTiming.of(world.seconds)


def even(count: int, rate: float, amount: int = 1) -> list[Traffic]:
    return [Traffic(rate, amount) for _ in range(count)]


def spread(processes: Iterable[Process]) -> list[int]:
    return [process.spent for process in processes]
