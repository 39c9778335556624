"""How the failure of an attempt is told: its kind, how far the attempt had come, and the timer that ran out.

They stand alone, for errors carry them and traces keep them.
"""

from __future__ import annotations

import enum

__all__ = ["FailureClass", "Phase", "Timer"]


class FailureClass(enum.StrEnum):
    """The kind of a failure. The table `turnout.routing.policy.classify.RULES` says what follows each kind."""

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
    INVALID_REQUEST = "invalid-request"
    UNSUPPORTED = "unsupported"
    RATE_LIMIT = "rate-limit"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TRANSPORT = "transport"


class Phase(enum.StrEnum):
    """How far an attempt had come: what may have been processed on the other side depends on it."""

    NOT_SENT = "not-sent"  # no byte of the request left; repeating is always safe
    SENT = "sent"  # some or all of the request left, nothing came back
    HEAD = "head"  # a status came, nothing of the body
    BODY = "body"  # some of the body came


class Timer(enum.StrEnum):
    """Which timer of one attempt ran out (DESIGN: timers are decided in the core)."""

    CONNECT = "connect"
    WRITE = "write"
    RESPONSE_HEADERS = "response-headers"
    READ = "read"  # what a transport reports for one `read`; the core says which timer that was
    FIRST_TOKEN = "first-token"
    BETWEEN_TOKENS = "between-tokens"
