"""Describes the failure of an attempt: its kind, the progress of the attempt, and the timer that expired.

This module imports no other one, because both errors and traces use it.
"""

from __future__ import annotations

import enum

__all__ = ["FailureClass", "Phase", "Timer"]


class FailureClass(enum.StrEnum):
    """The kind of a failure. The table `turnout.routing.policy.classify.RULES` maps each kind to an action."""

    CONNECT = "connect"
    CONNECT_TIMEOUT = "connect-timeout"
    # No connection, for a reason that time does not change: a bad certificate, or a proxy that refuses.
    CONNECT_CONFIG = "connect-config"
    STALE_CONNECTION = "stale-connection"
    NO_RESPONSE = "no-response"
    DISCONNECTED = "disconnected"
    STREAM_STALLED = "stream-stalled"
    TRUNCATED = "truncated"
    PROTOCOL = "protocol"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    QUOTA = "quota"
    NOT_FOUND = "not-found"
    CONTEXT_LENGTH = "context-length"
    REQUEST_TOO_LARGE = "request-too-large"
    # The provider refused several texts at once, and gets fewer of them next.
    BATCH_TOO_LARGE = "batch-too-large"
    CONTENT_FILTER = "content-filter"
    # A whole answer that does not meet a strict demand of the request: no JSON, or no tool call.
    UNMET_DEMAND = "unmet-demand"
    INVALID_REQUEST = "invalid-request"
    UNSUPPORTED = "unsupported"
    RATE_LIMIT = "rate-limit"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TRANSPORT = "transport"
    # The caller's deadline for the whole call passed while the attempt ran. It says nothing about the candidate.
    DEADLINE = "deadline"


class Phase(enum.StrEnum):
    """The progress of an attempt. It decides whether the provider may have processed the request."""

    NOT_SENT = "not-sent"  # no byte of the request was sent; a retry is always safe
    SENT = "sent"  # some or all of the request was sent, nothing was received
    HEAD = "head"  # the status was received, nothing of the body
    BODY = "body"  # some of the body was received


class Timer(enum.StrEnum):
    """The timer of an attempt that expired. The core decides it, not the transport."""

    CONNECT = "connect"
    WRITE = "write"
    RESPONSE_HEADERS = "response-headers"
    READ = "read"  # a transport reports this for one `read`; the core replaces it by the timer that was set
    FIRST_TOKEN = "first-token"
    BETWEEN_TOKENS = "between-tokens"
    DEADLINE = "deadline"  # of the whole call, which the caller set
