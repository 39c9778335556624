"""The results of a simulation, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import attrs

__all__ = ["CandidateReport", "Quantiles", "Report", "Span"]


@attrs.frozen
class Quantiles:
    """Seconds."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self | None:
        """By nearest rank; None if there is no value."""
        if not seconds:
            return None
        ordered = sorted(seconds)
        p50, p95, p99 = (ordered[max(0, -(-percent * len(ordered) // 100) - 1)] for percent in (50, 95, 99))
        return cls(
            round(sum(ordered) / len(ordered), 6), round(p50, 6), round(p95, 6), round(p99, 6), round(ordered[-1], 6)
        )

    def __str__(self) -> str:
        named = (("mean", self.mean), ("p50", self.p50), ("p95", self.p95), ("p99", self.p99), ("max", self.max))
        return "   ".join(f"{name} {seconds:.3f} s" for name, seconds in named)


@attrs.define
class CandidateReport:
    """What happened at one candidate.

    Attributes:
        attempts: The attempts that were started on it.
        answered: The calls that it answered.
        failures: Its failed attempts by class.
        breaker_opened: How many times its breaker opened.
    """

    attempts: int = 0
    answered: int = 0
    failures: Counter[str] = attrs.field(factory=Counter)
    breaker_opened: int = 0


@attrs.define
class Span:
    """A part of the timeline, and the calls that began in it.

    Attributes:
        served: The calls that each candidate answered.
        breaker_open: The part of the time, from 0 to 1, in which the breaker of each candidate was open.
    """

    begins: float
    calls: int = 0
    failed: int = 0
    served: Counter[str] = attrs.field(factory=Counter)
    breaker_open: dict[str, float] = attrs.field(factory=dict)


@attrs.define
class Report:
    """One run.

    Attributes:
        seconds: Virtual time until the last call ended.
        errors: Failed calls by the name of their error.
        first_content: The time from the start of a call to its first content, of answered streams.
        whole: The time from the start to the end, of answered calls.
        added: The time that routing added: from the start of a call to the start of the attempt that answered.
        cost: The cost of all answers; None without prices.
    """

    seed: int
    seconds: float = 0.0
    calls: int = 0
    answered: int = 0
    attempts: int = 0
    hedges: int = 0
    restarts: int = 0
    errors: Counter[str] = attrs.field(factory=Counter)
    first_content: Quantiles | None = None
    whole: Quantiles | None = None
    added: Quantiles | None = None
    cost: float | None = None
    candidates: dict[str, CandidateReport] = attrs.field(factory=dict)
    timeline: list[Span] = attrs.field(factory=list)

    @property
    def failed(self) -> int:
        return self.calls - self.answered

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the same run gives the same, in the same order."""
        told = attrs.asdict(self)
        told["errors"] = _sorted(self.errors)
        for name, candidate in self.candidates.items():
            told["candidates"][name]["failures"] = _sorted(candidate.failures)
        for span, row in zip(self.timeline, told["timeline"], strict=True):
            row["served"] = _sorted(span.served)
        return told

    def __str__(self) -> str:
        return "\n".join([*self._summary(), "", *self._candidates(), "", *self._timeline()])

    def _summary(self) -> list[str]:
        share = self.answered / self.calls if self.calls else 0.0
        rows = [("answered", f"{self.answered:,} of {self.calls:,} calls, {share:.2%}")]
        if self.errors:
            told = ", ".join(f"{count:,} {name}" for name, count in _sorted(self.errors).items())
            rows.append(("failed", told))
        for name, quantiles in (
            ("first content", self.first_content), ("whole answer", self.whole), ("added by routing", self.added),
        ):  # fmt: skip
            if quantiles is not None:
                rows.append((name, str(quantiles)))
        if self.calls:
            rows.append(("attempts a call", f"{self.attempts / self.calls:.3f}"))
        if self.hedges:
            rows.append(("hedges", f"{self.hedges:,}"))
        if self.restarts:
            rows.append(("broken and continued", f"{self.restarts:,}"))
        if self.cost is not None:
            rows.append(("cost", f"{self.cost:.4f}"))
        width = max(len(name) for name, _ in rows)
        return [f"{name.ljust(width)}  {told}" for name, told in rows]

    def _candidates(self) -> list[str]:
        rows = [("candidate", "attempts", "answered", "traffic", "breaker opened", "failures")]
        for name, candidate in self.candidates.items():
            share = candidate.answered / self.answered if self.answered else 0.0
            failures = ", ".join(f"{count:,} {failure}" for failure, count in _sorted(candidate.failures).items())
            numbers = (
                f"{candidate.attempts:,}",
                f"{candidate.answered:,}",
                f"{share:.1%}",
                f"{candidate.breaker_opened}",
            )
            rows.append((name, *numbers, failures or "none"))
        return _table(rows, left=(0, 5))

    def _timeline(self) -> list[str]:
        names = list(self.candidates)
        rows = [("from", "calls", "failed", *names, "breaker open")]
        for span in self.timeline:
            answered = sum(span.served.values())
            shares = (f"{span.served[name] / answered:.0%}" if answered else "-" for name in names)
            is_open = ", ".join(f"{name} {share:.0%}" for name, share in span.breaker_open.items() if share > 0)
            rows.append((_clock(span.begins), f"{span.calls:,}", f"{span.failed:,}", *shares, is_open))
        return _table(rows, left=(0, len(names) + 3))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    """Sort by frequency, the highest first, and equals by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _table(rows: Sequence[tuple[str, ...]], left: Sequence[int]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
