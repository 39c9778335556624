"""The part of one process in a fixed amount of the fleet: slots of a concurrency limit, or the money of a budget.

The process keeps a block for itself (`held`), so a call that fits into it sends nothing. A request states totals, never
differences: the amount spent in all, and the amount held. So a request may be lost or applied twice, and the store may
lose its state, and the next request of each process mends it.

A process that sends nothing for long is presumed dead: its slots are free, and its money counts as spent (*folded*). If
it was only stopped, it begins again under another identifier, and the calls that it had in flight settle to nothing.

A process that shares nothing has the whole amount as its block from the beginning (`alone`), and sends nothing.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import attrs

from turnout.shared.bell import Bell
from turnout.shared.leases.demand import Demand
from turnout.shared.leases.timing import BALANCE_BEAT, BALANCE_HEARTBEAT, BALANCE_PAUSE
from turnout.shared.leases.window import SLOW_STORE, FailMode
from turnout.shared.messages import BalanceKind, BalanceReply, BalanceRequest

__all__ = ["BalanceLease", "Reservation", "Verdict"]

BEAT: Final = BALANCE_BEAT / 1000
HEARTBEAT: Final = BALANCE_HEARTBEAT / 1000
IDLE_AFTER: Final = 10 * HEARTBEAT
"""Seconds without use after which a process gives back all that it holds."""

SOON: Final = 0.02
"""Seconds between two requests that give something back because somebody waits for it."""

Verdict = Literal["fits", "wait", "exceeded"]


@attrs.define(eq=False)
class Reservation:
    """The part of a block that one call has taken. `generation` shows if the store still counts it separately."""

    amount: int
    generation: int


@attrs.define(eq=False)
class BalanceLease:
    """The part of one process in slots or money.

    Attributes:
        name: The limit or the budget, as the store knows it.
        kind: "slots" or "money".
        bound: The whole amount.
        process: The identifier of this process.
        period: The period of a budget.
        lasts: Seconds after which the store may forget the key; 0 for never.
        alone: True if no other process uses the amount: then all of it is held from the beginning.
        fail: What holds for slots while the store is out of reach. Money is always closed: only the block is spent.
        bell: Rung when a request may be due earlier than `due` returned.
        spent: The amount that this process has spent, since it was last presumed dead.
        held: The amount that it keeps for itself, used or not.
        used: What calls in flight have taken of that.
    """

    name: str
    kind: BalanceKind
    bound: int
    process: str
    period: str = attrs.field(kw_only=True, default="")
    lasts: float = attrs.field(kw_only=True, default=0.0)
    alone: bool = attrs.field(kw_only=True, default=False)
    fail: FailMode = attrs.field(kw_only=True, default="local-share")
    processes: int | None = attrs.field(kw_only=True, default=None)
    bell: Bell = attrs.field(kw_only=True, factory=Bell)
    connected: bool = attrs.field(default=False, init=False)
    spent: int = attrs.field(default=0, init=False)
    held: int = attrs.field(default=0, init=False)
    used: int = attrs.field(default=0, init=False)
    free: int = attrs.field(default=0, init=False)
    floor: int = attrs.field(default=0, init=False)
    elsewhere: int = attrs.field(default=0, init=False)
    generation: int = attrs.field(default=0, init=False)
    _sequence: int = attrs.field(default=0, init=False)
    _epoch: str = attrs.field(default="", init=False)
    _sent: BalanceRequest | None = attrs.field(default=None, init=False)
    _debt: int = attrs.field(default=0, init=False)  # spent beyond what was held: idle money pays it
    _need: int = attrs.field(default=0, init=False)
    _backlog: int = attrs.field(default=0, init=False)
    _refusals: int = attrs.field(default=0, init=False)
    _woken: bool = attrs.field(default=False, init=False)
    _others_wait: bool = attrs.field(default=False, init=False)
    _not_before: float = attrs.field(default=-math.inf, init=False)
    _last_sent: float = attrs.field(default=-math.inf, init=False)
    _lost: bool = attrs.field(default=False, init=False)
    _last_reply: float = attrs.field(default=-math.inf, init=False)
    _extra_from: float = attrs.field(default=math.inf, init=False)
    _last_used: float = attrs.field(default=-math.inf, init=False)
    _stated: tuple[int, int] = attrs.field(default=(0, 0), init=False)
    _extra: int = attrs.field(default=0, init=False)  # slots allowed beyond `held` while the store is out of reach
    _peak: int = attrs.field(default=0, init=False)  # the most that was in use at once lately
    _peak_before: int = attrs.field(default=0, init=False)
    _peak_since: float = attrs.field(default=-math.inf, init=False)
    _demand: Demand = attrs.field(factory=lambda: Demand(BEAT), init=False)

    def __attrs_post_init__(self) -> None:
        if self.alone:
            self.held = self.bound

    # -- calls --------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """True if nothing is in use, held or spent, as far as this process and the store know."""
        return not (self.used or self.held or self.spent or self._sent) and self._stated == (0, 0)

    @property
    def room(self) -> int:
        """The amount that is held and not in use."""
        return max(0, self.held - self.used)

    def _room(self, now: float) -> int:
        allowed = self.held
        if not self.connected and self.fail == "local-share" and now >= self._extra_from:
            allowed += self._extra
        return max(0, allowed - self.used)

    @property
    def _fair(self) -> int:
        """What each process may have while others wait."""
        return self.bound // max(1, self.processes or 1)

    def check(self, amount: int, now: float) -> tuple[Verdict, float]:
        """Return whether `amount` may be taken now, and else after how many seconds it is worth looking again.

        A wait of infinity ends with an event. "exceeded" is for money that is spent: no wait can help.
        """
        room = self._room(now)
        if amount <= room:
            return "fits", 0.0
        if self.kind == "money" and amount > self.bound:
            return "exceeded", 0.0
        if self.alone:
            # What calls in flight have reserved may come back.
            return ("wait", math.inf) if amount <= self.bound - self.spent else ("exceeded", 0.0)
        if not self.connected:
            return "wait", self._extra_from - now if now < self._extra_from else math.inf
        if not self._need:
            self._need = min(amount, self.bound) - room
            self.bell.rung = True
        self._backlog += amount
        if self.kind == "money" and self._refusals and self.used + self.free < self._need:
            # Others may give back what they do not use, but they had time for it, or it is too little.
            if_returned = self.used + self.free + self.elsewhere
            if self._refusals > 1 or if_returned < self._need:
                return "exceeded", 0.0
        return "wait", max(0.0, self._not_before - now) + SLOW_STORE

    def take(self, amount: int, now: float) -> Reservation:
        """Take `amount`, which `check` found to fit."""
        self.used += amount
        self._last_used = now
        self._demand.add(amount, now)
        if self.room < self._low_water(now):
            self.bell.rung = True
        self._note_peak(now)
        return Reservation(amount, self.generation)

    def allowed(self, now: float) -> int:
        """Return how much calls can use at once without a request."""
        return self.used + self._room(now)

    def settle(self, reservation: Reservation, spent: int, now: float) -> None:
        """Give a reservation back; `spent` of it is gone for good. To do it again does nothing."""
        amount, reservation.amount = reservation.amount, 0
        if not amount or reservation.generation != self.generation:
            return  # the store counts all of it as spent already
        self._note_peak(now)
        self.used -= amount
        self._last_used = now
        if self.kind == "money":
            self.spend(spent)
        self._make_way(now)

    def spend(self, amount: int) -> None:
        """Count money as spent that was not reserved here, or is not any more."""
        self.spent += amount
        self._debt += amount
        self._pay()

    def set_bound(self, bound: int) -> None:
        """Change the whole amount."""
        more, self.bound = bound - self.bound, bound
        if self.alone:
            self.held += max(0, more)
            self._debt += max(0, -more)
            self._pay()

    # -- towards the store --------------------------------------------------------------------------------------

    def due(self, now: float) -> float:
        """Return the time of the next request; infinity if nothing is to be sent."""
        if not self.connected or self._sent is not None:
            return math.inf
        soon = self._not_before if self._need else math.inf
        if self._others_wait and self._stated != (self.spent, self.held):
            return min(soon, self._last_sent + SOON)
        if self._need:
            return soon
        if self.held or self._stated != (0, 0) or self.spent:
            soon = self._last_sent + HEARTBEAT
        if self._demand.known and now - self._last_used < IDLE_AFTER and self._room(now) < self._low_water(now):
            soon = min(soon, self._last_sent + BEAT / 2)
        return max(soon, self._not_before)

    def request(self, now: float, *, leaving: bool = False) -> BalanceRequest | None:
        """Return the request to send now. None if the previous one has no reply yet."""
        if self._sent is not None:
            return None
        idle = not self.used and not self._need and now - self._last_used >= IDLE_AFTER
        target = 0 if idle else self._target(now)
        # The part that is not needed goes back with this request.
        if leaving or idle or self.kind == "slots":
            self.held = max(self.used, min(self.held, target))
        leaving = (leaving or idle) and not self.used
        self._sequence += 1
        want = 0 if leaving else max(0, target - self.held) + self._backlog
        self._sent = BalanceRequest(
            name=self.name,
            period=self.period,
            kind=self.kind,
            bound=self.bound,
            process=f"{self.process}.{self.generation}",
            sequence=self._sequence,
            spent=self.spent,
            held=self.held,
            need=0 if leaving else self._need,
            want=max(want, 0 if leaving else self._need),
            floor=self.floor,
            epoch=self._epoch,
            leaving=leaving,
            lasts=max(0, round(self.lasts * 1000)),
        )
        self._stated = (self.spent, self.held)
        self._last_sent = now
        return self._sent

    def receive(self, reply: BalanceReply, now: float) -> None:
        """Take the reply to the request that was sent last. Calls that wait can then be looked at again."""
        sent, self._sent = self._sent, None
        if sent is None:
            return
        self._last_reply = now
        self._epoch = reply.epoch
        self.floor = max(self.floor, reply.base)
        self.processes = reply.processes
        needed, self._need, self._backlog = self._need, 0, 0
        if reply.folded or sent.leaving:
            self._begin_again(settled=sent.spent if sent.leaving else None)
            self._not_before = now
            return
        self.free, self.elsewhere = reply.free, reply.elsewhere
        self._others_wait = reply.waiting > 0
        self._make_way(now)
        self.held += reply.granted
        self._pay()
        self._not_before = now if self._woken else now + reply.again / 1000
        self._woken = False
        if needed and sent.need and not reply.granted and not reply.gathering:
            self._refusals += 1
        elif reply.granted:
            self._refusals = 0

    def wake(self, now: float, *, others_wait: bool = False) -> None:
        """Note a message of the store: something is free, or another process waits for an idle part of this one."""
        if others_wait:
            self._others_wait = True
            self._make_way(now)
        else:
            self._woken = self._sent is not None  # the reply under way does not know of it
            self._not_before = min(self._not_before, now)

    def lost(self, now: float) -> None:
        """Note that the store is out of reach."""
        if not self.connected and self._lost:
            return
        self.connected, self._lost = False, True
        self._sent = None  # totals need no second sending of the same request
        self._need = self._backlog = 0
        self._extra = 0
        # The store may have served others until now. If it returns sooner, it can grant the same part at once.
        pause = BALANCE_PAUSE / 1000 if self._last_reply > -math.inf else 0.0
        self._extra_from = now + pause if self.kind == "slots" else math.inf
        if self._last_sent > -math.inf:
            self._extra = self.free // max(1, self.processes or 1)
        elif self.processes:
            self._extra = self.bound // self.processes

    def found(self, now: float) -> None:
        """Note that the store can be reached again, or for the first time."""
        self.connected, self._lost = True, False
        self._not_before = now
        self._last_sent = -math.inf if self.held or self.spent or self.used else self._last_sent

    # -- inside -------------------------------------------------------------------------------------------------

    def _begin_again(self, settled: int | None) -> None:
        """Take another identifier, because the store has closed the account of this one.

        Args:
            settled: The spent amount of the closed account. None if the store counts all of it as spent.
        """
        self.generation += 1
        self._sequence = 0
        self.spent = 0 if settled is None else self.spent - settled
        self.held = self.used = self._debt = 0
        self._stated = (0, 0)
        self._refusals = 0

    def _pay(self) -> None:
        """Pay what was spent from what is held and not in use. The rest stays until more of it is idle."""
        paid = min(self._debt, self.room)
        self.held -= paid
        self._debt -= paid

    def _make_way(self, now: float) -> None:
        """Give back the idle part, because others wait for it. The next request reports it."""
        if self._others_wait:
            self.bell.rung = True
            self.held = max(self.used, min(self.held, self._target(now)))

    def _note_peak(self, now: float) -> None:
        if now >= self._peak_since + HEARTBEAT:
            self._peak_before = self._peak if now < self._peak_since + 2 * HEARTBEAT else 0
            self._peak, self._peak_since = 0, now
        self._peak = max(self._peak, self.used)

    def _target(self, now: float) -> int:
        """Return how much this process should hold."""
        if self.kind == "money":
            # Small blocks, because the block of a killed process is lost.
            return self.used + (0 if self._others_wait else self._demand.expected(2 * BEAT, now))
        if self._others_wait:
            # Others wait, so this process keeps no more than its share.
            return min(max(self._peak, self._peak_before), self._fair)
        peak = max(self._peak, self._peak_before) if now < self._peak_since + 2 * HEARTBEAT else self.used
        return max(self.used, peak) + (1 if now - self._last_used < IDLE_AFTER else 0)

    def _low_water(self, now: float) -> float:
        if self.kind == "slots":
            return 1
        rate, typical = self._demand.rate(now)
        return typical + rate * BEAT
