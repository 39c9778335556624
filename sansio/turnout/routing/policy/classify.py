"""The class of each error, and one table with the default rule of each class."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from turnout import errors
from turnout._utils.validation import integer, number
from turnout.failures import FailureClass

__all__ = ["RULES", "Action", "Rule", "classify"]


class Action(enum.StrEnum):
    """The next step after a failure of one class."""

    RETRY = "retry"  # the same candidate again after a wait, while it has retries left; then the next candidate
    FALLBACK = "fallback"  # the next candidate at once
    RAISE = "raise"  # the caller gets the error: no other candidate would do better


@attrs.frozen
class Rule:
    """The rule for one class of failure.

    Attributes:
        action: See `Action`.
        health: True if it counts against the candidate's health.
        cooldown: Seconds for which other calls do not use the candidate either. The longer one of it and the
            provider's Retry-After holds.
        max_retries: How often the same candidate is tried again after failures of this class. They are counted apart
            from those of other classes. None is `Policy.max_retries`, for all classes together.
    """

    action: Action = attrs.field(converter=Action)
    health: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    cooldown: float = attrs.field(default=0.0, validator=number(0))
    max_retries: int | None = attrs.field(default=None, validator=integer(0))


# The reasons:
# - connect-timeout, no-response, stream-stalled: the same candidate would probably cost as much time once more.
# - authentication, quota, not-found, permission: waiting does not help, but another provider has another key.
# - context-length: never the same model again; another may have a larger window.
# - content-filter: routing around a refusal is the caller's decision, not ours.
# - unmet-demand: the provider is healthy, and the next answer of the same model may be another one.
# - cooldowns: a wrong key or an empty purse is mended by a person, not within the second; a model that is not there
#   will not be there soon. Each is looked at again after a while.
# - invalid-request: the request is wrong, and another candidate would only hide the mistake.
# - deadline: no time is left. A long silence before it counts against health by the rule of no-response.
# - unsupported: found before sending, and about one dialect or model only.
RULES: Mapping[FailureClass, Rule] = MappingProxyType(
    {
        FailureClass.CONNECT: Rule(Action.RETRY, health=True),
        FailureClass.CONNECT_TIMEOUT: Rule(Action.FALLBACK, health=True),
        FailureClass.CONNECT_CONFIG: Rule(Action.FALLBACK, health=True),
        FailureClass.STALE_CONNECTION: Rule(Action.RETRY),
        FailureClass.NO_RESPONSE: Rule(Action.FALLBACK, health=True),
        FailureClass.DISCONNECTED: Rule(Action.RETRY, health=True),
        FailureClass.STREAM_STALLED: Rule(Action.FALLBACK, health=True),
        FailureClass.TRUNCATED: Rule(Action.RETRY, health=True),
        FailureClass.PROTOCOL: Rule(Action.RETRY, health=True),
        FailureClass.AUTHENTICATION: Rule(Action.FALLBACK, cooldown=60.0),
        FailureClass.PERMISSION: Rule(Action.FALLBACK),
        FailureClass.QUOTA: Rule(Action.FALLBACK, cooldown=60.0),
        FailureClass.NOT_FOUND: Rule(Action.FALLBACK, cooldown=30.0),
        FailureClass.CONTEXT_LENGTH: Rule(Action.FALLBACK),
        FailureClass.REQUEST_TOO_LARGE: Rule(Action.FALLBACK),
        FailureClass.BATCH_TOO_LARGE: Rule(Action.RETRY),
        FailureClass.CONTENT_FILTER: Rule(Action.RAISE),
        FailureClass.UNMET_DEMAND: Rule(Action.RETRY),
        FailureClass.INVALID_REQUEST: Rule(Action.RAISE),
        FailureClass.UNSUPPORTED: Rule(Action.FALLBACK),
        FailureClass.RATE_LIMIT: Rule(Action.RETRY),
        FailureClass.OVERLOADED: Rule(Action.RETRY, health=True),
        FailureClass.SERVER: Rule(Action.RETRY, health=True),
        FailureClass.TRANSPORT: Rule(Action.RETRY, health=True),
        FailureClass.DEADLINE: Rule(Action.RAISE),
    }
)

# Of a class that is not there, its nearest base decides.
_CLASSES: Mapping[type, FailureClass] = {
    errors.ConnectFailed: FailureClass.CONNECT,
    errors.Disconnected: FailureClass.DISCONNECTED,
    errors.TransportError: FailureClass.TRANSPORT,
    errors.RemoteProtocolError: FailureClass.PROTOCOL,
    errors.StreamTruncated: FailureClass.TRUNCATED,
    errors.DemandUnmet: FailureClass.UNMET_DEMAND,
    errors.AuthenticationFailed: FailureClass.AUTHENTICATION,
    errors.PermissionDenied: FailureClass.PERMISSION,
    errors.QuotaExceeded: FailureClass.QUOTA,
    errors.NotFound: FailureClass.NOT_FOUND,
    errors.ContextLengthExceeded: FailureClass.CONTEXT_LENGTH,
    errors.ContentFiltered: FailureClass.CONTENT_FILTER,
    errors.RequestTooLarge: FailureClass.REQUEST_TOO_LARGE,
    errors.InvalidRequest: FailureClass.INVALID_REQUEST,
    errors.RateLimited: FailureClass.RATE_LIMIT,
    errors.Overloaded: FailureClass.OVERLOADED,
    errors.ServerError: FailureClass.SERVER,
    errors.CapabilityUnsupported: FailureClass.UNSUPPORTED,
    errors.NotSupported: FailureClass.UNSUPPORTED,
}

_SETUP = frozenset({"certificate", "tls", "proxy-refused"})


def classify(error: errors.TurnoutError) -> FailureClass:
    """Return the class of a failure. The type of the error decides; dialects choose it by status and code."""
    if isinstance(error, errors.Disconnected) and error.reused:
        return FailureClass.STALE_CONNECTION
    if isinstance(error, errors.ConnectFailed) and error.reason in _SETUP:
        return FailureClass.CONNECT_CONFIG
    if isinstance(error, errors.TimedOut):
        if error.timer is errors.Timer.CONNECT:
            return FailureClass.CONNECT_TIMEOUT
        return FailureClass.STREAM_STALLED if error.timer is errors.Timer.BETWEEN_TOKENS else FailureClass.NO_RESPONSE
    return next((_CLASSES[kind] for kind in type(error).__mro__ if kind in _CLASSES), FailureClass.SERVER)
