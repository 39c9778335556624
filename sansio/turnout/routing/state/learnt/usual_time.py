"""The usual time to the first token of a candidate: most attempts have it by then."""

from __future__ import annotations

import math

import attrs

__all__ = ["UsualTime"]

# The share of the attempts that have their first token within the usual time.
SHARE = 0.7
# So many times are collected before this share of them is taken. Until then it is guessed: a multiple of the lowest
# fifth, because the others may have waited in a queue already.
FIRST = 15
LOWEST, MULTIPLE = 0.2, 2.8
# After that, the usual time moves by these shares of itself with each attempt. While attempts wait in a queue it rises
# so slowly that a queue of some minutes does not become usual.
STEP = 0.002
STEP_IN_QUEUE = 0.0005


@attrs.define(eq=False)
class UsualTime:
    """Learns the usual time from the times of single attempts, however much these vary.

    Attributes:
        seconds: The usual time; infinity until a time is known.
    """

    seconds: float = attrs.field(default=math.inf, init=False)
    _first: list[float] = attrs.field(factory=list, init=False)
    _early: list[tuple[float, float]] = attrs.field(factory=list, init=False)  # started, seconds: older ones are silent

    def add(self, seconds: float, started: float, oldest: float, *, queueing: bool) -> None:
        """Take the time of an attempt.

        Args:
            seconds: From its start to its first token.
            started: When it started.
            oldest: The start of the oldest attempt that still waits for its first token; infinity if none does.
            queueing: True if attempts wait in a queue now.
        """
        is_late = seconds > self.seconds
        if len(self._first) < FIRST:
            if not (queueing and is_late):
                self._learn(seconds, started, oldest)
        elif is_late:
            self.seconds *= 1 + (STEP_IN_QUEUE if queueing else STEP) * SHARE
        else:
            self.seconds *= 1 - STEP * (1 - SHARE)

    def _learn(self, seconds: float, started: float, oldest: float) -> None:
        # In the order of the starts: of many attempts that start at once, the quickest are answered first.
        self._early.append((started, seconds))
        self._first += [each for start, each in sorted(self._early) if start < oldest]
        self._early = [(start, each) for start, each in self._early if start >= oldest]
        known = sorted(self._first)
        if len(known) >= FIRST:
            self.seconds = known[int(SHARE * len(known))]
        elif known:
            self.seconds = MULTIPLE * known[int(LOWEST * len(known))]
