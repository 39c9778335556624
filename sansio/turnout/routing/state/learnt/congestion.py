"""How many attempts a candidate serves quickly: a limit that is learnt from its times to the first token.

A provider that queues requests without bound refuses none, so the router must see its queue in the times. Most attempts
have their first token within the usual time. If several in a row have none by then, in the order of their starts, they
wait in a queue, however much the times vary by chance. Then the limit is cut in proportion, once for each round trip;
while the limit is used and the times are good, it grows. It is only a preference: a candidate above it is used if all
are, and if no other candidate answers much sooner.

Source of the idea: Netflix's concurrency-limits (Gradient2), Envoy's adaptive concurrency. Neither averages nor medians
are compared: a few slow answers would be taken for a queue, or the times of mixed requests.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import attrs

from turnout.routing.state.learnt.usual_time import UsualTime

__all__ = ["Congestion"]

# So many late attempts in a row show a queue. By chance, one attempt in 120 is the last of so many.
LATE_IN_A_ROW = 4
# How many of the newest times tell how soon the candidate answers.
NEWEST = 15
# The share of the limit that must be in use before it grows.
USED = 0.7
LARGEST = 2000.0
# How often the silent attempts are looked at, as a share of the usual time.
LOOK_EVERY = 0.25


@attrs.define(eq=False)
class Congestion:
    """The learnt limit of one candidate.

    Attributes:
        limit: How many attempts it serves quickly; infinity until a queue is seen.
        answered_at: When the newest first tokens came, since attempts wait without a pause.
    """

    limit: float = attrs.field(default=math.inf, init=False)
    answered_at: deque[float] = attrs.field(factory=lambda: deque(maxlen=NEWEST), init=False)
    _usual: UsualTime = attrs.field(factory=UsualTime, init=False)
    _newest: deque[float] = attrs.field(factory=lambda: deque(maxlen=NEWEST), init=False)
    # The start of the newest attempt that was in time, and those of late ones that started after it.
    _in_time: float = attrs.field(default=-math.inf, init=False)
    _late: deque[float] = attrs.field(factory=lambda: deque(maxlen=LATE_IN_A_ROW), init=False)
    _cut_at: float = attrs.field(default=-math.inf, init=False)
    _look_at: float = attrs.field(default=-math.inf, init=False)

    @property
    def _is_queueing(self) -> bool:
        return len(self._late) >= LATE_IN_A_ROW

    def record_first_token(self, seconds: float, in_flight: int, now: float, oldest: float = math.inf) -> None:
        """Take the time to the first token of a stream.

        Args:
            seconds: From the start of the attempt.
            in_flight: How many attempts run.
            now: Monotonic seconds.
            oldest: The start of the oldest attempt that still waits for its first token; infinity if none does.
        """
        started = now - seconds
        self.answered_at.append(now)
        if seconds > self._usual.seconds:
            self._record_late(seconds, in_flight, now)
        else:
            self._newest.append(seconds)
            if started > self._in_time:
                self._in_time = started
                while self._late and self._late[0] <= started:
                    self._late.popleft()
            if in_flight >= USED * self.limit:
                self.limit = min(LARGEST, self.limit + 1.0 / max(1.0, math.sqrt(self.limit)))
        self._usual.add(seconds, started, oldest, queueing=self._is_queueing)

    def record_silence(self, seconds: float, in_flight: int, now: float, *, gave_up: bool) -> None:
        """Take the time of an attempt that ended without a first token, which would have come even later.

        A short one says nothing, unless the attempt gave up, because it had used its share of the time. Without the
        others, a candidate that answers nobody in time would look as good as it was before.
        """
        if gave_up or seconds > self._usual.seconds:
            self._record_late(seconds, in_flight, now)

    def _record_late(self, seconds: float, in_flight: int, now: float) -> None:
        self._newest.append(seconds)
        if now - seconds > self._in_time:
            self._late.append(now - seconds)
        if self._is_queueing:
            self._cut(seconds, in_flight, now)

    def look_at(self, silent: Mapping[Any, float], in_flight: int, now: float) -> None:
        """See a queue before its times are known.

        Args:
            silent: The attempts without an answer, with the time of their start, the oldest first.
            in_flight: How many attempts run.
            now: Monotonic seconds.
        """
        usual = self._usual.seconds
        if now < self._look_at or usual == math.inf:
            return
        self._look_at = now + LOOK_EVERY * usual
        late, longest = len(self._late), 0.0
        for started in silent.values():
            if now - started <= usual:
                break
            if started > self._in_time:
                longest = longest or now - started
                late += 1
                if late >= LATE_IN_A_ROW:
                    self._cut(longest, in_flight, now)
                    break

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

    def _cut(self, seconds: float, in_flight: int, now: float) -> None:
        if now - self._cut_at <= seconds:
            return
        self._cut_at = now
        usual = self._usual.seconds
        factor = min(0.9, max(0.5, usual / seconds)) if usual < math.inf else 0.5
        self.limit = max(1.0, min(self.limit, float(in_flight)) * factor)
