"""The share of one process in a limit of the fleet: "at most n in any 60 seconds".

The process spends from *blocks*, which the store granted before they were needed, so a call sends nothing if a block
has room. The store books a block at the last moment at which it can be spent (grant + hold). The next request moves
each amount to the time when it was really spent, and releases the rest. So no window can ever hold more than the limit,
whatever is lost, repeated or late, and little of the limit is wasted.

Times are seconds of the process's own monotonic clock. A block is void `hold` after the *sending* of the request that
brought it. While the store is out of reach, `fail` decides: "closed" spends only the blocks; "local-share" continues
with as much as this process spent within the last window, and with its part of the rest.
"""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias

import attrs

from turnout.shared.bell import Bell
from turnout.shared.leases.demand import Demand
from turnout.shared.leases.spend_ledger import Block, News, SpendLedger, Taken
from turnout.shared.leases.timing import WindowTiming
from turnout.shared.messages import WindowReply, WindowRequest

__all__ = ["FailMode", "Taken", "WindowLease", "default_burst"]

FailMode: TypeAlias = Literal["local-share", "closed"]

SLOW_STORE: Final = 0.25
"""Seconds. A store that needs longer than this for a reply is slow."""

LEAST_BURST: Final = 10


def default_burst(limit: int, typical: int = 1) -> int:
    """Return the default burst: a tenth of the limit, and at least ten requests.

    Args:
        limit: The limit.
        typical: The amount of one request.
    """
    return min(limit, max(-(-limit // 10), LEAST_BURST * typical))


@attrs.frozen
class _Sent:
    """A request without a reply, the time at which it was sent, and the spends that it reports."""

    request: WindowRequest
    at: float
    news: News


@attrs.define(eq=False)
class WindowLease:
    """The lease of one process on one limit, and the three operations of a window: `wait`, `take`, `correct`.

    Attributes:
        name: The limit, as the store knows it.
        limit: At most so much in any window.
        process: The identifier of this process; a forked process needs another.
        burst: The amount that can be spent at once; the whole limit turns shaping off.
        seconds: The length of the window.
        fail: What holds while the store is out of reach.
        processes: How many processes use the limit, as far as is known; None before the first reply.
        bell: Rung when a request may be due earlier than `due` returned.
    """

    name: str
    limit: int
    process: str
    burst: int = attrs.field(kw_only=True, default=attrs.Factory(lambda self: default_burst(self.limit), True))
    seconds: float = attrs.field(kw_only=True, default=60.0)
    fail: FailMode = attrs.field(kw_only=True, default="local-share")
    processes: int | None = attrs.field(kw_only=True, default=None)
    timing: WindowTiming = attrs.field(init=False)
    bell: Bell = attrs.field(kw_only=True, factory=Bell)
    connected: bool = attrs.field(default=False, init=False)
    resyncs: int = attrs.field(default=0, init=False)
    overspent: int = attrs.field(default=0, init=False)  # beyond what was granted or allowed, in all
    _ledger: SpendLedger = attrs.field(init=False)
    _sent: _Sent | None = attrs.field(default=None, init=False)
    _unsent: bool = attrs.field(default=False, init=False)  # the request in `_sent` must be sent again
    _sequence: int = attrs.field(default=0, init=False)
    _epoch: str = attrs.field(default="", init=False)
    _full: bool = attrs.field(default=True, init=False)
    _need: int = attrs.field(default=0, init=False)
    _backlog: int = attrs.field(default=0, init=False)
    _not_before: float = attrs.field(default=-math.inf, init=False)
    _last_sent: float = attrs.field(default=-math.inf, init=False)
    _first_reply: float = attrs.field(default=math.inf, init=False)
    _last_reply: float = attrs.field(default=-math.inf, init=False)
    _free: int = attrs.field(default=0, init=False)
    _credit: int = attrs.field(default=0, init=False)
    _smallest: int = attrs.field(init=False)
    _share: float = attrs.field(default=0.0, init=False)
    _share_from: float = attrs.field(default=-math.inf, init=False)
    _share_known: bool = attrs.field(default=False, init=False)
    _demand: Demand = attrs.field(init=False)
    _low: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.timing = WindowTiming.of(self.seconds)
        self._ledger = SpendLedger(self.seconds, self.timing.grain / 1000)
        self._demand = Demand(self.timing.beat / 1000)
        self._smallest = self.limit

    # -- the three operations of a window -----------------------------------------------------------------------

    def wait(self, amount: int, now: float) -> float:
        """Return the seconds until `amount` may fit: 0 if it fits now, infinity if only an event can end the wait.

        An amount larger than the limit fits once the window is empty. A wait that is not 0 is a guess; the call is
        woken when a grant arrives.
        """
        self._ledger.expire(now)
        fits = min(amount, self._smallest)
        room = self.room
        if fits <= room:
            return 0.0
        if not self.connected:
            return self._local_wait(fits, now)
        if not self._need:
            self._need = fits - room
            self.bell.rung = True
        self._backlog += fits
        return max(0.0, self._not_before - now) + SLOW_STORE

    def expect(self, requests: int, now: float) -> None:
        """Note that so many more requests wait, besides those that `wait` was called for."""
        if requests > 0 and self.connected:
            _, typical = self._demand.rate(now)
            self._backlog += math.ceil(requests * max(1.0, typical))

    def take(self, amount: int, now: float) -> Taken:
        """Spend `amount`, which `wait` found to fit. An amount that does not fit is spent and reported too."""
        ledger = self._ledger
        ledger.expire(now)
        if not ledger.history:
            self.bell.rung = True  # the heartbeat begins
        taken, uncovered = ledger.take(amount, now)
        if uncovered and self.connected and amount <= self._smallest:
            self.overspent += uncovered
        self._demand.add(amount, now)
        if self.connected and self._sent is None and self.room < self._low:
            self.bell.rung = True
        return taken

    def correct(self, taken: Taken, by: int) -> None:
        """Correct an amount that was taken, by the difference to its estimate."""
        if by > 0 and taken:
            self.overspent += by if self._ledger.add(taken[-1][0], by) else 0
        for position in range(len(taken) - 1, -1, -1):
            if by >= 0:
                return
            spend, amount = taken[position]
            part = min(amount, -by)
            taken[position] = (spend, amount - part)
            by += part
            self._ledger.take_back(spend, part)

    # -- towards the store --------------------------------------------------------------------------------------

    def due(self, now: float) -> float:
        """Return the time of the next request; infinity if nothing is to be sent."""
        if not self.connected:
            return math.inf
        if self._sent is not None:
            return now if self._unsent else math.inf
        if self._need or not self._epoch or (self._full and self._ledger.history):
            return max(self._not_before, self._last_sent)
        timing = self.timing
        # An idle process sends a request from time to time, to learn the number of processes and the rest.
        soon = self._last_sent + self.seconds / 2
        if self._ledger.blocks or self._ledger.history or self._ledger.has_released:
            soon = min(soon, self._last_sent + timing.heartbeat / 1000)
        if self._demand.known and self.room < self._low_water(now):
            soon = min(soon, self._last_sent + timing.beat / 2000)
        return max(soon, self._not_before)

    def request(self, now: float, *, leaving: bool = False) -> WindowRequest | None:
        """Return the request to send now. None if the previous one has no reply yet."""
        if self._sent is not None:
            if not self._unsent:
                return None
            # The same news under the same number, so that the store applies it once. It wants nothing, because the
            # store does not know the spends since then.
            again = attrs.evolve(self._sent.request, need=0, want=0, returned=True)
            self._sent = attrs.evolve(self._sent, request=again, at=now)
            self._unsent = False
            self._last_sent = now
            return again
        self._ledger.expire(now)
        if leaving:
            self.void_blocks()
        released, spent, news = self._ledger.news(now)
        self._sequence += 1
        request = WindowRequest(
            name=self.name,
            window=self.timing.window,
            limit=self.limit,
            burst=self.burst,
            process=self.process,
            sequence=self._sequence,
            need=0 if leaving else min(self._need, self._smallest),
            want=0 if leaving else min(self._want(now), self._smallest),
            epoch=self._epoch,
            full=self._full,
            returned=self._share_known,
            leaving=leaving,
            released=released,
            spent=spent,
        )
        self._sent = _Sent(request, now, news)
        self._last_sent = now
        return request

    def receive(self, reply: WindowReply, now: float) -> None:
        """Take the reply to the request that was sent last. Calls that wait can then be looked at again."""
        sent = self._sent
        if sent is None:
            return  # the request was given up
        self._sent = None
        self._need = self._backlog = 0
        self._last_reply = now
        self._first_reply = min(self._first_reply, now)
        self._share_known = False
        self._epoch = reply.epoch
        self._smallest = min(self.limit, max(1, reply.limit))
        self.processes = max(1, reply.processes)
        if reply.resync:
            self._lose_state()
            return
        timing = self.timing
        self._full = False
        self._ledger.confirm(sent.news, reply.now, timing.grain)
        if reply.granted > 0:
            bucket = reply.now // timing.grain + timing.hold_buckets
            self._ledger.blocks.append(Block(bucket, reply.granted, sent.at + timing.hold / 1000))
        self._free, self._credit = reply.free, reply.credit
        self._not_before = now + reply.again / 1000
        self._low = self._low_water(now)
        self._ledger.expire(now)

    def lost(self, now: float) -> None:
        """Note that the store is out of reach."""
        if not self.connected and self._share_known:
            return
        self.connected = False
        self._unsent = self._sent is not None
        self._need = self._backlog = 0
        self._ledger.expire(now)
        if self._share_known:
            return  # lost again before a reply: the share is used already
        self._share_known = True
        # The store may have served others until now. If it returns sooner than this, it grants at once, without a pause
        # in which processes report what they spent on their own.
        self._share_from = now + self.timing.gather / 1000 if self._last_reply > -math.inf else now
        self._share = self._ledger.sum + self.room
        age, lately = now - self._last_reply, 2 * self.timing.heartbeat / 1000
        if age < self.seconds and self._last_reply > self._first_reply + lately:
            # Others may have been granted so much since the last reply, and other processes may have begun.
            since = self._credit + self._smallest * age / self.seconds
            processes = (self.processes or 1) * (1 if age <= lately else 2)
            self._share += max(0.0, self._free - since) / processes
        elif self._last_reply == -math.inf and self.processes:
            self._share = max(self._share, self.limit / self.processes)

    def found(self, now: float) -> None:
        """Note that the store can be reached again, or for the first time."""
        self.connected = True
        self._not_before = min(self._not_before, now)

    def void_blocks(self) -> None:
        """Give back all blocks, because this process was suspended or ends."""
        self._ledger.void_blocks()

    # -- status ------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """The amount that can be spent without a request, as of the last operation."""
        return self._ledger.room

    def spent(self, now: float) -> int:
        """Return the amount that this process spent within the window."""
        self._ledger.expire(now)
        return self._ledger.sum

    def note(self, now: float) -> str:
        """Return the text that a trace adds to "the limit is used up"; "" for none."""
        if not self.connected:
            where = f"the shared store is out of reach (fail: {self.fail})"
            if self.fail == "closed":
                return f"{where}: calls wait for it"
            return f"{where}: this process has spent {self.spent(now)} of its own {self.share(now)}"
        others = f"of {self.processes} processes " if (self.processes or 1) > 1 else ""
        return f"shared: the part {others}is used up here, and more is asked for"

    def share(self, now: float) -> int | None:
        """Return the amount that this process may spend in any window while the store is out of reach; else None."""
        if self.connected:
            return None
        self._ledger.expire(now)
        return math.floor(self._share) if self._local(now) else self._ledger.sum + self.room

    # -- inside -------------------------------------------------------------------------------------------------

    def _local(self, now: float) -> bool:
        return self.fail == "local-share" and now >= self._share_from

    def _local_wait(self, amount: int, now: float) -> float:
        if self.fail == "closed":
            return math.inf
        if now < self._share_from:
            return self._share_from - now
        over = self._ledger.sum + amount - self._share
        if over <= 0:
            return 0.0
        for spend in self._ledger.history:
            over -= spend.amount
            if over <= 0:
                return max(0.0, spend.time + self.seconds - now)
        return math.inf

    def _lose_state(self) -> None:
        """Forget all grants and bookings, because the store has lost them. The next request reports all spends."""
        self.resyncs += 1
        self._full = True
        self._ledger.forget_bookings()
        self._free = self._credit = 0
        self._not_before = -math.inf

    # -- how much is wanted -------------------------------------------------------------------------------------

    def _low_water(self, now: float) -> float:
        """Return the room below which the next grant is requested early: one request, and a quarter of a beat."""
        rate, typical = self._demand.rate(now)
        return typical + rate * self.timing.beat / 4000

    def _want(self, now: float) -> int:
        """Return the amount that is missing until a beat after the next heartbeat, and for the calls that wait."""
        if self._ledger.history:
            target = self._demand.expected((self.timing.heartbeat + self.timing.beat) / 1000, now)
        else:
            # An idle process holds nothing; a new one has a request's worth when its first call begins.
            target = 0 if self._epoch else 1
        lasting = now + self.timing.heartbeat / 1000
        room = sum(block.room for block in self._ledger.blocks if block.void_at > lasting)
        return max(0, target - room) + self._backlog
