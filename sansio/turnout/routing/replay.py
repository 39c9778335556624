"""Decides a recorded call again: the plan receives the facts of its trace, and must make the same decisions.

    differences = replay(trace.to_dict())        # () if every decision is the same, byte for byte

Facts are the inputs of the plan: why candidates were blocked, statuses, failures, content, times. Decisions are its
outputs: the candidate that is tried, the candidates that remain, the length of waits, and when to give up.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import msgspec

from turnout.errors import Phase
from turnout.failures import FailureClass
from turnout.routing.policy.classify import Action, Rule
from turnout.routing.policy.decisions import (
    Blocked,
    CandidateInfo,
    FailureFacts,
    Fallback,
    GiveUp,
    Retry,
    TryCandidate,
    WaitUntil,
)
from turnout.routing.policy.plan import Plan
from turnout.routing.policy.settings import Policy
from turnout.trace import TraceError, check_version
from turnout.trace.entries import NO_LARGER, Entry, FellBack, Queued, Retrying, Skipped

__all__ = ["replay", "rules_of"]

# The fields of a policy that a plan decides by.
FIELDS = (
    "max_retries",
    "max_attempts",
    "backoff_initial",
    "backoff_max",
    "short_wait",
    "attempt_timeout",
    "retry_mode",
    "on_interrupt",
    "when_all_in_cooldown",
    "when_at_capacity",
)
_USUAL = Policy()


def rules_of(policy: Policy) -> dict[str, Any]:
    """Return the settings that a trace must store: the fields that the plan uses and that differ from the defaults."""
    rules: dict[str, Any] = {
        field: value for field in FIELDS if (value := getattr(policy, field)) != getattr(_USUAL, field)
    }
    if policy.rules:
        rules["rules"] = {key: attrs.asdict(rule) for key, rule in policy.rules.items()}
    if policy.fallbacks:
        rules["fallbacks"] = list(policy.fallbacks)
    return rules


def replay(recorded: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the differences between the recorded decisions of a call and those that its facts lead to now.

    Args:
        recorded: The result of `Trace.to_dict`.

    Returns:
        One text for each difference; () if there is none.

    Raises:
        TraceError: If the record has another version, or is incomplete.
    """
    check_version(recorded)
    try:
        return tuple(_Replay(recorded).differences())
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise TraceError(f"the trace is not whole: {type(error).__name__}: {error}") from error


def _policy(rules: Mapping[str, Any]) -> Policy:
    fields = {field: rules[field] for field in FIELDS if field in rules}
    own = {
        key: Rule(Action(rule["action"]), rule["health"], rule["cooldown"], rule.get("max_retries"))
        for key, rule in rules.get("rules", {}).items()
    }
    # The candidates of these classes are recorded beside the others.
    fallbacks = dict.fromkeys(rules.get("fallbacks", ()), ("recorded/candidate",))
    return Policy(**fields, rules=own, fallbacks=fallbacks)


@attrs.define(eq=False)
class _Replay:
    """One pass over a trace: the plan receives the facts, and its decisions are compared with the recorded ones."""

    recorded: Mapping[str, Any]
    plan: Plan = attrs.field(init=False)
    _blocked: dict[int, Blocked] = attrs.field(factory=dict, init=False)
    _started: dict[int, Mapping[str, Any]] = attrs.field(factory=dict, init=False)
    _running: set[int] = attrs.field(factory=set, init=False)
    _with_content: set[int] = attrs.field(factory=set, init=False)
    _failed: Mapping[str, Any] = attrs.field(factory=dict, init=False)
    _throttled: bool = attrs.field(default=False, init=False)
    _expected: deque[Entry] = attrs.field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        rules, deadline = self.recorded["rules"], self.recorded["deadline"]
        self.plan = Plan(
            [CandidateInfo(*one) for one in rules["candidates"]],
            _policy(rules),
            deadline if deadline is not None else math.inf,
            self.recorded["seed"],
        )
        self.plan.own = {int(index): _policy(own) for index, own in rules.get("policies", {}).items()}

    def differences(self) -> Iterator[str]:
        for entry in self.recorded["entries"]:
            yield from self._read(entry)
        for left in self._expected:
            yield f"the facts lead to {_text(left)}, which was not recorded"

    def _read(self, entry: Mapping[str, Any]) -> Iterator[str]:
        at, plan = entry["at"], self.plan
        match entry["kind"]:
            case "candidate-blocked":
                wait = entry["wait"] if entry["wait"] is not None else math.inf
                self._blocked[entry["index"]] = Blocked(
                    entry["reason"], wait, entry["limit"], entry["load"], entry["advice"], entry.get("cause", "")
                )
            case "queued":
                made: object
                decision = self._choose(at)
                until = (
                    round(decision.until, 6) if isinstance(decision, WaitUntil) and decision.until < math.inf else None
                )
                made = Queued(at, until, decision.reason) if isinstance(decision, WaitUntil) else decision
                yield from _compare(entry, made)
            case "throttled":
                self._throttled = True
            case "queue-full":
                decision = self._choose(at)
                if not isinstance(decision, WaitUntil):
                    yield from _compare(entry, decision)
            case "started" if entry["hedge"]:
                running = max(self._running)
                # The trace shows that the candidates before the chosen one were blocked, but not why.
                order = plan.left
                free = set(order[order.index(entry["index"]) :])
                chosen = plan.choose_hedge(self._started[running]["index"], free.__contains__)
                yield from _compare(entry, {**entry, "index": chosen.index} if chosen is not None else None)
                self._begin(entry)
            case "started":
                decision = self._choose(at)
                made = (
                    {**entry, "index": decision.index, "forced": decision.forced}
                    if isinstance(decision, TryCandidate)
                    else decision
                )
                yield from _compare(entry, made)
                self._begin(entry)
            case "skipped" if entry["index"] is not None:
                plan.exclude(entry["index"])
            case "completed":
                self._running.discard(entry["attempt"])
                plan.part_returned()
            case "cancelled":
                self._running.discard(entry["attempt"])
            case "first-content":
                self._with_content.add(entry["attempt"])
            case "failed":
                self._failed = entry
                self._running.discard(entry["attempt"])
                reached_caller = self.recorded["operation"] == "stream" and entry["attempt"] in self._with_content
                if entry["error"] != "DeadlineExceeded" and not reached_caller:
                    self._expect(plan.failed(self._facts()), entry)
            case "stream-broke":
                plan.deadline = entry["deadline"]
                after = plan.interrupted(self._facts(), resume=entry["mode"] == "resume")
                if not isinstance(after, GiveUp):  # else the error is raised, and no decision is recorded
                    self._expect(after, self._failed)
            case "retrying" | "fell-back" | "skipped":
                if entry["kind"] == "retrying" and "beside" not in entry:
                    entry = {**entry, "beside": bool(self._running)}  # an older record does not tell it
                if self._started or self._expected:
                    yield from _compare(entry, self._expected.popleft() if self._expected else None)
            case "call-failed" if self._blocked:
                decision = self._choose(at)
                if not isinstance(decision, GiveUp):
                    yield from _compare(entry, decision)

    def _choose(self, at: float) -> TryCandidate | WaitUntil | GiveUp:
        blocked, self._blocked = self._blocked, {}
        throttled, self._throttled = self._throttled, False
        found = [(index, blocked.get(index)) for index in self.plan.left]
        return self.plan.choose(found, at, throttled=throttled)

    def _begin(self, entry: Mapping[str, Any]) -> None:
        self._started[entry["attempt"]] = entry
        self._running.add(entry["attempt"])
        self.plan.attempt_started(entry["index"])

    def _facts(self) -> FailureFacts:
        failed = self._failed
        return FailureFacts(
            self._started[failed["attempt"]]["index"],
            FailureClass(failed["failure"]),
            failed["retry_after"],
            Phase(failed["phase"]),
            failed["at"],
            failed["other_free"],
            failed["throttled"],
            failed.get("reused", False),
        )

    def _expect(self, decision: Retry | Fallback | GiveUp, failed: Mapping[str, Any]) -> None:
        at, candidate = failed["at"], self._started[failed["attempt"]]["candidate"]
        if isinstance(decision, Retry):
            wait = round(decision.wait, 6)
            self._expected.append(Retrying(at, candidate, wait, decision.reason, bool(self._running)))
            return
        kept = isinstance(decision, Fallback) and decision.keep
        self._expected.append(FellBack(at, candidate, decision.reason, kept))
        if isinstance(decision, Fallback):
            for place in decision.excluded:
                name = self.recorded["rules"]["candidates"][place][3]
                self._expected.append(Skipped(at, name, NO_LARGER))


def _compare(recorded: Mapping[str, Any], made: object) -> Iterator[str]:
    if _text(recorded) != _text(made):
        yield f"at {recorded['at']} s {_text(recorded)} was recorded, and the facts lead to {_text(made)}"


def _text(entry: object) -> str:
    """Return an entry as a line of JSON, for a comparison by bytes."""
    if isinstance(entry, Mapping):
        return json.dumps(dict(entry), sort_keys=True)
    if isinstance(entry, Entry):
        return json.dumps({"kind": entry.kind, **msgspec.structs.asdict(entry)}, sort_keys=True)
    return str(entry)
