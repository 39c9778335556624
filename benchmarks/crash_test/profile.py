"""How long the faults last, and how long the router is told to wait: in full, or scaled down."""

from __future__ import annotations

import attrs

from turnout.routing.policy.settings import BreakerPolicy, OnInterrupt, Policy, Timeouts

__all__ = ["FULL", "QUICK", "TOKENS", "Profile"]

TOKENS = 60  # of every answer


@attrs.frozen
class Profile:
    """One speed of the test. Times of scenarios are said in the seconds of the full profile, and scaled here.

    scale   of every timer, wait and fault
    grace   seconds that a busy machine may add to what a scenario allows; never scaled
    """

    name: str
    scale: float
    grace: float

    def seconds(self, full: float) -> float:
        return full * self.scale

    def allowed(self, full: float) -> float:
        return full * self.scale + self.grace

    @property
    def token_interval(self) -> float:
        return self.seconds(0.02)

    def policy(self, on_interrupt: OnInterrupt) -> Policy:
        """Two retries, 30 s for a call, 10 s for the first content and for a stall, 5 s to connect."""
        return Policy(
            timeout=self.seconds(30.0),
            timeouts=Timeouts(
                connect=self.seconds(5.0),
                response_headers=self.seconds(10.0),
                first_token=self.seconds(10.0),
                between_tokens=self.seconds(10.0),
            ),
            max_retries=2,
            backoff_initial=self.seconds(0.5),
            backoff_max=self.seconds(8.0),
            on_interrupt=on_interrupt,
            breaker=BreakerPolicy(
                window=self.seconds(30.0), break_duration=self.seconds(5.0), max_break_duration=self.seconds(120.0)
            ),
        )


FULL = Profile("full", 1.0, 0.5)
QUICK = Profile("quick", 0.1, 1.0)
