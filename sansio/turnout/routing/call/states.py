"""The states of a call and of an attempt, and every transition between them. Nothing else changes a state.

`docs/states.md` shows both tables as diagrams, which `tools/state_diagrams.py` draws from them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from turnout.errors import Phase

__all__ = ["ATTEMPT_TRANSITIONS", "CALL_TRANSITIONS", "AttemptState", "CallState"]


class CallState(enum.Enum):
    """The state of a call. The values complete the sentence "the call is …"."""

    __hash__ = object.__hash__  # a member is one object; the hash of Enum is a function in Python

    SELECTING = "selecting a candidate"
    QUEUED = "waiting in the queue"
    BACKING_OFF = "waiting before a retry"
    RUNNING = "running one attempt"
    HEDGING = "running two attempts, or ready to start the second"
    FINISHED = "finished"


class AttemptState(enum.Enum):
    """The state of an attempt. The values complete the sentence "the attempt is …"."""

    __hash__ = object.__hash__  # as above

    OPENING = "opening a connection and sending the request"
    RESPONSE_STARTED = "past the head of the response"
    BODY = "reading a body without content so far"
    STREAMING = "reading content"
    DRAINING = "complete, and waiting for the end of the body"
    CLOSED = "closed"

    @property
    def phase(self) -> Phase:
        """How far the attempt has got, as errors and traces report it."""
        return _PHASES[self]


_PHASES = {
    AttemptState.OPENING: Phase.SENT,
    AttemptState.RESPONSE_STARTED: Phase.HEAD,
    AttemptState.BODY: Phase.BODY,
    AttemptState.STREAMING: Phase.BODY,
    AttemptState.DRAINING: Phase.BODY,
    AttemptState.CLOSED: Phase.BODY,
}

CALL_TRANSITIONS: Mapping[CallState, frozenset[CallState]] = MappingProxyType(
    {
        CallState.SELECTING: frozenset(
            {CallState.QUEUED, CallState.BACKING_OFF, CallState.RUNNING, CallState.HEDGING, CallState.FINISHED}
        ),
        CallState.QUEUED: frozenset({CallState.SELECTING, CallState.FINISHED}),
        CallState.BACKING_OFF: frozenset({CallState.SELECTING, CallState.FINISHED}),
        CallState.RUNNING: frozenset({CallState.SELECTING, CallState.HEDGING, CallState.FINISHED}),
        CallState.HEDGING: frozenset({CallState.SELECTING, CallState.RUNNING}),
        CallState.FINISHED: frozenset(),
    }
)

ATTEMPT_TRANSITIONS: Mapping[AttemptState, frozenset[AttemptState]] = MappingProxyType(
    {
        AttemptState.OPENING: frozenset({AttemptState.RESPONSE_STARTED, AttemptState.CLOSED}),
        AttemptState.RESPONSE_STARTED: frozenset(
            {AttemptState.BODY, AttemptState.STREAMING, AttemptState.DRAINING, AttemptState.CLOSED}
        ),
        AttemptState.BODY: frozenset({AttemptState.STREAMING, AttemptState.DRAINING, AttemptState.CLOSED}),
        AttemptState.STREAMING: frozenset({AttemptState.DRAINING, AttemptState.CLOSED}),
        AttemptState.DRAINING: frozenset({AttemptState.CLOSED}),
        AttemptState.CLOSED: frozenset(),
    }
)
