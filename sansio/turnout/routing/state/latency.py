"""How long a candidate takes lately: moving estimates that jump up with a bad answer and come down slowly."""

from __future__ import annotations

import math
from collections import deque

import attrs

__all__ = ["Latency", "PeakEwma"]

# An estimate forgets with this time constant, so that a bad minute does not count for an hour.
DECAY_SECONDS = 30.0
# How many of the newest times the quantile for hedging is taken from.
SAMPLES = 128
# What an answer is taken to be long, when candidates are compared.
TYPICAL_TOKENS = 200


@attrs.define(eq=False)
class PeakEwma:
    """An exponentially weighted moving average that takes over anything above itself at once.

    Source: Finagle's peak EWMA load metric (Twitter, "Finagle: Clients, Load balancing").
    """

    value: float | None = None
    _at: float = 0.0

    def add(self, sample: float, now: float) -> None:
        if self.value is None or sample > self.value:
            self.value = sample
        else:
            weight = math.exp(-max(0.0, now - self._at) / DECAY_SECONDS)
            # However fast samples come, each has some weight.
            weight = min(weight, 0.9)
            self.value = self.value * weight + sample * (1.0 - weight)
        self._at = now


@attrs.define(eq=False)
class Latency:
    """Seconds to the first content, and seconds a token after it."""

    first_content: PeakEwma = attrs.field(factory=PeakEwma)
    per_token: PeakEwma = attrs.field(factory=PeakEwma)
    _recent: deque[float] = attrs.field(factory=lambda: deque(maxlen=SAMPLES))

    def content_came(self, seconds: float, now: float) -> None:
        self.first_content.add(seconds, now)
        self._recent.append(seconds)

    def no_content_for(self, seconds: float, now: float) -> None:
        """An attempt was given up with no content after `seconds`: it would have taken longer.

        Left out, the slow ones that a hedge overtook would be missing, and the quantile would fall from hedge to hedge.
        """
        self._recent.append(seconds)
        if seconds > (self.first_content.value or 0.0):
            self.first_content.add(seconds, now)

    def ended(self, seconds: float, tokens: int | None, now: float) -> None:
        """The rest of an answer took `seconds` for `tokens`."""
        if tokens and seconds > 0:
            self.per_token.add(seconds / tokens, now)

    def score(self, in_flight: int) -> float:
        """Seconds that an answer is likely to take, times the attempts that share the candidate.

        An unknown and idle candidate scores 0, so that it gets known; one attempt at a time, as it were.
        """
        first = self.first_content.value
        if first is None:
            return float(in_flight)
        return (first + TYPICAL_TOKENS * (self.per_token.value or 0.0)) * (in_flight + 1)

    def quantile(self, share: float) -> float | None:
        """Of the newest times to the first content; None while there are too few to tell."""
        if len(self._recent) < 10:
            return None
        ordered = sorted(self._recent)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
