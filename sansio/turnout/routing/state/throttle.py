"""Whether a router may repeat requests while its providers refuse most of them.

Source: Beyer et al., "Site Reliability Engineering", chapter 21, client-side throttling. It never holds back the first
attempt of a call, nor a fallback to a candidate that is available. A request that was never sent does not count,
because it burdens no provider.
"""

from __future__ import annotations

from collections import deque

import attrs

__all__ = ["Step", "Throttle"]

WINDOW = 30.0
# The window slides in steps, so that its memory does not grow with the rate of requests.
STEP = 3.0
# Nothing is held back while one request of so many is answered.
FACTOR = 2.0
# Below so many requests in the window, nothing is held back.
FREE = 10


@attrs.define(eq=False)
class Step:
    """The requests and the answers of some seconds."""

    started: float
    requests: int = 0
    answers: int = 0


@attrs.define(eq=False)
class Throttle:
    """The requests and the answers of one router over the last seconds."""

    _steps: deque[Step] = attrs.field(factory=deque, init=False)
    _share: float = attrs.field(default=0.0, init=False)  # of one repetition that is allowed already

    def count_request(self, now: float) -> Step:
        """Count a request, and return the step that has it."""
        step = self._newest(now)
        step.requests += 1
        return step

    def count_answer(self, now: float) -> None:
        self._newest(now).answers += 1

    def refuses(self, now: float) -> bool:
        """True if a request may not be repeated now.

        The book draws at random. Here every n-th repetition is allowed, which gives the same share without chance.
        """
        self._forget(now)
        requests = sum(step.requests for step in self._steps)
        answers = sum(step.answers for step in self._steps)
        if requests < FREE or requests <= FACTOR * answers:
            return False
        self._share += 1.0 - (requests - FACTOR * answers) / (requests + 1)
        if self._share < 1.0:
            return True
        self._share -= 1.0
        return False

    def _newest(self, now: float) -> Step:
        steps = self._steps
        if not steps or now >= steps[-1].started + STEP:
            self._forget(now)
            steps.append(Step(now))
        return steps[-1]

    def _forget(self, now: float) -> None:
        steps = self._steps
        while steps and steps[0].started <= now - WINDOW:
            steps.popleft()
