"""How long to wait before the same candidate is tried again."""

from __future__ import annotations

import random

from turnout.routing.policy.settings import Policy

__all__ = ["backoff_seconds"]


def backoff_seconds(retry: int, retry_after: float | None, policy: Policy, rng: random.Random) -> float:
    """Return the seconds before retry number `retry` (from 1) of a candidate.

    Exponential with full jitter: uniform over the whole range, which spreads a herd of clients better than jitter
    around the middle (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015). The wait of a
    Retry-After is a floor. The jitter is added to it, so that clients that got the same second do not return
    in the same second.
    """
    ceiling = min(policy.backoff_max, policy.backoff_initial * 2 ** (min(retry, 64) - 1))
    drawn = rng.uniform(0.0, ceiling)
    if retry_after is None:
        return drawn
    return retry_after + min(drawn, 0.1 * retry_after)
