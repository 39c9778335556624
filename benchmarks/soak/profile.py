"""How many streams, for how long, at which pace: minutes of it, or seconds."""

from __future__ import annotations

import attrs

from turnout.routing.policy.settings import BreakerPolicy, OnInterrupt, Policy, Timeouts

__all__ = ["FULL", "QUICK", "Profile"]


@attrs.frozen(kw_only=True)
class Profile:
    """One size of the test. All times are in seconds.

    streams   at once, of the drivers that have tasks; `threads` of the blocking ones
    tokens    of every answer, `interval` apart
    laps      after each of them everything comes to rest and is counted; the first `warm` may grow
    lap       for which new streams are begun in each of them
    silence   after which a stream that says nothing is left
    total     the whole life of a stream, all attempts together
    grace     what a busy machine may add to that
    """

    streams: int
    threads: int
    tokens: int
    interval: float
    laps: int
    warm: int
    lap: float
    silence: float
    total: float
    grace: float

    def policy(self, on_interrupt: OnInterrupt, at_once: int) -> Policy:
        """`at_once` calls have a place; the others wait for one, and some are given up there."""
        return Policy(
            timeout=self.total * 0.75,
            timeouts=Timeouts(
                connect=self.silence * 2,
                response_headers=self.silence,
                first_token=self.silence,
                between_tokens=self.silence,
                drain=0.25,
            ),
            max_retries=1,
            backoff_initial=self.interval,
            backoff_max=self.silence,
            on_interrupt=on_interrupt,
            # Half of what is asked of the first provider fails: it must not be left alone for that.
            breaker=BreakerPolicy(
                consecutive_failures=0, minimum_calls=50, failure_ratio=1.0, break_duration=self.interval
            ),
            max_concurrency=at_once,
        )


FULL = Profile(
    streams=1000,
    threads=100,
    tokens=20,
    interval=0.5,
    laps=6,
    warm=2,
    lap=20.0,
    silence=4.0,
    total=20.0,
    grace=5.0,
)
QUICK = Profile(
    streams=150,
    threads=50,
    tokens=10,
    interval=0.04,
    laps=3,
    warm=1,
    lap=1.0,
    silence=0.3,
    total=1.6,
    grace=5.0,
)
