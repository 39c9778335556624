"""What came of all laps of one driver: how its calls ended, and what was held between them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import attrs

from benchmarks.soak.judging import Ending, Heard, deadline_of, judge
from benchmarks.soak.mix import Wish
from benchmarks.soak.profile import Profile
from benchmarks.soak.resources import Rest, sockets, wrong_in_growth, wrong_in_rest
from benchmarks.soak.stalls import Stalls

__all__ = ["IDLE", "Story"]

IDLE = 16  # connections that each transport keeps for reuse
_TOLD = 5  # findings of one kind; more say nothing new


@attrs.define(eq=False)
class Story:
    """What came of all laps of one driver."""

    profile: Profile
    source: Iterator[Wish]
    stalls: Stalls
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    calls: int = 0
    tokens: int = 0
    peak_sockets: int = 0
    longest: float = 0.0  # seconds that a call took beyond its deadline, stalls left out
    endings: Counter[Ending] = attrs.field(factory=Counter)
    rests: list[Rest] = attrs.field(factory=list)
    findings: list[str] = attrs.field(factory=list)
    under_way: dict[int, float] = attrs.field(factory=dict)

    def next_wish(self) -> Wish:
        with self.lock:
            self.calls += 1
            wish = next(self.source)
            self.under_way[wish.number] = time.monotonic()
            return wish

    def take(self, wish: Wish, seen: Heard, *, cancelled: bool = False, left: bool = False) -> None:
        """A call is over."""
        seen.over()
        stalled = self.stalls.since(seen.began)
        judged = judge(wish, seen, self.profile, cancelled=cancelled, left=left, stalled=stalled)
        with self.lock:
            del self.under_way[wish.number]
            self.endings[judged.ending] += 1
            self.tokens += len(seen.text.split())
            self.longest = max(self.longest, seen.seconds - deadline_of(wish, self.profile) - stalled)
            self.findings += judged.wrong
            if self.calls % 20 == 0:
                self.peak_sockets = max(self.peak_sockets, sockets())

    def stuck(self) -> None:
        """Told where a lap has not ended although every call in it is past its deadline."""
        ages = sorted(time.monotonic() - begun for begun in self.under_way.values())
        self.findings.append(f"{len(ages)} calls are stuck, the oldest for {ages[-1] if ages else 0:.1f} s")

    def lap_over(self, rest: Rest) -> None:
        lap = len(self.rests)
        self.rests.append(rest)
        if lap > 0:
            self.findings += (f"lap {lap}: {what}" for what in wrong_in_rest(rest, self.rests[0], IDLE))

    def closed(self, rest: Rest) -> None:
        """The router is closed: nothing may be left of it, not even what was kept for reuse."""
        self.findings += (f"after the router was closed: {what}" for what in wrong_in_rest(rest, self.rests[0], 0))
        self.findings += wrong_in_growth(self.rests[self.profile.warm :])

    def told(self) -> list[str]:
        more = len(self.findings) - _TOLD
        return [*self.findings[:_TOLD], *([f"and {more} more"] if more > 0 else [])]
