"""A fleet that shares slots or money, in virtual time."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from functools import partial

import attrs

from tests.sansio.shared.balance_model import BalanceModel
from turnout.shared.leases.balance import BalanceLease, Reservation
from turnout.shared.leases.window import FailMode
from turnout.shared.messages import BalanceKind, BalanceReply, BalanceRequest

RECONNECT = 0.2


@attrs.define(eq=False)
class Spender:
    """One process: it begins `rate` calls a second, each of at most `ceiling`, that last `seconds` on average."""

    name: str
    lease: BalanceLease
    rate: float
    ceiling: int
    seconds: float
    offset: float
    alive: bool = True
    stopped_until: float = -math.inf
    connection: int = 0
    waiting: deque[tuple[float, int]] = attrs.field(factory=deque)
    waits: list[float] = attrs.field(factory=list)
    exceeded: int = 0
    begun: int = 0
    requests: int = 0
    armed: float = math.inf


@attrs.define(eq=False)
class BalanceWorld:
    seed: int
    kind: BalanceKind
    bound: int
    count: int = 4
    rate: float = 5.0
    ceiling: int = 1
    seconds: float = 0.5
    share: float = 1.0  # what a call really costs at most, of its ceiling
    fail: FailMode = "local-share"
    lose: float = 0.0
    late: float = 0.0  # seconds for which a request of a broken connection may still be under way
    now: float = 0.0
    up: bool = True
    in_use: int = 0
    most_in_use: int = 0
    spent: int = 0
    spenders: list[Spender] = attrs.field(factory=list)
    store: BalanceModel = attrs.field(factory=BalanceModel)
    exchanges: list[tuple[int, BalanceRequest, BalanceReply] | None] = attrs.field(factory=list)
    _events: list[tuple[float, int, Callable[[], object]]] = attrs.field(factory=list)
    _ticket: itertools.count[int] = attrs.field(factory=itertools.count)
    _rng: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        for index in range(self.count):
            self.join(f"p{index}", self.rate)

    # -- what a test says ---------------------------------------------------------------------------------------

    def join(self, name: str, rate: float) -> Spender:
        period = "2026-11" if self.kind == "money" else ""
        lease = BalanceLease("budget", self.kind, self.bound, name, period=period, fail=self.fail)
        spender = Spender(name, lease, rate, self.ceiling, self.seconds, self._rng.uniform(-500, 500))
        self.spenders.append(spender)
        if self.up:
            lease.found(self.clock(spender))
        else:
            self.at(self.now + RECONNECT, lambda: self._reconnect(spender))
        if rate > 0:
            self.at(self.now + self._rng.expovariate(rate), lambda: self._arrive(spender))
        return spender

    def at(self, time: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._events, (time, next(self._ticket), action))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = until

    def kill(self, spender: Spender) -> None:
        spender.alive = False

    def stop(self, spender: Spender, seconds: float) -> None:
        spender.stopped_until = self.now + seconds
        self.at(spender.stopped_until, lambda: self._serve(spender))

    def flush(self) -> None:
        self.store.flush()
        self.exchanges.append(None)

    def server_down(self, seconds: float, *, flush: bool) -> None:
        self.up = False
        if flush:
            self.flush()
        for spender in self.spenders:
            self._break(spender)

        def back() -> None:
            self.up = True

        self.at(self.now + seconds, back)

    # -- inside -------------------------------------------------------------------------------------------------

    def clock(self, spender: Spender) -> float:
        return self.now + spender.offset

    def store_clock(self) -> int:
        return round((self.now + 1_800_000_000) * 1000)

    def _arrive(self, spender: Spender) -> None:
        if not spender.alive:
            return
        self.at(self.now + self._rng.expovariate(spender.rate), lambda: self._arrive(spender))
        if self.now >= spender.stopped_until and len(spender.waiting) < 10:
            spender.waiting.append((self.now, self._rng.randint(1, spender.ceiling)))
            self._serve(spender)

    def _serve(self, spender: Spender) -> None:
        if not spender.alive or self.now < spender.stopped_until:
            return
        lease, waiting, now = spender.lease, spender.waiting, self.clock(spender)
        while waiting:
            since, amount = waiting[0]
            verdict, _ = lease.check(amount, now)
            if verdict == "wait":
                break
            waiting.popleft()
            if verdict == "exceeded":
                spender.exceeded += 1
                continue
            spender.waits.append(self.now - since)
            self._begin(spender, lease.take(amount, now), amount)
        self._arm(spender)

    def _begin(self, spender: Spender, reservation: Reservation, amount: int) -> None:
        spender.begun += 1
        self.in_use += amount
        self.most_in_use = max(self.most_in_use, self.in_use)
        cost = self._rng.randint(0, math.floor(amount * self.share))

        def end() -> None:
            self.in_use -= amount
            self.spent += cost if self.kind == "money" else 0
            if spender.alive:
                spender.lease.settle(reservation, cost, self.clock(spender))
                self._serve(spender)

        self.at(self.now + self._rng.expovariate(1 / spender.seconds), end)

    def _arm(self, spender: Spender) -> None:
        due = spender.lease.due(self.clock(spender)) - spender.offset
        if due < math.inf and (due < spender.armed or spender.armed <= self.now):
            spender.armed = max(due, self.now)
            self.at(spender.armed, lambda: self._send(spender))

    def _send(self, spender: Spender) -> None:
        if self.now >= spender.armed:
            spender.armed = math.inf
        if not spender.alive or self.now < spender.stopped_until:
            return
        clock = self.clock(spender)
        if spender.lease.due(clock) > clock + 1e-6:
            self._arm(spender)
            return
        request = spender.lease.request(clock)
        if request is None:
            return
        spender.requests += 1
        connection = spender.connection
        delay = self._rng.uniform(0.0005, 0.004)
        if self._rng.random() < self.lose:
            if self._rng.random() < 0.5:
                self.at(self.now + delay + self._rng.uniform(0, self.late), lambda: self._apply(request))
            self.at(self.now + 2 * delay, lambda: self._break(spender, connection))
            return

        def reach() -> None:
            reply = self._apply(request)
            if reply is None:
                self._break(spender, connection)
            else:
                self.at(self.now + delay, lambda: self._hear(spender, reply, connection))

        self.at(self.now + delay, reach)

    def _apply(self, request: BalanceRequest) -> BalanceReply | None:
        if not self.up:
            return None
        before = list(self.store.messages)
        reply = self.store.apply(request, self.store_clock())
        self.exchanges.append((self.store_clock(), request, reply))
        for message in self.store.messages[len(before) :]:
            for other in self.spenders:
                self.at(self.now + 0.001, partial(self._wake, other, message))
        return reply

    def _wake(self, spender: Spender, message: str) -> None:
        if spender.alive and spender.lease.connected and self.now >= spender.stopped_until:
            spender.lease.wake(self.clock(spender), others_wait=message == "wait")
            self._serve(spender)

    def _hear(self, spender: Spender, reply: BalanceReply, connection: int) -> None:
        if not spender.alive or spender.connection != connection:
            return
        if self.now < spender.stopped_until:
            self.at(spender.stopped_until, lambda: self._hear(spender, reply, connection))
            return
        spender.lease.receive(reply, self.clock(spender))
        self._serve(spender)

    def _break(self, spender: Spender, connection: int | None = None) -> None:
        if not spender.alive or (connection is not None and connection != spender.connection):
            return
        spender.connection += 1
        spender.lease.lost(self.clock(spender))
        self._serve(spender)
        self.at(self.now + RECONNECT, lambda: self._reconnect(spender))

    def _reconnect(self, spender: Spender) -> None:
        if not spender.alive:
            return
        if not self.up or self.now < spender.stopped_until:
            self.at(self.now + RECONNECT, lambda: self._reconnect(spender))
            return
        spender.lease.found(self.clock(spender))
        self._serve(spender)
