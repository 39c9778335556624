"""Counters and histograms in the text format of Prometheus.

Source: the exposition format of Prometheus, version 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

__all__ = ["BUCKETS", "CONTENT_TYPE", "Counter", "Histogram", "gauge_lines", "sample"]

# The media type of the format.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Upper bounds of the durations that a histogram counts together, in seconds.
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
# Combinations of labels that a metric can have.
_MAX_SERIES: Final = 2_000
_OTHER: Final = "other"


def sample(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    """Return one line of the format."""
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    shown = str(int(value)) if value == int(value) else repr(value)
    return f"{name}{{{pairs}}} {shown}\n" if pairs else f"{name} {shown}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _head(name: str, help: str, kind: str) -> str:
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n"


def gauge_lines(name: str, help: str, samples: Iterable[tuple[Iterable[tuple[str, str]], float]]) -> Iterable[str]:
    """Return the lines of present values: each sample has its labels and its value."""
    yield _head(name, help, "gauge")
    for labels, value in samples:
        yield sample(name, labels, value)


@attrs.define(eq=False)
class Counter:
    """A number for each combination of labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], float] = attrs.field(factory=dict)

    def add(self, *labels: str, amount: float = 1.0) -> None:
        """Add to the number of these labels. Callers name models, so beyond a bound all new labels are `other`."""
        labels = _bounded(self.values, labels)
        self.values[labels] = self.values.get(labels, 0.0) + amount

    def lines(self) -> Iterable[str]:
        """Return the lines of this metric."""
        yield _head(self.name, self.help, "counter")
        for labels, value in sorted(self.values.items()):
            yield sample(self.name, zip(self.labels, labels, strict=True), value)


@attrs.define(eq=False)
class _Distribution:
    counts: list[int] = attrs.field(factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0


@attrs.define(eq=False)
class Histogram:
    """The distribution of durations in seconds, for each combination of labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], _Distribution] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if not self.labels:
            self.values[()] = _Distribution()  # a metric without labels has a value from the start

    def observe(self, seconds: float, *labels: str) -> None:
        """Count one duration. The bound of labels is that of `Counter.add`."""
        found = self.values.setdefault(_bounded(self.values, labels), _Distribution())
        found.counts[bisect_left(BUCKETS, seconds)] += 1
        found.sum += seconds

    def lines(self) -> Iterable[str]:
        """Return the lines of this metric."""
        yield _head(self.name, self.help, "histogram")
        for labels, found in sorted(self.values.items(), key=lambda item: item[0]):
            pairs = tuple(zip(self.labels, labels, strict=True))
            total = 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), found.counts, strict=True):
                total += count
                yield sample(f"{self.name}_bucket", (*pairs, ("le", bound)), total)
            yield sample(f"{self.name}_sum", pairs, found.sum)
            yield sample(f"{self.name}_count", pairs, total)


def _bounded(values: Mapping[tuple[str, ...], object], labels: tuple[str, ...]) -> tuple[str, ...]:
    if labels not in values and len(values) >= _MAX_SERIES:
        return (_OTHER,) * len(labels)
    return labels
