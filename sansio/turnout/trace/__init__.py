"""The record of one call: every fact that the router received, and every decision that it made."""

from turnout.trace.attempts import AttemptSummary, summarize_attempts
from turnout.trace.trace import VERSION, Trace, TraceError, check_version

__all__ = ["VERSION", "AttemptSummary", "Trace", "TraceError", "check_version", "summarize_attempts"]
