"""The places of one router, guarded by its lock, and the budget of second attempts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Generic

import attrs

from turnout.chat import RateLimit, Usage
from turnout.providers.protocol import ModelProfile
from turnout.routing.policy.classify import Rule
from turnout.routing.policy.settings import Hedge, Policy
from turnout.routing.state.candidate_state import CandidateState, Lease
from turnout.routing.state.scheduler import Admission, Admitted, Answer, WaiterT

__all__ = ["Places"]


# How many second attempts may be saved up by calls that needed none.
HEDGES = 10.0


@attrs.define(eq=False)
class Places(Generic[WaiterT]):
    """Who may begin an attempt, who waits for that, and how each candidate stands after it."""

    _policy: Policy
    _lock: AbstractContextManager[Any]
    _admission: Admission[WaiterT] = attrs.field(init=False)
    _hedges: float = attrs.field(default=1.0, init=False)  # that may be had now

    def __attrs_post_init__(self) -> None:
        self._admission = Admission(self._policy)

    def part_with_calls(self) -> None:
        """Give up every call that is under way, in a forked process: they are the parent's, and go on there.

        What was learnt of the candidates goes with them. A call that is ended here all the same gives its place back
        to what it was taken from, and so to nobody.
        """
        with self._lock:
            self._admission = Admission(self._policy)

    # -- a place for an attempt ---------------------------------------------------------------------------------

    def call_begins(self, hedge: Hedge | None, now: float) -> None:
        """A call that may hedge adds its share to the budget of second attempts."""
        with self._lock:
            if hedge is not None:
                self._hedges = min(HEDGES, self._hedges + hedge.budget)
            self._admission.tidy(now)

    def ask(self, applicant: WaiterT, now: float) -> Answer:
        """A place for one attempt: at once, in the order of the queue, or not at all."""
        with self._lock:
            return self._admission.ask(applicant, now)

    def beside(self, applicant: WaiterT, place: int, now: float) -> Admitted | None:
        """A place for a second attempt of one call, where the budget of such attempts allows it."""
        with self._lock:
            if self._hedges < 1.0:
                return None
            admitted = self._admission.beside(applicant, place, now)
            if admitted is not None:
                self._hedges -= 1.0
            return admitted

    def release(self, lease: Lease, now: float) -> None:
        """An attempt is over: its place goes to the call that has waited longest for it."""
        with self._lock:
            self._admission.release(lease, now)

    def withdraw(self, applicant: WaiterT) -> None:
        """The call waits no longer."""
        with self._lock:
            self._admission.withdraw(applicant)

    def part_with(self, applicant: WaiterT, now: float) -> None:
        """The call is over. Where it was broken off midway it may still wait for something, or hold something."""
        if applicant.leases or self._admission.waits(applicant):
            with self._lock:
                self._admission.part_with(applicant, now)

    def take_woken(self) -> tuple[WaiterT, ...]:
        """Those that were granted a place since the last time: the driver wakes their calls from their Sleep."""
        if not self._admission.woken:
            return ()
        with self._lock:
            return self._admission.take_woken()

    @property
    def in_flight(self) -> int:
        """Places that are held now."""
        return self._admission.whole.in_flight

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return self._admission.waiting

    # -- what an attempt showed of its candidate ----------------------------------------------------------------

    def content_came(self, lease: Lease, now: float, told: RateLimit | None, told_at: float) -> None:
        """`told` is what its head, which came at `told_at`, said of the provider's limits."""
        with self._lock:
            lease.content_came(now)
            lease.told(told, told_at)

    def succeeded(self, lease: Lease, now: float, usage: Usage, told: RateLimit | None, told_at: float) -> None:
        with self._lock:
            lease.succeeded(now, tokens=usage.total_tokens, answer=usage.completion_tokens)
            lease.told(told, told_at)
            self._admission.look_again(now)

    def overtaken(self, lease: Lease, now: float) -> None:
        """Another attempt of the same call was faster, and this one is over."""
        with self._lock:
            lease.overtaken(now)

    def failed(self, lease: Lease, now: float, rule: Rule, retry_after: float | None) -> None:
        with self._lock:
            lease.failed(now, rule, retry_after)

    # -- how the candidates stand -------------------------------------------------------------------------------

    def known(self, key: str) -> CandidateState | None:
        """The standing of the candidate `provider/model`, where it has one."""
        return self._admission.known(key)

    def standing(self, provider: str, key: str, facts: ModelProfile) -> CandidateState:
        """The standing of a candidate, made where it has none."""
        with self._lock:
            return self._admission.standing(provider, key, facts)

    def forget(self, provider: str) -> None:
        """What was known of this provider's candidates: another is in its place."""
        with self._lock:
            self._admission.forget(provider)

    def standings(self) -> Mapping[str, CandidateState]:
        """What is known of each candidate that was asked for so far, by `provider/model`."""
        with self._lock:
            return {standing.key: standing for standing in self._admission.standings()}
