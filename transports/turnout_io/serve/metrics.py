"""Counts the requests of the gateway, and writes the counts in the text format of Prometheus.

Source: the exposition format of Prometheus, version 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

__all__ = ["Counter", "Histogram", "Metrics", "sample"]

# Combinations of labels that a counter can have.
_MAX_SERIES: Final = 2_000
_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


def sample(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    """Return one line of the format."""
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    shown = f"{value:.10g}"
    return f"{name}{{{pairs}}} {shown}\n" if pairs else f"{name} {shown}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@attrs.define(eq=False)
class Counter:
    """A number for each combination of labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], float] = attrs.field(factory=dict)

    def add(self, *labels: str, amount: float = 1.0) -> None:
        """Add to the number of these labels. Clients name models, so beyond a bound all new labels are `other`."""
        if labels not in self.values and len(self.values) >= _MAX_SERIES:
            labels = ("other",) * len(labels)
        self.values[labels] = self.values.get(labels, 0.0) + amount

    def lines(self) -> Iterable[str]:
        yield f"# HELP {self.name} {self.help}\n# TYPE {self.name} counter\n"
        for labels, value in sorted(self.values.items()):
            yield sample(self.name, zip(self.labels, labels, strict=True), value)


@attrs.define(eq=False)
class Histogram:
    """The distribution of durations, in seconds."""

    name: str
    help: str
    _counts: list[int] = attrs.field(factory=lambda: [0] * (len(_BUCKETS) + 1))
    _sum: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(_BUCKETS, seconds)] += 1
        self._sum += seconds

    def lines(self) -> Iterable[str]:
        yield f"# HELP {self.name} {self.help}\n# TYPE {self.name} histogram\n"
        total = 0
        for bound, count in zip((*map(str, _BUCKETS), "+Inf"), self._counts, strict=True):
            total += count
            yield sample(f"{self.name}_bucket", [("le", bound)], total)
        yield sample(f"{self.name}_sum", (), self._sum)
        yield sample(f"{self.name}_count", (), total)


@attrs.define(eq=False)
class Metrics:
    """All counts of one gateway."""

    requests: Counter = attrs.field(
        factory=lambda: Counter(
            "turnout_requests_total", "Requests by path, status and key.", ("path", "status", "key")
        )
    )
    attempts: Counter = attrs.field(
        factory=lambda: Counter("turnout_attempts_total", "Requests to providers.", ("candidate",))
    )
    failures: Counter = attrs.field(
        factory=lambda: Counter(
            "turnout_attempt_failures_total", "Failed requests to providers, by class.", ("candidate", "class")
        )
    )
    fallbacks: Counter = attrs.field(
        factory=lambda: Counter("turnout_fallbacks_total", "Calls that left a candidate.", ("candidate",))
    )
    tokens: Counter = attrs.field(
        factory=lambda: Counter("turnout_tokens_total", "Tokens by kind and key.", ("kind", "key"))
    )
    cost: Counter = attrs.field(
        factory=lambda: Counter("turnout_cost_total", "Cost in the currency of the prices.", ("key",))
    )
    first_content: Histogram = attrs.field(
        factory=lambda: Histogram("turnout_first_content_seconds", "Time to the first content of a stream.")
    )
    total: Histogram = attrs.field(factory=lambda: Histogram("turnout_call_seconds", "Time of a call."))

    def text(self, gauges: Mapping[str, tuple[str, Iterable[tuple[tuple[tuple[str, str], ...], float]]]]) -> bytes:
        """Return everything as text.

        Args:
            gauges: Present values by name, each with its help and its samples of labels and value.
        """
        counters = (self.requests, self.attempts, self.failures, self.fallbacks, self.tokens, self.cost)
        lines = [line for metric in (*counters, self.first_content, self.total) for line in metric.lines()]
        for name, (help, samples) in gauges.items():
            lines.append(f"# HELP {name} {help}\n# TYPE {name} gauge\n")
            lines += [sample(name, labels, value) for labels, value in samples]
        return "".join(lines).encode()
