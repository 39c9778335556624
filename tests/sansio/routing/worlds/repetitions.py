"""How many requests are repeated while no provider answers any: books that know nothing of the throttle's own."""

from __future__ import annotations

import attrs

from turnout.errors import Phase
from turnout.failures import FailureClass
from turnout.routing.call.machine import Call
from turnout.routing.policy.classify import RULES
from turnout.trace.entries import (
    AttemptCompleted,
    Entry,
    Failed,
    FellBack,
    FirstContent,
    Retrying,
    Started,
    Throttled,
)

__all__ = ["Repetitions"]

WINDOW = 30.0
STEP = 3.0  # seconds by which the window may be shorter
FREE = 10
SAVED = 0.2  # of a repetition for each failure. The throttle allows less: one in eleven, and fewer with more requests


@attrs.define(eq=False)
class Repetitions:
    """Saves a share of one repetition with each failure while no request is answered, and takes one for each."""

    began: dict[Call, float]
    _saved: float = attrs.field(default=1.0, init=False)

    def read(self, call: Call, place: int) -> None:
        """Take down one entry of a trace."""
        entries, entry = call.trace.entries[:place], call.trace.entries[place]
        at = self.began[call] + entry.at
        if isinstance(entry, Failed | Throttled):
            self._save(at)
        elif isinstance(entry, Retrying):
            failed = [earlier for earlier in entries if isinstance(earlier, Failed)][-1]
            if failed.failure is not FailureClass.STALE_CONNECTION:
                self._spend(at)
        elif isinstance(entry, Started) and entry.forced and is_repeated(entries):
            self._save(at)
            self._spend(at)

    def _save(self, at: float) -> None:
        self._saved = min(self._saved, 1.0) + SAVED if self._nobody_answers(at) else 1.0

    def _spend(self, at: float) -> None:
        if self._nobody_answers(at):
            assert self._saved >= 1.0, "few requests are repeated while nobody answers"
            self._saved -= 1.0

    def _nobody_answers(self, at: float) -> bool:
        """True if many requests of the last seconds had no answer, for sure: at the edges the books are lenient."""
        requests = 0
        for call, began in self.began.items():
            unsent = {
                entry.attempt
                for entry in call.trace.entries
                if isinstance(entry, Failed) and entry.phase is Phase.NOT_SENT
            }
            for entry in call.trace.entries:
                when = began + entry.at
                if isinstance(entry, Started) and entry.attempt not in unsent:
                    requests += at - WINDOW + STEP < when < at
                elif is_answer(entry) and at - WINDOW - 1e-5 <= when <= at + 1e-5:
                    return False
        return requests >= FREE


def is_repeated(before: list[Entry]) -> bool:
    """True if an attempt after these entries is neither the first of its call nor a retry that was granted."""
    decisions = [entry for entry in before if isinstance(entry, Retrying | FellBack | Throttled)]
    return bool(decisions) and isinstance(decisions[-1], FellBack)


def is_answer(entry: Entry) -> bool:
    """True if a provider may have answered: also if it refused one request for what is in it."""
    if isinstance(entry, Failed):
        silent = entry.failure in (FailureClass.RATE_LIMIT, FailureClass.DEADLINE)
        # A silence that was too short to judge by counts as an answer. The trace does not tell which one was.
        return entry.error == "TimedOut" or not (RULES[entry.failure].health or silent)
    return isinstance(entry, FirstContent | AttemptCompleted)
