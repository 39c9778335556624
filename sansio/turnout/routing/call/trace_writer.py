"""Writes the trace of a call: one method for each kind of entry, with the time of the clock."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import msgspec

from turnout.chat import Usage
from turnout.routing.policy.decisions import Blocked, CandidateInfo, Decision, Fallback, Retry, WaitUntil
from turnout.routing.policy.settings import Policy
from turnout.routing.replay import rules_of
from turnout.trace import Trace, entries

__all__ = ["TIME_RESOLUTION", "TraceWriter"]

# Seconds. The times of a trace are rounded to this.
TIME_RESOLUTION = 1e-6


@attrs.define(eq=False)
class TraceWriter:
    """Writes the trace of a call that started at the monotonic time `started`."""

    trace: Trace
    started: float

    def elapsed(self, now: float) -> float:
        """Return the seconds since the start, rounded as the trace stores them and the plan decides by them."""
        return round(now - self.started, 6)

    def write(self, entry: entries.Entry) -> None:
        self.trace.entries.append(entry)

    # -- candidates -------------------------------------------------------------------------------------------------

    def candidate_found(self, info: CandidateInfo, policy: Policy | None = None) -> None:
        """Keep the facts about a candidate that the plan decides by, and its policy if it has its own."""
        rules = self.trace.rules
        facts = [info.provider, info.window, info.resumes, info.name]
        rules["candidates"].append([*facts, info.only_after] if info.only_after else facts)
        if policy is not None:
            rules.setdefault("policies", {})[str(len(rules["candidates"]) - 1)] = rules_of(policy)

    def skipped(self, now: float, index: int | None, candidate: str, reason: str) -> None:
        self.write(entries.Skipped(self.elapsed(now), candidate, reason, index))

    def blocked(self, now: float, index: int, candidate: str, blocked: Blocked) -> None:
        wait = blocked.wait if blocked.wait < math.inf else None
        self.write(
            entries.CandidateBlocked(
                self.elapsed(now),
                index,
                candidate,
                blocked.reason,
                wait,
                blocked.limit,
                blocked.load,
                blocked.advice,
                blocked.cause,
            )
        )

    def throttled(self, now: float) -> None:
        self.write(entries.Throttled(self.elapsed(now)))

    def queued(self, now: float, decision: WaitUntil) -> None:
        until = round(decision.until, 6) if decision.until < math.inf else None
        self.write(entries.Queued(self.elapsed(now), until, decision.reason))

    def queue_full(self, now: float, waiting: int) -> None:
        self.write(entries.QueueFull(self.elapsed(now), waiting))

    # -- attempts ---------------------------------------------------------------------------------------------------

    def attempt_started(
        self,
        now: float,
        number: int,
        index: int,
        candidate: str,
        *,
        forced: bool,
        probe: bool,
        hedge: bool,
        replaces: bool,
        omitted_settings: tuple[str, ...],
    ) -> None:
        self.trace.entries.append(
            entries.Started(
                self.elapsed(now), number, index, candidate, forced, probe, hedge, omitted_settings, replaces
            )
        )

    def response_started(self, now: float, attempt: int, status: int) -> None:
        self.trace.entries.append(entries.ResponseStarted(round(now - self.started, 6), attempt, status))

    def first_content(self, now: float, attempt: int) -> None:
        self.trace.entries.append(entries.FirstContent(round(now - self.started, 6), attempt))

    def attempt_failed(self, entry: entries.Failed, usage: Usage | None) -> None:
        if usage is not None:
            tokens, cost, estimated = _spent(usage)
            entry = msgspec.structs.replace(entry, tokens=tokens, cost=cost, estimated=estimated)
        self.write(entry)

    def attempt_completed(self, now: float, attempt: int, usage: Usage, skipped: int) -> None:
        estimated = usage.source == "estimated"
        self.write(
            entries.AttemptCompleted(
                round(now - self.started, 6), attempt, usage.total_tokens, usage.cost, skipped, estimated=estimated
            )
        )

    def attempt_cancelled(self, now: float, attempt: int, reason: str, usage: Usage | None) -> None:
        self.write(entries.AttemptCancelled(self.elapsed(now), attempt, reason, *_spent(usage)))

    # -- decisions --------------------------------------------------------------------------------------------------

    def decided(self, now: float, candidate: str, decision: Decision, excluded: Sequence[str], *, beside: bool) -> None:
        """Write the decision after a failure of `candidate`.

        Args:
            now: Monotonic seconds.
            candidate: The candidate.
            decision: The decision.
            excluded: The names of the candidates that it excludes.
            beside: True if another attempt still runs.
        """
        at = self.elapsed(now)
        if isinstance(decision, Retry):
            self.write(entries.Retrying(at, candidate, round(decision.wait, 6), decision.reason, beside))
            return
        kept = isinstance(decision, Fallback) and decision.keep
        self.write(entries.FellBack(at, candidate, decision.reason, kept))
        if isinstance(decision, Fallback):
            for name in excluded:
                self.write(entries.Skipped(at, name, entries.NO_LARGER))

    def stream_broke(self, now: float, attempt: int, mode: str, deadline: float) -> None:
        self.write(entries.StreamBroke(self.elapsed(now), attempt, mode, deadline))

    # -- the end ----------------------------------------------------------------------------------------------------

    def answered(self, now: float, candidate: str, unmet: tuple[str, ...] = ()) -> None:
        self.trace.entries.append(entries.Answered(round(now - self.started, 6), candidate, unmet))

    def cache_hit(self, now: float, candidate: str) -> None:
        self.write(entries.CacheHit(self.elapsed(now), candidate))

    def call_failed(self, now: float, reason: str) -> None:
        self.write(entries.CallFailed(self.elapsed(now), reason))


def _spent(usage: Usage | None) -> tuple[int | None, float | None, bool]:
    """Return the tokens and the cost of an attempt, and whether they are estimated."""
    if usage is None:
        return None, None, False
    return usage.total_tokens, usage.cost, usage.source == "estimated"
