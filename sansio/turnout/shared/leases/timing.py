"""The constants of the protocol between processes that share a limit.

They are functions of the window's length, not settings, so two processes never disagree about them. The Lua scripts
compute the same integers.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = [
    "BALANCE_BEAT",
    "BALANCE_GATHER",
    "BALANCE_HEARTBEAT",
    "BALANCE_LIFE",
    "BALANCE_PAUSE",
    "HOLD_BEATS",
    "WindowTiming",
]

HOLD_BEATS: Final = 4
GATHER_BEATS: Final = 3
LONGEST_BEAT: Final = 500  # milliseconds
SHORTEST_BEAT: Final = 20
BEATS_PER_WINDOW: Final = 80
BUCKETS_PER_WINDOW: Final = 100

BALANCE_BEAT: Final = 500
"""Milliseconds between two requests of a process that waits for slots or money."""

BALANCE_HEARTBEAT: Final = 4 * BALANCE_BEAT
"""Milliseconds between two requests of a process that holds slots, or has spent money lately."""

BALANCE_GATHER: Final = 5 * BALANCE_BEAT
"""Milliseconds for which a store that lost its state grants nothing: each process has sent its heartbeat by then."""

BALANCE_PAUSE: Final = 2 * BALANCE_GATHER
"""Milliseconds after which the silence of all processes means that none could reach the store."""

BALANCE_LIFE: Final = 20 * BALANCE_BEAT
"""Milliseconds without a request after which a process is presumed dead."""


@attrs.frozen
class WindowTiming:
    """The times of one window, in milliseconds.

    Attributes:
        window: The length of the window.
        grain: The length of one bucket, in which the store counts.
        beat: The least time between two requests of a process that waits.
        hold: How long a process may spend a grant, from the moment when it sent the request.
        gather: How long the store grants nothing after it lost its state, so that every process can report first.
        heartbeat: How often a process sends a request while it has spent something within the window.
    """

    window: int
    grain: int
    beat: int
    hold: int
    gather: int
    heartbeat: int

    @classmethod
    def of(cls, seconds: float) -> WindowTiming:
        """Return the times of a window of `seconds`."""
        window = max(1, round(seconds * 1000))
        beat = min(LONGEST_BEAT, max(SHORTEST_BEAT, window // BEATS_PER_WINDOW))
        return cls(
            window=window,
            grain=max(1, window // BUCKETS_PER_WINDOW),
            beat=beat,
            hold=HOLD_BEATS * beat,
            gather=GATHER_BEATS * beat,
            heartbeat=2 * beat,
        )

    @property
    def hold_buckets(self) -> int:
        """Buckets between a grant and the bucket in which the store books it: the last in which it can be spent."""
        return -(-self.hold // self.grain)
