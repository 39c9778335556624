"""One line for each call in the log of Python, and its decisions at the level DEBUG. No line has a prompt or a key.

The logger is `turnout`. The variable `TURNOUT_LOG` shows its lines without a configuration: `TURNOUT_LOG=info`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

from turnout.trace import Trace
from turnout.trace.entries import Answered, AttemptCompleted, CacheHit, CallFailed
from turnout.trace.text import describe

__all__ = ["LOGGER", "log_call", "show_logs", "summary"]

LOGGER = logging.getLogger("turnout")
_LEVELS = ("debug", "info", "warning", "error")


def show_logs(environ: Mapping[str, str]) -> None:
    """Show the lines of the logger on standard error, from the level in `TURNOUT_LOG` on.

    Nothing happens if the variable is not set. Handlers of the program are kept, and no second one is added.

    Raises:
        ValueError: If the variable has another value.
    """
    level = environ.get("TURNOUT_LOG", "").strip().lower()
    if not level:
        return
    if level not in _LEVELS:
        raise ValueError(f"TURNOUT_LOG must be {', '.join(_LEVELS[:-1])} or {_LEVELS[-1]}, not {level!r}")
    LOGGER.setLevel(level.upper())
    if not LOGGER.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        LOGGER.addHandler(handler)


def log_call(trace: Trace) -> None:
    """Log a call that has ended: one line at INFO, and each entry of its trace at DEBUG."""
    if not LOGGER.isEnabledFor(logging.INFO):
        return
    if LOGGER.isEnabledFor(logging.DEBUG):
        for entry in trace.entries:
            LOGGER.debug("%s %8.3f s  %s", trace.operation, entry.at, describe(entry))
    LOGGER.info("%s", summary(trace))


def summary(trace: Trace) -> str:
    """Return a call that has ended as one line."""
    last = trace.entries[-1] if trace.entries else None
    seconds = f" after {last.at:.3f} s" if last is not None else ""
    attempts = f", {trace.attempts} attempt{'' if trace.attempts == 1 else 's'}"
    match last:
        case Answered(candidate=candidate):
            outcome = f"answered by {candidate}{seconds}"
        case CacheHit(candidate=candidate):
            return f"{trace.operation} answered from the cache, by {candidate}{seconds}"
        case CallFailed(reason=reason):
            return f"{trace.operation} over {', '.join(trace.candidates)}: failed{seconds}{attempts}: {reason}"
        case _:
            outcome = f"over {', '.join(trace.candidates)}: ended early{seconds}"
    counts = [
        entry.tokens for entry in trace.entries if isinstance(entry, AttemptCompleted) and entry.tokens is not None
    ]
    tokens = f", {sum(counts)} tokens" if counts else ""
    cost = f", cost {trace.cost:.6g}" if trace.cost is not None else ""
    return f"{trace.operation} {outcome}{attempts}{tokens}{cost}"
