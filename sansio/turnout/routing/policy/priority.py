"""The priority of a call among the calls that wait for the same limit.

A call waits as if it had arrived some seconds later: `YIELD_SECONDS` for each step of its priority. So it is served
after the calls of priority 0 that arrive within these seconds, and before those that arrive later. All calls age at the
same speed, so the order of two waiting calls never changes, and no queue has to be sorted again.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from turnout._utils.validation import quoted

__all__ = ["PRIORITIES", "YIELD_SECONDS", "Priority", "priority_number", "seconds_behind"]

Priority: TypeAlias = Literal["interactive", "batch"] | float

PRIORITIES = {"interactive": 0.0, "batch": 6.0}
# Seconds for each step.
YIELD_SECONDS = 10.0
# The largest share of a call's own time for which newer calls are served first: in the rest of it, the call has as
# much right as they have.
LARGEST_SHARE = 0.5


def priority_number(value: object) -> float:
    """Return the number of a priority.

    Raises:
        TypeError: If it is neither a word nor a number.
        ValueError: If it is another word, or a number below 0.
    """
    if isinstance(value, str):
        if value not in PRIORITIES:
            words = " or ".join(map(repr, PRIORITIES))
            raise ValueError(f"priority must be {words}, or a number of 0 or more, not {quoted(value)}")
        return PRIORITIES[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"priority must be a word or a number, not {type(value).__name__}")
    try:
        priority = float(value)
    except OverflowError:
        raise ValueError("priority is too large for a number") from None
    if not 0 <= priority < math.inf:
        raise ValueError(f"priority must be a number of 0 or more (0 is served first), not {value}")
    return priority


def seconds_behind(priority: float, time: float) -> float:
    """Return the seconds in which newer calls of priority 0 are served before a call.

    Args:
        priority: Of the call.
        time: Seconds until the deadline of the call.
    """
    return min(priority * YIELD_SECONDS, time * LARGEST_SHARE) if priority else 0.0
