"""Work that grows in proportion to its input, measured so that a busy machine cannot make a test fail.

The least CPU time of a small input is held against the least of one `FACTOR` times as large. Work in proportion makes
the ratio `FACTOR`, work in proportion to the square makes it `FACTOR ** 2`; the bound lies between them. A machine that
stalls, or a tracer that slows each line down, can only make some measurements too long: so a ratio that is too large is
measured again, and the least times of all measurements count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FACTOR = 16
# The ratio may be so many times `FACTOR` (a square would be 16 times), for caches are smaller than large inputs.
SLACK = 4
MEASUREMENTS = 12
# What is shorter is measured with too few ticks of the clock.
SHORTEST = 1e-4


def growth(prepare: Callable[[int], Callable[[], object]], large: int) -> float:
    """Measure how many times longer work of size `large` takes than work of a sixteenth of it.

    Args:
        prepare: Makes the work for a size. Only the work is measured.
        large: The larger size, in whatever `prepare` counts.

    Returns:
        The ratio of the least CPU times, measured again while it is above the bound.
    """
    least = {large // FACTOR: float("inf"), large: float("inf")}
    ratio = float("inf")
    for _ in range(MEASUREMENTS):
        for size in least:
            work = prepare(size)
            begin = time.process_time()
            work()
            least[size] = min(least[size], time.process_time() - begin)
        ratio = least[large] / max(least[large // FACTOR], SHORTEST)
        if ratio <= SLACK * FACTOR:
            break
    return ratio


def assert_linear(prepare: Callable[[int], Callable[[], object]], large: int) -> None:
    """Assert that work grows in proportion to its size.

    Args:
        prepare: Makes the work for a size.
        large: The larger of the two sizes that are measured.

    Raises:
        AssertionError: The work grows much faster than its input.
    """
    ratio = growth(prepare, large)
    assert ratio <= SLACK * FACTOR, f"{FACTOR} times the input took {ratio:.0f} times as long"
