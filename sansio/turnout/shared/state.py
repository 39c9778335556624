"""The state that one router shares with other processes: its leases, its notices and its probes.

The router's core uses the leases under its own lock, and never waits for the store. The driver's link sends the calls
of `calls` to the store, and passes the answers to `receive`:

    link:  for call in state.calls(now): session.run(call)
           state.receive(events, now)            # then the core looks again at the calls that wait
           sleep until state.due(now), or until state.bell is rung
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import attrs

from turnout._utils.validation import integer, non_empty, one_of
from turnout.errors import RemoteProtocolError
from turnout.shared.bell import Bell
from turnout.shared.leases.balance import BalanceLease
from turnout.shared.leases.probe_claim import ProbeClaim
from turnout.shared.leases.window import FailMode, WindowLease
from turnout.shared.messages import BalanceRequest, WindowRequest
from turnout.shared.notices import LONGEST_NOTICE, Notice, NoticeBoard
from turnout.shared.store.balance_script import balance_arguments, balance_reply
from turnout.shared.store.keys import balance_key, notices_key, probe_key, window_key
from turnout.shared.store.resp import RespValue
from turnout.shared.store.session import Answer, Message, ScriptCall, SessionEvent, Snapshot
from turnout.shared.store.window_script import window_arguments, window_reply

__all__ = ["SharedState", "SharedStatus", "Sharing"]


@attrs.frozen(kw_only=True)
class Sharing:
    """How a router shares its limits, budgets and cooldowns.

    Attributes:
        namespace: Routers with the same namespace share; others see nothing of each other.
        fail: The rule while the store is out of reach. "local-share" continues with as much as this process sent within
            the last window, and with its part of the rest. "closed" waits for the store.
        processes: How many processes are expected. It is used until the store was reached for the first time.
    """

    namespace: str = attrs.field(default="turnout", validator=non_empty)
    fail: FailMode = attrs.field(default="local-share", validator=one_of("local-share", "closed"))
    processes: int | None = attrs.field(default=None, validator=integer(1))


@attrs.frozen(kw_only=True)
class SharedStatus:
    """How the shared state is, for a person or a dashboard.

    Attributes:
        state: "in reach", "out of reach", or "not connected" before the first connection.
        reason: Why it is out of reach.
        since: Seconds for which that has been so.
        fail: The rule that holds while it is out of reach; see `Sharing`.
        resyncs: How often the store had lost its state, and rebuilt it from the reports of the processes.
        shares: By limit, the amount that this process spent within the window, and the amount that it may spend while
            the store is out of reach; None while it is in reach.
    """

    state: Literal["in reach", "out of reach", "not connected"]
    reason: str
    since: float
    fail: FailMode
    resyncs: int
    shares: dict[str, tuple[int, int | None]]


_Lease: TypeAlias = WindowLease | BalanceLease
_Source: TypeAlias = (
    "tuple[WindowLease, WindowRequest] | tuple[BalanceLease, BalanceRequest] | Notice | ProbeClaim | None"
)


@attrs.define(eq=False)
class SharedState:
    """The shared half of one router.

    Attributes:
        sharing: The settings.
        process: An identifier that no other process has; a forked process needs another.
        bell: Rung when something is due earlier than `due` returned.
        notices: The notices of this process and of the others.
        changes: How often the store answered, was lost or was found. If it is the same, no lease has more room.
    """

    sharing: Sharing
    process: str
    bell: Bell = attrs.field(factory=Bell, init=False)
    notices: NoticeBoard = attrs.field(init=False)
    changes: int = attrs.field(default=0, init=False)
    _windows: dict[str, WindowLease] = attrs.field(factory=dict, init=False)
    _balances: dict[str, BalanceLease] = attrs.field(factory=dict, init=False)
    _probes: dict[str, ProbeClaim] = attrs.field(factory=dict, init=False)
    _touched: dict[str, None] = attrs.field(factory=dict, init=False)
    _connected: bool = attrs.field(default=False, init=False)
    _reason: str = attrs.field(default="", init=False)
    _changed_at: float = attrs.field(default=-math.inf, init=False)
    _wall_less_now: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.notices = NoticeBoard(self.process, LONGEST_NOTICE)

    # -- for the core -------------------------------------------------------------------------------------

    def window(self, name: str, limit: int, *, seconds: float = 60.0, burst: int | None = None) -> WindowLease:
        """Return the lease of a limit in any `seconds`, made when it is first used."""
        key = window_key(self.sharing.namespace, name, round(seconds * 1000))
        lease = self._windows.get(key)
        if lease is None:
            lease = WindowLease(
                name, limit, self.process, seconds=seconds, fail=self.sharing.fail,
                processes=self.sharing.processes, bell=self.bell,
            )  # fmt: skip
            if burst is not None:
                lease.burst = min(burst, limit)
            self._windows[key] = lease
            self._begin(lease)
        return lease

    def slots(self, name: str, bound: int) -> BalanceLease:
        """Return the lease of a concurrency limit."""
        return self._balance(
            balance_key(self.sharing.namespace, "h", name),
            BalanceLease(
                name, "slots", bound, self.process, fail=self.sharing.fail, processes=self.sharing.processes,
                bell=self.bell,
            ),
        )  # fmt: skip

    def money(self, name: str, bound: int, period: str, *, lasts: float) -> BalanceLease:
        """Return the lease of a budget in one period; `lasts` is the seconds after which the store may forget it."""
        return self._balance(
            balance_key(self.sharing.namespace, "b", name, period),
            BalanceLease(name, "money", bound, self.process, period=period, lasts=lasts, bell=self.bell),
        )

    def drop_idle(self, name: str, period: str) -> None:
        """Forget the lease of a budget in a period that has ended, unless something of it is in use."""
        key = balance_key(self.sharing.namespace, "b", name, period)
        lease = self._balances.get(key)
        if lease is not None and lease.idle:
            del self._balances[key]

    def probe(self, candidate: str) -> ProbeClaim:
        """Return the claim to the one probe of the fleet for a candidate."""
        claim = self._probes.get(candidate)
        if claim is None:
            claim = self._probes[candidate] = ProbeClaim(candidate, self.bell, connected=self._connected)
        return claim

    def publish(self, notice: Notice, now: float) -> None:
        """Publish a fact about a candidate to the other processes."""
        self.notices.publish(notice, now)
        self.bell.rung = True

    def observe_clocks(self, now: float, wall: float) -> None:
        """Give up all grants if the two clocks drifted apart, because the machine was suspended.

        Args:
            now: Monotonic seconds.
            wall: Seconds since 1970.
        """
        before, self._wall_less_now = self._wall_less_now, wall - now
        if before is not None and abs(self._wall_less_now - before) > 2.0:
            for lease in self._windows.values():
                lease.void_blocks()

    def status(self, now: float) -> SharedStatus:
        """Return how the shared state is."""
        known = self._changed_at > -math.inf
        return SharedStatus(
            state="in reach" if self._connected else "out of reach" if known else "not connected",
            reason=self._reason,
            since=now - self._changed_at if known else 0.0,
            fail=self.sharing.fail,
            resyncs=sum(lease.resyncs for lease in self._windows.values()),
            shares={lease.name: (lease.spent(now), lease.share(now)) for lease in self._windows.values()},
        )

    def take_touched(self) -> tuple[str, ...]:
        """Return the names of the limits and candidates about which the store sent something since the last time."""
        touched, self._touched = tuple(self._touched), {}
        return touched

    # -- for the link -------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """True while the store is in reach."""
        return self._connected

    @property
    def channel(self) -> str:
        """The key of the notices, and their channel."""
        return notices_key(self.sharing.namespace)

    def due(self, now: float) -> float:
        """Return the time of the next call; infinity if none is planned."""
        if not self._connected:
            return math.inf
        if self.notices.unsent or any(claim.wanted for claim in self._probes.values()):
            return now
        return min((lease.due(now) for lease in self._leases()), default=math.inf)

    def calls(self, now: float, *, leaving: bool = False) -> list[ScriptCall]:
        """Return what to send to the store now."""
        calls = []
        for key, window in self._windows.items():
            if leaving or window.due(now) <= now:
                asked = window.request(now, leaving=leaving)
                if asked is not None:
                    calls.append(ScriptCall("window", key, window_arguments(asked), (window, asked)))
        for key, balance in tuple(self._balances.items()):
            if leaving or balance.due(now) <= now:
                stated = balance.request(now, leaving=leaving)
                if stated is not None:
                    arguments = balance_arguments(stated, self.channel)
                    calls.append(ScriptCall("balance", key, arguments, (balance, stated)))
        for notice in self.notices.take_outgoing(now):
            calls.append(ScriptCall("notice", self.channel, self._notice_arguments(notice), notice))
        for claim in self._probes.values():
            milliseconds = claim.take_request()
            if milliseconds is not None:
                key = probe_key(self.sharing.namespace, claim.candidate)
                calls.append(ScriptCall("probe", key, (self.process, str(milliseconds)), claim))
        return calls

    def receive(self, events: Iterable[SessionEvent], now: float) -> list[Notice]:
        """Apply the events of a session. Returns the notices of other processes, which are for the core.

        Raises:
            RemoteProtocolError: If an answer is not what its script returns; the events before it have been taken.
        """
        notices: list[Notice] = []
        for event in events:
            self.changes += 1
            match event:
                case Answer():
                    self._receive_answer(event, now)
                case Message():
                    notice = self._receive_message(event, now)
                    if notice is not None:
                        notices.append(notice)
                case Snapshot():
                    notices += self.notices.receive_snapshot(event.fields, event.now)
                case _:
                    pass
        return notices

    def _receive_answer(self, answer: Answer, now: float) -> None:
        source = answer.call.source
        match source:
            case (WindowLease() as window, WindowRequest() as asked):
                window.receive(window_reply(asked, answer.value), now)
                self._touched[window.name] = None
            case (BalanceLease() as balance, BalanceRequest() as stated):
                balance.receive(balance_reply(stated, answer.value), now)
                self._touched[balance.name] = None
            case ProbeClaim() as claim:
                claim.receive(*_pair(answer.value), now)
                self._touched[claim.candidate] = None
            case _:
                return

    def _receive_message(self, message: Message, now: float) -> Notice | None:
        kind, _, key = message.text.partition(b"|")
        if kind in (b"free", b"wait"):
            balance = self._balances.get(key.decode("utf-8", "replace"))
            if balance is not None:
                balance.wake(now, others_wait=kind == b"wait")
                self._touched[balance.name] = None
            return None
        return self.notices.receive_message(message.text)

    def lost(self, reason: str, now: float) -> None:
        """Note that the store is out of reach."""
        self.changes += 1
        if self._connected or self._changed_at == -math.inf:
            self._changed_at = now
        self._connected, self._reason = False, reason
        for lease in self._leases():
            lease.lost(now)
            self._touched[lease.name] = None
        for claim in self._probes.values():
            claim.lost()
            self._touched[claim.candidate] = None

    def found(self, now: float) -> None:
        """Note that the store can be reached."""
        self.changes += 1
        if not self._connected:
            self._changed_at = now
        self._connected, self._reason = True, ""
        for lease in self._leases():
            lease.found(now)
            self._touched[lease.name] = None
        for claim in self._probes.values():
            claim.found()
            self._touched[claim.candidate] = None
        self.notices.say_again(now)
        self.bell.rung = True

    # -- inside -------------------------------------------------------------------------------------------------

    def _leases(self) -> Iterator[_Lease]:
        yield from self._windows.values()
        yield from self._balances.values()

    def _balance(self, key: str, fresh: BalanceLease) -> BalanceLease:
        lease = self._balances.get(key)
        if lease is None:
            lease = self._balances[key] = fresh
            self._begin(lease)
        return lease

    def _begin(self, lease: _Lease) -> None:
        if self._connected:
            lease.found(self._changed_at)
            self.bell.rung = True
        elif self._changed_at > -math.inf:
            lease.lost(self._changed_at)

    def _notice_arguments(self, notice: Notice) -> tuple[str, ...]:
        return (
            notice.candidate,
            notice.kind,
            str(math.ceil(notice.remaining * 1000)),
            str(notice.count),
            self.process,
            str(round(self.notices.most * 1000)),
        )


def _pair(value: RespValue) -> tuple[int, int]:
    match value:
        case (int(first), int(second)):
            return first, second
        case _:
            raise RemoteProtocolError("the probe script returned something else than its reply")
