"""A primary that is down for a while and comes back: the fallback serves meanwhile, and is thanked afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.crash_test.calls import ASK, Play, Seen
from benchmarks.crash_test.stage import Stage
from benchmarks.crash_test.verdicts import Grade, Verdict, wrong_in_answer

__all__ = ["outage"]

DOWN = 60.0  # seconds, as all here in those of the full profile
EVERY = 2.0  # between two calls
BACK_WITHIN = 60.0  # of its return: an exponential backoff of probes is late by no more than the outage was long
# Each call would ask three times where nobody remembers that the primary is down. The first calls find that out, and
# then come probes that grow rarer.
ASKED_WHILE_DOWN = 15


def outage(stage: Stage) -> Play:
    """Call after call over the outage and until the primary answers again; the time told is from its return."""
    primary, fallback = stage.primary.provider, stage.fallback.provider
    wrong: list[str] = []
    begun = now = time.monotonic()
    while now < begun + stage.profile.seconds(DOWN):
        wrong += _wrong(stage, (yield ASK), fallback)
        yield stage.profile.seconds(EVERY)
        now = time.monotonic()
    asked = len(stage.to_primary)
    if asked > ASKED_WHILE_DOWN:
        wrong.append(f"the primary was asked {asked} times while it was down")
    stage.breaks()
    returned, back = now, None
    while back is None and now < returned + stage.profile.allowed(BACK_WITHIN):
        seen = yield ASK
        answered = seen.response.model.provider if seen is not None and seen.response is not None else fallback
        wrong += _wrong(stage, seen, answered)
        now = time.monotonic()
        if answered == primary:
            back = now - returned
        else:
            yield stage.profile.seconds(EVERY)
    if back is None:
        wrong.append(f"{now - returned:.1f} s after its return the primary has not been asked again")
    else:
        wrong += _wrong(stage, (yield ASK), primary)
    return Verdict(Grade.FAIL if wrong else Grade.PASS, back or now - returned, tuple(wrong[:3]))


def _wrong(stage: Stage, seen: Seen | None, provider: str) -> Iterator[str]:
    assert seen is not None
    for reason in wrong_in_answer(stage, seen, provider):
        yield f"{reason}\n{seen.trace.explain()}" if seen.trace is not None else reason
