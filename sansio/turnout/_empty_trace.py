"""The trace of what no router did."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnout.trace import Trace


def or_empty(trace: Trace | None) -> Trace:
    """`trace`, or one in which nothing was tried."""
    if trace is not None:
        return trace
    from turnout.trace import Trace  # it takes some milliseconds to load, and few want it

    return Trace()
