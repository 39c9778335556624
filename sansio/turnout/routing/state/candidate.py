"""A candidate of one call."""

from __future__ import annotations

import attrs

from turnout.chat import ModelConfig
from turnout.prices import Price
from turnout.providers.protocol import Provider
from turnout.routing.policy.settings import Policy
from turnout.routing.state.candidate_state import CandidateState

__all__ = ["Candidate"]


@attrs.frozen
class Candidate:
    """A model that may serve a call, and the provider that offers it.

    Attributes:
        model: The model with its settings.
        provider: The provider.
        state: What all calls share about it.
        price: Its price at the time of the call, if it is known.
        policy: The settings of the call's attempts on it.
    """

    model: ModelConfig
    provider: Provider
    state: CandidateState
    price: Price | None = None
    policy: Policy = Policy()

    def __str__(self) -> str:
        return self.state.key
