"""The interface of an operation: the purpose of one call, and how its exchanges make one result."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from turnout.chat import Capability, ChatResponse, ModelConfig
from turnout.errors import TurnoutError
from turnout.providers.protocol import Exchange, Provider
from turnout.routing.state.candidate import Candidate
from turnout.trace import Trace

__all__ = ["Operation"]


@attrs.define(eq=False)
class Operation(abc.ABC):
    """One kind of call. This base class is an operation of one exchange, with a response that arrives whole.

    Attributes:
        name: The operation's name in traces.
        streams: True if the response arrives as a stream, so that its first content and its silences can be timed.
        streams_to_caller: True if events reach the caller as they arrive, so that the first content commits the call.
    """

    name: ClassVar[str]
    streams_to_caller: ClassVar[bool] = False
    _result: Any = attrs.field(default=None, init=False)

    @property
    def streams(self) -> bool:
        return False

    @property
    @abc.abstractmethod
    def candidates(self) -> tuple[ModelConfig, ...]:
        """The models that the request names, first to last."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The caller's labels."""
        return {}

    @property
    @abc.abstractmethod
    def needs(self) -> frozenset[Capability]:
        """The capabilities that a provider must offer for this request."""

    def next_tokens(self, candidate: Candidate) -> tuple[int, int]:
        """Estimate the tokens of the next request to this candidate: of its prompt, and of its response."""
        return 0, 0

    def remaining_tokens(self, candidate: Candidate) -> tuple[int, int]:
        """Estimate the same for everything that is still missing, if that takes several requests."""
        return self.next_tokens(candidate)

    @abc.abstractmethod
    def start_exchange(self, provider: Provider, model: ModelConfig) -> Exchange[Any]:
        """Return a new exchange for the missing part of the result.

        Raises:
            TurnoutError: If this provider cannot take the request.
        """

    def split_batch(self, error: TurnoutError, model: ModelConfig) -> bool:
        """Make the next request to this model smaller, if the provider refused the size of the last one.

        Returns:
            True if the next request is smaller. False if the failure is another one, or nothing can be split.
        """
        return False

    @property
    def prefix(self) -> ChatResponse | None:
        """The part of the response that the next exchange continues, if it arrived in another exchange."""
        return None

    def restart(self) -> None:  # noqa: B027 - an operation without parts has nothing to forget
        """Forget the parts that arrived: the next exchange is for the whole response."""

    def prepare_resume(self, partial: ChatResponse | None) -> bool:
        """Prepare to resume an interrupted response. Return False if it cannot be resumed."""
        return False

    def merge(self, result: Any) -> Any:
        """Return the result of an exchange, joined to the part that arrived before it."""
        return result

    def add_result(self, result: Any) -> bool:
        """Take the result of an exchange. Return True if it was the last one.

        Raises:
            RemoteProtocolError: If it does not fit the request.
        """
        self._result = result
        return True

    def unmet_demand(self, result: Any) -> TurnoutError | None:
        """Return the error for a whole result that does not meet a strict demand of the request; else None."""
        return None

    def result(self, trace: Trace) -> Any:
        """Return the result of the call."""
        result = self._result
        if result is None:
            return None
        if getattr(result, "_trace", trace) is not None:
            return attrs.evolve(result, trace=trace)
        # A result without a trace is one that an exchange has just made, and nobody else has: a copy of it would cost
        # as much as the rest of routing.
        object.__setattr__(result, "_trace", trace)
        return result

    def attach_partial(self, error: TurnoutError) -> None:  # noqa: B027 - see its docstring
        """Put the part that has arrived on the error that ends the call. By default, half a result is useless."""
