"""The errors of a call. All are subclasses of `TurnoutError`.

A wrong argument or setting is a ValueError or TypeError, before anything is sent.

Every class takes its message first and the rest by keyword with a default, so that every error pickles. A message
names the failure, its place, and a remedy. It never holds a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnout._utils.names import Advised, Elsewhere
from turnout.failures import Phase, Timer
from turnout.responses import longest, or_empty

if TYPE_CHECKING:
    from turnout.chat import ChatResponse
    from turnout.embeddings import Vectors
    from turnout.trace import Trace

__all__ = [
    "AllAttemptsFailed",
    "AllDemandsUnmet",
    "AllRateLimited",
    "AuthenticationFailed",
    "BudgetExceeded",
    "CapabilityUnsupported",
    "ConcurrencyExceeded",
    "ConnectFailed",
    "ContentFiltered",
    "ContextLengthExceeded",
    "DeadlineExceeded",
    "DemandUnmet",
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


class TurnoutError(Exception, Advised):
    """The base class of every error that Turnout raises on purpose.

    Attributes:
        partial: The partial response with its usage, if a call fails after it received content: the one that the
            caller has, or else the longest of all attempts.
        vectors: The vectors that arrived before an embedding call failed.
        candidate: The `provider/model` whose attempt failed; "" if the error is not of one attempt of a call.
    """

    candidate: str = ""
    _trace: Trace | None = None
    partial: ChatResponse | None = None
    vectors: Vectors | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return self._named(self.message)

    def _named(self, text: str) -> str:
        """Return a text that begins with the model, if that is known."""
        if not self.candidate or text.startswith(self.candidate):
            return text
        provider = self.candidate.partition("/")[0]
        return f"{self.candidate}: {text.removeprefix(f'{provider}: ')}"

    if not TYPE_CHECKING:
        status_code = Elsewhere("of an error with a response it is error.status; others have none")
        model = Elsewhere("the models that were tried are error.trace.candidates")
        response = Elsewhere("a provider's error has error.status and error.message, error.code and error.body")
        llm_provider = Elsewhere("of a provider's error it is error.provider")
        attempts = Elsewhere("it is error.trace.attempts; error.trace.explain() describes each")

    @property
    def trace(self) -> Trace:
        """The attempts and decisions of the failed call; `Trace()` if the error does not belong to a call."""
        return or_empty(self._trace)

    @trace.setter
    def trace(self, trace: Trace) -> None:
        self._trace = trace


class LocalProtocolError(TurnoutError):
    """The caller broke the rules: a wrong call, or a value that cannot be sent. The call changed nothing."""


class RemoteProtocolError(TurnoutError):
    """The peer sent bytes that break the protocol. The parser that received them stays failed."""


class TransportError(TurnoutError):
    """The network failed during one attempt. `phase` is the progress of the attempt until then."""

    def __init__(self, message: str = "", *, phase: Phase = Phase.SENT) -> None:
        super().__init__(message)
        self.phase = phase


class ConnectFailed(TransportError):
    """No connection: refused, unreachable, unknown host, bad certificate, refused by a proxy. Nothing was sent.

    Attributes:
        reason: One word for traces: refused, closed, name (unknown host), route, silence, certificate, tls (the peer
            does not speak TLS), proxy (it could not connect), proxy-refused (it refuses to connect); "" for any
            other. Time does not change certificate, tls and proxy-refused, so they are not retried.
    """

    def __init__(self, message: str = "", *, reason: str = "", phase: Phase = Phase.NOT_SENT) -> None:
        super().__init__(message, phase=phase)
        self.reason = reason


class TimedOut(TransportError):
    """One timer of one attempt expired. If the caller's deadline passes, the error is `DeadlineExceeded`.

    Attributes:
        timer: The timer.
        seconds: The time that it was set to; None if that is not known.
        reused: True if a kept-alive connection was silent before the first byte of the response. It may be dead, so
            the call may send the request again over a new connection.
    """

    def __init__(
        self,
        message: str = "",
        *,
        timer: Timer = Timer.READ,
        seconds: float | None = None,
        reused: bool = False,
        phase: Phase = Phase.SENT,
    ) -> None:
        super().__init__(message, phase=phase)
        self.timer = timer
        self.seconds = seconds
        self.reused = reused


class Disconnected(TransportError):
    """The connection ended early: reset, closed, or cut inside a framed body.

    Attributes:
        reused: True if a kept-alive connection ended before the first byte of the response. The peer then most likely
            closed it while it was idle, and never read the request.
    """

    def __init__(self, message: str = "", *, reused: bool = False, phase: Phase = Phase.SENT) -> None:
        super().__init__(message, phase=phase)
        self.reused = reused


class ProviderError(TurnoutError):
    """The provider returned an error, as its status or inside a 200.

    Attributes:
        status: The HTTP status, or the one that an error inside a 200 implies; None if it is not known.
        code: The provider's own code or type, as text.
        provider: The name under which the provider is registered.
        retry_after: The shortest wait that the provider demands, in seconds; None if it demands none.
        retry_at: The time at which that wait ends, in seconds since 1970, if its response has no `Date`.
        unread_wait: A wait that the provider demands in a form that could not be read; "" if there is none.
        should_retry: Whether the provider recommends a retry (`x-should-retry`); None if it does not specify.
        batch_too_large: True if the provider would accept the same texts in smaller requests.
        request_id: The provider's id for this request, for its support.
        body: The start of the error body as text, with the details that the message omits.
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
        where = f"{self.provider}: " if self.provider and not self.candidate else ""
        return self._named(f"{where}{self.message}" + (f" ({', '.join(told)})" if told else ""))


class AuthenticationFailed(ProviderError):
    """The key is wrong, expired or missing."""


class PermissionDenied(ProviderError):
    """The key is right but may not do this: region, project, model access."""


class NotFound(ProviderError):
    """No such model, or no such path."""


class InvalidRequest(ProviderError):
    """The provider refuses the request as it is. To send it again gives the same result."""


class ContextLengthExceeded(InvalidRequest):
    """The conversation is longer than the model's context window."""


class RequestTooLarge(InvalidRequest):
    """The request is larger than this provider accepts, in bytes or parts. Another provider can accept it."""


class NotSupported(ProviderError):
    """The provider, or its model, lacks something that the request needs: a path, a feature, a kind of input."""


class ContentFiltered(ProviderError):
    """A content policy refused the prompt or the response."""


class RateLimited(ProviderError):
    """Too many requests or tokens per minute: wait `retry_after` seconds."""


class QuotaExceeded(ProviderError):
    """The credit, plan or daily quota is used up. To wait a minute does not help."""


class Overloaded(ProviderError):
    """The provider has no capacity now."""


class ServerError(ProviderError):
    """The provider failed, or sent an error of no known kind."""


class StreamInterrupted(TurnoutError):
    """A stream broke after content had arrived. `partial` is the partial response with its usage."""

    def __init__(self, message: str = "", *, partial: ChatResponse | None = None) -> None:
        super().__init__(message)
        self.partial = partial


class StreamTruncated(StreamInterrupted):
    """The body ended with neither a finish reason nor the protocol's terminator: the response may be incomplete."""


class StreamFailed(StreamInterrupted):
    """A committed stream failed with another error, which is `__cause__`."""


class DemandUnmet(TurnoutError):
    """A whole answer does not meet a strict demand of the request. `partial` is the answer, with its usage.

    Attributes:
        demands: The demands that it does not meet: `response_format` if its text is not JSON, `tool_choice` if a tool
            call was required and none was made.
    """

    def __init__(
        self, message: str = "", *, demands: tuple[str, ...] = (), partial: ChatResponse | None = None
    ) -> None:
        super().__init__(message)
        self.demands = demands
        self.partial = partial


class RoutingError(TurnoutError):
    """The router itself could not serve the call."""


class ProviderNotRegistered(RoutingError):
    """The call names a provider that this router does not have."""


class CapabilityUnsupported(RoutingError):
    """The provider, or its model, cannot serve this request. Nothing was sent."""


class ProviderUnavailable(RoutingError):
    """The provider is known but cannot be used now: it is disabled, or has a cooldown."""


class MissingCredentials(RoutingError):
    """No candidate has a key. `missing_env` has the names of environment variables that would set one."""

    def __init__(self, message: str = "", *, missing_env: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing_env = missing_env


class BudgetExceeded(RoutingError):
    """Every remaining candidate could cost more than `Policy.max_cost` or `Policy.budgets` leave. It got no request."""


class ConcurrencyExceeded(RoutingError):
    """A limit of the policy leaves no room, and the call may not wait or has too little time, or the queue is full."""


class DeadlineExceeded(RoutingError):
    """The caller's deadline for the whole call passed. `phase` is the progress of the last attempt until then."""

    def __init__(self, message: str = "", *, phase: Phase = Phase.NOT_SENT) -> None:
        super().__init__(message)
        self.phase = phase


class AllAttemptsFailed(RoutingError):
    """Several attempts were made, with other models or keys, and each failed. It has no class of theirs.

    If every one of them was a refusal because of a rate limit it is also `RateLimited`, and for unmet demands
    `DemandUnmet`. For any other class ask `error.is_all(AuthenticationFailed)`, or look at `error.errors`.

    Attributes:
        errors: One error for each attempt, in order. The last one is also `last` and the `__cause__`.
        retry_after: Seconds until the first candidate accepts requests again; None if no provider reported it.
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
        self.partial = longest(*(error.partial for error in errors))

    if not TYPE_CHECKING:
        causes = Elsewhere("they are error.errors, one for each attempt")
        exceptions = Elsewhere("they are error.errors, one for each attempt")
        failures = Elsewhere("they are error.errors, one for each attempt")
        code = Elsewhere("each failure has its own: error.last.code, if error.last is a ProviderError")

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


class AllDemandsUnmet(AllAttemptsFailed, DemandUnmet):
    """Several candidates were tried, and no answer meets the strict demands of the request."""

    def __init__(self, message: str = "", *, errors: tuple[TurnoutError, ...] = ()) -> None:
        AllAttemptsFailed.__init__(self, message, errors=errors)
        unmet = [demand for error in errors if isinstance(error, DemandUnmet) for demand in error.demands]
        self.demands = tuple(dict.fromkeys(unmet))


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
