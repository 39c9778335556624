"""Counts calls, attempts, fallbacks, tokens and cost from the trace of each call."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import attrs

from turnout.trace import Trace
from turnout.trace.entries import (
    CANCELLED,
    Answered,
    AttemptCancelled,
    AttemptCompleted,
    CacheHit,
    CallFailed,
    Failed,
    FellBack,
    FirstContent,
    Started,
)
from turnout_io.metrics.prometheus import Counter, Histogram
from turnout_io.process_lock import process_lock

__all__ = ["Metrics"]

_MODEL: Final = ("provider", "model")
_TOKENS: Final = ("prompt", "completion", "cached", "cache_write", "reasoning")


@attrs.define(eq=False)
class Counts:
    """The counts, without a lock."""

    calls: Counter = attrs.field(
        factory=lambda: Counter("turnout_calls_total", "Calls that have ended.", ("operation", *_MODEL, "outcome"))
    )
    durations: Histogram = attrs.field(
        factory=lambda: Histogram("turnout_call_duration_seconds", "Time of a call.", ("operation", *_MODEL, "outcome"))
    )
    first_content: Histogram = attrs.field(
        factory=lambda: Histogram(
            "turnout_first_content_seconds", "Time from the start of a call to the first content of a stream.", _MODEL
        )
    )
    attempts: Counter = attrs.field(factory=lambda: Counter("turnout_attempts_total", "Requests to providers.", _MODEL))
    failures: Counter = attrs.field(
        factory=lambda: Counter(
            "turnout_attempt_failures_total", "Failed requests to providers, by class.", (*_MODEL, "class")
        )
    )
    fallbacks: Counter = attrs.field(
        factory=lambda: Counter("turnout_fallbacks_total", "Calls that turned from this model to another.", _MODEL)
    )
    tokens: Counter = attrs.field(
        factory=lambda: Counter("turnout_tokens_total", "Tokens of answered calls, by kind.", (*_MODEL, "kind"))
    )
    cost: Counter = attrs.field(
        factory=lambda: Counter("turnout_cost_total", "Cost in the currency of the prices.", _MODEL)
    )

    def count(self, trace: Trace) -> None:
        """Count a call that has ended."""
        self._count_attempts(trace)
        end = next((entry for entry in trace.entries if isinstance(entry, Answered | CacheHit | CallFailed)), None)
        if end is None:
            return
        model = _parts(trace.candidate)
        labels = (trace.operation, *model, _outcome(end))
        self.calls.add(*labels)
        self.durations.observe(end.at, *labels)
        first = next((entry.at for entry in trace.entries if isinstance(entry, FirstContent)), None)
        if trace.operation == "stream" and first is not None:
            self.first_content.observe(first, *model)
        for kind in _TOKENS:
            count = trace.outcome.get(f"{kind}_tokens")
            if count:
                self.tokens.add(*model, kind, amount=count)

    def _count_attempts(self, trace: Trace) -> None:
        models: dict[int, tuple[str, str]] = {}
        left: str | None = None  # the candidate that the call wants to leave
        for entry in trace.entries:
            match entry:
                case Started():
                    models[entry.attempt] = _parts(entry.candidate)
                    self.attempts.add(*models[entry.attempt])
                    # The trace has this entry also if no other candidate follows.
                    if left is not None and left != entry.candidate:
                        self.fallbacks.add(*_parts(left))
                    left = None
                case Failed() if entry.attempt in models:
                    self.failures.add(*models[entry.attempt], entry.failure.value)
                    self._add_cost(models, entry)
                case FellBack():
                    left = entry.candidate
                case AttemptCompleted() | AttemptCancelled() if entry.attempt in models:
                    self._add_cost(models, entry)
                case _:
                    pass

    def _add_cost(
        self, models: dict[int, tuple[str, str]], entry: AttemptCompleted | AttemptCancelled | Failed
    ) -> None:
        if entry.cost:
            self.cost.add(*models[entry.attempt], amount=entry.cost)

    def lines(self) -> Iterable[str]:
        """Return the lines of all metrics."""
        for field in attrs.fields(Counts):
            yield from getattr(self, field.name).lines()


class Metrics:
    """Counts every call of one or several routers: `Router.from_env(on_trace=Metrics())`.

    A call counts for the provider and the model that answered it; if none did, for the first that was tried. Its
    outcome is `answered`, `cached`, `cancelled`, or the name of the error. Attempts, failures, fallbacks and cost count
    for the model of each attempt. An attempt has a cost if its price is known; the
    usage of one that ended early is estimated.

    Routers in several threads may share it. Each process has its own counts.
    """

    def __init__(self) -> None:
        self._counts = Counts()
        self._traces: deque[Trace] = deque()
        self._lock = process_lock()

    def __call__(self, trace: Trace) -> None:
        """Count a call that has ended.

        A finaliser may end a call while this thread counts another one. So this never waits for the lock: the thread
        that holds it counts the trace too.
        """
        self._traces.append(trace)
        while self._traces and self._lock.acquire(blocking=False):
            try:
                self._count_all()
            finally:
                self._lock.release()

    def _count_all(self) -> None:
        while self._traces:
            self._counts.count(self._traces.popleft())

    def text(self) -> str:
        """Return all counts in the text format of Prometheus. Its media type is `turnout_io.metrics.CONTENT_TYPE`."""
        with self._lock:
            self._count_all()
            return "".join(self._counts.lines())


def _parts(candidate: str) -> tuple[str, str]:
    provider, _, model = candidate.partition("/")
    return provider, model


def _outcome(end: Answered | CacheHit | CallFailed) -> str:
    if isinstance(end, CacheHit):
        return "cached"
    if isinstance(end, Answered):
        return "answered"
    return "cancelled" if end.reason == CANCELLED else end.reason
