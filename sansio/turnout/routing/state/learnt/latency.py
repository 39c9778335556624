"""The recent latency of a candidate: moving estimates that rise at once with a slow response and fall slowly."""

from __future__ import annotations

import math
from collections import deque

import attrs

__all__ = ["Latency", "PeakEwma"]

# An estimate forgets with this time constant, so that a bad minute does not count for an hour.
DECAY_SECONDS = 30.0
# From how many of the newest times the quantile for hedging is computed.
SAMPLES = 128
# An estimate that nobody renewed for so many seconds fades with this time constant, so that a candidate that was slow
# is tried again. Source: the decay as it is read of tower's peak EWMA.
FADES_AFTER = 15.0
FADE_SECONDS = 60.0
# The tokens of a typical response, to compare candidates.
TYPICAL_TOKENS = 200


@attrs.define(eq=False)
class PeakEwma:
    """An exponentially weighted moving average that takes over any value above itself at once.

    Source: Finagle's peak EWMA load metric (Twitter, "Finagle: Clients, Load balancing").
    """

    value: float | None = None
    _at: float = 0.0

    def add(self, sample: float, now: float) -> None:
        if self.value is None or sample > self.value:
            self.value = sample
        else:
            weight = math.exp(-max(0.0, now - self._at) / DECAY_SECONDS)
            # Each sample has some weight, even if many arrive in a short time.
            weight = min(weight, 0.9)
            self.value = self.value * weight + sample * (1.0 - weight)
        self._at = now

    def age(self, now: float) -> float:
        """Return the seconds since the newest sample."""
        return max(0.0, now - self._at)


@attrs.define(eq=False)
class Latency:
    """Seconds to the first content, or to the whole response if it does not stream, and seconds a token after it."""

    first_content: PeakEwma = attrs.field(factory=PeakEwma)
    per_token: PeakEwma = attrs.field(factory=PeakEwma)
    _streams: deque[float] = attrs.field(factory=lambda: deque(maxlen=SAMPLES))
    _whole: deque[float] = attrs.field(factory=lambda: deque(maxlen=SAMPLES))

    def record_first_content(self, seconds: float, now: float, *, streams: bool = True) -> None:
        self.first_content.add(seconds, now)
        (self._streams if streams else self._whole).append(seconds)

    def record_censored(self, seconds: float, now: float, *, streams: bool = True) -> None:
        """Record an attempt that ended without content after `seconds`: it would have taken longer.

        Without these samples the slow attempts that a hedge beat would be missing, and the quantile would fall with
        each hedge.
        """
        (self._streams if streams else self._whole).append(seconds)
        if seconds > (self.first_content.value or 0.0):
            self.first_content.add(seconds, now)

    def record_response(self, seconds: float, tokens: int | None, now: float) -> None:
        """Record that the rest of a response took `seconds` for `tokens`."""
        if tokens and seconds > 0:
            self.per_token.add(seconds / tokens, now)

    def load_score(self, in_flight: int, now: float) -> float:
        """Return the seconds that a response probably takes, times the attempts that share the candidate.

        An unknown and idle candidate scores 0, so that it becomes known, with one attempt at a time.
        """
        first = self.first_content.value
        if first is None:
            return float(in_flight)
        score = (first + TYPICAL_TOKENS * (self.per_token.value or 0.0)) * (in_flight + 1)
        idle = self.first_content.age(now) - FADES_AFTER
        return score * math.exp(-idle / FADE_SECONDS) if idle > 0 else score

    def quantile(self, share: float, *, streams: bool = True) -> float | None:
        """Return this quantile of the newest times to the first content; None if there are too few of them."""
        recent = self._streams if streams else self._whole
        if len(recent) < 10:
            return None
        ordered = sorted(recent)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
