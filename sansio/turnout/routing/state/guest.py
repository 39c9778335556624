"""The state of a candidate for one call with its own key.

Such a call shares the outage of the provider: an open breaker blocks it, and its failures count for all. It shares no
limits: a response about its key, such as one about a used-up quota, does not concern the keys of others.
"""

from __future__ import annotations

import math
from typing import Literal

import attrs

from turnout.routing.policy.settings import Limit
from turnout.routing.state.breaker import Breaker, BreakerState
from turnout.routing.state.candidate_state import CandidateState
from turnout.routing.state.limiter import Limiter

__all__ = ["guest_state"]


@attrs.define(eq=False)
class GuestBreaker(Breaker):
    """The cooldown of one key, and the breaker that all calls share.

    Attributes:
        shared: That breaker.
    """

    shared: Breaker = attrs.field(kw_only=True)

    @property
    def rests(self) -> tuple[float, float, int]:
        """Nothing: no other process needs to know about this key."""
        return -math.inf, -math.inf, 0

    @property
    def has_probe(self) -> bool:
        return self.shared.has_probe

    def state(self, now: float) -> BreakerState:
        return self.shared.state(now)

    def blocked_by(self, now: float) -> tuple[Literal["cooldown", "breaker_open", "probe_in_flight"], float] | None:
        if now < self.cool_until:
            return "cooldown", self.cool_until - now
        return self.shared.broken_by(now)

    def cause_of(self, reason: Literal["cooldown", "breaker_open", "probe_in_flight"]) -> str:
        return self.cool_cause if reason == "cooldown" else self.shared.open_cause

    def note_cause(self, cause: str) -> None:
        self.shared.note_cause(cause)

    def is_probe(self, attempt: object) -> bool:
        return self.shared.is_probe(attempt)

    def attempt_started(self, attempt: object, now: float) -> None:
        self.shared.attempt_started(attempt, now)

    def forget_probe(self, attempt: object) -> None:
        self.shared.forget_probe(attempt)

    def record_success(self, attempt: object, now: float, *, started: float) -> None:
        self.shared.record_success(attempt, now, started=started)

    def record_failure(self, attempt: object, now: float, *, started: float) -> None:
        self.shared.record_failure(attempt, now, started=started)


def guest_state(shared: CandidateState) -> CandidateState:
    """Return the state of a candidate for one call with its own key: without limits but those of the router."""
    router, provider, own = shared.limiters
    outer = Limiter(provider.name, Limit(), router)
    return CandidateState(
        shared.key,
        (router, outer, Limiter(own.name, Limit(), outer)),
        GuestBreaker(shared.breaker.policy, shared=shared.breaker),
        shared.profile,
        shared.latency,
        settings=shared.settings,
    )
