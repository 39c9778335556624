"""What response headers teach about a provider's limit, with windows of every kind and length. Virtual time."""

from __future__ import annotations

from collections import deque

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from turnout.routing.state.learnt.pace import ENOUGH, Pace


@attrs.define
class Window:
    """The requests that a provider counts.

    Attributes:
        kind: "sliding": those of the last `seconds`; "fixed": those since the last multiple of them; "bucket": what an
            even refill has not returned yet.
        limit: How many it accepts in `seconds`.
    """

    kind: str
    limit: int
    seconds: float
    _times: deque[float] = attrs.field(factory=deque, init=False)
    _used: float = attrs.field(default=0.0, init=False)
    _at: float = attrs.field(default=0.0, init=False)

    def used(self, now: float) -> float:
        if self.kind == "bucket":
            self._used = max(0.0, self._used - (now - self._at) * self.limit / self.seconds)
            self._at = now
            return self._used
        begun = now - self.seconds if self.kind == "sliding" else now // self.seconds * self.seconds - 1e-9
        while self._times and self._times[0] <= begun:
            self._times.popleft()
        return len(self._times)

    def accept(self, now: float) -> float | None:
        """Return what remains after one more request; None if it is refused."""
        if self.used(now) > self.limit - 1:
            return None
        self._times.append(now)
        self._used += 1
        return float(int(self.limit - self.used(now)))

    def free_in(self, now: float) -> float:
        """Return the seconds until one more request is accepted."""
        if self.kind == "bucket":
            return max(0.0, (self.used(now) - self.limit + 1) * self.seconds / self.limit)
        if self.kind == "fixed":
            return self.seconds - now % self.seconds
        return self._times[0] + self.seconds - now


def waits(window: Window, every: float, seconds: float) -> list[float]:
    """Send a request every so many seconds, unless the pace or the provider refuses it.

    Returns:
        The waits of the pace.
    """
    pace, found, now = Pace(), [], 0.0
    while now < seconds:
        wait = pace.wait((), now)
        if wait > 0:
            found.append(wait)
        elif (remaining := window.accept(now)) is not None:
            pace.take(now)
            pace.reported(remaining, window.limit, 0, now)
        now += every
    return found


KINDS = st.sampled_from(["sliding", "fixed", "bucket"])


@given(KINDS, st.integers(2, 400), st.sampled_from([0.5, 1.0, 5.0, 10.0, 15.0]), st.integers(5, 100))
@example("bucket", 10_000, 60.0, 2)
@example("sliding", 10, 1.0, 100)
def test_a_window_that_is_shorter_than_a_minute_is_not_taken_for_one(
    kind: str, limit: int, seconds: float, percent: int
) -> None:
    # At most the rate that the provider allows for ever: nothing ever has to wait.
    every = seconds / limit * 100 / percent
    assume(every >= 0.02)
    assert waits(Window(kind, limit, seconds), every, 150.0) == []


def test_a_full_bucket_that_is_refilled_evenly_holds_nobody_back() -> None:
    assert waits(Window("bucket", 10_000, 60.0), 0.006, 90.0) == []


@given(st.integers(ENOUGH, 120), st.integers(110, 400))
def test_more_than_a_minute_s_limit_waits_before_the_provider_must_refuse(limit: int, percent: int) -> None:
    window, pace, refused = Window("sliding", limit, 60.0), Pace(), 0
    now, every, sent = 0.0, 60.0 / limit * 100 / percent, 0
    while now < 300.0:
        if pace.wait((), now) == 0:
            remaining, booking = window.accept(now), pace.take(now)
            sent += 1
            if remaining is None:
                refused += 1
                pace.give_back(booking)
                pace.refused(window.free_in(now), now)
            else:
                pace.accepted()
                pace.reported(remaining, limit, 0, now)
        now += every
    assert refused <= 2  # one teaches the limit, if it is reached before the length of the window is known
    assert sent - refused >= 0.9 * limit * 5


@given(KINDS, st.integers(2, 300), st.sampled_from([1.0, 5.0, 10.0, 15.0]), st.booleans(), st.integers(105, 300))
def test_refusals_of_a_short_window_do_not_hold_requests_back_for_a_minute(
    kind: str, limit: int, seconds: float, has_hint: bool, percent: int
) -> None:
    window, pace, accepted = Window(kind, limit, seconds), Pace(), 0
    now, every, length = 0.0, seconds / limit * 100 / percent, 240.0
    assume(every >= 0.02)
    while now < length:
        if pace.wait((), now) == 0:
            remaining, booking = window.accept(now), pace.take(now)
            if remaining is None:
                pace.give_back(booking)
                pace.refused(window.free_in(now) if has_hint else None, now)
            else:
                pace.accepted()
                accepted += 1
        now += every
    assert accepted >= 0.6 * limit * length / seconds


def test_a_report_that_contradicts_a_learnt_limit_lifts_it() -> None:
    pace = Pace()
    for second in range(30):
        pace.take(float(second))
        pace.reported(30 - second, 31, 0, float(second))
    assert pace.is_known
    pace.reported(29, 31, 0, 31.0)  # two requests count, and not the thirty of the last half minute
    assert not pace.is_known


def test_a_report_about_another_window_does_not_lift_what_a_refusal_showed() -> None:
    pace = Pace()
    for second in range(30):
        pace.take(float(second))
    pace.refused(30.0, 30.0)
    pace.reported(9, 10, 0, 31.0)
    assert pace.wait((), 31.0) > 0
    assert pace.shown_by == "refusals"


@pytest.mark.parametrize(("in_flight", "known"), [(0, False), (20, True)])
def test_requests_that_the_provider_may_not_have_counted_yet_contradict_nothing(in_flight: int, known: bool) -> None:
    pace = Pace()
    for second in range(40):
        pace.take(float(second))
    pace.reported(80, 100, in_flight, 40.0)  # it has counted 20
    assert pace.is_known is known
