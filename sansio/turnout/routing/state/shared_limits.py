"""Connects the scheduler of a router with the state that it shares with other processes.

The scheduler uses the leases under its own lock, and never waits for the store. The link of the driver calls the other
methods here (`turnout_io.shared.link.SharedPort`), from its own task or thread. After an answer of the store, the lines
of the limits that it is about are served.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import attrs

from turnout.routing.state.breaker import Breaker
from turnout.routing.state.candidate_state import CandidateState
from turnout.routing.state.limits import Booking, Quota, QuotaUnit
from turnout.shared.bell import Bell
from turnout.shared.leases.balance import BalanceLease, Reservation
from turnout.shared.leases.window import Taken, WindowLease
from turnout.shared.notices import Notice
from turnout.shared.state import SharedState, SharedStatus
from turnout.shared.store.session import ScriptCall, SessionEvent

__all__ = ["Lines", "SharedLimits", "SharedQuota", "SharedSlots"]

MOST_RESTS: Final = 1000
"""Rests of candidates that no call has named yet are kept for so many of them."""

LONGEST_JITTER: Final = 1.0  # seconds


class Lines(Protocol):
    """The scheduler, as the shared limits use it."""

    def known(self, key: str) -> CandidateState | None: ...
    def recheck(self, key: str, now: float) -> None: ...


@attrs.define(eq=False)
class _SharedBooking(Booking):
    taken: Taken = attrs.field(factory=list)


@attrs.define(eq=False)
class SharedQuota:
    """The lease of a shared limit as a quota (`turnout.routing.state.limits.LeasedQuota`)."""

    lease: WindowLease

    def wait(self, amount: float, now: float) -> float:
        return self.lease.wait(math.ceil(amount), now)

    def take(self, amount: float, now: float) -> Booking:
        return _SharedBooking(now, now, amount, self.lease.take(math.ceil(amount), now))

    def correct(self, booking: Booking, by: float) -> None:
        assert isinstance(booking, _SharedBooking)
        self.lease.correct(booking.taken, math.ceil(by))

    def note(self, now: float) -> str:
        return self.lease.note(now)

    def expect(self, requests: int, now: float) -> None:
        self.lease.expect(requests, now)


@attrs.define(eq=False)
class SharedSlots:
    """The shared slots of a limiter (`turnout.routing.state.limits.Slots`)."""

    lease: BalanceLease
    _held: dict[object, Reservation] = attrs.field(factory=dict, init=False)
    _now: float = attrs.field(default=0.0, init=False)

    def count(self, now: float) -> int:
        self._now = now
        return self.lease.allowed(now)

    def wait(self, now: float) -> float:
        self._now = now
        verdict, wait = self.lease.check(1, now)
        return 0.0 if verdict == "fits" else wait

    def acquire(self, attempt: object, now: float) -> None:
        self._now = now
        self._held[attempt] = self.lease.take(1, now)

    def release(self, attempt: object) -> None:
        reservation = self._held.pop(attempt, None)
        if reservation is not None:
            self.lease.settle(reservation, 0, self._now)


@attrs.define(eq=False)
class SharedLimits:
    """The shared half of one router. Every public method takes the router's lock.

    Attributes:
        state: The leases, notices and probes.
        probe_seconds: How long a probe may take; its claim expires then.
        entered: False until the driver's link runs: no call may start before.
        counts_money: True if there is a budget, which needs a store that evicts nothing.
    """

    state: SharedState
    _lock: AbstractContextManager[Any]
    probe_seconds: float = 60.0
    entered: bool = False
    counts_money: bool = attrs.field(default=False, init=False)
    _scheduler: Lines | None = attrs.field(default=None, init=False)
    _latest: float = attrs.field(default=-math.inf, init=False)  # when the link called last
    _rests: dict[str, dict[str, tuple[float, int]]] = attrs.field(factory=dict, init=False)

    # -- for the scheduler, under its lock --------------------------------------------------------------------------

    def attach(self, scheduler: Lines) -> None:
        """Connect the scheduler that serves its lines after an answer."""
        self._scheduler = scheduler

    def make_quota(self, name: str, unit: QuotaUnit, per_minute: float) -> Quota:
        """Make the quota of a limit (`turnout.routing.state.limits.QuotaFactory`)."""
        return SharedQuota(self.state.window(f"{name}|{unit}", max(1, math.floor(per_minute))))

    def make_slots(self, name: str, bound: int) -> SharedSlots:
        """Make the slots of a concurrency limit (`turnout.routing.state.limits.SlotsFactory`)."""
        return SharedSlots(self.state.slots(name, bound))

    def count_money(self) -> None:
        """Note that there is a budget."""
        if not self.counts_money:
            self.counts_money = True
            self.state.bell.rung = True

    def watch(self, key: str, breaker: Breaker) -> None:
        """Allow the fleet one probe of this candidate, and take over the rests that others reported before."""
        claim = self.state.probe(key)
        breaker.claim = lambda at: claim.check(self.probe_seconds, at)
        breaker.give_back_claim = claim.give_back
        for kind, (until, count) in self._rests.pop(key, {}).items():
            if until > self._latest:
                self._rest(breaker, kind, until, count, self._latest)

    def publish(self, key: str, breaker: Breaker, before: tuple[float, float, int], now: float) -> None:
        """Report to the fleet the change after an attempt: a cooldown, a breaker that opened, or one that closed.

        Args:
            key: The candidate.
            breaker: Its breaker, after the attempt was recorded.
            before: The end of the cooldown, the end of the break, and the consecutive opens before.
            now: Monotonic seconds.
        """
        cool_until, open_until, opens = before
        cooling = breaker.rests[0]
        if cooling > max(cool_until, now):
            self.state.publish(Notice(key, "cooldown", cooling - now), now)
        if breaker.consecutive_opens > opens and breaker.open_until > max(open_until, now):
            self.state.publish(Notice(key, "opened", breaker.open_until - now, breaker.consecutive_opens), now)
        elif opens and not breaker.consecutive_opens:
            self.state.publish(Notice(key, "closed", count=opens), now)

    def status(self, now: float) -> SharedStatus:
        """Return the condition of the shared state."""
        with self._lock:
            return self.state.status(now)

    # -- for the link -----------------------------------------------------------------------------------------------

    @property
    def bell(self) -> Bell:
        return self.state.bell

    @property
    def channel(self) -> str:
        return self.state.channel

    @property
    def stale(self) -> bool:
        return self.state.notices.stale

    def due(self, now: float) -> float:
        with self._lock:
            self._latest = now
            return self.state.due(now)

    def calls(self, now: float, *, leaving: bool = False) -> list[ScriptCall]:
        with self._lock:
            return self.state.calls(now, leaving=leaving)

    def receive(self, events: Iterable[SessionEvent], now: float) -> None:
        with self._lock:
            try:
                notices = self.state.receive(events, now)
            finally:
                touched = self.state.take_touched()
            for notice in notices:
                self._apply(notice, now)
        names = dict.fromkeys(name.rpartition("|")[0] or name for name in touched)
        names.update(dict.fromkeys(notice.candidate for notice in notices))
        self._serve(names, now)

    def lost(self, reason: str, now: float) -> None:
        with self._lock:
            self.state.lost(reason, now)
            touched = self.state.take_touched()
        self._serve([name.rpartition("|")[0] or name for name in touched], now)

    def found(self, now: float) -> None:
        with self._lock:
            self.state.found(now)
            touched = self.state.take_touched()
        # The waiting calls request their shares again, so that the store learns their needs.
        self._serve([name.rpartition("|")[0] or name for name in touched], now)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _serve(self, names: Iterable[str], now: float) -> None:
        if self._scheduler is not None:
            for name in names:
                self._scheduler.recheck(name, now)

    def _apply(self, notice: Notice, now: float) -> None:
        state = self._scheduler.known(notice.candidate) if self._scheduler is not None else None
        if notice.kind == "closed":
            self._rests.get(notice.candidate, {}).pop("opened", None)
            if state is not None:
                state.breaker.closed_elsewhere(notice.count)
            return
        until = now + notice.remaining + self._jitter(notice)
        if state is not None:
            self._rest(state.breaker, notice.kind, until, notice.count, now)
        elif len(self._rests) < MOST_RESTS:
            # No call of this process has named it yet.
            rests = self._rests.setdefault(notice.candidate, {})
            known, _ = rests.get(notice.kind, (-math.inf, 0))
            rests[notice.kind] = (max(known, until), notice.count)

    def _rest(self, breaker: Breaker, kind: str, until: float, count: int, now: float) -> None:
        if kind == "cooldown":
            breaker.cool_down(until)
        else:
            breaker.opened_elsewhere(until, count, now)

    def _jitter(self, notice: Notice) -> float:
        """Return an extra delay for this process, so that the processes do not all return at the same time."""
        part = zlib.crc32(f"{self.state.process} {notice.candidate}".encode()) / 2**32
        return part * min(LONGEST_JITTER, notice.remaining / 10)
