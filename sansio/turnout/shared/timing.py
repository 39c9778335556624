"""The constants of the protocol between processes that share a limit.

They are functions of the window's length, not settings, so two processes never disagree about them. The Lua scripts
compute the same integers.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["HOLD_BEATS", "WindowTiming"]

HOLD_BEATS: Final = 4
GATHER_BEATS: Final = 3
LONGEST_BEAT: Final = 500  # milliseconds
SHORTEST_BEAT: Final = 20
BEATS_PER_WINDOW: Final = 80
BUCKETS_PER_WINDOW: Final = 100


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
