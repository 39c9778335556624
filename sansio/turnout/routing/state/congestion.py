"""How many attempts a candidate serves quickly: a limit that is learnt from its times to the first token.

A provider that queues requests without bound refuses none, so the router must see its queue in the times. If the median
of the newest times is far above the best ones, the limit is cut in proportion, once for each round trip; while the
limit is used and the times are good, it grows. It is only a preference: a candidate above it is used if all are.

Two rules keep the limit from drifting. The usual time hardly follows times that are measured with nearly as many
attempts as have shown a queue. After a cut, only attempts that began later count, because the others still show the
old queue.

Source of the idea: Netflix's concurrency-limits (Gradient2), Envoy's adaptive concurrency. The median is used because
averages take a few slow answers for a queue.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["Congestion"]

# How many of the newest times give the median, and how many must be known before a queue is seen.
NEWEST = 15
KNOWN = 3
# The usual time is about the 20th percentile of the times. It begins as this share of the first median, which is that
# percentile if times spread as usual, and follows the times in steps of this share of itself.
FIRST = 0.63
STEP = 0.03
PERCENTILE = 0.2
# The median that shows a queue, and the one that a cut aims at, as multiples of the usual time. A cut leaves at least
# this share of the limit.
QUEUEING = 3.0
DRAINED = 2.0
SMALLEST_CUT = 0.5
# The share of the limit that must be in use before it grows.
USED = 0.7
LARGEST = 2000.0
# Times that are measured with more attempts than this share of those that showed a queue may hold one. The usual time
# follows them this much slower, or it would grow with the queue. One attempt alone shows what the candidate takes now.
ROOMY = 0.5
CROWDED = 0.1
# What is left of the number of attempts that showed a queue after each cut that a smaller number caused.
KEPT = 0.98
# How often the silent attempts are looked at, as a share of the usual time.
LOOK_EVERY = 0.5


@attrs.define(eq=False)
class Congestion:
    """The learnt limit of one candidate. It is infinite until a queue is seen."""

    limit: float = attrs.field(default=math.inf, init=False)
    _usual: float | None = attrs.field(default=None, init=False)
    _median: float = attrs.field(default=0.0, init=False)
    _seen: int = attrs.field(default=0, init=False)
    _crowd: float = attrs.field(default=math.inf, init=False)  # attempts in flight that showed a queue
    _cut_at: float = attrs.field(default=-math.inf, init=False)
    _look_at: float = attrs.field(default=-math.inf, init=False)
    _newest: deque[float] = attrs.field(factory=lambda: deque(maxlen=NEWEST), init=False)

    def record_first_token(self, seconds: float, in_flight: int, now: float) -> None:
        """Take the time to the first token of a stream, while so many attempts were in flight."""
        self._seen += 1
        self._learn_usual(seconds, in_flight)
        if now - seconds < self._cut_at:
            return  # an attempt from before the cut does not show its effect
        self._newest.append(seconds)
        if self._usual is None or len(self._newest) < KNOWN:
            return
        self._median = sorted(self._newest)[len(self._newest) // 2]
        if self._median > QUEUEING * self._usual:
            self._cut(in_flight, now)
        elif in_flight >= USED * self.limit:
            self.limit = min(LARGEST, self.limit + 1.0 / max(1.0, math.sqrt(self.limit)))

    def _learn_usual(self, seconds: float, in_flight: int) -> None:
        if self._seen == KNOWN:
            self._usual = FIRST * sorted([*self._newest, seconds])[KNOWN // 2]
        elif self._usual is not None:
            crowded = in_flight > max(1.0, ROOMY * self._crowd)
            step = STEP * self._usual * (CROWDED if crowded else 1.0)
            self._usual += -step * (1 - PERCENTILE) if seconds < self._usual else step * PERCENTILE

    def look_at(self, silent: Mapping[Any, float], in_flight: int, now: float) -> None:
        """See a queue before its times are known: more than half of the silent attempts are late.

        Args:
            silent: The attempts without an answer, with the time of their start, the oldest first.
            in_flight: How many attempts run.
            now: Monotonic seconds.
        """
        if self._usual is None or now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY * self._usual
        middle = next(itertools.islice(silent.values(), max(2, len(silent) // 2), None), now)
        if middle >= self._cut_at and now - middle > QUEUEING * self._usual:
            self._median = now - middle
            self._cut(in_flight, now)

    def _cut(self, in_flight: int, now: float) -> None:
        assert self._usual is not None
        self._cut_at = now
        self._newest.clear()
        self._crowd = max(float(in_flight), KEPT * self._crowd if self._crowd < math.inf else 0.0)
        factor = max(SMALLEST_CUT, DRAINED * self._usual / self._median)
        self.limit = max(1.0, min(self.limit, float(in_flight)) * factor)
