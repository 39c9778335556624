"""What must hold of each call once it has ended: its result, its events and its trace."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.sansio.routing.line_dialect import text_of
from tests.sansio.routing.worlds.generated import World
from tests.sansio.routing.worlds.observer import Observer, drive
from turnout.chat import ChatResponse
from turnout.errors import ConcurrencyExceeded, DeadlineExceeded, StreamInterrupted, TurnoutError
from turnout.events import Event, Restarted
from turnout.routing.call.machine import Call
from turnout.simulation import Outcome, Script
from turnout.trace.entries import (
    CANCELLED,
    Answered,
    AttemptCancelled,
    AttemptCompleted,
    CallFailed,
    Entry,
    Failed,
    FellBack,
    FirstContent,
    Retrying,
    Started,
    StreamBroke,
)


def check_world(world: World) -> None:
    """Everything that must hold of one world."""
    simulation, observer = drive(world)
    assert len(simulation.outcomes) == len(world.calls), "every call finishes"
    for outcome in simulation.outcomes:
        assert outcome.finish is not None, "every call finishes"
        check_outcome(outcome, observer)
        check_story(outcome, len(observer.tries[outcome.call]))
    assert simulation.core.scheduler.in_flight == 0, "leases equal opens minus drops"
    assert simulation.core.scheduler.waiting == 0, "nobody is left waiting"


def check_outcome(outcome: Outcome, observer: Observer) -> None:
    """What the caller got is what was sent, all of it, and told rightly."""
    call, finish, policy = outcome.call, outcome.finish, observer.policy_of(outcome.call)
    assert finish is not None
    events = [event for _, event in outcome.events]
    segments: list[list[Event]] = [[]]
    for event in events:
        if isinstance(event, Restarted):
            segments.append([])
        else:
            segments[-1].append(event)
    check_prefixes(segments, call, observer)
    last = text_of(segments[-1])
    if isinstance(finish.result, ChatResponse):
        assert finish.result.trace is call.trace
        if events:
            assert events[-1].done, "a stream that does not fail ends with End"
            assert sum(event.done for event in events) == 1
            assert sorted(finish.result.reasoning + finish.result.text) == sorted(last), "the answer is what was told"
    if finish.error is not None:
        assert finish.error.trace is call.trace
        assert not any(event.done for event in events), "a failure is no success"
        if events:
            assert isinstance(finish.error, StreamInterrupted), "a failure after content is an interruption"
        if events or any(isinstance(entry, FirstContent) for entry in call.trace.entries):
            check_partial(finish.error, list(map(text_of, segments)), resumes=policy.on_interrupt == "resume")
    if not events and not isinstance(finish.error, ConcurrencyExceeded):
        late = sum(seconds for _, seconds in observer.world.leaps)
        assert outcome.ended <= outcome.began + policy.timeout + policy.timeouts.drain + late + 1e-6
    if isinstance(finish.error, DeadlineExceeded):
        assert outcome.ended >= outcome.began


def check_partial(error: TurnoutError, told: list[str], *, resumes: bool) -> None:
    """An error has the answer that stands; if none does, because it was begun anew, the longest of all."""
    assert error.partial is not None, "nothing received is lost"
    partial = Counter(error.partial.text + error.partial.reasoning)
    if told[-1] and not resumes:
        assert partial == Counter(told[-1]), "nothing received is lost"
    else:
        assert Counter(told[-1]) <= partial, "nothing received is lost"
        assert partial.total() >= max(map(len, told)), "nothing received is lost"


def check_prefixes(segments: list[list[Event]], call: Call, observer: Observer) -> None:
    """What was delivered is a prefix of what one provider sent, or of several where the answer was gone on with."""
    contents = {entry.attempt for entry in call.trace.entries if isinstance(entry, FirstContent)}
    sent = [
        script_text(mine.script) for mine in observer.tries[call] if mine.number in contents and mine.script is not None
    ]
    for segment in segments:
        text = text_of(segment)
        if observer.policy_of(call).on_interrupt == "resume":
            assert is_made_of_prefixes(text, sent), "what was delivered was sent"
        elif text:
            assert any(whole.startswith(text) for whole in sent), "what was delivered was sent"


def is_made_of_prefixes(text: str, sent: list[str]) -> bool:
    if not text:
        return True
    if not sent:
        return False
    whole = sent[0]
    return any(
        whole[:size] == text[:size] and is_made_of_prefixes(text[size:], sent[1:])
        for size in range(min(len(whole), len(text)), -1, -1)
    )


def script_text(script: Script) -> str:
    lines = b"".join(piece for _, piece in script.body).decode().split("\n")
    return "".join(line[1:] for line in lines if line[:1] in ("t", "r"))


def check_story(outcome: Outcome, opened: int) -> None:
    """The trace alone tells how the call went: an independent reading of it comes to the same outcome."""
    entries: list[Entry] = outcome.call.trace.entries
    finish = outcome.finish
    assert finish is not None
    on: set[int] = set()
    begun = 0
    ends: list[Any] = []
    for entry, following in zip(entries, [*entries[1:], None], strict=True):
        match entry:
            case Started():
                begun += 1
                assert entry.attempt == begun, "attempts are counted from one"
                assert entry.hedge == bool(on), "one attempt at a time, or two where one is slow"
                assert len(on) < 2, "never more than two"
                on.add(entry.attempt)
            case Failed():
                on.remove(entry.attempt)
                decided = isinstance(following, Retrying | FellBack | StreamBroke | CallFailed | AttemptCancelled)
                assert decided, "what follows a failure is told"
            case AttemptCompleted() | AttemptCancelled():
                on.remove(entry.attempt)
            case Answered() | CallFailed():
                assert following is None or isinstance(entry, Answered), "nothing follows the end"
                ends.append(entry)
            case _:
                pass
    assert begun == opened, "every attempt is told of"
    assert len(ends) == 1, "the end is told, once"
    cancelled = finish.result is None and finish.error is None
    if isinstance(ends[0], Answered):
        assert finish.error is None
        assert cancelled or str(getattr(finish.result, "model", None)) == ends[0].candidate
    elif cancelled:
        assert ends[0].reason == CANCELLED
    else:
        assert ends[0].reason == type(finish.error).__name__
        assert outcome.ended - outcome.began == ends[0].at or abs(outcome.ended - outcome.began - ends[0].at) < 1e-5
    assert cancelled or not on, "an attempt's end is told"
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries), "time goes one way"
