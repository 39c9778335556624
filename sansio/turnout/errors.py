"""The errors of Turnout, one family.

Every class takes its message first and the rest by keyword with a default, so that every error pickles. A message
says what failed, where, and what the reader can do; it never holds a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnout.answers import or_empty
from turnout.failures import Phase, Timer

if TYPE_CHECKING:
    from turnout.chat import ChatResponse
    from turnout.embeddings import Vectors
    from turnout.trace import Trace

__all__ = [
    "AllAttemptsFailed",
    "AllRateLimited",
    "AuthenticationFailed",
    "BudgetExceeded",
    "CapabilityUnsupported",
    "ConcurrencyExceeded",
    "ConnectFailed",
    "ContentFiltered",
    "ContextLengthExceeded",
    "DeadlineExceeded",
    "Disconnected",
    "InvalidRequest",
    "LocalProtocolError",
    "MissingCredentials",
    "NotFound",
    "NotSupported",
    "Overloaded",
    "PermissionDenied",
    "Phase",
    "ProviderError",
    "ProviderNotRegistered",
    "ProviderUnavailable",
    "QuotaExceeded",
    "RateLimited",
    "RemoteProtocolError",
    "RequestTooLarge",
    "RoutingError",
    "ServerError",
    "StreamFailed",
    "StreamInterrupted",
    "StreamTruncated",
    "TimedOut",
    "Timer",
    "TransportError",
    "TurnoutError",
]


class TurnoutError(Exception):
    """Base of every error that Turnout raises on purpose.

    partial  on an error that ends a call after content had come, the answer as far as it came, with its usage
    vectors  on an error that ends an embedding call, the vectors that had come before it failed for good
    """

    _trace: Trace | None = None
    partial: ChatResponse | None = None
    vectors: Vectors | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else ""

    @property
    def trace(self) -> Trace:
        """On every error that ends a call of a router, what was tried and why it went as it did; else `Trace()`."""
        return or_empty(self._trace)

    @trace.setter
    def trace(self, trace: Trace) -> None:
        self._trace = trace


class LocalProtocolError(TurnoutError):
    """This side broke the rules: a wrong call, or a value that cannot be sent. Nothing was changed by the call."""


class RemoteProtocolError(TurnoutError):
    """The peer sent bytes that break the protocol. The machine that saw them stays failed."""


class TransportError(TurnoutError):
    """The network failed under one attempt. `phase` says how far the attempt had come."""

    def __init__(self, message: str = "", *, phase: Phase = Phase.SENT) -> None:
        super().__init__(message)
        self.phase = phase


class ConnectFailed(TransportError):
    """No connection: refused, unreachable, no such host, bad certificate, proxy refused. Nothing was sent.

    reason  in a word, for traces: refused, closed, name (none is known), route, silence, certificate, tls (that it is
            not spoken), proxy (it made no connection), proxy-refused (it will make none), or "" where it is another.
            What waiting does not mend (certificate, tls, proxy-refused) is not tried again.
    """

    def __init__(self, message: str = "", *, reason: str = "", phase: Phase = Phase.NOT_SENT) -> None:
        super().__init__(message, phase=phase)
        self.reason = reason


class TimedOut(TransportError):
    """One timer of one attempt ran out. The caller's own deadline is `DeadlineExceeded`, not this."""

    def __init__(self, message: str = "", *, timer: Timer = Timer.READ, phase: Phase = Phase.SENT) -> None:
        super().__init__(message, phase=phase)
        self.timer = timer


class Disconnected(TransportError):
    """The connection ended early: reset, closed, or cut inside a framed body.

    `reused` is true where a kept-alive connection died before a byte of the answer came, so that the peer most
    likely closed it while it was idle and never read the request.
    """

    def __init__(self, message: str = "", *, reused: bool = False, phase: Phase = Phase.SENT) -> None:
        super().__init__(message, phase=phase)
        self.reused = reused


class ProviderError(TurnoutError):
    """The provider answered with an error, by its status or inside a 200.

    Attributes:
        status: The HTTP status, or the one that an error inside a 200 implies; None if nothing says.
        code: The provider's own code or type, as text.
        provider: The name under which the provider is registered.
        retry_after: Seconds that the provider asks to wait, a lower bound; None if it does not say.
        retry_at: The instant that it asks to wait for, in seconds since 1970, if its response has no `Date`.
        unread_wait: A value that says how long to wait in a form that could not be read; "" if there is none.
        should_retry: What the provider says about a retry (`x-should-retry`); None if it does not say.
        batch_too_large: Whether the provider would take the same texts in smaller requests.
        request_id: The provider's id for this request, for its support.
        body: The start of the error body as text, for what the message leaves out.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        provider: str = "",
        retry_after: float | None = None,
        retry_at: float | None = None,
        unread_wait: str = "",
        should_retry: bool | None = None,
        batch_too_large: bool = False,
        request_id: str | None = None,
        body: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.provider = provider
        self.retry_after = retry_after
        self.retry_at = retry_at
        self.unread_wait = unread_wait
        self.should_retry = should_retry
        self.batch_too_large = batch_too_large
        self.request_id = request_id
        self.body = body

    def __str__(self) -> str:
        told = [str(part) for part in (self.status, self.code) if part]
        where = f"{self.provider}: " if self.provider else ""
        return f"{where}{self.message}" + (f" ({', '.join(told)})" if told else "")


class AuthenticationFailed(ProviderError):
    """The key is wrong, expired or missing."""


class PermissionDenied(ProviderError):
    """The key is right but may not do this: region, project, model access."""


class NotFound(ProviderError):
    """No such model, or no such path."""


class InvalidRequest(ProviderError):
    """The provider refuses the request as it is; sending it again gives the same answer."""


class ContextLengthExceeded(InvalidRequest):
    """The conversation is longer than the model's context window."""


class RequestTooLarge(InvalidRequest):
    """The request is larger than this provider accepts, in bytes or parts; another provider can accept it."""


class NotSupported(ProviderError):
    """The provider, or its model, does not offer what the request needs: a path, a feature, a kind of input."""


class ContentFiltered(ProviderError):
    """A content policy refused the prompt or the answer."""


class RateLimited(ProviderError):
    """Too many requests or tokens a minute: wait `retry_after` seconds."""


class QuotaExceeded(ProviderError):
    """Credit, plan or daily quota is used up: waiting a minute does not help."""


class Overloaded(ProviderError):
    """The provider has no capacity now."""


class ServerError(ProviderError):
    """The provider failed, or answered in a way that says nothing better."""


class StreamInterrupted(TurnoutError):
    """A stream broke after content had come. `partial` is the answer as far as it came, with its usage."""

    def __init__(self, message: str = "", *, partial: ChatResponse | None = None) -> None:
        super().__init__(message)
        self.partial = partial


class StreamTruncated(StreamInterrupted):
    """The body ended with neither a finish reason nor the protocol's terminator: the answer may be incomplete."""


class StreamFailed(StreamInterrupted):
    """A committed stream met another error, which is `__cause__`."""


class RoutingError(TurnoutError):
    """The router itself could not serve the call."""


class ProviderNotRegistered(RoutingError):
    """The call names a provider that this router does not have."""


class CapabilityUnsupported(RoutingError):
    """The provider, or its model, cannot do what is asked. Nothing was sent."""


class ProviderUnavailable(RoutingError):
    """The provider is known but not to be used now: disabled, or cooling down."""


class MissingCredentials(RoutingError):
    """No candidate has a key. `missing_env` names the variables that would give one."""

    def __init__(self, message: str = "", *, missing_env: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing_env = missing_env


class BudgetExceeded(RoutingError):
    """No candidate is sure to stay within `Policy.max_cost`. Nothing more was sent."""


class ConcurrencyExceeded(RoutingError):
    """The router is full and was told to reject, or its queue is full."""


class DeadlineExceeded(RoutingError):
    """The caller's deadline for the whole call passed. `phase` says how far the last attempt had come."""

    def __init__(self, message: str = "", *, phase: Phase = Phase.NOT_SENT) -> None:
        super().__init__(message)
        self.phase = phase


class AllAttemptsFailed(RoutingError):
    """Several candidates were tried and each failed.

    Attributes:
        errors: One error for each attempt, in order. The last one is also `last` and the `__cause__`.
        retry_after: Seconds until the first candidate accepts requests again, if a provider told.
        status: The HTTP status of the last error that has one.
        partial: The longest response that arrived before one of them.
    """

    def __init__(self, message: str = "", *, errors: tuple[TurnoutError, ...] = ()) -> None:
        super().__init__(message)
        self.errors = errors
        responses = [error for error in errors if isinstance(error, ProviderError)]
        waits = [error.retry_after for error in responses if error.retry_after is not None]
        self.retry_after = min(waits) if waits else None
        self.status = next((error.status for error in reversed(responses) if error.status is not None), None)
        partials = [error.partial for error in errors if error.partial is not None]
        self.partial = max(partials, key=_length) if partials else None

    @property
    def last(self) -> TurnoutError | None:
        return self.errors[-1] if self.errors else None

    def is_all(self, kind: type[TurnoutError]) -> bool:
        """Return True if every attempt failed with an error of this class."""
        return bool(self.errors) and all(isinstance(error, kind) for error in self.errors)


class AllRateLimited(AllAttemptsFailed, RateLimited):
    """Several candidates were tried, and the provider of each refused because of a rate limit."""

    def __init__(self, message: str = "", *, errors: tuple[TurnoutError, ...] = ()) -> None:
        RateLimited.__init__(self, message)
        AllAttemptsFailed.__init__(self, message, errors=errors)

    def __str__(self) -> str:
        return self.message


def _length(partial: ChatResponse) -> int:
    return len(partial.text) + len(partial.reasoning)
