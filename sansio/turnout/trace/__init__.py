"""The account of one call: every fact that came in, and every decision that was made of them."""

from turnout.trace.attempts import AttemptSummary, summarize_attempts
from turnout.trace.trace import VERSION, Trace, TraceError, check_version

__all__ = ["VERSION", "AttemptSummary", "Trace", "TraceError", "check_version", "summarize_attempts"]
