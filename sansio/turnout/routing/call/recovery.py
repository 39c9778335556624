"""Recovery after a failed attempt: records the facts, and lets the plan decide."""

from __future__ import annotations

import attrs
import msgspec

from turnout.chat import ChatResponse
from turnout.errors import DemandUnmet, Phase, TimedOut, Timer, TurnoutError
from turnout.failures import FailureClass
from turnout.redaction import clear_locals
from turnout.responses import longest
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.final_error import AttemptErrors, as_interrupted, failure_entry
from turnout.routing.call.partial_response import PartialResponse
from turnout.routing.call.selection import CandidateSelector
from turnout.routing.policy.classify import Action, classify
from turnout.routing.policy.decisions import Decision, FailureFacts, GiveUp
from turnout.routing.policy.settings import Policy
from turnout.trace.entries import Failed

__all__ = ["Failure", "Recovery"]

# The provider refuses the request itself, now and later: a wait that it asks for concerns no other call.
_REFUSED_FOR_GOOD = frozenset(
    {
        FailureClass.BATCH_TOO_LARGE,
        FailureClass.CONTEXT_LENGTH,
        FailureClass.REQUEST_TOO_LARGE,
        FailureClass.INVALID_REQUEST,
        FailureClass.CONTENT_FILTER,
    }
)


@attrs.define(eq=False)
class Failure:
    """A failed attempt.

    Attributes:
        attempt: The attempt.
        kind: The class of the failure.
        entry: Its entry in the trace.
        error: The error to keep; with the partial response, if some of it arrived.
        partial: The response as far as it arrived.
    """

    attempt: Attempt
    kind: FailureClass
    entry: Failed
    error: TurnoutError
    partial: ChatResponse | None


@attrs.define(eq=False)
class Recovery:
    """Decides the next step after each failure of one call.

    Attributes:
        policy: The policy of the call.
        selector: The candidates of the call, its plan, its cost and its trace.
        response: The response as far as it arrived.
        errors: The errors so far.
    """

    policy: Policy
    selector: CandidateSelector
    response: PartialResponse
    errors: AttemptErrors = attrs.field(factory=AttemptErrors, init=False)

    def record(
        self,
        attempt: Attempt,
        error: TurnoutError,
        now: float,
        *,
        running: Attempt | None,
        with_events: bool,
        splits_batch: bool,
    ) -> Failure:
        """Record a failure in the trace, the cost, and the state of the candidate.

        Args:
            running: The attempt that still runs beside the failed one.
            with_events: True if events arrived before the fault in the same read.
            splits_batch: True if the provider refused the size of a batch, and the next one is smaller.
        """
        clear_locals(error)
        if attempt.candidate.model.model_id != "*":  # a list of models is asked of no model
            error.candidate = str(attempt.candidate)
        selector, provider = self.selector, attempt.candidate.provider.name
        kind = FailureClass.BATCH_TOO_LARGE if splits_batch else classify(error)
        entry = failure_entry(selector.writer.elapsed(now), attempt.number, kind, attempt.state.phase, error)
        partial = self.response.of(attempt) if attempt.has_content or with_events else None
        self.response.longest = longest(self.response.longest, partial or error.partial)
        interrupted = partial is not None and not isinstance(error, DemandUnmet)
        kept = as_interrupted(error, partial, str(attempt.candidate)) if interrupted else error
        self.errors.add(kept, str(attempt.candidate))
        self.errors.unusable = selector.unusable
        has_content = attempt.has_content or with_events
        usage = selector.cost.failed(attempt, kind, entry.phase, error, has_content=has_content)
        rule = attempt.candidate.policy.rule(kind, provider)
        if attempt.deadline_bound and isinstance(error, TimedOut) and error.timer is not Timer.CONNECT:
            rule = attrs.evolve(rule, health=False)
        retry_after = None if kind in _REFUSED_FOR_GOOD else entry.retry_after
        selector.scheduler.record_failure(
            attempt.lease, now, kind, rule, retry_after, sent=entry.phase is not Phase.NOT_SENT
        )
        if rule.action is Action.RETRY or entry.reused:
            selector.look_up(now)
            index = running.index if running is not None else None
            other_free, throttled = selector.scheduler.outlook(selector, attempt.index, index, now)
            entry = msgspec.structs.replace(entry, other_free=other_free, throttled=throttled)
        selector.writer.attempt_failed(entry, usage)
        return Failure(attempt, kind, entry, kept, partial)

    def record_silence(self, attempt: Attempt, now: float) -> None:
        """Count the silence of an attempt that is closed now against its candidate's health, if it had enough time."""
        state, lease = attempt.candidate.state, attempt.lease
        if not attempt.has_content and state.is_patient_enough(now - lease.started, streams=attempt.streams):
            kind = FailureClass.NO_RESPONSE
            rule = self.policy.rule(kind, attempt.candidate.provider.name)
            self.selector.scheduler.record_failure(lease, now, kind, rule, None)

    def decide(self, failure: Failure, now: float) -> Decision:
        """Return the next step if nothing of the response has reached the caller."""
        self.selector.look_up(now)
        self.selector.look_up_fallbacks(failure.kind, failure.attempt.candidate.policy, now)
        return self.selector.plan.failed(facts_of(failure.entry, failure.attempt.index))

    def decide_after_content(self, failure: Failure, now: float, deadline: float) -> Decision:
        """Return the next step after a stream that had delivered tokens broke, if the policy continues it."""
        self.selector.look_up(now)
        selector, mode = self.selector, self.policy.on_interrupt
        plan, writer = selector.plan, selector.writer
        plan.deadline = writer.elapsed(deadline)
        writer.stream_broke(now, failure.attempt.number, mode, plan.deadline)
        return plan.interrupted(facts_of(failure.entry, failure.attempt.index), resume=mode == "resume")

    def final_error(self, decision: GiveUp) -> TurnoutError:
        """Return the error of a call that gives up."""
        left = self.selector.plan.left  # all of them: `decide` has looked them up
        self.errors.left = len(left) - len(self.errors.tried.intersection(left))
        return self.errors.errors[-1] if decision.final else self.errors.all_failed()


def facts_of(entry: Failed, index: int) -> FailureFacts:
    """Return the facts that a plan needs about a failed attempt on the candidate with this index."""
    return FailureFacts(
        index, entry.failure, entry.retry_after, entry.phase, entry.at, entry.other_free, entry.throttled, entry.reused
    )
