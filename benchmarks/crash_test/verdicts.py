"""Whether what a caller saw is right: every word of it, who answered, what it cost, how often anyone was asked."""

from __future__ import annotations

import enum
from collections.abc import Iterator

import attrs

from benchmarks.crash_test.calls import Seen
from benchmarks.crash_test.profile import TOKENS
from benchmarks.crash_test.stage import Stage, answer_of
from turnout.errors import ContentFiltered, StreamInterrupted

__all__ = ["Expected", "Grade", "Verdict", "judge", "wrong_in_answer"]


class Grade(enum.StrEnum):
    """The cells of the table."""

    PASS = "pass"  # the whole answer, from whom it should come, in time; or the provider's refusal, where that is right
    SAFE = "safe"  # a typed error with the part that came, which is what the caller was given, and nothing doubled
    FAIL = "FAIL"


@attrs.frozen
class Verdict:
    """seconds  what the table shows; by default of the call
    wrong    each reason for a FAIL
    trace    how the router tells it
    """

    grade: Grade
    seconds: float
    wrong: tuple[str, ...] = ()
    trace: str = ""


@attrs.frozen(kw_only=True)
class Expected:
    """What is right.

    answered_by  "primary" or "fallback"; "nobody" where the provider's refusal is to reach the caller
    primary      how many requests it may get
    fallback     the same
    within       seconds of the full profile that the call may take
    """

    answered_by: str
    primary: tuple[int, ...]
    fallback: tuple[int, ...]
    within: float


def judge(stage: Stage, seen: Seen, expected: Expected, also: Iterator[str]) -> Verdict:
    """The grade of the only call on a stage. `also` are wrongs that only this scenario knows."""
    grade = Grade.PASS
    wrong = list(also)
    if isinstance(seen.error, StreamInterrupted) and stage.mode.delivers and expected.answered_by == "fallback":
        # The policy leaves what follows to the caller, so it does not matter who else might have been asked.
        grade = Grade.SAFE
        wrong += _wrong_in_interruption(stage, seen, seen.error)
    else:
        if expected.answered_by == "nobody":
            wrong += _wrong_in_refusal(seen)
        else:
            model = stage.primary if expected.answered_by == "primary" else stage.fallback
            wrong += wrong_in_answer(stage, seen, model.provider)
        for who, requests, right in (
            ("primary", stage.to_primary, expected.primary),
            ("fallback", stage.to_fallback, expected.fallback),
        ):
            if len(requests) not in right:
                wrong.append(f"the {who} got {len(requests)} requests, not {' or '.join(map(str, right))}")
    allowed = stage.profile.allowed(expected.within)
    if seen.seconds > allowed:
        wrong.append(f"it took {seen.seconds:.2f} s, where {allowed:.2f} s are allowed")
    trace = seen.trace.explain() if seen.trace is not None else ""
    return Verdict(Grade.FAIL if wrong else grade, seen.seconds, tuple(wrong), trace)


def wrong_in_answer(stage: Stage, seen: Seen, provider: str) -> Iterator[str]:
    """What is wrong with an answer that should be the whole answer of `provider`, billed once."""
    response = seen.response
    if seen.error is not None:
        yield f"{type(seen.error).__name__} was raised: {seen.error}"
    if response is None or seen.error is not None:
        return
    if response.model.provider != provider:
        yield f"{response.model} answered, not {provider}"
    if response.text != answer_of(response.model.provider):
        yield f"the answer is not what {response.model.provider} said, but {response.text!r}"
    if stage.mode.delivers and seen.text != response.text:
        yield f"the deltas since the last restart are not the answer, but {seen.text!r}"
    if stage.mode.delivers and seen.ends != 1:
        yield f"the stream had {seen.ends} End events"
    usage = response.usage
    if (usage.completion_tokens, usage.source) != (TOKENS, "reported"):
        yield f"the usage is {usage.completion_tokens} tokens ({usage.source}), not the {TOKENS} of the answer"
    if round(usage.cost or 0.0) != TOKENS:
        yield f"{usage.cost} is the cost, where {TOKENS} was charged for the answer"


def _wrong_in_interruption(stage: Stage, seen: Seen, error: StreamInterrupted) -> Iterator[str]:
    """A typed error is safe where it has just what the caller was given, and that is the beginning of the answer."""
    whole = answer_of(stage.primary.provider)
    if error.partial is None:
        yield f"{type(error).__name__} has no partial answer"
    elif error.partial.text != seen.text:
        yield f"the partial answer is {error.partial.text!r}, and {seen.text!r} was delivered"
    if not seen.text or not whole.startswith(seen.text) or seen.text == whole:
        yield f"what was delivered is no beginning of the answer: {seen.text!r}"
    if seen.ends:
        yield "an End came before the error"
    if not error.trace.operation:
        yield f"{type(error).__name__} has no trace"


def _wrong_in_refusal(seen: Seen) -> Iterator[str]:
    """A refusal by the content filter reaches the caller with its reason."""
    error = seen.error
    if not isinstance(error, ContentFiltered):
        yield f"ContentFiltered was to be raised, not {error!r}"
    elif not (error.status == 400 and error.code and "safety" in error.message):
        yield f"the provider's reason is lost: {error.status}, {error.code}, {error.message}"
