"""How many attempts a candidate serves quickly: a limit that is learnt from its times to the first token.

A provider that queues requests without bound refuses none, so the router must see its queue in the times. If the median
of the newest times is far above the best ones, the limit is cut in proportion, once for each round trip; while the
limit is used and the times are good, it grows. It is only a preference: a candidate above it is used if all are, and
if no other candidate answers much sooner.

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

# How many of the newest times give the median.
NEWEST = 15
# How many times must be known before a queue is seen. Where many routers share a candidate, each one sees few of its
# times, and the queue grows meanwhile.
KNOWN = 2
# The median that shows a queue, as a multiple of the usual time.
QUEUEING = 2.5
# The usual time follows about the 20th percentile of the times, in steps of these shares of itself: FIRST_STEP, a half
# of it, a third of it, … The last step is so small that a queue of some minutes does not become usual.
FIRST_STEP = 0.4
LAST_STEP = 0.004
PERCENTILE = 0.2
# The share of the limit that must be in use before it grows.
USED = 0.7
LARGEST = 2000.0
# How often the silent attempts are looked at, as a share of the usual time.
LOOK_EVERY = 0.5


@attrs.define(eq=False)
class Congestion:
    """The learnt limit of one candidate.

    Attributes:
        limit: How many attempts it serves quickly; infinity until a queue is seen.
        answered_at: When the newest first tokens came, since attempts wait without a pause.
    """

    limit: float = attrs.field(default=math.inf, init=False)
    answered_at: deque[float] = attrs.field(factory=lambda: deque(maxlen=NEWEST), init=False)
    _usual: float | None = attrs.field(default=None, init=False)
    _median: float = attrs.field(default=0.0, init=False)
    _seen: int = attrs.field(default=0, init=False)
    _cut_at: float = attrs.field(default=-math.inf, init=False)
    _look_at: float = attrs.field(default=-math.inf, init=False)
    _newest: deque[float] = attrs.field(factory=lambda: deque(maxlen=NEWEST), init=False)

    def record_first_token(self, seconds: float, in_flight: int, now: float) -> None:
        """Take the time to the first token of a stream, while so many attempts were in flight."""
        self._seen += 1
        self._newest.append(seconds)
        self.answered_at.append(now)
        if self._usual is None:
            self._usual = seconds
            return
        step = max(LAST_STEP, FIRST_STEP / self._seen) * self._usual
        self._usual += -step * (1 - PERCENTILE) if seconds < self._usual else step * PERCENTILE
        if not self._is_queueing(in_flight, now) and self._seen >= KNOWN and in_flight >= USED * self.limit:
            self.limit = min(LARGEST, self.limit + 1.0 / max(1.0, math.sqrt(self.limit)))

    def record_silence(self, seconds: float, in_flight: int, now: float) -> None:
        """Take the time of an attempt that ended without a first token, which would have come even later.

        A short one says nothing. Without the long ones, a candidate that answers nobody in time would look as good as
        it was before.
        """
        if self._usual is not None and seconds > QUEUEING * self._usual:
            self._seen += 1
            self._newest.append(seconds)
            self._is_queueing(in_flight, now)

    def _is_queueing(self, in_flight: int, now: float) -> bool:
        """Return True if the newest times show a queue, and cut the limit then."""
        if self._usual is None or self._seen < KNOWN:
            return False
        self._median = sorted(self._newest)[len(self._newest) // 2]
        if self._median <= QUEUEING * self._usual:
            return False
        self._cut(in_flight, now)
        return True

    def seconds_to_first_token(self, waiting: int) -> float:
        """Return the seconds that one more attempt would probably need; infinity if no time is known.

        They are the median of the newest times, or more if the attempts that wait take longer at the pace of the newest
        answers (Little's law): a queue that grows shows there before it does in the times.

        Args:
            waiting: How many attempts wait for their first token; 0 if the candidate has no queue.
        """
        if not self._newest:
            return math.inf
        median = sorted(self._newest)[len(self._newest) // 2]
        answers = len(self.answered_at) - 1
        if answers < 1:
            return median
        return max(median, waiting * (self.answered_at[-1] - self.answered_at[0]) / answers)

    def look_at(self, silent: Mapping[Any, float], in_flight: int, now: float) -> None:
        """See a queue before its times are known: more than half of the silent attempts are late.

        Args:
            silent: The attempts without an answer, with the time of their start, the oldest first.
            in_flight: How many attempts run.
            now: Monotonic seconds.
        """
        if self._usual is None or self._seen < KNOWN or now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY * self._usual
        middle = next(itertools.islice(silent.values(), max(2, len(silent) // 2), None), now)
        if now - middle > QUEUEING * self._usual:
            self._median = max(self._median, now - middle)
            self._cut(in_flight, now)

    def _cut(self, in_flight: int, now: float) -> None:
        if now - self._cut_at <= self._median or self._usual is None:
            return
        self._cut_at = now
        factor = max(0.5, QUEUEING * self._usual / self._median)
        self.limit = max(1.0, min(self.limit, float(in_flight)) * factor)
