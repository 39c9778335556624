"""Whether what one caller saw is right: every token of it from the provider that answered, and in time."""

from __future__ import annotations

import enum
from collections.abc import Iterator

import attrs

from benchmarks.crash_test.calls import Seen
from benchmarks.soak.mix import MODELS, Act, Wish, answer_of
from benchmarks.soak.profile import Profile
from turnout.errors import DeadlineExceeded, TurnoutError
from turnout.events import Event, Restarted

__all__ = ["Ending", "Heard", "Judged", "deadline_of", "judge"]


@attrs.define(eq=False)
class Heard(Seen):
    """What the caller of one call saw. `before` is the text that the last `Restarted` took back."""

    before: str = ""

    def take(self, event: Event) -> None:
        if isinstance(event, Restarted):
            self.before = self.text
        super().take(event)


class Ending(enum.StrEnum):
    """How a call went; the columns of the table."""

    WHOLE = "whole"  # the answer to its end
    PARTIAL = "partial"  # a typed error with the part that came
    NOTHING = "nothing"  # a typed error before anything came
    LATE = "late"  # the caller's own deadline
    LEFT = "left"  # by the caller
    CANCELLED = "cancelled"


@attrs.frozen
class Judged:
    """ending  how it went
    wrong   what is not as it should be
    """

    ending: Ending
    wrong: tuple[str, ...] = ()


def judge(
    wish: Wish, seen: Heard, profile: Profile, *, cancelled: bool = False, left: bool = False, stalled: float = 0.0
) -> Judged:
    """What one call came to.

    cancelled, left   it ended because the caller wanted it to
    stalled           seconds of it for which the whole process stood still
    """
    total = deadline_of(wish, profile)
    wrong = [*_wrong_in_text(wish, seen, profile)]
    if seen.seconds > total + profile.grace + stalled:
        wrong.append(f"it took {seen.seconds:.2f} s, where {total:g} s were given")
    if cancelled:
        ending = Ending.CANCELLED
    elif left:
        ending = Ending.LEFT
    elif seen.error is None:
        ending = Ending.WHOLE
        wrong += _wrong_in_answer(wish, seen, profile)
    elif not isinstance(seen.error, TurnoutError):
        ending = Ending.NOTHING
        wrong.append(f"{type(seen.error).__name__} is no error of Turnout's: {seen.error}")
    else:
        ending = _ending_of(seen.error)
        wrong += _wrong_in_error(wish, seen, seen.error, profile)
    return Judged(ending, tuple(f"number {wish.number} ({wish.act}): {what}" for what in wrong))


def deadline_of(wish: Wish, profile: Profile) -> float:
    """The seconds that a call is given: all of them have a deadline."""
    return min(profile.total, max(wish.seconds, 0.001)) if wish.act is Act.CANCEL else profile.total


def _ending_of(error: TurnoutError) -> Ending:
    if isinstance(error, DeadlineExceeded):
        return Ending.LATE
    return Ending.PARTIAL if error.partial is not None else Ending.NOTHING


def _wrong_in_text(wish: Wish, seen: Heard, profile: Profile) -> Iterator[str]:
    """What was delivered is the beginning of what one provider said to this caller."""
    answers = [answer_of(model.provider, wish.number, profile.tokens) for model in MODELS]
    if not any(answer.startswith(seen.text) for answer in answers):
        yield f"no provider said {seen.text!r}"
    if seen.response is None:
        return
    text = seen.response.text
    if not text.startswith(seen.text) or not any(answer.startswith(text) for answer in answers):
        yield f"the answer as far as it came is {text!r}, and {seen.text!r} was delivered"


def _wrong_in_answer(wish: Wish, seen: Heard, profile: Profile) -> Iterator[str]:
    response = seen.response
    if response is None:
        yield "there is no answer"
        return
    right = answer_of(response.model.provider, wish.number, profile.tokens)
    if response.text != right:
        yield f"{response.model.provider} said {right!r}, and the answer is {response.text!r}"
    if wish.act not in (Act.CHAT, Act.COLLECT):
        if seen.text != right:
            yield f"{response.model.provider} said {right!r}, and {seen.text!r} was delivered"
        if seen.ends != 1:
            yield f"the stream had {seen.ends} End events"


def _wrong_in_error(wish: Wish, seen: Heard, error: TurnoutError, profile: Profile) -> Iterator[str]:
    partial = error.partial
    if partial is None:
        if seen.text:
            yield f"{type(error).__name__} has no part of the answer, and {seen.text!r} was delivered"
    elif wish.act in (Act.CHAT, Act.COLLECT) or not (seen.text or seen.before):
        # What arrives in one read with the fault, or at the deadline, is in the error alone: nothing was delivered yet,
        # so the call was still free to be repeated.
        if not any(answer_of(model.provider, wish.number, profile.tokens).startswith(partial.text) for model in MODELS):
            yield f"no provider said {partial.text!r}, which {type(error).__name__} has"
    elif partial.text != (seen.text or seen.before):  # what was taken back is the caller's, while nothing better came
        yield f"{type(error).__name__} has {partial.text!r}, and {seen.text!r} was delivered"
    if not error.trace.operation:
        yield f"{type(error).__name__} has no trace"
