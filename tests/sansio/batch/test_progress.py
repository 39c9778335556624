"""The line of progress."""

from __future__ import annotations

from typing import Any

from turnout.batch.progress import Progress

REST: dict[str, Any] = {"failed": {}, "in_flight": 4, "waiting": 0, "waits_for": "", "cost": 0.0}


def test_the_first_line_has_the_rate_since_the_start() -> None:
    progress = Progress(100, 50.0)
    assert progress.line(60.0, done=20, **REST) == "20/100 rows · 2.0/s · 4 in flight · 40 s left"


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    progress = Progress(None, 0.0)
    lines = [progress.line(float(10 * turn), done=10 * min(turn, 3), **REST) for turn in range(1, 12)]
    assert lines[2] == "30 rows · 1.0/s · 4 in flight"
    assert lines[-1] == "30 rows · 0.0/s · 4 in flight"
