"""The states of an HTTP/1.1 exchange, and every transition between them. Nothing else changes a state.

`docs/states.md` shows the table as a diagram, which `tools/state_diagrams.py` draws from it. A failure is no state: an
exchange with a failure stays in the state in which it failed.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from turnout.errors import Phase

__all__ = ["EXCHANGE_TRANSITIONS", "ExchangeState"]


class ExchangeState(enum.Enum):
    """The state of an HTTP/1.1 exchange. The values complete the sentence "the exchange is …"."""

    __hash__ = object.__hash__  # a member is one object; the hash of Enum is a function in Python

    NEW = "not sent yet"
    SENT = "sending the request, or waiting for the head of the response"
    HEAD = "past the head of the response"
    BODY = "reading the body"
    ENDED = "complete"

    @property
    def phase(self) -> Phase:
        """How far the exchange has got, as errors report it."""
        return _PHASES[self]


_PHASES = {
    ExchangeState.NEW: Phase.NOT_SENT,
    ExchangeState.SENT: Phase.SENT,
    ExchangeState.HEAD: Phase.HEAD,
    ExchangeState.BODY: Phase.BODY,
    ExchangeState.ENDED: Phase.BODY,
}

EXCHANGE_TRANSITIONS: Mapping[ExchangeState, frozenset[ExchangeState]] = MappingProxyType(
    {
        # A server may respond before it has any byte of the request, as with 408.
        ExchangeState.NEW: frozenset({ExchangeState.SENT, ExchangeState.HEAD}),
        ExchangeState.SENT: frozenset({ExchangeState.HEAD}),
        ExchangeState.HEAD: frozenset({ExchangeState.BODY, ExchangeState.ENDED}),
        ExchangeState.BODY: frozenset({ExchangeState.ENDED}),
        ExchangeState.ENDED: frozenset(),
    }
)
