"""What a fleet of eight processes must survive."""

from __future__ import annotations

import threading
from collections.abc import Callable

from benchmarks.fleet.stage import Fleet, Scenario

__all__ = ["QUICK", "SCENARIOS"]


def _kill_store(seconds: float) -> Callable[[Fleet], None]:
    """The store is killed, and comes back empty after so many seconds."""

    def kill(fleet: Fleet) -> None:
        fleet.store.kill()
        threading.Timer(seconds, fleet.store.start).start()

    return kill


def _freeze_store(seconds: float) -> Callable[[Fleet], None]:
    def freeze(fleet: Fleet) -> None:
        fleet.store.freeze()
        threading.Timer(seconds, fleet.store.thaw).start()

    return freeze


def _fail_over(fleet: Fleet) -> None:
    """The primary is killed, and its replica promoted a moment later."""
    fleet.store.kill()
    assert fleet.replica is not None
    threading.Timer(1.5, fleet.replica.promote).start()


EVEN = [15.0] * 8
SKEWED = [60.0, *[1.5] * 7]

_ALL = (
    Scenario(name="none", limit=600_000, window=60, rates=[20.0] * 8, seconds=20, judged_from=3, shared=False),
    Scenario(name="far", limit=600_000, window=60, rates=[20.0] * 8, seconds=23, judged_from=3),
    Scenario(name="even", limit=6_000, window=60, rates=[25.0] * 8, seconds=120, judged_from=30),
    Scenario(name="skewed", limit=6_000, window=60, rates=[120.0, *[1.3] * 7], seconds=120, judged_from=30),
    Scenario(name="many", limit=36_000, window=60, rates=[110.0] * 8, seconds=70, judged_from=10),
    Scenario(
        name="amounts", limit=600_000, window=20, rates=[3.0, *[12.0] * 7], amounts=[90_000, *[2_000] * 7], seconds=80
    ),
    Scenario(name="tokens", limit=600_000, window=20, rates=[20.0] * 8, amounts=[500] * 8),
    Scenario(name="tiny", limit=3, window=20, rates=[2.0] * 8, seconds=61, judged_from=1, queue=2),
    Scenario(name="flushed", limit=1_200, window=20, rates=EVEN, disturb=[(27.0, lambda fleet: fleet.store.flush())]),
    Scenario(name="store-killed", limit=1_200, window=20, rates=SKEWED, disturb=[(27.0, _kill_store(10.0))]),
    Scenario(
        name="failed-over", limit=1_200, window=20, rates=EVEN, disturb=[(27.0, _fail_over)], replicated=True,
    ),
    Scenario(name="store-hangs", limit=1_200, window=20, rates=EVEN, disturb=[(27.0, _freeze_store(8.0))]),
    Scenario(name="killed", limit=1_200, window=20, rates=EVEN, disturb=[(27.0, lambda fleet: fleet.kill(0, 1))]),
    Scenario(
        name="stopped", limit=1_200, window=20, rates=EVEN,
        disturb=[(27.0, lambda fleet: fleet.stop(0, 1)), (33.0, lambda fleet: fleet.go_on(0, 1))],
    ),
    Scenario(name="closed", limit=1_200, window=20, rates=EVEN, fail="closed", disturb=[(27.0, _kill_store(5.0))]),
)  # fmt: skip

SCENARIOS = {scenario.name: scenario for scenario in _ALL}

# The failures once more in windows of 8 seconds, for a check that takes two minutes.
_SHORT = (
    Scenario(name="quick-even", limit=480, window=8, rates=EVEN, seconds=20, judged_from=8),
    Scenario(
        name="quick-flushed", limit=480, window=8, rates=EVEN, seconds=22, judged_from=8,
        disturb=[(11.0, lambda fleet: fleet.store.flush())],
    ),
    Scenario(
        name="quick-store-killed", limit=480, window=8, rates=SKEWED, seconds=24, judged_from=8,
        disturb=[(11.0, _kill_store(4.0))],
    ),
    Scenario(
        name="quick-killed", limit=480, window=8, rates=EVEN, seconds=22, judged_from=8,
        disturb=[(11.0, lambda fleet: fleet.kill(0, 1))],
    ),
    Scenario(
        name="quick-stopped", limit=480, window=8, rates=EVEN, seconds=22, judged_from=8,
        disturb=[(11.0, lambda fleet: fleet.stop(0, 1)), (14.0, lambda fleet: fleet.go_on(0, 1))],
    ),
)  # fmt: skip

QUICK = {scenario.name: scenario for scenario in _SHORT}
