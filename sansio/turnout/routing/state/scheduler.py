"""Who may begin an attempt now, who waits, and in which order those who wait are let in.

A place that becomes free is handed to the call that has waited longest among those that can use it, and is never
broadcast: a newcomer is looked at only after everybody who waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Generic, Protocol, TypeAlias, TypeVar

import attrs

from turnout.providers.protocol import ModelProfile
from turnout.routing.policy.plan import Blocked, GiveUp, TryCandidate, WaitUntil
from turnout.routing.policy.settings import Limit, Policy
from turnout.routing.state.breaker import Breaker
from turnout.routing.state.candidate_state import CandidateState, Lease
from turnout.routing.state.limits import Limiter

__all__ = ["Admission", "Admitted", "Answer", "BlockedCandidates", "Waiter"]


# Candidates that are remembered before those at rest are forgotten. One takes about 2.5 kB.
CROWD = 1000

# What stood in the way, candidate by candidate.
BlockedCandidates: TypeAlias = tuple[tuple[int, Blocked], ...]


@attrs.frozen
class Admitted:
    """A candidate may be asked: which, what was in the way of those before it, and what the attempt holds."""

    choice: TryCandidate
    passed: BlockedCandidates
    lease: Lease


Answer: TypeAlias = Admitted | tuple[WaitUntil | GiveUp, BlockedCandidates]


class Waiter(Protocol):
    """One call, as admission sees it.

    granted  set where it was let in, or turned away, while it waited
    leases   what it holds
    """

    granted: Answer | None
    leases: list[Lease]

    def apply(self, now: float) -> tuple[TryCandidate | WaitUntil | GiveUp, BlockedCandidates, CandidateState | None]:
        """What its plan says now, what stood in the way, and the standing of the candidate that it would try."""
        ...

    def beside(self, place: int, now: float) -> tuple[TryCandidate | None, CandidateState | None]:
        """Whom it would ask beside the attempt on `place`."""
        ...

    def size(self, place: int) -> int:
        """Tokens that a request to the candidate at `place` may come to."""
        ...


WaiterT = TypeVar("WaiterT", bound=Waiter)


@attrs.define(eq=False)
class Admission(Generic[WaiterT]):
    """The places of one router. Not guarded: the core holds its lock around every call.

    woken  the calls that were let in while they waited, for the driver to wake
    """

    policy: Policy
    whole: Limiter = attrs.field(init=False)
    _providers: dict[str, Limiter] = attrs.field(factory=dict, init=False)
    _standings: dict[str, CandidateState] = attrs.field(factory=dict, init=False)
    _queue: dict[WaiterT, None] = attrs.field(factory=dict, init=False)
    woken: list[WaiterT] = attrs.field(factory=list, init=False)
    _crowded: int = attrs.field(default=CROWD, init=False)
    _changed: bool = attrs.field(default=False, init=False)
    _look_again: float = attrs.field(default=float("inf"), init=False)

    def __attrs_post_init__(self) -> None:
        self.whole = Limiter("the router", Limit(max_concurrency=self.policy.max_concurrency))

    def known(self, key: str) -> CandidateState | None:
        """The standing of a candidate that was asked for before."""
        return self._standings.get(key)

    def standing(self, provider: str, key: str, facts: ModelProfile) -> CandidateState:
        """The standing of a candidate, made when it is first asked for."""
        standing = self._standings.get(key)
        if standing is None:
            limits = self.policy.limits
            gate = self._providers.get(provider)
            if gate is None:
                gate = self._providers[provider] = Limiter(provider, limits.get(provider, Limit()))
            own = Limiter(key, limits.get(key, Limit()))
            standing = CandidateState(key, (self.whole, gate, own), Breaker(self.policy.breaker), facts)
            self._standings[key] = standing
        return standing

    def forget(self, provider: str) -> None:
        """Another provider has taken over the name: what was known of the models of the one before is void."""
        for key in [key for key, standing in self._standings.items() if standing.gates[1].name == provider]:
            del self._standings[key]

    def tidy(self, now: float) -> None:
        """Forget candidates at rest once there are many: users may name models without end."""
        if len(self._standings) >= self._crowded:
            self._standings = {key: standing for key, standing in self._standings.items() if not standing.at_rest(now)}
            self._crowded = max(CROWD, 2 * len(self._standings))

    def standings(self) -> Iterable[CandidateState]:
        return tuple(self._standings.values())

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def ask(self, call: WaiterT, now: float) -> Answer:
        """A place for `call`, or what its plan says to there being none. A call that is to hold joins the queue."""
        if self._queue:
            self._changed |= call in self._queue  # its time has come, and that of those before it may have
            self._let_in(now)
        if call.granted is not None:
            # Taken here, under the lock: what is granted from now on is another answer.
            granted, call.granted = call.granted, None
            return granted
        decision, passed, standing = call.apply(now)
        if isinstance(decision, TryCandidate):
            assert standing is not None
            self._queue.pop(call, None)
            return Admitted(decision, passed, standing.begin(call.leases, partial(call.size, decision.index), now))
        if isinstance(decision, WaitUntil) and call not in self._queue:
            bound = self.policy.max_pending
            if bound is not None and len(self._queue) >= bound:
                return GiveUp(f"{bound} calls wait already", full=True, queue=bound), passed
            self._queue[call] = None
        if isinstance(decision, WaitUntil):
            self._look_at(passed, now)
        else:
            self._queue.pop(call, None)
        return decision, passed

    def beside(self, call: Waiter, place: int, now: float) -> Admitted | None:
        """A place for a second attempt while the one on `place` is slow; none while others wait for their first."""
        if self._queue:
            return None
        choice, standing = call.beside(place, now)
        return (
            Admitted(choice, (), standing.begin(call.leases, partial(call.size, choice.index), now))
            if choice is not None and standing is not None
            else None
        )

    def withdraw(self, call: WaiterT) -> None:
        """The call waits no longer."""
        self._queue.pop(call, None)

    def part_with(self, call: WaiterT, now: float) -> None:
        """The call is over: it waits no longer, and holds nothing any more."""
        self._queue.pop(call, None)
        for lease in tuple(call.leases):
            lease.release()
        self.look_again(now)

    def waits(self, call: WaiterT) -> bool:
        return call in self._queue

    def release(self, lease: Lease, now: float) -> None:
        """An attempt is over; its place goes to whoever has waited longest for it."""
        lease.release()
        self.look_again(now)

    def look_again(self, now: float) -> None:
        """Something is known of a candidate that was not, and may let in those who wait."""
        self._changed = True
        if self._queue:
            self._let_in(now)

    def take_woken(self) -> tuple[WaiterT, ...]:
        woken, self.woken = tuple(self.woken), []
        return woken

    def _let_in(self, now: float) -> None:
        if self.whole.full() or (not self._changed and now < self._look_again):
            return
        self._changed = False
        self._look_again = float("inf")
        for call in tuple(self._queue):
            if self.whole.full():
                self._changed = True  # the rest was not looked at
                break
            decision, passed, standing = call.apply(now)
            if isinstance(decision, TryCandidate):
                assert standing is not None
                lease = standing.begin(call.leases, partial(call.size, decision.index), now)
                call.granted = Admitted(decision, passed, lease)
                del self._queue[call]
                self.woken.append(call)
            elif isinstance(decision, WaitUntil):
                self._look_at(passed, now)
            else:
                call.granted = decision, passed
                del self._queue[call]
                self.woken.append(call)

    def _look_at(self, passed: BlockedCandidates, now: float) -> None:
        """Remember when the first of these obstacles will be gone; a little early, for waits are rounded up."""
        self._look_again = min(self._look_again, now + min(obstacle.wait for _, obstacle in passed) - 1e-5)
